package explain

import (
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// access is a policy as sets: of addresses and of services.
type access struct {
	*explainer
	sets map[policy.Peer]*netipx.IPSet
}

func newAccess(p *policy.Policy) *access {
	return &access{explainer: Read(spec.World{Policy: p}).explainer(),
		sets: map[policy.Peer]*netipx.IPSet{}}
}

// portAccess is what the rules of some groups admit in one direction.
type portAccess struct {
	open  bool
	rules []accessRule
}

// accessRule is one rule as sets.
type accessRule struct {
	Named
	peers    *netipx.IPSet
	services [2]Services // by family: IPv4, IPv6
}

// All the addresses of each family.
var (
	allOf4 = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	allOf6 = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
)

// of returns what is admitted at the ports of an instance.
func (x *access) of(at Point, d policy.Direction) portAccess {
	out := portAccess{open: d == policy.Egress && x.closedBy(at) == nil}
	if out.open {
		out.rules = []accessRule{
			{peers: setOf(allOf4, allOf6), services: servicesOf(policy.Rule{Protocol: policy.AnyProtocol})}}
		return out
	}
	for g, r := range x.rulesOf(at, d) {
		out.rules = append(out.rules, accessRule{x.name(g, r), x.set(r.Peer), servicesOf(*r)})
	}
	return out
}

func servicesOf(r policy.Rule) [2]Services {
	return [2]Services{admittedBy(r, false), admittedBy(r, true).Minus(Services{discovery})}
}

func (x *access) set(p policy.Peer) *netipx.IPSet {
	if x.sets[p] == nil {
		switch members := x.index.members(p.Group); {
		case p.Group == "":
			x.sets[p] = setOf(p.CIDR)
		case members == nil:
			x.sets[p] = setOf()
		default:
			x.sets[p] = members
		}
	}
	return x.sets[p]
}

// equal says whether two are made of the same, so that nothing is to be compared.
func (a portAccess) equal(b portAccess) bool {
	return a.open == b.open && slices.EqualFunc(a.rules, b.rules, func(a, b accessRule) bool {
		return a.Rule == b.Rule && a.peers.Equal(b.peers)
	})
}

// admitting returns the rules that have a part in a change.
func (a portAccess) admitting(c AccessChange) []Named {
	var out []Named
	for _, r := range a.rules {
		if r.Group != "" && r.peers.Overlaps(c.peers) &&
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
	for v6, all := range []netip.Prefix{allOf4, allOf6} {
		cache := map[string]*netipx.IPSet{}
		for _, piece := range pieces(v6, a, b) {
			rest := remaining(cache, a.covering(piece, v6), b.covering(piece, v6), all)
			if len(rest.Ranges()) == 0 {
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
func (a portAccess) covering(piece span, v6 int) []*netipx.IPSet {
	var out []*netipx.IPSet
	for _, r := range a.rules {
		holds := func(s span) bool { return s.first <= piece.first && piece.last <= s.last }
		if slices.ContainsFunc(r.services[v6], holds) && !slices.Contains(out, r.peers) {
			out = append(out, r.peers)
		}
	}
	return out
}

// remaining returns the addresses of some families that are in any of the first sets and in none of
// the others.
func remaining(cache map[string]*netipx.IPSet, in, without []*netipx.IPSet,
	families ...netip.Prefix) *netipx.IPSet {
	key := ""
	var b netipx.IPSetBuilder
	for _, s := range in {
		key += fmt.Sprintf("%p+", s)
		b.AddSet(s)
	}
	for _, s := range without {
		key += fmt.Sprintf("%p-", s)
		b.RemoveSet(s)
	}
	if known, ok := cache[key]; ok {
		return known
	}
	b.Intersect(setOf(families...))
	out, _ := b.IPSet() // all its parts are valid
	cache[key] = out
	return out
}
