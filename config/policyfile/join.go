package policyfile

import (
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Join makes one policy of fragments and checks what only all of them together can show: names, references, addresses. The error, if
// any, is of type [strictyaml.Errors] and holds the mistakes of the fragments too. It takes time near to linear in the size of the policy.
// The policy shares memory with the fragments: neither may be changed.
func Join(fragments []*Fragment) (*policy.Policy, strictyaml.Warnings, error) {
	j := joiner{groups: make(map[string]strictyaml.Spot)}
	for _, f := range fragments {
		j.out.Errors = append(j.out.Errors, f.Errors...)
		j.out.Warnings = append(j.out.Warnings, f.Warnings...)
		j.incomplete = j.incomplete || f.incomplete
	}
	j.groupNames(fragments)
	j.instanceNames(fragments)
	j.references(fragments)
	ports := localPorts(fragments)
	j.portNames(ports)
	j.macs(ports)
	j.addresses(ports)
	warnWide(fragments, &j.out)
	problems, warnings := j.out.Sorted()
	if len(problems) > 0 {
		return nil, warnings, problems
	}
	return together(fragments), warnings, nil
}

// together returns the policy of fragments that fit each other.
func together(fragments []*Fragment) *policy.Policy {
	groups, instances := 0, 0
	for _, f := range fragments {
		groups, instances = groups+len(f.groups), instances+len(f.instances)
	}
	p := &policy.Policy{}
	if groups > 0 {
		p.Groups = make([]*policy.Group, 0, groups)
	}
	if instances > 0 {
		p.Instances = make([]*policy.Instance, 0, instances)
	}
	for _, f := range fragments {
		for _, g := range f.groups {
			p.Groups = append(p.Groups, g.Group)
		}
		p.Instances = append(p.Instances, f.instances...)
	}
	return p
}

// joiner checks fragments against each other.
type joiner struct {
	out        strictyaml.Report
	groups     map[string]strictyaml.Spot // where each is defined
	incomplete bool                       // some groups may be unknown because their file is broken
}

func (j *joiner) groupNames(fragments []*Fragment) {
	for _, f := range fragments {
		for n, g := range f.groups {
			j.name("group", g.Name, f.groupSpot(n), j.groups)
		}
	}
}

func (j *joiner) instanceNames(fragments []*Fragment) {
	seen := make(map[string]strictyaml.Spot)
	for _, f := range fragments {
		for n, i := range f.instances {
			j.name("instance", i.Name, f.instanceSpot(n), seen)
		}
	}
}

func (j *joiner) name(what, name string, at strictyaml.Spot, seen map[string]strictyaml.Spot) {
	if name == "" {
		return // was reported
	}
	if first, twice := seen[name]; twice {
		j.out.Errorf(at, "the %s %s is defined twice; the first is at %s", what, wording.Quote(name), first.Pos)
		return
	}
	seen[name] = at
}

// references reports every use of a group that does not exist.
func (j *joiner) references(fragments []*Fragment) {
	if j.incomplete {
		return // what is missing may be in the part that could not be read
	}
	hints := make(map[string]string)
	check := func(name string, at func() strictyaml.Spot) {
		if _, known := j.groups[name]; !known {
			j.out.Errorf(at(), "there is no group %s%s", wording.Quote(name), j.hint(name, hints))
		}
	}
	for _, f := range fragments {
		for n, g := range f.groups {
			for _, p := range g.peers {
				check(p.name, func() strictyaml.Spot { return f.peerSpot(n, p.at) })
			}
		}
		for n, i := range f.instances {
			for nth, name := range i.Groups {
				check(name, func() strictyaml.Spot { return f.memberSpot(n, nth) })
			}
		}
	}
}

// hint returns the nearest group's name for the first few unknown ones. Looking is slow when there are many groups, and who has
// misspelt a hundred names has made one mistake in a program.
func (j *joiner) hint(name string, known map[string]string) string {
	const most = 20
	hint, ok := known[name]
	if !ok && len(known) < most {
		names := make([]string, 0, len(j.groups))
		for g := range j.groups {
			names = append(names, g)
		}
		hint = wording.DidYouMean(name, names)
		known[name] = hint
	}
	return hint
}

func localPorts(fragments []*Fragment) (out []localPort) {
	for _, f := range fragments {
		for i := range f.instances {
			out = slices.AppendSeq(out, f.ports(i))
		}
	}
	return out
}

// portNames reports interfaces that would be twice on one host. A port without a host is on every host.
func (j *joiner) portNames(ports []localPort) {
	type key struct{ host, name string }
	seen := make(map[key]strictyaml.Spot)
	anywhere := make(map[string]strictyaml.Spot) // the first of this name on any host
	for _, p := range ports {
		if p.Name == "" {
			continue
		}
		first, twice := seen[key{p.host, p.Name}]
		if !twice && p.host == "" {
			first, twice = anywhere[p.Name]
		} else if !twice {
			first, twice = seen[key{"", p.Name}]
		}
		if twice {
			j.out.Errorf(p.nameSpot(), "the port %s is on this host twice; the first is at %s", wording.Quote(p.Name), first.Pos)
			continue
		}
		at := p.nameSpot()
		seen[key{p.host, p.Name}] = at
		if _, ok := anywhere[p.Name]; !ok {
			anywhere[p.Name] = at
		}
	}
}

// macs reports MACs that are the own of two ports, on whatever hosts: the network is flat. Allowed MACs may be shared among ports,
// as VRRP does, but must not be the own of another port.
func (j *joiner) macs(ports []localPort) {
	owner := make(map[policy.MAC]*localPort, len(ports))
	for n := range ports {
		p := &ports[n]
		if p.MAC.IsZero() {
			continue
		}
		if first, twice := owner[p.MAC]; twice {
			j.out.Errorf(p.macSpot(), "%s is the MAC of the port %s already, at %s", p.MAC, wording.Quote(first.Name), first.macSpot().Pos)
			continue
		}
		owner[p.MAC] = p
	}
	for n := range ports {
		p := &ports[n]
		for i, a := range p.Allowed {
			if o := owner[a.MAC]; o != nil && o != p {
				j.out.Errorf(p.allowedSpot(i), "%s is the own MAC of the port %s, at %s", a.MAC, wording.Quote(o.Name), o.macSpot().Pos)
			}
		}
	}
}

// addresses reports networks that belong to two ports, and warns of allowed addresses that are another port's own.
func (j *joiner) addresses(ports []localPort) {
	owned := ownedNetworks(ports)
	for i := range owned {
		o := &owned[i]
		if o.around == nil || o.around.port == o.port || o.derived && o.around.derived {
			continue // nothing, or the port's own, or two equal MACs, which are reported as such
		}
		late, early := o, o.around
		if strictyaml.ComparePosition(late.at.Pos, early.at.Pos) < 0 {
			late, early = early, late
		}
		if late.network == early.network {
			j.out.Errorf(late.at, "%s is of the port %s already, at %s", late, wording.Quote(early.port.Name), early.at.Pos)
		} else {
			j.out.Errorf(late.at, "%s overlaps %s of the port %s, at %s", late, early, wording.Quote(early.port.Name), early.at.Pos)
		}
	}
	for n := range ports {
		p := &ports[n]
		for i, a := range p.Allowed {
			if o := ownerOf(owned, a.Prefix, p); o != nil {
				warnShared(&j.out, p.allowedSpot(i), a.Prefix, o.addressRange, o.port.Name, o.at.Pos)
			}
		}
	}
}

// warnShared warns of an allowed address that is, or holds, or is within what another port has as its own.
func warnShared(out *strictyaml.Report, at strictyaml.Spot, allowed netip.Prefix, own addressRange, port string, ownAt policy.Position) {
	out.Warnf(at, "%s is allowed here, but %s is the port %s's own, at %s: this port can speak in its name",
		AddressText(allowed), own, wording.Quote(port), ownAt)
}

// ownedNetwork is a network that one port has as its own.
type ownedNetwork struct {
	addressRange
	port   *localPort
	at     strictyaml.Spot
	around *ownedNetwork // the smallest other that holds this one
}

// ownedNetworks returns all own networks sorted, each with the one around it. As networks are either apart or one within the other,
// the one around is found on a stack of those that are still open.
func ownedNetworks(ports []localPort) []ownedNetwork {
	var owned []ownedNetwork
	for n := range ports {
		p := &ports[n]
		for i, a := range p.Addresses {
			owned = append(owned, ownedNetwork{addressRange{network: a}, p, p.addressSpot(i), nil})
		}
		if own, ok := linkLocal(p.Port); ok {
			owned = append(owned, ownedNetwork{addressRange{own, true}, p, p.macSpot(), nil})
		}
	}
	slices.SortStableFunc(owned, func(a, b ownedNetwork) int { return policy.ComparePrefix(a.network, b.network) })
	var open []*ownedNetwork
	for i := range owned {
		o := &owned[i]
		for len(open) > 0 && !open[len(open)-1].network.Overlaps(o.network) {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			o.around = open[len(open)-1]
		}
		open = append(open, o)
	}
	return owned
}
