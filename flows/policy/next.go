package policy

import (
	"net/netip"
	"slices"
)

// What a change of a valid policy has to be looked at for: databases have one after the other, of
// which each is the one before but for a few objects. Invariant: what Next says is valid, Validate
// says so, too; what is not easy to say is left to Validate.

// claims are what the ports of a valid policy have as their own, or share, beside the names that the
// Validator keeps.
type claims struct {
	isMade   bool
	networks map[netip.Prefix]int // own ones, and how many ports list them
	lengths  map[family]int       // of those
	shared   map[MAC]int          // of allowed addresses
}

// family is the length of networks, of one version of IP.
type family struct {
	bits int
	is6  bool
}

// Next says whether a policy is valid, by what it does not share with the one before. The one before
// must have been found valid by this Validator last. False = that is not known: ask Validate.
func (v *Validator) Next(before, after *Policy) bool {
	if v.policy == nil || len(v.problems) > 0 || !slices.Equal(before.Projects, after.Projects) {
		return false
	}
	if !v.claims.isMade && !v.claims.make(before) {
		return false
	}
	v.policy = after
	isValid := v.nextGroups(before.Groups, after.Groups) &&
		v.nextInstances(before.Instances, after.Instances) && len(v.problems) == 0
	if !isValid {
		v.policy = nil // half of it is looked up by now
	}
	return isValid
}

// nextGroups looks at groups that are new, or others than before. One that is gone, or is something
// else now, may be named anywhere.
func (v *Validator) nextGroups(before, after []*Group) bool {
	gone, come := apart(before, after)
	if len(gone)+len(come) == 0 {
		return true
	}
	clear(v.groups)
	for n, g := range after {
		v.unique(g.what(), g.Name, ofGroup(n).at(keyName), v.groups)
	}
	for _, was := range gone {
		n, isThere := v.groups[was.Name]
		if !isThere || after[n].IsNetwork != was.IsNetwork || after[n].Shared != was.Shared {
			return false
		}
	}
	for _, n := range come {
		v.group(ofGroup(n), after[n])
	}
	return true
}

func (v *Validator) nextInstances(before, after []*Instance) bool {
	gone, come := apart(before, after)
	for _, i := range gone {
		v.release(i)
	}
	for _, n := range come {
		if i := after[n]; i.Host == "" || !v.claim(i) {
			return false // a port on every host is compared with all others
		}
		v.instance(ofInstance(n), after[n])
	}
	for _, n := range come {
		for nth := range after[n].Ports {
			for _, a := range after[n].Ports[nth].Allowed {
				if _, isOwn := v.macs[a.MAC]; isOwn {
					return false // of another port, or its own
				}
			}
		}
	}
	return true
}

// release forgets an instance that is not there any more.
func (v *Validator) release(i *Instance) {
	delete(v.instances, i.Name)
	for n := range i.Ports {
		p := &i.Ports[n]
		delete(v.ports, hostPort{i.Host, p.Name})
		if i.MigratingTo != "" {
			delete(v.ports, hostPort{i.MigratingTo, p.Name})
		}
		delete(v.ifaceIDs, p.IfaceID)
		delete(v.macs, p.MAC)
		v.claims.add(p, -1)
	}
}

// claim notes what the ports of an instance have, and says whether nobody has it. Where somebody has,
// it is Validate that puts it into words: the places that are known are those of a policy before.
func (v *Validator) claim(i *Instance) bool {
	if _, isTaken := v.instances[i.Name]; isTaken {
		return false
	}
	for n := range i.Ports {
		p := &i.Ports[n]
		if v.isTaken(i, p) || p.anyNetwork(LinkLocalNet.Overlaps) || v.claims.shared[p.MAC] > 0 ||
			slices.ContainsFunc(p.Addresses, v.claims.overlaps) {
			return false
		}
		v.claims.add(p, 1)
	}
	return true
}

// isTaken says whether another port has what names a port.
func (v *Validator) isTaken(i *Instance, p *Port) bool {
	_, isHere := v.ports[hostPort{i.Host, p.Name}]
	_, isThere := v.ports[hostPort{i.MigratingTo, p.Name}]
	_, isIdentity := v.ifaceIDs[p.IfaceID]
	_, isMAC := v.macs[p.MAC]
	return isHere || isThere || isIdentity || isMAC
}

// make notes what the ports of a policy have; false = it has some that are compared with all others.
func (c *claims) make(p *Policy) bool {
	*c = claims{networks: make(map[netip.Prefix]int, len(p.Instances)),
		lengths: map[family]int{}, shared: map[MAC]int{}}
	for _, i := range p.Instances {
		if i.Host == "" {
			return false
		}
		for n := range i.Ports {
			if i.Ports[n].anyNetwork(LinkLocalNet.Overlaps) {
				return false
			}
			c.add(&i.Ports[n], 1)
		}
	}
	c.isMade = true
	return true
}

// add notes what a port has so many times more.
func (c *claims) add(p *Port, times int) {
	for _, a := range p.Addresses {
		count(c.networks, a, times)
		count(c.lengths, family{a.Bits(), a.Addr().Is6()}, times)
	}
	for _, a := range p.Allowed {
		if !a.MAC.IsZero() {
			count(c.shared, a.MAC, times)
		}
	}
}

func count[K comparable](m map[K]int, key K, times int) {
	if m[key] += times; m[key] == 0 {
		delete(m, key)
	}
}

// overlaps says whether some port may have a network in, or around, another one.
func (c *claims) overlaps(p netip.Prefix) bool {
	for f := range c.lengths {
		if f.is6 != p.Addr().Is6() {
			continue
		}
		if f.bits > p.Bits() {
			return true // it may hold some of them
		}
		around, err := p.Addr().Prefix(f.bits)
		if err != nil || c.networks[around] > 0 {
			return true
		}
	}
	return false
}

// apart returns what only the first of two lists has, and where the second has what only it has.
func apart[T any](before, after []*T) (gone []*T, come []int) {
	from := 0
	for from < min(len(before), len(after)) && before[from] == after[from] {
		from++
	}
	before, list := before[from:], after[from:]
	for len(before) > 0 && len(list) > 0 && before[len(before)-1] == list[len(list)-1] {
		before, list = before[:len(before)-1], list[:len(list)-1]
	}
	was := make(map[*T]bool, len(before))
	for _, one := range before {
		was[one] = true
	}
	for n, one := range list {
		if was[one] {
			delete(was, one)
		} else {
			come = append(come, from+n)
		}
	}
	for _, one := range before {
		if was[one] {
			gone = append(gone, one)
		}
	}
	return gone, come
}
