package policy

import (
	"net/netip"
	"slices"
)

// Use is one (MAC, network) pair that a port may use as its source.
type Use struct {
	MAC    MAC
	Prefix netip.Prefix
}

// Uses returns every pair that the port may use: its own addresses, the allowed ones and, where any
// of them is IPv6, the link-local address of each of its MACs that goes with IPv6. Sorted, without
// repetitions.
func (p Port) Uses() []Use {
	uses := p.Listed()
	for _, u := range uses[:len(uses):len(uses)] {
		if u.Prefix.Addr().Is6() {
			uses = append(uses, Use{u.MAC, netip.PrefixFrom(u.MAC.LinkLocal(), 128)})
		}
	}
	slices.SortFunc(uses, compareUse)
	return slices.Compact(uses)
}

// Listed returns the pairs that the policy itself lists: without the link-local addresses that
// follow from them.
func (p Port) Listed() []Use {
	uses := make([]Use, 0, len(p.Addresses)+len(p.Allowed))
	for _, a := range p.Addresses {
		uses = append(uses, Use{p.MAC, a})
	}
	for _, a := range p.Allowed {
		uses = append(uses, Use{a.macAt(p), a.Prefix})
	}
	return uses
}

// Owns says whether an address is the port's own: not one of the allowed ones.
func (p *Port) Owns(a netip.Addr) bool {
	own := Port{MAC: p.MAC, Addresses: p.Addresses}
	return slices.ContainsFunc(own.Uses(), func(u Use) bool { return u.Prefix.Contains(a) })
}

// HasIPv4 says whether the port has any IPv4 address.
func (p *Port) HasIPv4() bool {
	return slices.ContainsFunc(p.Uses(), func(u Use) bool { return u.Prefix.Addr().Is4() })
}

// HasIPv6 says whether the port has any IPv6 address.
func (p *Port) HasIPv6() bool {
	return slices.ContainsFunc(p.Uses(), func(u Use) bool { return u.Prefix.Addr().Is6() })
}

// macAt returns the MAC with which a port uses an allowed address.
func (a AllowedAddress) macAt(p Port) MAC {
	if a.MAC.IsZero() {
		return p.MAC
	}
	return a.MAC
}

func compareUse(a, b Use) int {
	if c := slices.Compare(a.MAC[:], b.MAC[:]); c != 0 {
		return c
	}
	return ComparePrefix(a.Prefix, b.Prefix)
}

// ComparePrefix orders networks: IPv4 first, then by address, then the wider first.
func ComparePrefix(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// Instance returns an instance by its name; nil = there is none.
func (p *Policy) Instance(name string) *Instance {
	at := slices.IndexFunc(p.Instances, func(i *Instance) bool { return i.Name == name })
	if at < 0 {
		return nil
	}
	return p.Instances[at]
}

// MemberCounts returns how many instances each group has; one that has none is left out.
func (p *Policy) MemberCounts() map[string]int {
	out := make(map[string]int, len(p.Groups))
	for _, i := range p.Instances {
		for _, g := range i.Groups {
			out[g]++
		}
	}
	return out
}

// Members returns, for every group, the networks that stand for it where it is a rule's peer: the
// addresses and allowed addresses of its instances' ports, on every host, and its external sources.
// Sorted, without repetitions. Link-local addresses are not among them: they are no identity beyond
// one link.
func (p *Policy) Members() map[string][]netip.Prefix {
	members := make(map[string][]netip.Prefix, len(p.Groups))
	for _, g := range p.Groups {
		members[g.Name] = slices.Clone(g.ExternalSources)
	}
	for _, i := range p.Instances {
		for _, g := range i.Groups {
			for _, port := range i.Ports {
				members[g] = append(members[g], port.Networks()...)
			}
		}
	}
	for name, m := range members {
		slices.SortFunc(m, ComparePrefix)
		members[name] = slices.Compact(m)
	}
	return members
}

// Networks returns what stands for the port in its groups: its addresses and the allowed ones, as
// they are written.
func (p Port) Networks() []netip.Prefix {
	out := slices.Clone(p.Addresses)
	for _, a := range p.Allowed {
		out = append(out, a.Prefix)
	}
	return out
}

// Nowhere is the host of an instance that has been given none yet: it is local on no host. Its
// addresses count for its groups all the same.
const Nowhere = "-"

// IsLocal says whether the instance runs on the host, or is about to: the host filters its ports.
func (i *Instance) IsLocal(host string) bool {
	return i.Host == "" || host != Nowhere && (i.Host == host || i.MigratingTo == host && host != "")
}

// IsMoving says whether the instance is about to run on another host: where it is at this moment is
// not known, so that frames to it go both ways, and frames of it may come from both.
func (i *Instance) IsMoving() bool { return i.MigratingTo != "" }

// Identity is what external_ids:iface-id of the interface of one of its ports says, if it says
// which port it is.
func (i *Instance) Identity(p *Port) string {
	if p.IfaceID != "" {
		return p.IfaceID
	}
	return i.Name + "/" + p.Name
}

// Apart returns the named networks and the groups, each in the order of the policy.
func (p *Policy) Apart() (networks, groups []*Group) {
	for _, g := range p.Groups {
		if g.IsNetwork {
			networks = append(networks, g)
		} else {
			groups = append(groups, g)
		}
	}
	return networks, groups
}

// Clone returns a copy that shares nothing with p and so may be changed.
func (p *Policy) Clone() *Policy {
	out := &Policy{Groups: make([]*Group, len(p.Groups)),
		Instances: make([]*Instance, len(p.Instances))}
	for _, old := range p.Projects {
		project := *old
		out.Projects = append(out.Projects, &project)
	}
	for n, old := range p.Groups {
		g := *old
		g.Rules, g.ExternalSources = slices.Clone(g.Rules), slices.Clone(g.ExternalSources)
		for at := range g.Rules {
			r := &g.Rules[at]
			r.Ports, r.Peers = slices.Clone(r.Ports), slices.Clone(r.Peers)
		}
		out.Groups[n] = &g
	}
	for n, old := range p.Instances {
		i := *old
		i.Groups, i.Ports = slices.Clone(i.Groups), slices.Clone(i.Ports)
		for at := range i.Ports {
			port := &i.Ports[at]
			port.Addresses, port.Allowed = slices.Clone(port.Addresses), slices.Clone(port.Allowed)
			port.EtherTypes = slices.Clone(port.EtherTypes)
		}
		out.Instances[n] = &i
	}
	return out
}
