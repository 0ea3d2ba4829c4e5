package lint

import (
	"net/netip"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// A rule as what it stands for: services and peers as sets. This is the one place that knows what a
// rule is made of; all lints ask the sets.

// The IP families, as indexes.
const (
	v4 = iota
	v6
)

var familyNames = [...]string{v4: "IPv4", v6: "IPv6"}

// rule is one rule as sets.
type rule struct {
	*policy.Rule
	group    int  // index of its group
	nth      int  // in its group
	isAny    bool // it is about every service
	services [2]explain.Services
	nets     []netip.Prefix // its networks, none within another, sorted
	groups   []string       // its groups
	networks []string       // its named networks, which are among nets
	reach    []netip.Prefix // nets, and the external sources of groups
	isWorld  [2]bool        // reach holds all public addresses of the family
}

// servicesOf returns the services of a rule, one for each item of its list.
func servicesOf(r *policy.Rule) []policy.Service {
	one := policy.Service{Protocol: r.Protocol, ICMPType: r.ICMPType, ICMPCode: r.ICMPCode}
	if !r.Protocol.HasPorts() {
		return []policy.Service{one}
	}
	out := make([]policy.Service, len(r.Ports))
	for n, ports := range r.Ports {
		one.Ports = ports
		out[n] = one
	}
	return out
}

// rule makes a rule of a group to sets. A named network is what it stands for.
func (c *checker) rule(group, nth int) rule {
	r := &c.policy.Groups[group].Rules[nth]
	out := rule{Rule: r, group: group, nth: nth, isAny: r.Protocol == policy.AnyProtocol}
	for _, s := range servicesOf(r) {
		for f := range out.services {
			out.services[f] = out.services[f].Union(explain.ServicesOf(s, f == v6))
		}
	}
	for _, p := range r.Peers {
		switch g := c.groups[p.Group]; {
		case p.Group == "":
			out.nets = append(out.nets, p.CIDR)
		case !p.IsNetwork:
			out.groups = append(out.groups, p.Group)
		case g != nil:
			out.networks = append(out.networks, p.Group)
			out.nets = append(out.nets, g.ExternalSources...)
		}
	}
	out.nets = minimal(out.nets)
	out.reach = out.nets
	for _, name := range out.groups {
		if g := c.groups[name]; g != nil && len(g.ExternalSources) > 0 {
			out.reach = append(out.reach[:len(out.reach):len(out.reach)], g.ExternalSources...)
		}
	}
	for f := range out.isWorld {
		out.isWorld[f] = c.isWorld(out.reach, f)
	}
	return out
}

// minimal returns the fewest networks that are the same addresses, sorted.
func minimal(nets []netip.Prefix) []netip.Prefix {
	if len(nets) < 2 {
		return nets
	}
	return setOf(nets).Prefixes()
}

// setOf returns networks as a set of addresses.
func setOf(nets []netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, n := range nets {
		b.AddPrefix(n)
	}
	set, err := b.IPSet()
	if err != nil {
		return &netipx.IPSet{} // a network that is none: of nobody
	}
	return set
}

// admits says whether a rule admits some of a service, in either family.
func (r *rule) admits(some explain.Services) bool {
	return len(r.services[v4].Intersect(some)) > 0 || len(r.services[v6].Intersect(some)) > 0
}

// hasFamily says whether one of the networks is of a family.
func hasFamily(nets []netip.Prefix, family int) bool {
	for _, n := range nets {
		if n.Addr().Is6() == (family == v6) {
			return true
		}
	}
	return false
}

// port is a service of one port, as a set.
func port(p policy.Protocol, number uint16) explain.Services {
	return explain.ServicesOf(policy.Service{Protocol: p,
		Ports: policy.PortRange{First: number, Last: number}}, false)
}
