package policyfile

import (
	"net/netip"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// A network of a port that is wider than these stands for more than the instance, most likely: a router's, or a slip.
const (
	widest4 = 24
	widest6 = 64
)

func isWide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < widest4
	}
	return p.Bits() < widest6
}

// hasWide says whether an instance has a wide network, own or allowed.
func hasWide(i *policy.Instance) bool {
	for _, p := range i.Ports {
		for _, n := range p.Networks() {
			if isWide(n) {
				return true
			}
		}
	}
	return false
}

// warnWide warns of wide networks of instances in a group that is the peer of a rule. They are its members as they are written, so that
// the rule is about all of their addresses, whoever has them.
func warnWide(fragments []*Fragment, out *strictyaml.Report) {
	var peers map[string]strictyaml.Spot // where a rule names each group first
	for _, f := range fragments {
		for _, i := range f.wide {
			if peers == nil {
				peers = peersOf(fragments)
			}
			f.warnWide(int(i), peers, out)
		}
	}
}

func peersOf(fragments []*Fragment) map[string]strictyaml.Spot {
	out := make(map[string]strictyaml.Spot)
	for _, f := range fragments {
		for n, g := range f.groups {
			for _, p := range g.peers {
				if _, known := out[p.name]; !known {
					out[p.name] = f.peerSpot(n, p.at)
				}
			}
		}
	}
	return out
}

func (f *Fragment) warnWide(index int, peers map[string]strictyaml.Spot, out *strictyaml.Report) {
	for _, group := range f.instances[index].Groups {
		rule, isPeer := peers[group]
		if !isPeer {
			continue
		}
		warn := func(at strictyaml.Spot, n netip.Prefix) {
			if isWide(n) {
				out.Warnf(at, "all of %s counts as a member of the group %s, whom a rule is about, at %s: whoever has an address of it, also beyond "+
					"the uplinks; write addresses, or take the instance out of the group", n, wording.Quote(group), rule.Pos)
			}
		}
		for p := range f.ports(index) {
			for nth, n := range p.Addresses {
				warn(p.addressSpot(nth), n)
			}
			for nth, a := range p.Allowed {
				warn(p.allowedSpot(nth), a.Prefix)
			}
		}
		return // one group is enough to say so
	}
}
