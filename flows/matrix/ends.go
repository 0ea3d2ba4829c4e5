package matrix

import (
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// Which ends a question has, and what their rules admit.

// All the addresses of each family.
var (
	allOf4 = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	allOf6 = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
)

// choose makes the ends of a question: groups or instances, and then the networks.
func (w *world) choose(q Question) error {
	if q.Instances {
		if err := w.chooseInstances(q); err != nil {
			return err
		}
	} else {
		w.chooseGroups(q)
	}
	w.firstNetwork = len(w.ends)
	w.ends = append(w.ends, w.networkEnds(q)...)
	w.distinguish()
	return nil
}

// distinguish gives each end a name that no other has: a group may be called as a network is.
func (w *world) distinguish() {
	taken := map[string]bool{}
	for n := range w.ends {
		e := &w.ends[n]
		for taken[e.Name] {
			e.Name += " (" + string(e.Kind) + ")"
		}
		taken[e.Name] = true
	}
}

func (w *world) chooseInstances(q Question) error {
	chosen := func(group string, i *policy.Instance) bool {
		return group == "" || slices.Contains(i.Groups, group)
	}
	var from, to int
	for n, i := range w.policy.Instances {
		e := end{End: End{Name: i.Name, Kind: Instance, Groups: distinct(i.Groups)},
			points: w.at[n], sends: chosen(q.From, i), receives: chosen(q.To, i)}
		from, to = from+number(e.sends), to+number(e.receives)
		if from*to > MostCells {
			continue
		}
		if e.sends || e.receives {
			w.ends = append(w.ends, e)
		}
	}
	if from*to > MostCells {
		return &ErrTooMany{from, to}
	}
	for n := range w.ends {
		w.complete(&w.ends[n])
	}
	return nil
}

func number(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (w *world) chooseGroups(q Question) {
	for _, g := range w.policy.Groups {
		if isNetwork(g) {
			continue
		}
		w.addGroup(g.Name, w.members[g.Name], w.common(g.Name), q)
	}
	var none []int32
	for n, i := range w.policy.Instances {
		if len(i.Groups) == 0 {
			none = append(none, int32(n))
		}
	}
	if len(none) > 0 {
		w.addGroup(NoGroup, none, nil, q)
	}
}

func (w *world) addGroup(name string, members []int32, groups []string, q Question) {
	e := end{End: End{Name: name, Kind: Group, Instances: len(members), Groups: groups},
		sends: q.From == "" || q.From == name, receives: q.To == "" || q.To == name}
	for _, i := range members {
		e.points = append(e.points, w.at[i]...)
	}
	slices.Sort(e.points)
	w.complete(&e)
	w.ends = append(w.ends, e)
}

// common returns a group and those that all of its members are in: what a line about the group can
// rely on.
func (w *world) common(name string) []string {
	out := []string{name}
	members := w.members[name]
	if len(members) == 0 {
		return out
	}
	for _, g := range distinct(w.policy.Instances[members[0]].Groups) {
		is := func(i int32) bool { return !slices.Contains(w.policy.Instances[i].Groups, g) }
		if g != name && !slices.ContainsFunc(members, is) {
			out = append(out, g)
		}
	}
	slices.Sort(out[1:])
	return out
}

// complete counts the points of an end and collects the rules that are asked.
func (w *world) complete(e *end) {
	e.ingress, e.egress = newEntries(), newEntries()
	for _, at := range e.points {
		e.counts.add(w.points[at])
	}
	e.Addresses = Counts{int(e.counts.all(0).points), int(e.counts.all(1).points)}
	free, bound := e.counts.free(0).and(e.counts.free(1)), e.counts[0][closed].and(e.counts[1][closed])
	switch {
	case free.points > 0 && bound.points > 0:
		e.Egress = PartyOpen
	case free.points > 0:
		e.Egress = Open
	case bound.points > 0:
		e.Egress = Closed
	}
	for _, name := range e.Groups {
		if g := w.groups[name]; g != nil {
			e.Rules += len(g.Rules)
			for n := range g.Rules {
				w.admit(e, &g.Rules[n])
			}
		}
	}
}

// admit adds a rule to the entries of an end.
func (w *world) admit(e *end, r *policy.Rule) {
	list := &e.ingress
	if r.Direction == policy.Egress {
		list = &e.egress
	}
	services := servicesOf(r)
	for _, of := range peersOf(r) {
		list.add(w.peer(of), of, services)
	}
}

// networkEnds are everything that is no instance, each network that rules name, and external
// sources. Those of which all addresses are instances' neither send nor receive.
func (w *world) networkEnds(q Question) []end {
	networks := map[string][]netip.Prefix{}
	var b netipx.IPSetBuilder
	for _, at := range w.points {
		b.Add(at.address)
	}
	instances, _ := b.IPSet() // addresses are valid
	var cidrs []netip.Prefix
	for n := range w.peers {
		if p := w.peers[n].Peer; p.Group == "" && p.CIDR.Bits() > 0 {
			cidrs = append(cidrs, p.CIDR)
		}
	}
	slices.SortFunc(cidrs, policy.ComparePrefix)
	names := []string{Outside}
	networks[Outside] = []netip.Prefix{allOf4, allOf6}
	for _, n := range cidrs {
		names = append(names, policy.AddressText(n))
		networks[policy.AddressText(n)] = []netip.Prefix{n}
	}
	for _, g := range w.policy.Groups {
		if len(g.ExternalSources) > 0 {
			names = append(names, sourcesName(g))
			networks[sourcesName(g)] = g.ExternalSources
		}
	}
	var out []end
	for _, name := range names {
		e := end{End: End{Name: name, Kind: Network, Networks: networks[name]},
			sends: q.From == "" || q.From == name, receives: q.To == "" || q.To == name}
		if !slices.ContainsFunc(e.Networks,
			func(n netip.Prefix) bool { return !instances.ContainsPrefix(n) }) {
			e.sends, e.receives = false, false
		}
		out = append(out, e)
	}
	return out
}

// everyService is all that rules are asked about, by family.
func everyService() [2]explain.Services {
	asked := policy.Service{Protocol: policy.AnyProtocol, ICMPType: policy.AnyICMP,
		ICMPCode: policy.AnyICMP}
	return [2]explain.Services{explain.ServicesOf(asked, false), explain.ServicesOf(asked, true)}
}
