package policy

import (
	"net/netip"
	"slices"
)

// What is valid for certain, told by what differs: for who changes a large policy often. Package
// policydb asks before each change. Invariant: it never says that something is valid which
// [Validate] refuses; where it cannot tell, it says so, and Validate has to.

// Known is a valid policy, and what it holds of what no two may have. The zero Known is that of the
// empty policy. Not for two goroutines at once.
type Known struct {
	policy    *Policy
	validator Validator

	instances map[string]*Instance
	ports     map[hostPort]*Instance
	ifaceIDs  map[string]*Instance
	macs      map[MAC]*Instance
	allowed   map[MAC]int
	networks  map[netip.Prefix]*Instance
	lengths   map[length]int // of the networks
	hard      int            // instances that Validate has to judge together with all others
}

// length is how long the networks of one IP version are.
type length struct {
	is6  bool
	bits int
}

// mostKnown is how many objects may differ: of more, Validate is as quick.
const mostKnown = 256

// IsValid says of another policy that it is valid for certain. It takes time by what differs from
// the known one; but for a scan of the lists.
func (k *Known) IsValid(p *Policy) bool {
	if k.policy == p {
		return p != nil
	}
	if k.policy == nil || k.hard > 0 || !slices.Equal(k.policy.Projects, p.Projects) {
		return false
	}
	gone, come := Unshared(k.policy.Instances, p.Instances)
	if len(gone)+len(come) > mostKnown || slices.ContainsFunc(come, (*Instance).isHard) ||
		!k.groupsAreValid(p) {
		return false
	}
	judged := &Policy{Projects: p.Projects, Groups: p.Groups, Instances: come}
	k.validator.knows = slices.Equal(k.policy.Groups, p.Groups)
	if len(k.validator.Validate(judged)) > 0 {
		return false
	}
	left := make(map[*Instance]bool, len(gone))
	for _, i := range gone {
		left[i] = true
	}
	allowed := allowedMACs(gone)
	for _, i := range come {
		if k.holds(i, left, allowed) {
			return false
		}
	}
	return true
}

// Learn makes a valid policy the known one.
func (k *Known) Learn(p *Policy) {
	gone, come := []*Instance(nil), p.Instances
	if k.policy != nil {
		gone, come = Unshared(k.policy.Instances, p.Instances)
	}
	if k.policy == nil || len(gone)+len(come) > len(p.Instances) {
		*k = Known{instances: map[string]*Instance{}, ports: map[hostPort]*Instance{},
			ifaceIDs: map[string]*Instance{}, macs: map[MAC]*Instance{}, allowed: map[MAC]int{},
			networks: map[netip.Prefix]*Instance{}, lengths: map[length]int{}}
		gone, come = nil, p.Instances
	}
	k.policy = p
	for _, i := range gone {
		k.drop(i)
	}
	for _, i := range come {
		k.add(i)
	}
}

// groupsAreValid says whether no instance is in a group that is not there any more.
func (k *Known) groupsAreValid(p *Policy) bool {
	if slices.Equal(k.policy.Groups, p.Groups) {
		return true
	}
	is := make(map[string]bool, len(p.Groups))
	for _, g := range p.Groups {
		is[g.Name] = !g.IsNetwork
	}
	lost := map[string]bool{}
	for _, g := range k.policy.Groups {
		if !is[g.Name] && !g.IsNetwork {
			lost[g.Name] = true
		}
	}
	return len(lost) == 0 || !slices.ContainsFunc(p.Instances, func(i *Instance) bool {
		return slices.ContainsFunc(i.Groups, func(name string) bool { return lost[name] })
	})
}

// holds says whether something of an instance is another's that stays.
func (k *Known) holds(i *Instance, left map[*Instance]bool, allowed map[MAC]int) bool {
	isHeld := func(by *Instance) bool { return by != nil && !left[by] }
	if isHeld(k.instances[i.Name]) {
		return true
	}
	for n := range i.Ports {
		p := &i.Ports[n]
		for _, host := range i.hosts() {
			if isHeld(k.ports[hostPort{host, p.Name}]) {
				return true
			}
		}
		if isHeld(k.macs[p.MAC]) || k.allowed[p.MAC] > allowed[p.MAC] ||
			p.IfaceID != "" && isHeld(k.ifaceIDs[p.IfaceID]) {
			return true
		}
		for _, a := range p.Allowed {
			if !a.MAC.IsZero() && isHeld(k.macs[a.MAC]) {
				return true
			}
		}
		for _, a := range p.Addresses {
			if !a.IsSingleIP() || k.owns(a, isHeld) {
				return true
			}
		}
	}
	return false
}

// owns says whether an address is in a network of somebody.
func (k *Known) owns(a netip.Prefix, isHeld func(*Instance) bool) bool {
	for l := range k.lengths {
		if l.is6 != a.Addr().Is6() {
			continue
		}
		around, err := a.Addr().Prefix(l.bits)
		if err != nil || isHeld(k.networks[around]) {
			return true
		}
	}
	return false
}

func (k *Known) add(i *Instance) {
	if k.instances[i.Name] = i; i.isHard() {
		k.hard++
	}
	for n := range i.Ports {
		p := &i.Ports[n]
		for _, host := range i.hosts() {
			k.ports[hostPort{host, p.Name}] = i
		}
		if k.macs[p.MAC] = i; p.IfaceID != "" {
			k.ifaceIDs[p.IfaceID] = i
		}
		for _, a := range p.Addresses {
			if k.networks[a] == nil {
				k.lengths[lengthOf(a)]++
			}
			k.networks[a] = i
		}
	}
	for mac, n := range allowedMACs([]*Instance{i}) {
		k.allowed[mac] += n
	}
}

func (k *Known) drop(i *Instance) {
	if delete(k.instances, i.Name); i.isHard() {
		k.hard--
	}
	for n := range i.Ports {
		p := &i.Ports[n]
		for _, host := range i.hosts() {
			delete(k.ports, hostPort{host, p.Name})
		}
		delete(k.macs, p.MAC)
		delete(k.ifaceIDs, p.IfaceID)
		for _, a := range p.Addresses {
			if l := lengthOf(a); k.networks[a] != nil {
				if k.lengths[l]--; k.lengths[l] == 0 {
					delete(k.lengths, l)
				}
			}
			delete(k.networks, a)
		}
	}
	for mac, n := range allowedMACs([]*Instance{i}) {
		k.allowed[mac] -= n
	}
}

func lengthOf(p netip.Prefix) length { return length{p.Addr().Is6(), p.Bits()} }

// hosts are those on which the interfaces of an instance must have names of their own.
func (i *Instance) hosts() []string {
	if i.MigratingTo == "" {
		return []string{i.Host}
	}
	return []string{i.Host, i.MigratingTo}
}

// isHard says whether an instance is on every host, or has a network that may hold the link-local
// address of any other.
func (i *Instance) isHard() bool {
	return i.Host == "" || slices.ContainsFunc(i.Ports, func(p Port) bool {
		return p.anyNetwork(LinkLocalNet.Overlaps)
	})
}

// allowedMACs counts the MACs beside their own that the ports of instances may use.
func allowedMACs(list []*Instance) map[MAC]int {
	out := map[MAC]int{}
	for _, i := range list {
		for n := range i.Ports {
			for _, a := range i.Ports[n].Allowed {
				if !a.MAC.IsZero() {
					out[a.MAC]++
				}
			}
		}
	}
	return out
}
