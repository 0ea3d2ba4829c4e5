package census

import (
	"net/netip"
	"slices"
	"sort"
	"strconv"

	"github.com/portcullis/portcullis/flows/explain"
)

// Who is meant by an end, and which of them are alike. Invariant: the classes of a crowd hold each
// of its endpoints once.

// crowd is everybody that an end stands for.
type crowd struct {
	name      string
	endpoints []int32
	classes   [2][]class      // by family: those that are told apart by rules alone
	special   [2][]class      // of one endpoint each
	at        map[int32]int32 // by endpoint: the number of its class, of a special one less than 0
	moved     map[int32]int32 // endpoints whose class is another than that
}

// classOf returns the number of the class of an endpoint.
func (w *crowd) classOf(endpoint int32) (int32, bool) {
	if n, ok := w.moved[endpoint]; ok {
		return n, true
	}
	n, ok := w.at[endpoint]
	return n, ok
}

// class is endpoints that no rule tells apart.
type class struct {
	likeness
	endpoints []int32
	port      int32 // of all of them; meaningless where they are at several
	apart     bool
}

// likeness is what the endpoints of a class have in common.
type likeness struct {
	rules, sig int32
	isOutside  bool
	// where the guards may tell hosts apart, or addresses that a gateway's port may use, too; else ""
	place string
}

// crowd returns whom an end stands for.
func (c *Census) crowd(e explain.End) *crowd {
	if known, ok := c.crowds[e.Name]; ok {
		return known
	}
	out := c.gather(e.Name, c.endpointsOf(e))
	c.crowds[e.Name] = out
	return out
}

// endpointsOf returns the endpoints of an end; one may be there twice.
func (c *Census) endpointsOf(e explain.End) []int32 {
	var out []int32
	switch {
	case e.Any:
		for n := range c.first[len(c.first)-1] {
			out = append(out, n)
		}
		return append(out, c.allOutside()...)
	case e.Outside:
		return c.allOutside()
	case e.Group != "":
		for _, g := range c.policy.Groups {
			for _, n := range g.ExternalSources {
				if g.Name == e.Group {
					out = append(out, c.having(n.Masked())...)
				}
			}
		}
		for _, i := range c.members[e.Group] {
			out = append(out, c.ofInstance(i)...)
		}
	case e.Host != "":
		for n, i := range c.policy.Instances {
			if i.Host == e.Host {
				out = append(out, c.ofInstance(int32(n))...)
			}
		}
	case e.Network.IsValid():
		return c.having(e.Network)
	}
	for _, p := range e.Points {
		out = append(out, c.ofPoint(p)...)
	}
	return out
}

func (c *Census) ofInstance(n int32) []int32 { return count(c.first[n], c.first[n+1]) }

// count returns the numbers from one to before another.
func count(from, to int32) []int32 {
	out := make([]int32, 0, to-from)
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

// ofPoint returns the endpoints of a point, and makes one for what no end has else.
func (c *Census) ofPoint(p explain.Point) []int32 {
	if p.Instance == "" {
		n := netip.PrefixFrom(p.Address, p.Address.BitLen())
		if first, end := c.within(n); end > first {
			if s, ok := c.beyond(family(p.Address), first); ok {
				return []int32{s}
			}
		}
	}
	var out []int32
	span := c.ports[p.Port]
	network, _ := netip.ParsePrefix(p.Network)
	for _, n := range count(span[0], span[1]) {
		s := &c.endpoints[n]
		if p.Network != "" && network.Contains(s.Address) ||
			p.Address == s.Address && p.MAC() == s.MAC() {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		s := c.newEndpoint(p)
		if s.port = -1; p.Instance != "" {
			s.port, s.isSpecial = span[0], true
		}
		out, c.endpoints = []int32{int32(len(c.endpoints))}, append(c.endpoints, s)
	}
	return out
}

// allOutside returns every cell of addresses that are no instance's.
func (c *Census) allOutside() []int32 {
	var out []int32
	for f := range c.cells {
		for n := range c.cells[f] {
			if s, ok := c.beyond(f, n); ok && !isEmpty(c.cells[f][n].Prefix) {
				out = append(out, s)
			}
		}
	}
	return out
}

// beyond returns the endpoint outside that has the addresses of a cell, if anybody may.
func (c *Census) beyond(f, n int) (int32, bool) {
	at := &c.outside[f][n]
	if *at == 0 {
		*at = -1
		if cell := c.cells[f][n]; cell.isFree {
			for _, p := range c.reader.PointsAt(cell.address) {
				if p.Instance == "" {
					c.endpoints = append(c.endpoints, c.newEndpoint(p.Of(cell.address, cell.Prefix)))
					*at = int32(len(c.endpoints))
				}
			}
		}
	}
	return *at - 1, *at > 0
}

// having returns who has the addresses of a network that was cut.
func (c *Census) having(n netip.Prefix) []int32 {
	var out []int32
	f := family(n.Addr())
	first, end := c.within(n)
	for i := first; i < end; i++ {
		if s, ok := c.beyond(f, i); ok && (!isEmpty(c.cells[f][i].Prefix) || isEmpty(n)) {
			out = append(out, s)
		}
	}
	places := c.places(f)
	at := sort.Search(len(places), func(i int) bool {
		return !c.endpoints[places[i]].Address.Less(n.Addr())
	})
	for _, s := range places[at:] {
		if !n.Contains(c.endpoints[s].Address) {
			break
		}
		if c.endpoints[s].isListed {
			out = append(out, s)
		}
	}
	return out
}

// places returns the endpoints of ports, sorted by address.
func (c *Census) places(f int) []int32 {
	if c.byPlace[f] == nil {
		for _, n := range count(0, c.first[len(c.first)-1]) {
			if family(c.endpoints[n].Address) == f {
				c.byPlace[f] = append(c.byPlace[f], n)
			}
		}
		slices.SortStableFunc(c.byPlace[f], func(a, b int32) int {
			return c.endpoints[a].Address.Compare(c.endpoints[b].Address)
		})
	}
	return c.byPlace[f]
}

// gather puts endpoints into classes.
func (c *Census) gather(name string, endpoints []int32) *crowd {
	out := &crowd{name: name, at: make(map[int32]int32, len(endpoints))}
	known := [2]map[likeness]int32{{}, {}}
	for _, n := range endpoints {
		if _, twice := out.at[n]; twice {
			continue
		}
		s := &c.endpoints[n]
		f, like := family(s.Address), c.likeness(s)
		out.endpoints = append(out.endpoints, n)
		if s.isSpecial {
			out.special[f] = append(out.special[f], class{likeness: like})
			out.special[f][len(out.special[f])-1].add(n, s.port)
			out.at[n] = -int32(len(out.special[f]))
			continue
		}
		at, ok := known[f][like]
		if !ok {
			at = int32(len(out.classes[f]))
			known[f][like] = at
			out.classes[f] = append(out.classes[f], class{likeness: like})
		}
		out.classes[f][at].add(n, s.port)
		out.at[n] = at
	}
	return out
}

func (c *Census) likeness(s *endpoint) likeness {
	out := likeness{rules: s.rules, sig: s.sig, isOutside: s.Instance == ""}
	if len(c.gatesAt) > 0 && (s.Host == "" || c.gatesAt[s.Host]) {
		out.place = "at " + s.Host
	}
	for n, network := range c.gateNets {
		if network.Contains(s.Address) {
			out.place += " in " + strconv.Itoa(n)
		}
	}
	return out
}

func (l *class) add(endpoint, port int32) {
	if len(l.endpoints) == 0 {
		l.port = port
	}
	l.apart = l.apart || l.port != port
	l.endpoints = append(l.endpoints, endpoint)
}

// number returns how many endpoints of a family a crowd has.
func (w *crowd) number(f int) (n int) {
	for _, list := range [][]class{w.classes[f], w.special[f]} {
		for _, l := range list {
			n += len(l.endpoints)
		}
	}
	return n
}
