package policy

import (
	"reflect"
	"slices"
	"strings"
)

// Changes is what tells two policies apart. What is the same in both but for positions and
// descriptions is not a change.
type Changes struct {
	GoneGroups, NewGroups       []*Group // a group that changed is in both
	GoneInstances, NewInstances []*Instance
}

// Empty says whether the two policies admit the same by the same rules.
func (c Changes) Empty() bool {
	return len(c.GoneGroups)+len(c.NewGroups)+len(c.GoneInstances)+len(c.NewInstances) == 0
}

// Changed returns what turns one policy into another; the order of groups and instances does not
// matter. It looks into those only that the two do not share, so it takes next to no time where
// these are few.
func Changed(before, after *Policy) Changes {
	var c Changes
	c.GoneGroups, c.NewGroups = difference(before.Groups, after.Groups,
		func(g *Group) string { return g.Name }, (*Group).equal)
	c.GoneInstances, c.NewInstances = difference(before.Instances, after.Instances,
		func(i *Instance) string { return i.Name }, (*Instance).Equal)
	return c
}

// difference returns what is in one list only: by pointer, then by name and value.
func difference[T any](before, after []*T, name func(*T) string, equal func(a, b *T) bool) (gone,
	come []*T) {
	gone, come = Unshared(before, after)
	byName := make(map[string]*T, len(gone))
	for _, v := range gone {
		byName[name(v)] = v
	}
	same := map[*T]bool{}
	come = slices.DeleteFunc(come, func(v *T) bool {
		old := byName[name(v)]
		if old == nil || same[old] || !equal(old, v) {
			return false
		}
		same[old] = true
		return true
	})
	return slices.DeleteFunc(gone, func(v *T) bool { return same[v] }), come
}

// Unshared returns what is in one list only, by pointer, in order. It is quick where the lists have
// most in common.
func Unshared[T any](before, after []*T) (gone, come []*T) {
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && before[len(before)-1] == after[len(after)-1] {
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	was := make(map[*T]bool, len(before))
	for _, v := range before {
		was[v] = true
	}
	for _, v := range after {
		if was[v] {
			delete(was, v)
		} else {
			come = append(come, v)
		}
	}
	for _, v := range before {
		if was[v] {
			gone = append(gone, v)
		}
	}
	return gone, come
}

// Share returns a policy that says what after does, and has of before by pointer what is the same
// in both, so that later comparisons find the rest at once. Instances are the same wherever they
// are written; groups where they are written at the same places, too, which answers tell.
func Share(before, after *Policy) *Policy {
	return &Policy{
		Projects: shared(before.Projects, after.Projects,
			func(p *Project) string { return p.Name },
			func(a, b *Project) bool { return *a == *b }),
		Groups: shared(before.Groups, after.Groups, func(g *Group) string { return g.Name },
			func(a, b *Group) bool { return reflect.DeepEqual(a, b) }),
		Instances: shared(before.Instances, after.Instances,
			func(i *Instance) string { return i.Name }, (*Instance).Equal)}
}

// shared is after with the elements of before in place of those that are the same.
func shared[T any](before, after []*T, name func(*T) string, equal func(a, b *T) bool) []*T {
	out := slices.Clone(after)
	var byName map[string]*T
	for n, v := range after {
		if n < len(before) && name(before[n]) == name(v) { // mostly all are where they were
			if equal(before[n], v) {
				out[n] = before[n]
			}
			continue
		}
		if byName == nil {
			byName = make(map[string]*T, len(before))
			for _, old := range before {
				byName[name(old)] = old
			}
		}
		if old := byName[name(v)]; old != nil && equal(old, v) {
			out[n] = old
		}
	}
	return out
}

func (g *Group) equal(h *Group) bool {
	return g.Name == h.Name && g.IsNetwork == h.IsNetwork && slices.Equal(g.ExternalSources, h.ExternalSources) &&
		slices.EqualFunc(g.Rules, h.Rules, Rule.Equal)
}

// Sorted is an instance with its groups and ports in order, each group once.
func (i Instance) Sorted() Instance {
	i.Groups = slices.Compact(slices.Sorted(slices.Values(i.Groups)))
	i.Ports = slices.SortedFunc(slices.Values(i.Ports),
		func(a, b Port) int { return strings.Compare(a.Name, b.Name) })
	return i
}

// Equal says whether two instances are the same but for where they are written.
func (i *Instance) Equal(j *Instance) bool {
	return i.Name == j.Name && i.Host == j.Host && i.MigratingTo == j.MigratingTo &&
		slices.Equal(i.Groups, j.Groups) &&
		slices.EqualFunc(i.Ports, j.Ports, Port.Equal)
}

// Equal says whether two sites are the same.
func (s Site) Equal(o Site) bool {
	return s.Host == o.Host && s.Limits == o.Limits && s.OutsideFragments == o.OutsideFragments &&
		s.LogDenied == o.LogDenied && s.UplinkSources == o.UplinkSources &&
		slices.Equal(s.Gateways, o.Gateways) && slices.Equal(s.DHCPServers, o.DHCPServers)
}

// Equal says whether two ports are the same but for where they are written.
func (p Port) Equal(q Port) bool {
	return p.Name == q.Name && p.IfaceID == q.IfaceID && p.MAC == q.MAC && p.Type == q.Type &&
		p.HostDevice == q.HostDevice && p.Trusted == q.Trusted && p.Limits == q.Limits && p.LogDenied == q.LogDenied &&
		slices.Equal(p.Addresses, q.Addresses) && slices.Equal(p.Allowed, q.Allowed) &&
		slices.Equal(p.EtherTypes, q.EtherTypes)
}
