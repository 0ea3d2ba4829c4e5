package flows

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// unit is a part of the program that is written in one go. It depends on little, and whoever
// changes that touches it.
type unit interface {
	write(*writer)
	record() *written
}

// written is what is known of a unit.
type written struct {
	origin  origin   // of the flows that are about no more and no less than the unit
	flows   []*entry // of the program
	pages   []start  // that these begin
	touched bool     // to be written again
	out     bool     // not to be written: it could not be
}

func (w *written) record() *written { return w }

// index is an input, looked up: who is member of what, who owns what, and the units that depend on
// it.
type index struct {
	site      policy.Site
	uplinks   []Uplink
	lastMeter uint32
	innerTags bool
	toUplinks []openflow.Action

	static        static
	locals        map[string]local // ports of this host's instances, by name
	ports         map[string]*port // those that the switch has
	addressOwners map[netip.Prefix]*addressOwners
	macTargets    map[policy.MAC]*macTarget
	listings      map[netip.Prefix]*listing
	types         map[uint16]*etherType
	groups        map[string]*group
	peers         map[netip.Prefix]*peer
	services      map[serviceKey]*sharedService
	rules         numbering[*rule]
	again         map[TableID]*again
	pages         map[start]int // how many units have one that begins there

	hashes     hashes
	capacity   capacity
	out        leftOut
	touched    []unit
	dirtyRules map[*rule]bool // rules whose ports, peers, services or id changed
}

// static is the unit of all flows that are about no port in particular, or about all of them.
type static struct{ written }

// local is a port of an instance of this host.
type local struct {
	policy.Port
	groups   []string
	isMoving bool // see [policy.Instance.IsMoving]
}

// addressOwners is the unit of the flows that ask for an address of a network which ports own.
type addressOwners struct {
	written
	network netip.Prefix
	ports   []*port
}

// macTarget is the unit of the flows to a MAC which ports use.
type macTarget struct {
	written
	mac   policy.MAC
	ports []*port
}

// newIndex indexes an input.
func newIndex(in Input, h hashes, c capacity) *index {
	x := &index{site: in.Site, uplinks: in.Uplinks, lastMeter: in.LastMeter, innerTags: in.InnerTags,
		toUplinks: uplinkOutputs(in.Uplinks),
		locals:    map[string]local{}, ports: map[string]*port{}, addressOwners: map[netip.Prefix]*addressOwners{},
		macTargets: map[policy.MAC]*macTarget{},
		listings:   map[netip.Prefix]*listing{}, types: map[uint16]*etherType{},
		groups: map[string]*group{}, peers: map[netip.Prefix]*peer{},
		services: map[serviceKey]*sharedService{},
		rules:    numberedRules(h), hashes: h, dirtyRules: map[*rule]bool{}, capacity: c,
		out:   newLeftOut(),
		pages: map[start]int{}, again: map[TableID]*again{}}
	for _, t := range []TableID{tableEgressRules, tableIngressRules} {
		x.again[t] = &again{table: t}
	}
	x.touch(&x.static)
	x.update(Input{Policy: &policy.Policy{}}, in)
	return x
}

// update makes the index that of another input with the same surroundings.
func (x *index) update(before, in Input) {
	x.tryAgain()
	changes := policy.Changed(before.Policy, in.Policy)
	x.changeGroups(changes)
	x.changeInstances(changes)
	x.bind(in)
	x.encodeDirtyRules()
}

// touch has a unit written again.
func (x *index) touch(u unit) {
	if r := u.record(); !r.touched {
		r.touched = true
		x.touched = append(x.touched, u)
	}
}

// changeInstances notes who became or ceased to be a member, and which ports are here.
func (x *index) changeInstances(c policy.Changes) {
	eachMembership(nil, c.GoneInstances, func(m membership) { x.removeMember(x.group(m.group), m.network) })
	eachMembership(nil, c.NewInstances, func(m membership) { x.addMember(x.group(m.group), m.network) })
	x.list(c.GoneInstances, -1)
	x.list(c.NewInstances, 1)
	for _, i := range c.GoneInstances {
		if i.IsLocal(x.site.Host) {
			for _, p := range i.Ports {
				delete(x.locals, p.Name)
			}
		}
	}
	for _, i := range c.NewInstances {
		if i.IsLocal(x.site.Host) {
			for _, p := range i.Ports {
				x.locals[p.Name] = local{p, distinct(i.Groups), i.IsMoving()}
			}
		}
	}
}

// bind makes the ports those that are bound, each as the policy and the binding have it now.
func (x *index) bind(in Input) {
	bound, unbound := checkBindings(in)
	for name := range bound {
		if l, isLocal := x.locals[name]; !isLocal {
			unbound[name] = "no instance of this host has it"
		} else if reason := unfitPort(l.Port); reason != "" {
			unbound[name] = reason
		} else {
			continue
		}
		delete(bound, name)
	}
	x.out.unbound = unbound
	for name, p := range x.ports {
		l := x.locals[name]
		if b, ok := bound[name]; !ok || b != p.Binding || !l.Port.Equal(p.Port) ||
			!slices.Equal(l.groups, p.memberOf) || l.isMoving != p.isMoving {
			x.unbindPort(p)
		}
	}
	for _, name := range sortedKeys(bound) {
		if x.ports[name] == nil {
			x.bindPort(bound[name], x.locals[name])
		}
	}
}

func (x *index) bindPort(b Binding, l local) {
	p := &port{Binding: b, Port: l.Port, memberOf: l.groups, isMoving: l.isMoving, uses: l.Uses(),
		limits: limitsOf(l.Port, x.site)}
	x.ports[p.Name] = p
	for _, n := range p.networks() {
		o := getOrCreate(x.addressOwners, n, func() *addressOwners { return &addressOwners{network: n} })
		o.ports = append(o.ports, p)
	}
	for m := range p.macs() {
		s := getOrCreate(x.macTargets, m, func() *macTarget { return &macTarget{mac: m} })
		s.ports = append(s.ports, p)
	}
	for _, e := range distinct(p.EtherTypes) {
		t := getOrCreate(x.types, e, func() *etherType { return &etherType{number: e} })
		t.ports = append(t.ports, p)
	}
	for _, name := range p.memberOf {
		g := x.group(name)
		p.groups = append(p.groups, g)
		if !p.Trusted {
			g.ports[p] = true
		}
	}
	x.touchAround(p)
}

func (x *index) unbindPort(p *port) {
	x.touchAround(p)
	p.gone = true
	delete(x.ports, p.Name)
	isIt := func(q *port) bool { return q == p }
	for _, n := range p.networks() {
		o := x.addressOwners[n]
		if o.ports = slices.DeleteFunc(o.ports, isIt); len(o.ports) == 0 {
			delete(x.addressOwners, n)
		}
	}
	for m := range p.macs() {
		s := x.macTargets[m]
		if s.ports = slices.DeleteFunc(s.ports, isIt); len(s.ports) == 0 {
			delete(x.macTargets, m)
		}
	}
	for _, e := range distinct(p.EtherTypes) {
		t := x.types[e]
		if t.ports = slices.DeleteFunc(t.ports, isIt); len(t.ports) == 0 {
			delete(x.types, e)
		}
	}
	for _, g := range p.groups {
		delete(g.ports, p)
		x.drop(g)
	}
}

// touchAround touches a port and all that its being there changes.
func (x *index) touchAround(p *port) {
	x.touch(&x.static)
	x.touch(p)
	for _, n := range p.networks() {
		x.touch(x.addressOwners[n])
	}
	for m := range p.macs() {
		x.touch(x.macTargets[m])
	}
	for _, e := range distinct(p.EtherTypes) {
		x.touch(x.types[e])
	}
	for _, g := range p.groups {
		for _, r := range g.rules {
			x.dirtyRules[r] = true
		}
	}
}

// getOrCreate returns what a map has at a key, and makes it if it is not there.
func getOrCreate[K comparable, V any](m map[K]*V, key K, make func() *V) *V {
	v := m[key]
	if v == nil {
		v = make()
		m[key] = v
	}
	return v
}

// byZone returns the ports in the order of their zones.
func byZone(ports []*port) []*port {
	return slices.SortedFunc(slices.Values(ports),
		func(a, b *port) int { return cmp.Compare(a.Zone, b.Zone) })
}

// filterPorts returns the ports that are kept, in the order of their zones.
func (x *index) filterPorts(keep func(*port) bool) []*port {
	return byZone(slices.DeleteFunc(slices.Collect(maps.Values(x.ports)),
		func(p *port) bool { return !keep(p) }))
}

func uplinkOutputs(uplinks []Uplink) []openflow.Action {
	numbers := make([]uint32, len(uplinks))
	for i, u := range uplinks {
		numbers[i] = u.OFPort
	}
	return outputs(numbers)
}

func outputs(numbers []uint32) []openflow.Action {
	numbers = distinct(numbers)
	as := make([]openflow.Action, len(numbers))
	for i, n := range numbers {
		as[i] = openflow.Output{Port: uint32(n)}
	}
	return as
}

// anyMoves says whether frames to some ports go to the uplinks, too.
func anyMoves(ports []*port) bool {
	return slices.ContainsFunc(ports, func(p *port) bool { return p.isMoving })
}

// deliver returns the outputs to ports, except to one.
func deliver(ports []*port, except *port) []openflow.Action {
	var numbers []uint32
	for _, p := range ports {
		if p != except {
			numbers = append(numbers, p.OFPort)
		}
	}
	return outputs(numbers)
}

func distinct[T cmp.Ordered](in []T) []T {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}

// port is a local port that is on the switch, and the unit of all flows that are about it alone.
type port struct {
	written
	Binding
	policy.Port
	memberOf []string // names of groups
	isMoving bool     // its instance may be on another host at this moment
	groups   []*group // the same
	uses     []policy.Use
	limits   policy.Limits
	gone     bool // it is not there any more: it has no flows

	meters    []Meter // that its flows name
	unmetered bool    // a limit of it is left out
}

// write writes the flows of the port, stage by stage.
func (p *port) write(w *writer) {
	p.meters, p.unmetered = nil, false
	if p.gone {
		return
	}
	w.classifyPort(p)
	w.sourceGuardPort(p)
	w.outsideGuardPort(p)
	w.announcedPort(p)
	w.statePort(egress, p)
	w.statePort(ingress, p)
	w.rulesPort(p)
	w.destinationGuardPort(p)
	w.output(p)
}

func (p *port) has(want func(netip.Addr) bool) bool {
	return slices.ContainsFunc(p.uses, func(u policy.Use) bool { return want(u.Prefix.Addr()) })
}

// own returns the pairs of the port's own addresses, with the link-local address that goes with
// them; not the allowed ones.
func (p *port) own() []policy.Use { return policy.Port{MAC: p.MAC, Addresses: p.Addresses}.Uses() }

func (p *port) has4() bool    { return p.has(netip.Addr.Is4) }
func (p *port) has6() bool    { return p.has(netip.Addr.Is6) }
func (p *port) trusted() bool { return p.Trusted }

// networks returns the distinct networks that the port may use, sorted.
func (p *port) networks() []netip.Prefix {
	out := make([]netip.Prefix, len(p.uses))
	for i, u := range p.uses {
		out[i] = u.Prefix.Masked()
	}
	slices.SortFunc(out, policy.ComparePrefix)
	return slices.Compact(out)
}

// macs returns the MACs of the port, and whether it speaks IP with them.
func (p *port) macs() map[policy.MAC]bool {
	out := map[policy.MAC]bool{p.MAC: false}
	for _, u := range p.uses {
		out[u.MAC] = true
	}
	return out
}
