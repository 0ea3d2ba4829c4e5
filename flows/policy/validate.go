package policy

import (
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// What a valid policy is: the one definition, for files, databases and the API alike. The walk goes
// through the policy once; nothing is put into words, and so nothing allocated, for what is right.

// Validate returns all that makes a policy invalid; nothing if it is valid. The order is the same
// for the same policy, and near to that of its groups and instances. It takes time near to linear
// in the size of the policy.
func Validate(p *Policy) []Problem { return new(Validator).Validate(p) }

// Validator is [Validate] for who asks often: it keeps the memory that it looks things up in. The
// zero Validator is ready. Not for two goroutines at once.
type Validator struct {
	// Place says where the other of two values is that contradict each other; nil = by index and
	// field.
	Place Place

	policy    *Policy
	problems  []Problem
	projects  map[string]int32
	groups    map[string]int32
	instances map[string]int32
	ports     map[hostPort]portAt
	anyHost   map[string]portAt // the first port of each name, where some ports are on every host
	isMixed   bool              // some ports are on every host, others on one
	macs      map[MAC]portAt
	ifaceIDs  map[string]portAt
	own       ownNetworks
	hints     map[Peer]string // of groups that do not exist
	knows     bool            // the groups are valid, for [Known]
}

// hostPort is the name of a port on a host; "" = on every host.
type hostPort struct{ host, name string }

// portAt is a port by its instance and its number there.
type portAt struct{ instance, port int32 }

func (a portAt) location() location { return ofInstance(int(a.instance)).in(keyPorts, int(a.port)) }

func (p *Policy) port(a portAt) *Port { return &p.Instances[a.instance].Ports[a.port] }

// Validate is the function [Validate].
func (v *Validator) Validate(p *Policy) []Problem {
	v.begin(p)
	for n, project := range p.Projects {
		v.project(ofProject(n), project)
	}
	for n, g := range p.Groups {
		if !v.knows {
			v.group(ofGroup(n), g)
		}
	}
	for n, i := range p.Instances {
		v.instance(ofInstance(n), i)
	}
	v.allowedMACs()
	v.own.collect(p)
	v.overlaps()
	return v.problems
}

// begin empties what is looked up and fills in the groups, which may be named before they are
// defined.
func (v *Validator) begin(p *Policy) {
	v.policy, v.problems = p, nil
	if v.groups == nil {
		v.projects = make(map[string]int32, len(p.Projects))
		v.groups = make(map[string]int32, len(p.Groups))
		v.instances = make(map[string]int32, len(p.Instances))
		v.ports = make(map[hostPort]portAt, len(p.Instances))
		v.anyHost = make(map[string]portAt)
		v.macs = make(map[MAC]portAt, len(p.Instances))
		v.ifaceIDs = make(map[string]portAt)
	}
	clear(v.projects)
	clear(v.groups)
	clear(v.instances)
	clear(v.ports)
	clear(v.anyHost)
	clear(v.macs)
	clear(v.ifaceIDs)
	v.hints = nil
	isLocal := func(i *Instance) bool { return i.Host == "" }
	v.isMixed = slices.ContainsFunc(p.Instances, isLocal) &&
		slices.ContainsFunc(p.Instances, func(i *Instance) bool { return !isLocal(i) })
	for n, project := range p.Projects {
		v.unique("project", project.Name, ofProject(n).at(keyName), v.projects)
	}
	for n, g := range p.Groups {
		v.unique(g.what(), g.Name, ofGroup(n).at(keyName), v.groups)
	}
}

// unique reports a name that another object has.
func (v *Validator) unique(what, name string, at location, seen map[string]int32) {
	if name == "" {
		return // which is reported as such
	}
	first, twice := seen[name]
	if !twice {
		seen[name] = at.index
		return
	}
	other := at
	other.index = first
	if at.kind == AGroup && v.policy.Groups[first].IsNetwork != v.policy.Groups[at.index].IsNetwork {
		v.wrongf(at, "a group and a named network are both called %s; the other is at %s",
			wording.Quote(name), v.place(other))
		return
	}
	v.wrongf(at, "the %s %s is defined twice; the first is at %s", what, wording.Quote(name),
		v.place(other))
}

// wrong reports a problem, if there is one.
func (v *Validator) wrong(at location, problem string) {
	if problem != "" {
		v.report(at, problem)
	}
}

func (v *Validator) report(at location, problem string) {
	v.problems = append(v.problems,
		Problem{Object: v.object(at), Field: at.field(), Text: problem})
}

func (v *Validator) wrongf(at location, format string, args ...any) {
	v.wrong(at, fmt.Sprintf(format, args...))
}

func (v *Validator) object(at location) Object {
	switch at.kind {
	case AProject:
		return Object{AProject, int(at.index), v.policy.Projects[at.index].Name}
	case AGroup:
		return Object{AGroup, int(at.index), v.policy.Groups[at.index].Name}
	}
	return Object{AnInstance, int(at.index), v.policy.Instances[at.index].Name}
}

// place says where a value is that another contradicts.
func (v *Validator) place(at location) string {
	if v.Place == nil {
		return byIndex(v.object(at), at.field())
	}
	return v.Place(v.object(at), at.field())
}

func (v *Validator) group(at location, g *Group) {
	v.wrong(at.at(keyName), badGroupName(g))
	v.nameInProject(at.at(keyName), g.Name)
	v.wrong(at.at(keyDescription), BadText(g.Description))
	if g.IsNetwork && len(g.Rules) > 0 {
		v.wrong(at.at(keyRules), "a named network has no rules")
	}
	if g.IsNetwork && g.Shared {
		v.wrong(at.at(keyShared), "a named network is everybody's; leave shared out")
	}
	for n, source := range g.ExternalSources {
		v.wrong(at.of(keySources, n), badNetwork(source))
	}
	for n := range g.Rules {
		v.rule(at.in(keyRules, n), &g.Rules[n])
	}
}

func (v *Validator) instance(at location, i *Instance) {
	v.wrong(at.at(keyName), BadName(i.Name))
	v.nameInProject(at.at(keyName), i.Name)
	v.unique("instance", i.Name, at.at(keyName), v.instances)
	if i.Host != "" {
		v.wrong(at.at(keyHost), BadName(i.Host))
	}
	badMove := badMigratingTo(i)
	v.wrong(at.at(keyMigratingTo), badMove)
	for n, name := range i.Groups {
		v.reference(at.of(keyGroups, n), Peer{Group: name})
	}
	for n := range i.Ports {
		here := portAt{at.index, int32(n)}
		v.portName(here, i.Host)
		if i.MigratingTo != "" && badMove == "" {
			v.portName(here, i.MigratingTo)
		}
		v.ifaceID(here)
		v.mac(here)
		v.port(here.location(), &i.Ports[n])
	}
}

// portName reports an interface that would be twice on one host. A port without a host is on every
// host.
func (v *Validator) portName(here portAt, host string) {
	name := v.policy.port(here).Name
	if name == "" {
		return // which is reported as such
	}
	first, twice := v.ports[hostPort{host, name}]
	switch {
	case twice || !v.isMixed:
	case host == "":
		first, twice = v.anyHost[name]
	default:
		first, twice = v.ports[hostPort{"", name}]
	}
	if twice {
		v.wrongf(here.location().at(keyName),
			"the port %s is on this host twice; the first is at %s",
			wording.Quote(name), v.place(first.location().at(keyName)))
		v.contest(first.location().at(keyName), "the interface "+wording.Quote(name))
		return
	}
	v.ports[hostPort{host, name}] = here
	if _, known := v.anyHost[name]; v.isMixed && !known {
		v.anyHost[name] = here
	}
}

// ifaceID reports an identity that two ports have, on whatever hosts.
func (v *Validator) ifaceID(here portAt) {
	id := v.policy.port(here).IfaceID
	if id == "" {
		return
	}
	first, twice := v.ifaceIDs[id]
	if !twice {
		v.ifaceIDs[id] = here
		return
	}
	v.wrongf(here.location().at(keyIfaceID), "%s is the iface_id of the port %s already, at %s",
		wording.Quote(id), wording.Quote(v.policy.port(first).Name),
		v.place(first.location().at(keyIfaceID)))
	v.contest(first.location().at(keyIfaceID), "the iface_id "+wording.Quote(id))
}

// mac reports a MAC that is the own of two ports, on whatever hosts: the network is flat.
func (v *Validator) mac(here portAt) {
	m := v.policy.port(here).MAC
	if m.IsZero() {
		return // which is reported as such
	}
	first, twice := v.macs[m]
	if !twice {
		v.macs[m] = here
		return
	}
	v.wrongf(here.location().at(keyMAC), "%s is the MAC of the port %s already, at %s", m,
		wording.Quote(v.policy.port(first).Name), v.place(first.location().at(keyMAC)))
	v.contest(first.location().at(keyMAC), m.String())
}

// allowedMACs reports those that are the own of another port. Ports may share others, as VRRP does.
func (v *Validator) allowedMACs() {
	for n, i := range v.policy.Instances {
		for nth := range i.Ports {
			here := portAt{int32(n), int32(nth)}
			for entry, a := range i.Ports[nth].Allowed {
				owner, isOwn := v.macs[a.MAC]
				if !isOwn || owner == here {
					continue
				}
				v.wrongf(here.location().of(keyAllowed, entry),
					"%s is the own MAC of the port %s, at %s", a.MAC,
					wording.Quote(v.policy.port(owner).Name), v.place(owner.location().at(keyMAC)))
				v.contest(owner.location().at(keyMAC), a.MAC.String())
			}
		}
	}
}

// overlaps reports networks that belong to two ports.
func (v *Validator) overlaps() {
	for n := range v.own.list {
		late := &v.own.list[n]
		early := v.own.around(late)
		if early == nil || early.at == late.at || early.isDerived() && late.isDerived() {
			continue // nothing, the port's own, or two equal MACs, which are reported as such
		}
		if early.isAfter(late) {
			late, early = early, late
		}
		words, other := v.own.text(late), v.own.text(early)
		owner, place := wording.Quote(v.policy.port(early.at).Name), v.place(early.location())
		if v.own.prefix(late) == v.own.prefix(early) {
			v.wrongf(late.location(), "%s belongs to the port %s already, at %s", words, owner, place)
		} else {
			v.wrongf(late.location(), "%s overlaps %s of the port %s, at %s", words, other, owner,
				place)
		}
		v.contest(early.location(), words)
	}
}
