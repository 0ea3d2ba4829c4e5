package flows

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// unit is a part of the program that is written in one go. It depends on little, and whoever changes that touches it.
type unit interface {
	write(*writer)
	record() *written
}

// written is what is known of a unit.
type written struct {
	flows   []*entry // of the program
	pages   []start  // that these begin
	touched bool     // to be written again
	out     bool     // not to be written: it could not be
}

func (w *written) record() *written { return w }

// index is an input, looked up: who is member of what, who owns what, and the units that depend on it.
type index struct {
	site      policy.Site
	uplinks   []Uplink
	lastMeter uint32
	innerTags bool
	toUplinks []openflow.Action

	everybody everybody
	locals    map[string]local // ports of this host's instances, by name
	ports     map[string]*port // those that the switch has
	owners    map[netip.Prefix]*owners
	stations  map[policy.MAC]*station
	listings  map[netip.Prefix]*listing
	types     map[uint16]*etherType
	groups    map[string]*group
	peers     map[netip.Prefix]*peer
	services  map[serviceKey]*sharedService
	rules     numbering[*rule]
	again     map[TableID]*again
	pages     map[start]int // how many units have one that begins there

	hashes   hashes
	capacity capacity
	out      leftOut
	touched  []unit
	shaken   map[*rule]bool // rules whose ports, peers, services or id changed
}

// everybody is the unit of all flows that are about no port in particular, or about all of them.
type everybody struct{ written }

// local is a port of an instance of this host.
type local struct {
	policy.Port
	groups []string
}

// owners is the unit of the flows that ask for an address of a network which ports own.
type owners struct {
	written
	network netip.Prefix
	ports   []*port
}

// station is the unit of the flows to a MAC which ports use.
type station struct {
	written
	mac   policy.MAC
	ports []*port
}

// newIndex indexes an input.
func newIndex(in Input, h hashes, c capacity) *index {
	x := &index{site: in.Site, uplinks: in.Uplinks, lastMeter: in.LastMeter, innerTags: in.InnerTags, toUplinks: uplinkOutputs(in.Uplinks),
		locals: map[string]local{}, ports: map[string]*port{}, owners: map[netip.Prefix]*owners{}, stations: map[policy.MAC]*station{},
		listings: map[netip.Prefix]*listing{}, types: map[uint16]*etherType{},
		groups: map[string]*group{}, peers: map[netip.Prefix]*peer{}, services: map[serviceKey]*sharedService{},
		rules: numberedRules(h), hashes: h, shaken: map[*rule]bool{}, capacity: c, out: newLeftOut(), pages: map[start]int{}, again: map[TableID]*again{}}
	for _, t := range []TableID{tableEgressRules, tableIngressRules} {
		x.again[t] = &again{table: t}
	}
	x.touch(&x.everybody)
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
	x.settle()
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
	eachMembership(nil, c.GoneInstances, func(m membership) { x.leave(x.group(m.group), m.network) })
	eachMembership(nil, c.NewInstances, func(m membership) { x.enter(x.group(m.group), m.network) })
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
				x.locals[p.Name] = local{p, distinct(i.Groups)}
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
		if b, ok := bound[name]; !ok || b != p.Binding || !l.Port.Equal(p.Port) || !slices.Equal(l.groups, p.memberOf) {
			x.unplug(p)
		}
	}
	for _, name := range sortedKeys(bound) {
		if x.ports[name] == nil {
			x.plug(bound[name], x.locals[name])
		}
	}
}

func (x *index) plug(b Binding, l local) {
	p := &port{Binding: b, Port: l.Port, memberOf: l.groups, uses: l.Uses(), limits: limitsOf(l.Port, x.site)}
	x.ports[p.Name] = p
	for _, n := range p.networks() {
		o := entity(x.owners, n, func() *owners { return &owners{network: n} })
		o.ports = append(o.ports, p)
	}
	for m := range p.macs() {
		s := entity(x.stations, m, func() *station { return &station{mac: m} })
		s.ports = append(s.ports, p)
	}
	for _, e := range distinct(p.EtherTypes) {
		t := entity(x.types, e, func() *etherType { return &etherType{number: e} })
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

func (x *index) unplug(p *port) {
	x.touchAround(p)
	p.gone = true
	delete(x.ports, p.Name)
	isIt := func(q *port) bool { return q == p }
	for _, n := range p.networks() {
		o := x.owners[n]
		if o.ports = slices.DeleteFunc(o.ports, isIt); len(o.ports) == 0 {
			delete(x.owners, n)
		}
	}
	for m := range p.macs() {
		s := x.stations[m]
		if s.ports = slices.DeleteFunc(s.ports, isIt); len(s.ports) == 0 {
			delete(x.stations, m)
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
	x.touch(&x.everybody)
	x.touch(p)
	for _, n := range p.networks() {
		x.touch(x.owners[n])
	}
	for m := range p.macs() {
		x.touch(x.stations[m])
	}
	for _, e := range distinct(p.EtherTypes) {
		x.touch(x.types[e])
	}
	for _, g := range p.groups {
		for _, r := range g.rules {
			x.shaken[r] = true
		}
	}
}

// entity returns what a map has at a key, and makes it if it is not there.
func entity[K comparable, V any](m map[K]*V, key K, make func() *V) *V {
	v := m[key]
	if v == nil {
		v = make()
		m[key] = v
	}
	return v
}

// byZone returns the ports in the order of their zones.
func byZone(ports []*port) []*port {
	return slices.SortedFunc(slices.Values(ports), func(a, b *port) int { return cmp.Compare(a.Zone, b.Zone) })
}

// where returns the ports that are kept, in the order of their zones.
func (x *index) where(keep func(*port) bool) []*port {
	return byZone(slices.DeleteFunc(slices.Collect(maps.Values(x.ports)), func(p *port) bool { return !keep(p) }))
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
