package policyfile

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sort"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// index joins fragments again and again at the cost of what changed between. What it returns is what [Join] returns.
//
// It knows whether there is any mistake, not which: the mistakes are told by Join. Nearly always there is none, and that is seen
// from three sorted lists, which change as their fragments do:
//
//   - names: what must be unique, or must not be used by others, as hashes;
//   - groups: the groups that are defined, and those that are used, likewise;
//   - owned: the own networks, of which none may be within another port's.
//
// Hashes that are equal by chance cost a Join that finds nothing, not more.
type Index struct {
	seed     maphash.Seed
	joined   map[*Fragment]bool
	names    claims
	groups   claims
	owned    []ownNetwork
	intruded bool        // an owned network is, or is within, another port's
	bits     [2][129]int // how many owned networks have this length, of IPv4 and IPv6
	Last     []*Fragment
	policy   *policy.Policy // of last
}

// join is [Join]. The names of the fragments' files must be different.
func (x *Index) Join(fragments []*Fragment) (*policy.Policy, strictyaml.Warnings, error) {
	x.update(fragments)
	if x.isDoubtful(fragments) {
		x.policy = nil
		return Join(fragments)
	}
	var out strictyaml.Report
	for _, f := range fragments {
		out.Warnings = append(out.Warnings, f.Warnings...)
	}
	x.warnShared(fragments, &out)
	warnWide(fragments, &out)
	if x.policy == nil || !slices.Equal(x.Last, fragments) {
		x.policy, x.Last = together(fragments), fragments
	}
	_, warnings := out.Sorted()
	return x.policy, warnings, nil
}

// update makes the lists those of these fragments.
func (x *Index) update(fragments []*Fragment) {
	if x.joined == nil {
		x.seed = maphash.MakeSeed()
		x.names.isWrong, x.groups.isWrong = isContested, isUnclear
	}
	now := make(map[*Fragment]bool, len(fragments))
	var left, added []*Fragment
	for _, f := range fragments {
		now[f] = true
		if !x.joined[f] {
			added = append(added, f)
		}
	}
	for f := range x.joined {
		if !now[f] {
			left = append(left, f)
		}
	}
	x.joined = now
	stayed := inBoth(left, added)
	var gone, come facts
	for _, f := range left {
		gone.add(x.seed, f, stayed)
	}
	for _, f := range added {
		come.add(x.seed, f, stayed)
	}
	gone.sort()
	come.sort()
	x.names.replace(gone.names, come.names)
	x.groups.replace(gone.groups, come.groups)
	x.replaceOwned(gone.owned, come.owned)
}

// inBoth returns the instances that fragments which left and fragments which came have in common: see [Fragment.keep].
func inBoth(left, added []*Fragment) map[*policy.Instance]bool {
	before, out := make(map[*policy.Instance]bool), make(map[*policy.Instance]bool)
	for _, f := range left {
		for _, i := range f.instances {
			before[i] = true
		}
	}
	for _, f := range added {
		for _, i := range f.instances {
			if before[i] {
				out[i] = true
			}
		}
	}
	return out
}

// isDoubtful says whether there may be a mistake.
func (x *Index) isDoubtful(fragments []*Fragment) bool {
	return x.names.wrong || x.groups.wrong || x.intruded || slices.ContainsFunc(fragments, func(f *Fragment) bool { return len(f.Errors) > 0 })
}

// ownNetwork is a network that a port has as its own.
type ownNetwork struct {
	netip.Prefix
	port *policy.Port
}

// compareOwn orders by network, then by where the ports were written.
func compareOwn(a, b ownNetwork) int {
	if c := policy.ComparePrefix(a.Prefix, b.Prefix); c != 0 {
		return c
	}
	return strictyaml.ComparePosition(a.port.At, b.port.At)
}

// replaceOwned takes sorted networks out and puts others in. Most of them only change hands, from a port to what became of it.
func (x *Index) replaceOwned(gone, come []ownNetwork) {
	removed, added, both := compared(gone, come, func(a, b ownNetwork) int { return policy.ComparePrefix(a.Prefix, b.Prefix) })
	for _, o := range removed {
		x.bits[family(o.Addr())][o.Bits()]--
	}
	for _, o := range added {
		x.bits[family(o.Addr())][o.Bits()]++
	}
	if x.intruded { // of a network that two ports have, either could have changed hands
		x.owned = replace(x.owned, gone, come, compareOwn)
		x.intruded = x.hasIntruder()
		return
	}
	for _, o := range both {
		x.owned[x.search(o.Prefix)].port = o.port
	}
	x.owned = replace(x.owned, removed, added, compareOwn)
	x.intruded = slices.ContainsFunc(come, func(o ownNetwork) bool { return x.ownerOf(o.Prefix, o.port) != nil })
}

// hasIntruder looks at all networks. They are apart or one within the other, and the wider comes first: within the first of a heap,
// all must be the same port's.
func (x *Index) hasIntruder() bool {
	var widest ownNetwork
	for _, o := range x.owned {
		if !widest.Contains(o.Addr()) {
			widest = o
		} else if o.port != widest.port {
			return true
		}
	}
	return false
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// warnShared warns of allowed addresses that are another port's own, as [joiner.addresses] does.
func (x *Index) warnShared(fragments []*Fragment, out *strictyaml.Report) {
	var files map[string]*Fragment
	for _, f := range fragments {
		for _, i := range f.sharing {
			for p := range f.ports(int(i)) {
				for nth, a := range p.Allowed {
					o := x.ownerOf(a.Prefix, p.Port)
					if o == nil {
						continue
					}
					if files == nil {
						files = byName(fragments)
					}
					own, at := files[o.port.At.File].own(o)
					warnShared(out, p.allowedSpot(nth), a.Prefix, own, o.port.Name, at)
				}
			}
		}
	}
}

func byName(fragments []*Fragment) map[string]*Fragment {
	out := make(map[string]*Fragment, len(fragments))
	for _, f := range fragments {
		out[f.File] = f
	}
	return out
}

// own returns how a port of the fragment came to a network, and where that was written.
func (f *Fragment) own(o *ownNetwork) (addressRange, policy.Position) {
	after := sort.Search(len(f.instances), func(i int) bool { return strictyaml.ComparePosition(f.instances[i].At, o.port.At) > 0 })
	for p := range f.ports(after - 1) {
		if p.Port != o.port {
			continue
		}
		if nth := slices.Index(p.Addresses, o.Prefix); nth >= 0 {
			return addressRange{network: o.Prefix}, p.addressSpot(nth).Pos
		}
		return addressRange{o.Prefix, true}, p.macSpot().Pos
	}
	panic("config: a port that its file does not have") // the index and the fragments were made of each other
}

// ownerOf returns the first network in or around p that another port owns, if any, where no two ports own the same.
func (x *Index) ownerOf(p netip.Prefix, self *policy.Port) *ownNetwork {
	at := x.search(p)
	for i := at; i < len(x.owned) && x.owned[i].Overlaps(p); i++ {
		if x.owned[i].port != self {
			return &x.owned[i]
		}
	}
	for bits := p.Bits() - 1; bits >= 0; bits-- {
		if x.bits[family(p.Addr())][bits] == 0 {
			continue
		}
		around, _ := p.Addr().Prefix(bits) // bits is within the address
		if i := x.search(around); i < len(x.owned) && x.owned[i].Prefix == around && x.owned[i].port != self {
			return &x.owned[i]
		}
	}
	return nil
}

// search returns the index of the first network that is not before p.
func (x *Index) search(p netip.Prefix) int {
	return sort.Search(len(x.owned), func(i int) bool { return policy.ComparePrefix(x.owned[i].Prefix, p) >= 0 })
}

// facts are what fragments contribute to the lists of an index.
type facts struct {
	names  []claim
	groups []claim
	owned  []ownNetwork
}

func (c *facts) sort() {
	slices.Sort(c.names)
	slices.Sort(c.groups)
	slices.SortFunc(c.owned, compareOwn)
}

// thing is what a claim is the hash of.
type thing struct {
	kind       kindOfThing
	name, host string
	mac        policy.MAC
}

type kindOfThing uint8

const (
	aGroup kindOfThing = iota
	anInstance
	aPort     // of a host
	aPortName // of any host: owned by ports that are on every host, used by the others
	aMAC
)

func (t thing) owned(seed maphash.Seed) claim { return claim(maphash.Comparable(seed, t)).thing() }

func (t thing) used(seed maphash.Seed) claim { return t.owned(seed) | 1 }

// add adds what a fragment contributes, but for the names and ports of instances that stayed.
func (c *facts) add(seed maphash.Seed, f *Fragment, stayed map[*policy.Instance]bool) {
	used := make(map[string]bool)
	use := func(group string) {
		if !used[group] {
			used[group] = true
			c.groups = append(c.groups, thing{kind: aGroup, name: group}.used(seed))
		}
	}
	for _, g := range f.groups {
		c.groups = append(c.groups, thing{kind: aGroup, name: g.Name}.owned(seed))
		for _, p := range g.peers {
			use(p.name)
		}
	}
	for n, i := range f.instances {
		for _, g := range i.Groups {
			use(g)
		}
		if stayed[i] {
			continue
		}
		c.names = append(c.names, thing{kind: anInstance, name: i.Name}.owned(seed))
		for p := range f.ports(n) {
			c.addPort(seed, p)
		}
	}
}

func (c *facts) addPort(seed maphash.Seed, p localPort) {
	name := thing{kind: aPortName, name: p.Name}
	if p.host == "" {
		c.names = append(c.names, name.owned(seed))
	} else {
		c.names = append(c.names, name.used(seed), thing{kind: aPort, name: p.Name, host: p.host}.owned(seed))
	}
	c.names = append(c.names, thing{kind: aMAC, mac: p.MAC}.owned(seed))
	for _, a := range p.Allowed {
		if !a.MAC.IsZero() {
			c.names = append(c.names, thing{kind: aMAC, mac: a.MAC}.used(seed))
		}
	}
	for _, a := range p.Addresses {
		c.owned = append(c.owned, ownNetwork{a, p.Port})
	}
	if own, ok := linkLocal(p.Port); ok && !slices.Contains(p.Addresses, own) {
		c.owned = append(c.owned, ownNetwork{own, p.Port})
	}
}
