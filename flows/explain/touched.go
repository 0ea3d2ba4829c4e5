package explain

import (
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// What a change of a policy touches, so that a comparison looks at no more. changes.go compares it.
// Invariant: whoever is not touched may do after the change what it could do before.

// touched is what tells two policies apart, and whom that is about.
type touched struct {
	changes policy.Changes
	gone    map[string]*policy.Instance // those that changed, as they were, by name
	come    map[string]*policy.Instance // and as they are
	members map[string]bool             // groups that may not have the members that they had
	groups  map[string]bool             // groups whose members may not have the access that they had
}

func touchedBy(c policy.Changes, before, after *Index) touched {
	t := touched{changes: c, gone: byName(c.GoneInstances), come: byName(c.NewInstances),
		members: map[string]bool{}, groups: map[string]bool{}}
	for _, i := range slices.Concat(c.GoneInstances, c.NewInstances) {
		for _, g := range i.Groups {
			t.members[g] = true
		}
	}
	for _, g := range slices.Concat(c.GoneGroups, c.NewGroups) {
		t.groups[g.Name] = true
		if !slices.Equal(sourcesOf(before.groups[g.Name]), sourcesOf(after.groups[g.Name])) {
			t.members[g.Name] = true
		}
	}
	if len(t.members) == 0 {
		return t
	}
	for _, p := range []*policy.Policy{before.policy, after.policy} {
		for _, g := range p.Groups {
			if slices.ContainsFunc(g.Rules, func(r policy.Rule) bool {
				return slices.ContainsFunc(r.Peers,
					func(p policy.Peer) bool { return t.members[p.Group] })
			}) {
				t.groups[g.Name] = true
			}
		}
	}
	return t
}

func byName(list []*policy.Instance) map[string]*policy.Instance {
	out := make(map[string]*policy.Instance, len(list))
	for _, i := range list {
		out[i.Name] = i
	}
	return out
}

// sourcesOf lists the external sources of a group; without any it has a part, so that a group that
// is there differs from one that is not.
func sourcesOf(groups []*policy.Group) []string {
	var out []string
	for _, g := range groups {
		out = append(out, "")
		for _, n := range g.ExternalSources {
			out = append(out, n.String())
		}
	}
	return out
}

// stays says whether an instance that is in one of the policies is in both.
func (t touched) stays(name string) bool {
	return (t.gone[name] != nil) == (t.come[name] != nil)
}

// accessClasses groups the instances that are in both policies and touched, unless no rule is asked
// about them.
func (t touched) accessClasses(after *policy.Policy) []accessClass {
	index := map[string]int{}
	var out []accessClass
	for _, i := range after.Instances {
		o := i
		if t.come[i.Name] == i {
			o = t.gone[i.Name]
		}
		if o == nil || !t.isAbout(o, i) {
			continue
		}
		key := strings.Join(sortedNames(o.Groups), "\x00") + "\x01" + strings.Join(sortedNames(i.Groups),
			"\x00")
		n, known := index[key]
		if !known {
			n, index[key] = len(out), len(out)
			out = append(out, accessClass{was: Point{local: placed{Instance: o}},
				is: Point{local: placed{Instance: i}}})
		}
		if isFiltered(o) || isFiltered(i) {
			out[n].instances = append(out[n].instances, i.Name)
		}
	}
	return slices.DeleteFunc(out, func(c accessClass) bool { return len(c.instances) == 0 })
}

// isAbout says whether an instance may have other access than before.
func (t touched) isAbout(was, is *policy.Instance) bool {
	if was != is {
		return true
	}
	return slices.ContainsFunc(is.Groups, func(g string) bool { return t.groups[g] })
}
