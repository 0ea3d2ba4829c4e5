package explain

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/policy"
)

// What the rules of some groups admit, as sets, and what one admits and another does not. A
// comparison asks it. Invariant: it costs what differs, times the logarithm of what there is.

// access is a policy as sets: of addresses and of services.
type access struct {
	*explainer
	peers *peerSets
	own   map[string]*addresses // of touched groups
	known map[*policy.Rule]accessRule
}

func newAccess(x *Index, peers *peerSets) *access {
	return &access{x.At(policy.Site{}).explainer(), peers, map[string]*addresses{},
		map[*policy.Rule]accessRule{}}
}

// portAccess is what the rules of some groups admit in one direction.
type portAccess struct {
	open  bool
	rules []accessRule
}

// accessRule is one rule as sets.
type accessRule struct {
	Named
	peers    *addresses
	services [2]Services // by family: IPv4, IPv6
}

// All the addresses of each family.
var (
	allOf4 = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	allOf6 = netip.PrefixFrom(netip.IPv6Unspecified(), 0)

	allAddresses = newAddresses(setOf(allOf4, allOf6))
)

// of returns what is admitted at the ports of an instance.
func (x *access) of(at Point, d policy.Direction) portAccess {
	out := portAccess{open: d == policy.Egress && x.closedBy(at) == nil}
	if out.open {
		out.rules = []accessRule{
			{peers: allAddresses, services: servicesOf(policy.Rule{Protocol: policy.AnyProtocol})}}
		return out
	}
	for g, r := range x.rulesOf(at, d) {
		rule, known := x.known[r]
		if !known {
			rule = accessRule{x.name(g, r), x.peers.setIn(x.index, r, x.own), servicesOf(*r)}
			x.known[r] = rule
		}
		out.rules = append(out.rules, rule)
	}
	return out
}

func servicesOf(r policy.Rule) [2]Services {
	return [2]Services{admittedBy(r, false), admittedBy(r, true).Minus(Services{discovery})}
}

// equal says whether two are made of the same, so that nothing is to be compared.
func (a portAccess) equal(b portAccess) bool {
	return a.open == b.open && slices.EqualFunc(a.rules, b.rules, func(a, b accessRule) bool {
		return a.Rule == b.Rule && (a.peers == b.peers || a.peers.Equal(b.peers.IPSet))
	})
}

// admission finds the rules that have a part in a change.
type admission struct {
	portAccess
	pieces pieces
	nodes  [][]int32 // rules of each node
	asked  []int32   // the last change in which a node was looked at, and a rule
	seen   []int32
	asks   int32
}

func newAdmission(a portAccess) *admission {
	x := &admission{portAccess: a, seen: make([]int32, len(a.rules))}
	for v6 := range 2 {
		x.pieces = append(x.pieces, piecesOf(v6, a)...)
	}
	slices.Sort(x.pieces)
	x.pieces = slices.Compact(x.pieces)
	x.nodes = make([][]int32, 2*x.pieces.count())
	x.asked = make([]int32, len(x.nodes))
	for n, r := range a.rules {
		for _, s := range slices.Concat(r.services[0], r.services[1]) {
			for node := range x.pieces.nodes(s) {
				x.nodes[node] = append(x.nodes[node], int32(n))
			}
		}
	}
	return x
}

// of returns the rules that have a part in a change, in their order.
func (x *admission) of(c AccessChange) []Named {
	x.asks++
	var found []int32
	for _, s := range c.Services {
		for leaf := range x.pieces.meeting(s) {
			for node := leaf; node > 0 && x.asked[node] != x.asks; node /= 2 {
				x.asked[node] = x.asks
				for _, n := range x.nodes[node] {
					if x.seen[n] != x.asks && x.rules[n].Group != "" && x.rules[n].peers.overlaps(c.peers) {
						found = append(found, n)
					}
					x.seen[n] = x.asks
				}
			}
		}
	}
	slices.Sort(found)
	var out []Named
	known := map[[2]string]bool{}
	for _, n := range found {
		r := x.rules[n].Named
		if !known[[2]string{r.Group, r.Rule}] {
			out = append(out, r)
		}
		known[[2]string{r.Group, r.Rule}] = true
	}
	return out
}

// minus returns what a admits and b does not: sets of addresses with the services that they have in
// common, exactly. It gives up when it is over.
func (a portAccess) minus(b portAccess, over func() bool) []AccessChange {
	var out []AccessChange
	for v6 := range 2 {
		all := piecesOf(v6, a, b)
		s := subtraction{v4: v6 == 0, over: over}
		known, places := map[*addresses]int{}, map[string]int{}
		for n, rest := range s.left(all, a, b) {
			if rest == nil {
				continue
			}
			at, isKnown := known[rest]
			if !isKnown {
				key := rest.key()
				if at, isKnown = places[key]; !isKnown {
					at, places[key] = len(out), len(out)
					out = append(out, AccessChange{peers: rest})
				}
				known[rest] = at
			}
			out[at].Services = out[at].Services.with(all.span(n))
		}
	}
	return joinFamilies(out)
}

// joinFamilies puts together what differs in the family of the addresses only.
func joinFamilies(list []AccessChange) []AccessChange {
	var out []AccessChange
	places := map[string]int{}
	for _, c := range list {
		key := c.Services.Minus(Services{discovery}).key()
		n, known := places[key]
		if !known {
			places[key] = len(out)
			out = append(out, c)
			continue
		}
		var b netipx.IPSetBuilder
		b.AddSet(out[n].peers.IPSet)
		b.AddSet(c.peers.IPSet)
		both, _ := b.IPSet() // all its parts are valid
		out[n].peers = newAddresses(both)
		out[n].Services = out[n].Services.Union(c.Services)
	}
	return out
}

// key tells services apart.
func (s Services) key() string {
	out := make([]byte, 0, 8*len(s))
	for _, p := range s {
		out = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(out, p.first), p.last)
	}
	return string(out)
}

// with adds a span that comes after all others.
func (s Services) with(p span) Services {
	if n := len(s) - 1; n >= 0 && s[n].last+1 == p.first {
		s[n].last = p.last
		return s
	}
	return append(s, p)
}

// pieces are the services of some rules, cut at every border, so that each rule admits all of a
// piece or nothing of it. They are the borders, in order. They are a tree, too: node 1 is its root,
// 2n and 2n+1 are below n, and the last nodes are the pieces. What a rule admits is what is below
// some nodes, few of them, and who has a piece is at its node or above.
type pieces []uint32

func piecesOf(v6 int, all ...portAccess) pieces {
	cuts := pieces{0}
	for _, a := range all {
		for _, r := range a.rules {
			for _, s := range r.services[v6] {
				cuts = append(cuts, s.first, s.last+1)
			}
		}
	}
	slices.Sort(cuts)
	return slices.Compact(cuts)
}

func (p pieces) count() int { return len(p) - 1 }

func (p pieces) span(n int) span { return span{p[n], p[n+1] - 1} }

// nodes yields the nodes of a span that ends at borders.
func (p pieces) nodes(s span) iter.Seq[int] {
	return func(yield func(node int) bool) {
		low, _ := slices.BinarySearch(p, s.first)
		high, _ := slices.BinarySearch(p, s.last+1)
		for low, high = low+p.count(), high+p.count(); low < high; low, high = low/2, high/2 {
			if low&1 == 1 {
				if !yield(low) {
					return
				}
				low++
			}
			if high&1 == 1 {
				if high--; !yield(high) {
					return
				}
			}
		}
	}
}

// meeting yields the nodes of the pieces that have a part in a span.
func (p pieces) meeting(s span) iter.Seq[int] {
	return func(yield func(node int) bool) {
		low, isBorder := slices.BinarySearch(p, s.first)
		if !isBorder {
			low--
		}
		for n := low; n < p.count() && p[n] <= s.last; n++ {
			if !yield(p.count() + n) {
				return
			}
		}
	}
}
