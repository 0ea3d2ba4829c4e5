package census

import (
	"iter"
	"net/netip"
	"slices"
	"sort"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/policy"
)

// Networks, cut where anything tells their addresses apart: a network of a rule, of a group or of a
// port, and those that are asked about. Invariant: all free addresses of a cell have the same
// peers.

// netMap is what is known of networks.
type netMap[T any] struct {
	of      map[netip.Prefix]T
	lengths [2][]int // of the networks of each family
}

func newNetMap[T any]() netMap[T] { return netMap[T]{of: map[netip.Prefix]T{}} }

func (m *netMap[T]) put(n netip.Prefix, v T) {
	m.of[n] = v
	if f := family(n.Addr()); !slices.Contains(m.lengths[f], n.Bits()) {
		m.lengths[f] = append(m.lengths[f], n.Bits())
	}
}

// around yields what is known of the networks that hold an address.
func (m *netMap[T]) around(a netip.Addr) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, bits := range m.lengths[family(a)] {
			n, err := a.Prefix(bits)
			if err != nil {
				continue // it fails of no length of the family
			}
			if v, ok := m.of[n]; ok && !yield(v) {
				return
			}
		}
	}
}

// family is 0 of IPv4 and 1 of IPv6.
func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// The whole of each family, and what nobody is at: no address of a connection's end.
var (
	whole = [2]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	empty = [2][]netip.Prefix{
		{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"),
			netip.MustParsePrefix("224.0.0.0/3")},
		{netip.MustParsePrefix("::/127"), netip.MustParsePrefix("fe80::/10"),
			netip.MustParsePrefix("ff00::/8")}}
)

// isEmpty says whether nobody is at the addresses of a network.
func isEmpty(n netip.Prefix) bool {
	return slices.ContainsFunc(empty[family(n.Addr())], func(e netip.Prefix) bool {
		return e.Bits() <= n.Bits() && e.Contains(n.Addr())
	})
}

// cell is a network without those that are cut out of it.
type cell struct {
	netip.Prefix
	address netip.Addr // one that stands for it; not valid = there is none left
	isFree  bool       // it is no port's alone
}

// cut makes the cells of all networks that tell addresses apart.
func (c *Census) cut(networks map[netip.Prefix]bool) {
	for n := range networks {
		f := family(n.Addr())
		c.cells[f] = append(c.cells[f], cell{Prefix: n})
	}
	for f := range c.cells {
		cells := c.cells[f]
		slices.SortFunc(cells, func(a, b cell) int { return policy.ComparePrefix(a.Prefix, b.Prefix) })
		for n := range cells {
			c.choose(cells, n)
		}
		c.outside[f] = make([]int32, len(cells))
	}
}

// choose finds an address for a cell: if there is one, one that no port has alone.
func (c *Census) choose(cells []cell, n int) {
	at := &cells[n]
	inner := cells[n+1:]
	for a := at.Addr(); a.IsValid() && at.Contains(a); {
		for len(inner) > 0 && last(inner[0]).Less(a) {
			inner = inner[1:]
		}
		if len(inner) > 0 && inner[0].Contains(a) {
			a = last(inner[0]).Next()
			continue
		}
		if !at.address.IsValid() {
			at.address = a
		}
		if !c.held[a] {
			at.address, at.isFree = a, true
			return
		}
		a = a.Next()
	}
}

func last(c cell) netip.Addr { return netipx.PrefixLastIP(c.Prefix) }

// within returns the cells of a network that is one of those that were cut, by their numbers.
func (c *Census) within(n netip.Prefix) (first, end int) {
	cells := c.cells[family(n.Addr())]
	first = sort.Search(len(cells), func(i int) bool {
		return policy.ComparePrefix(cells[i].Prefix, n) >= 0
	})
	for end = first; end < len(cells) && n.Contains(cells[end].Addr()) &&
		cells[end].Bits() >= n.Bits(); end++ {
	}
	return first, end
}
