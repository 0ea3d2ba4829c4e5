package explain

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/policy"
)

// AccessChanges says in words what a new policy changes: for whom which access is gained and lost,
// and which ports are not what they were. A packet that one policy lets pass and the other does not
// is told of by a line, and each line tells of such packets.
type AccessChanges struct {
	Loses []AccessChange `json:"loses"`
	Gains []AccessChange `json:"gains"`
	Ports []PortChange   `json:"ports"`
}

// Empty says whether nothing changes for anybody.
func (c AccessChanges) Empty() bool { return len(c.Loses)+len(c.Gains)+len(c.Ports) == 0 }

// AccessChange is access that some instances gain or lose alike.
type AccessChange struct {
	Direction string `json:"direction"` // seen from the instances
	Group     string `json:"group,omitempty"`
	// sorted; all members of Group, if there is one
	Instances []string `json:"instances"`
	// of both families; neighbour discovery is not meant
	Services Services `json:"services"`
	// the group whose members the networks are, if it is all of them
	Peer     string         `json:"peer,omitempty"`
	Networks []netip.Prefix `json:"networks"` // of the peers
	// and these are not meant, though in Networks
	Except []netip.Prefix `json:"except,omitempty"`
	// that admit it, before or after; none where egress is open
	Rules []Named `json:"rules,omitempty"`
	// the rule that closes egress, where it was open
	ClosedBy *Named `json:"closed_by,omitempty"`
	// egress is open now, because the last egress rule is gone
	OpenedBy bool `json:"opened,omitempty"`

	peers *addresses
}

// accessClass are instances that have the same groups before, and the same groups after.
type accessClass struct {
	was, is   Point // one of them
	instances []string
}

// CompareAccess says what becomes different where one policy takes the place of another.
func CompareAccess(before, after *policy.Policy) AccessChanges {
	return NewIndex(before).CompareAccess(NewIndex(after))
}

// CompareAccess is the function [CompareAccess]. It looks at what a change touches: the groups that
// are not what they were, those whose rules name them as peers, and the instances in these.
func (x *Index) CompareAccess(after *Index) AccessChanges {
	c, _ := x.CompareAccessUntil(after, func() bool { return false })
	return c
}

// CompareAccessUntil is CompareAccess that gives up when over says that it is over, which it asks
// again and again; whole = it did not.
func (x *Index) CompareAccessUntil(after *Index, over func() bool) (c AccessChanges, whole bool) {
	c = x.compare(after, touchedBy(policy.Changed(x.policy, after.policy), x, after), over)
	return c, !over()
}

func (x *Index) compare(after *Index, t touched, over func() bool) AccessChanges {
	peers := &peerSets{map[string]*addresses{}, t.members}
	was, is := newAccess(x, peers), newAccess(after, peers)
	loses, gains := newChangeList(), newChangeList()
	for _, class := range t.accessClasses(after.policy) {
		for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
			b, a := was.of(class.was, d), is.of(class.is, d)
			if b.equal(a) {
				continue
			}
			lost, gained := b.lost(a, over), a.lost(b, over)
			for i := range lost {
				lost[i].ClosedBy = closing(b, a)
			}
			for i := range gained {
				gained[i].OpenedBy = a.open && !b.open
			}
			loses.add(lost, d, class.instances)
			gains.add(gained, d, class.instances)
		}
		if over() {
			return AccessChanges{}
		}
	}
	n := naming{touched: t, before: x, after: after, known: map[staying][]string{}, over: over}
	return AccessChanges{Loses: n.name(was, loses.list), Gains: n.name(is, gains.list),
		Ports: t.portChanges()}
}

// lost returns what a admits and b does not, with the rules of a that admit it.
func (a portAccess) lost(b portAccess, over func() bool) []AccessChange {
	list := a.minus(b, over)
	if len(list) == 0 {
		return nil
	}
	rules := newAdmission(a)
	for i := range list {
		if over() {
			return nil
		}
		list[i].Rules = rules.of(list[i])
	}
	return list
}

func closing(before, after portAccess) *Named {
	if before.open && !after.open && len(after.rules) > 0 {
		return &after.rules[0].Named
	}
	return nil
}

func isFiltered(i *policy.Instance) bool {
	return slices.ContainsFunc(i.Ports, func(p policy.Port) bool { return !p.Trusted })
}

func sortedNames(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// changeList are changes, each once.
type changeList struct {
	list  []AccessChange
	known map[string][]int // their places in it, by what is admitted to whom
}

func newChangeList() *changeList { return &changeList{[]AccessChange{}, map[string][]int{}} }

// add adds changes of some instances, together with those of others that are the same.
func (l *changeList) add(more []AccessChange, d policy.Direction, instances []string) {
	for _, c := range more {
		c.Direction = d.String()
		key := c.Direction + " " + c.Services.key() + " " + c.peers.key()
		at := slices.IndexFunc(l.known[key],
			func(n int) bool { return slices.Equal(l.list[n].Rules, c.Rules) })
		if at >= 0 {
			o := &l.list[l.known[key][at]]
			o.Instances = append(o.Instances, instances...)
			continue
		}
		c.Instances = slices.Clip(instances) // which others have, too
		l.known[key] = append(l.known[key], len(l.list))
		l.list = append(l.list, c)
	}
}

// naming finds the groups whose members are meant.
type naming struct {
	touched
	before, after *Index
	known         map[staying][]string
	over          func() bool
}

// staying are the members that a group has under one policy of the instances in both.
type staying struct {
	of    *Index
	group string
}

// name finds the groups whose members are meant, and puts the lines in order.
func (n naming) name(x *access, list []AccessChange) []AccessChange {
	for i := range list {
		c := &list[i]
		if n.over() {
			return nil
		}
		if !slices.IsSorted(c.Instances) {
			c.Instances = slices.Sorted(slices.Values(c.Instances))
		}
		c.Networks, c.Except = written(c.peers.IPSet)
		candidates := []Named{}
		candidates = append(candidates, c.Rules...)
		if c.ClosedBy != nil {
			candidates = append(candidates, *c.ClosedBy)
		}
		for _, r := range candidates {
			if c.Group == "" && (slices.Equal(c.Instances, n.staying(n.before, r.Group)) ||
				slices.Equal(c.Instances, n.staying(n.after, r.Group))) {
				c.Group = r.Group
			}
			c.Peer = cmp.Or(c.Peer, x.peerLike(r.rule, c.peers.IPSet))
		}
	}
	slices.SortStableFunc(list, func(a, b AccessChange) int {
		return strings.Compare(a.Group+"\x00"+a.Instances[0], b.Group+"\x00"+b.Instances[0])
	})
	return list
}

// peerLike returns the group, among the peers of a rule, whose members are a set; "" = none.
func (x *access) peerLike(r *policy.Rule, set *netipx.IPSet) string {
	if r == nil {
		return ""
	}
	for _, p := range r.Peers {
		members := x.index.members(p.Group)
		if p.Group != "" && members != nil && set.Equal(members) {
			return p.Group
		}
	}
	return ""
}

// staying returns the filtered members, sorted, that a group has under one of the policies of the
// instances in both.
func (n naming) staying(of *Index, group string) []string {
	key := staying{of, group}
	out, known := n.known[key]
	if known {
		return out
	}
	for _, at := range of.memberOf()[group] {
		if i := of.policy.Instances[at]; n.stays(i.Name) && isFiltered(i) {
			out = append(out, i.Name)
		}
	}
	slices.Sort(out)
	n.known[key] = out
	return out
}

// written returns the networks of a set, or, where that is shorter, all of a family but some.
func written(set *netipx.IPSet) (networks, except []netip.Prefix) {
	networks = set.Prefixes()
	var bases []netip.Prefix
	var others netipx.IPSetBuilder
	for _, all := range []netip.Prefix{allOf4, allOf6} {
		if set.OverlapsPrefix(all) {
			bases = append(bases, all)
			others.AddPrefix(all)
		}
	}
	if len(networks) <= len(bases) {
		return networks, nil
	}
	others.RemoveSet(set)
	rest, _ := others.IPSet() // all its parts are valid
	if except = rest.Prefixes(); len(bases)+len(except) < len(networks) {
		return bases, except
	}
	return networks, nil
}

// What a change of a policy touches, so that a comparison looks at no more.
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
	for _, c := range out {
		slices.Sort(c.instances)
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
