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

	peers *netipx.IPSet
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
	return x.compare(after, touchedBy(policy.Changed(x.policy, after.policy), x, after))
}

func (x *Index) compare(after *Index, t touched) AccessChanges {
	peers := &peerSets{map[string]*addresses{}, t.members}
	was := newAccess(x, peers)
	is := newAccess(after, peers)
	out := AccessChanges{Loses: []AccessChange{}, Gains: []AccessChange{}, Ports: t.portChanges()}
	for _, class := range t.accessClasses(after.policy) {
		for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
			b, a := was.of(class.was, d), is.of(class.is, d)
			if b.equal(a) {
				continue
			}
			lost, gained := b.minus(a), a.minus(b)
			for i := range lost {
				lost[i].Rules, lost[i].ClosedBy = b.admitting(lost[i]), closing(b, a)
			}
			for i := range gained {
				gained[i].Rules, gained[i].OpenedBy = a.admitting(gained[i]), a.open && !b.open
			}
			out.Loses = collect(out.Loses, lost, d, class.instances)
			out.Gains = collect(out.Gains, gained, d, class.instances)
		}
	}
	n := naming{touched: t, before: x, after: after, known: map[staying][]string{}}
	out.Loses, out.Gains = n.name(was, out.Loses), n.name(is, out.Gains)
	return out
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

// collect adds changes of some instances, together with those of others that are the same.
func collect(list, more []AccessChange, d policy.Direction, instances []string) []AccessChange {
	for _, c := range more {
		c.Direction = d.String()
		same := func(o AccessChange) bool {
			return o.Direction == c.Direction && slices.Equal(o.Services, c.Services) &&
				o.peers.Equal(c.peers) && slices.Equal(o.Rules, c.Rules)
		}
		if n := slices.IndexFunc(list, same); n >= 0 {
			list[n].Instances = append(list[n].Instances, instances...)
			continue
		}
		c.Instances = slices.Clone(instances)
		list = append(list, c)
	}
	return list
}

// naming finds the groups whose members are meant.
type naming struct {
	touched
	before, after *Index
	known         map[staying][]string
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
		slices.Sort(c.Instances)
		c.Networks, c.Except = written(c.peers)
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
			c.Peer = cmp.Or(c.Peer, x.peerLike(r.rule, c.peers))
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
