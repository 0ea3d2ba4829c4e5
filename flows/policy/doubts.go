package policy

import (
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// What is valid but hardly meant: [Doubts]. Policy files warn of it.

// A network of a port that is wider than these stands for more than the instance, most likely: a
// router's, or a slip.
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

// Doubts returns what in a valid policy is hardly meant as it is, in the order of its instances.
func (v *Validator) Doubts(p *Policy) []Problem {
	v.policy, v.problems = p, nil
	owners, peers := false, map[string]location(nil)
	for n, i := range p.Instances {
		isWideOne := false
		for nth := range i.Ports {
			port, here := &i.Ports[nth], portAt{int32(n), int32(nth)}
			v.mute(here, port)
			if len(port.Allowed) > 0 && !owners {
				v.own.collect(p)
				owners = true
			}
			v.shared(here, port)
			isWideOne = isWideOne || port.anyNetwork(isWide)
		}
		if isWideOne && peers == nil {
			peers = firstPeers(p)
		}
		if isWideOne {
			v.wide(n, i, peers)
		}
	}
	return v.problems
}

// anyNetwork says whether something is so of an own or allowed network.
func (p *Port) anyNetwork(is func(netip.Prefix) bool) bool {
	return slices.ContainsFunc(p.Addresses, is) ||
		slices.ContainsFunc(p.Allowed, func(a AllowedAddress) bool { return is(a.Prefix) })
}

// mute warns of a port that can send nothing.
func (v *Validator) mute(here portAt, p *Port) {
	if len(p.Addresses)+len(p.Allowed) == 0 && !p.Trusted {
		v.wrong(here.location(), "the port has no addresses, so it can send and receive no IP; "+
			"list its addresses, or set trusted: true if it is a router")
	}
}

// shared warns of an allowed address that is, or holds, or is within what another port has as its
// own.
func (v *Validator) shared(here portAt, p *Port) {
	for entry, a := range p.Allowed {
		if o := v.own.ownerOf(a.Prefix, here); o != nil {
			v.wrongf(here.location().of(keyAllowed, entry),
				"%s is allowed here, but %s is the port %s's own, at %s: this port can speak in "+
					"its name",
				AddressText(a.Prefix), v.own.text(o), wording.Quote(v.policy.port(o.at).Name),
				v.place(o.location()))
		}
	}
}

// firstPeers returns where a rule names each group first.
func firstPeers(p *Policy) map[string]location {
	out := make(map[string]location)
	for n, g := range p.Groups {
		for nth := range g.Rules {
			for _, p := range g.Rules[nth].Peers {
				if _, known := out[p.Group]; !known && p.Group != "" {
					out[p.Group] = ofGroup(n).in(keyRules, nth).at(keyGroup)
				}
			}
		}
	}
	return out
}

// wide warns of wide networks of an instance in a group that is the peer of a rule. They are
// members as they are written, so that the rule is about all of their addresses, whoever has them.
func (v *Validator) wide(index int, i *Instance, peers map[string]location) {
	at := slices.IndexFunc(i.Groups, func(g string) bool { _, isPeer := peers[g]; return isPeer })
	if at < 0 {
		return
	}
	group := i.Groups[at] // one group is enough to say so
	warn := func(at location, n netip.Prefix) {
		if isWide(n) {
			v.wrongf(at,
				"all of %s counts as a member of the group %s, whom a rule is about, at %s: "+
					"whoever has an address of it, also beyond the uplinks; write addresses, or "+
					"take the instance out of the group", n, wording.Quote(group),
				v.place(peers[group]))
		}
	}
	for nth, p := range i.Ports {
		here := portAt{int32(index), int32(nth)}.location()
		for entry, n := range p.Addresses {
			warn(here.of(keyAddresses, entry), n)
		}
		for entry, a := range p.Allowed {
			warn(here.of(keyAllowed, entry), a.Prefix)
		}
	}
}
