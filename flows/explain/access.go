package explain

import (
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/policy"
)

// access is a policy as sets: of addresses and of services.
type access struct {
	*explainer
	peers *peerSets
	own   map[string]*addresses // of touched groups
}

func newAccess(x *Index, peers *peerSets) *access {
	return &access{x.At(policy.Site{}).explainer(), peers, map[string]*addresses{}}
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
		set := x.peers.setIn(x.index, r, x.own)
		out.rules = append(out.rules, accessRule{x.name(g, r), set, servicesOf(*r)})
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

// admitting returns the rules that have a part in a change.
func (a portAccess) admitting(c AccessChange) []Named {
	var out []Named
	ranges := c.peers.Ranges()
	for _, r := range a.rules {
		if r.Group != "" && r.peers.overlaps(ranges) &&
			len(r.services[0].Union(r.services[1]).Intersect(c.Services)) > 0 &&
			!slices.ContainsFunc(out, func(o Named) bool { return o.Group == r.Group && o.Rule == r.Rule }) {
			out = append(out, r.Named)
		}
	}
	return out
}

// minus returns what a admits and b does not: sets of addresses with the services that they have in
// common, exactly.
func (a portAccess) minus(b portAccess) []AccessChange {
	var out []AccessChange
	for v6 := range 2 {
		for _, piece := range pieces(v6, a, b) {
			rest := remaining(a.covering(piece, v6), b.covering(piece, v6), v6 == 0)
			if rest == nil {
				continue
			}
			if n := slices.IndexFunc(out, func(c AccessChange) bool { return c.peers.Equal(rest) }); n >= 0 {
				out[n].Services = out[n].Services.Union(Services{piece})
				continue
			}
			out = append(out, AccessChange{Services: Services{piece}, peers: rest})
		}
	}
	return joinFamilies(out)
}

// joinFamilies puts together what differs in the family of the addresses only.
func joinFamilies(list []AccessChange) []AccessChange {
	var out []AccessChange
	for _, c := range list {
		same := func(o AccessChange) bool {
			return slices.Equal(o.Services.Minus(Services{discovery}), c.Services.Minus(Services{discovery}))
		}
		n := slices.IndexFunc(out, same)
		if n < 0 {
			out = append(out, c)
			continue
		}
		var b netipx.IPSetBuilder
		b.AddSet(out[n].peers)
		b.AddSet(c.peers)
		out[n].peers, _ = b.IPSet()
		out[n].Services = out[n].Services.Union(c.Services)
	}
	return out
}

// pieces cuts the services of both at every border, so that each rule admits all of a piece or
// nothing of it.
func pieces(v6 int, both ...portAccess) []span {
	cuts := []uint32{0}
	for _, a := range both {
		for _, r := range a.rules {
			for _, s := range r.services[v6] {
				cuts = append(cuts, s.first, s.last+1)
			}
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []span
	for i := range len(cuts) - 1 {
		out = append(out, span{cuts[i], cuts[i+1] - 1})
	}
	return out
}

// covering returns the peers of the rules that admit a piece.
func (a portAccess) covering(piece span, v6 int) []*addresses {
	var out []*addresses
	for _, r := range a.rules {
		holds := func(s span) bool { return s.first <= piece.first && piece.last <= s.last }
		if slices.ContainsFunc(r.services[v6], holds) && !slices.Contains(out, r.peers) {
			out = append(out, r.peers)
		}
	}
	return out
}
