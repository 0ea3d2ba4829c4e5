package explain

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"sync/atomic"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// A policy, looked up: who has a name, a MAC, an address, a group, so that a question costs what it
// is about and not what exists. Every question asks it. Invariant: what it finds is what a walk
// over all instances finds, in the policy's order.

// Index is a policy, looked up, each part of it when it is first asked for. It answers any number
// of questions, of several goroutines at once.
type Index struct {
	policy *policy.Policy
	groups map[string][]*policy.Group
	sets   map[string]*lazy[netipx.IPSet] // of each group: its members

	allPlaces   lazy[places]
	memberships lazy[map[string][]int32] // instances by group
}

// lazy is a value that is made when it is first asked for; two that ask at once may both make it.
type lazy[T any] struct{ made atomic.Pointer[T] }

func (l *lazy[T]) get(make func() *T) *T {
	if l.made.Load() == nil {
		l.made.CompareAndSwap(nil, make())
	}
	return l.made.Load()
}

func (x *Index) places() *places {
	return x.allPlaces.get(func() *places { return placesOf(x.policy) })
}

func (x *Index) memberOf() map[string][]int32 {
	return *x.memberships.get(func() *map[string][]int32 {
		out := memberships(x.policy)
		return &out
	})
}

// places are all instances and ports by their names, MACs and addresses.
type places struct {
	instances map[string]int32   // the first of each name
	ports     map[string]portAt  // the last of each name
	hosts     map[string][]int32 // instances by host
	trusted   []portAt
	macs      []macAt     // in order of the MACs
	networks  []networkAt // in order of the addresses
	lengths   [2][]uint8  // of the networks of each family: IPv4, IPv6
}

// portAt is a port of the policy, by numbers.
type portAt struct{ instance, port int32 }

func (a portAt) compare(b portAt) int {
	return cmp.Or(cmp.Compare(a.instance, b.instance), cmp.Compare(a.port, b.port))
}

// macAt is a MAC that a port uses.
type macAt struct {
	mac policy.MAC
	at  portAt
}

func (m macAt) compare(o macAt) int {
	return cmp.Or(slices.Compare(m.mac[:], o.mac[:]), m.at.compare(o.at))
}

// networkAt is a network that a port may use: see [policy.Port.Uses].
type networkAt struct {
	addr netip.Addr // the first of it
	bits uint8
	at   portAt
}

func (n networkAt) compare(o networkAt) int {
	return cmp.Or(n.addr.Compare(o.addr), cmp.Compare(n.bits, o.bits), n.at.compare(o.at))
}

// NewIndex returns an index of a policy, which must not change later. It costs little until it is
// asked.
func NewIndex(p *policy.Policy) *Index {
	x := &Index{policy: p, groups: map[string][]*policy.Group{},
		sets: map[string]*lazy[netipx.IPSet]{}}
	for _, g := range p.Groups {
		x.groups[g.Name] = append(x.groups[g.Name], g)
		x.sets[g.Name] = &lazy[netipx.IPSet]{}
	}
	return x
}

func memberships(p *policy.Policy) map[string][]int32 {
	out := make(map[string][]int32, len(p.Groups))
	for n, i := range p.Instances {
		for at, g := range i.Groups {
			if !slices.Contains(i.Groups[:at], g) {
				out[g] = append(out[g], int32(n))
			}
		}
	}
	return out
}

func placesOf(p *policy.Policy) *places {
	x := &places{instances: make(map[string]int32, len(p.Instances)),
		ports: make(map[string]portAt, len(p.Instances)), hosts: map[string][]int32{}}
	for n, i := range p.Instances {
		x.add(int32(n), i)
	}
	slices.SortFunc(x.macs, macAt.compare)
	x.macs = slices.Compact(x.macs)
	slices.SortFunc(x.networks, networkAt.compare)
	x.networks = slices.Compact(x.networks)
	return x
}

func (x *places) add(n int32, i *policy.Instance) {
	if _, known := x.instances[i.Name]; !known {
		x.instances[i.Name] = n
	}
	x.hosts[i.Host] = append(x.hosts[i.Host], n)
	if i.MigratingTo != "" {
		x.hosts[i.MigratingTo] = append(x.hosts[i.MigratingTo], n)
	}
	for nth := range i.Ports {
		p, at := &i.Ports[nth], portAt{n, int32(nth)}
		x.ports[p.Name] = at
		if p.Trusted {
			x.trusted = append(x.trusted, at)
		}
		x.macs = append(x.macs, macAt{p.MAC, at})
		for _, u := range p.Uses() {
			x.use(u, at)
		}
	}
}

// use notes what a port may use.
func (x *places) use(u policy.Use, at portAt) {
	if !u.Prefix.IsValid() {
		return
	}
	n, family := u.Prefix.Masked(), familyOf(u.Prefix.Addr())
	x.networks = append(x.networks, networkAt{n.Addr(), uint8(n.Bits()), at})
	if bits := uint8(n.Bits()); !slices.Contains(x.lengths[family], bits) {
		x.lengths[family] = append(x.lengths[family], bits)
	}
	x.macs = append(x.macs, macAt{u.MAC, at})
}

// familyOf is 0 of IPv4 and 1 of IPv6.
func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// placed returns a port by its numbers.
func (x *Index) placed(at portAt) placed {
	i := x.policy.Instances[at.instance]
	return placed{i, &i.Ports[at.port]}
}

// using returns the ports that may use an address, in the order of the policy.
func (x *Index) using(a netip.Addr) []portAt {
	if !a.IsValid() {
		return nil
	}
	var out []portAt
	all := x.places()
	for _, bits := range all.lengths[familyOf(a)] {
		n, err := a.Prefix(int(bits))
		if err != nil {
			continue // an IPv4-mapped address is in no network
		}
		asked := networkAt{addr: n.Addr(), bits: bits}
		first := sort.Search(len(all.networks), func(i int) bool {
			return all.networks[i].compare(asked) >= 0
		})
		for _, found := range all.networks[first:] {
			if found.addr != asked.addr || found.bits != bits {
				break
			}
			out = append(out, found.at)
		}
	}
	if len(out) < 2 {
		return out
	}
	slices.SortFunc(out, portAt.compare)
	return slices.Compact(out)
}

// having returns the ports that use a MAC, in the order of the policy.
func (x *Index) having(m policy.MAC) []portAt {
	macs := x.places().macs
	first := sort.Search(len(macs), func(i int) bool {
		return slices.Compare(macs[i].mac[:], m[:]) >= 0
	})
	var out []portAt
	for _, found := range macs[first:] {
		if found.mac != m {
			break
		}
		out = append(out, found.at)
	}
	return out
}

// local returns the instances that run on a host, in the order of the policy.
func (x *Index) local(host string) []int32 {
	hosts := x.places().hosts
	if host == "" {
		return hosts[""]
	}
	out := slices.Concat(hosts[""], hosts[host])
	slices.Sort(out)
	return out
}

// portNamed returns a port by its name; the zero value if there is none.
func (x *Index) portNamed(name string) placed {
	at, known := x.places().ports[name]
	if !known {
		return placed{}
	}
	return x.placed(at)
}

// members returns the addresses of a group's members; nil = there is no such group.
func (x *Index) members(group string) *netipx.IPSet {
	if set := x.sets[group]; set != nil {
		return set.get(func() *netipx.IPSet { return x.membersOf(group) })
	}
	if len(x.memberOf()[group]) == 0 {
		return nil
	}
	return x.membersOf(group) // of a group that the policy does not have
}

func (x *Index) membersOf(group string) *netipx.IPSet {
	var networks []netip.Prefix
	for _, g := range x.groups[group] {
		networks = append(networks, g.ExternalSources...)
	}
	for _, n := range x.memberOf()[group] {
		for _, p := range x.policy.Instances[n].Ports {
			networks = append(networks, p.Networks()...)
		}
	}
	return setOf(networks...)
}

// names returns the names of all instances and ports, sorted.
func (x *Index) names() []string {
	all := x.places()
	out := make([]string, 0, len(all.instances)+len(all.ports))
	for name := range all.instances {
		out = append(out, name)
	}
	for name := range all.ports {
		out = append(out, name)
	}
	slices.SortFunc(out, strings.Compare)
	return slices.Compact(out)
}

// Policy returns what was looked up. It must not be changed.
func (x *Index) Policy() *policy.Policy { return x.policy }

// Policy returns what the questions are about. It must not be changed.
func (r Reader) Policy() *policy.Policy { return r.index.policy }

// InstanceOf returns the name of the instance that has a port; "" = none.
func (x *Index) InstanceOf(port string) string {
	if l := x.portNamed(port); l.Instance != nil {
		return l.Instance.Name
	}
	return ""
}

// OwnerOf returns the name of the instance that owns an address, or else of one that may use it; ""
// = none.
func (x *Index) OwnerOf(a netip.Addr) string {
	name := ""
	for _, at := range x.using(a) {
		l := x.placed(at)
		if l.Port.Owns(a) {
			return l.Instance.Name
		}
		name = cmp.Or(name, l.Instance.Name)
	}
	return name
}

// Admits says whether the rules of a port admit a connection that was opened in a direction, seen
// from its instance. The guards are not asked.
func (x *Index) Admits(i *policy.Instance, p *policy.Port, d policy.Direction,
	t spec.Tuple) bool {
	if p.Trusted {
		return true
	}
	at, e, remote := Point{local: placed{i, p}, Instance: i.Name}, x.At(policy.Site{}).explainer(), t.Src
	if d == policy.Egress {
		remote = t.Dst
	}
	if e.isOpen(at, d) {
		return true
	}
	for _, r := range e.rulesOf(at, d) {
		if admittedBy(*r, remote.Is6()).Contains(t) && e.hasPeer(r, remote) {
			return true
		}
	}
	return false
}
