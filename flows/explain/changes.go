package explain

import (
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
	was, is := newAccess(before), newAccess(after)
	out := AccessChanges{Loses: []AccessChange{}, Gains: []AccessChange{},
		Ports: portChanges(before, after)}
	for _, class := range accessClasses(before, after) {
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
	out.Loses, out.Gains = was.naming(out.Loses, before, after), is.naming(out.Gains, before, after)
	return out
}

func closing(before, after portAccess) *Named {
	if before.open && !after.open && len(after.rules) > 0 {
		return &after.rules[0].Named
	}
	return nil
}

// accessClasses groups the instances that are in both policies, unless no rule is asked about them.
func accessClasses(before, after *policy.Policy) []accessClass {
	old := map[string]*policy.Instance{}
	for _, i := range before.Instances {
		old[i.Name] = i
	}
	index := map[string]int{}
	var out []accessClass
	for _, i := range after.Instances {
		o := old[i.Name]
		if o == nil {
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

// naming finds the groups whose members are meant, and puts the lines in order.
func (x *access) naming(list []AccessChange, before, after *policy.Policy) []AccessChange {
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
			if c.Group == "" && (slices.Equal(c.Instances, stayingMembers(before, before, after, r.Group)) ||
				slices.Equal(c.Instances, stayingMembers(after, before, after, r.Group))) {
				c.Group = r.Group
			}
			if g := r.rule.Peer.Group; c.Peer == "" && g != "" && x.index.members(g) != nil &&
				c.peers.Equal(x.index.members(g)) {
				c.Peer = g
			}
		}
	}
	slices.SortStableFunc(list, func(a, b AccessChange) int {
		return strings.Compare(a.Group+"\x00"+a.Instances[0], b.Group+"\x00"+b.Instances[0])
	})
	return list
}

// written returns the networks of a set, or, where that is shorter, all of a family but some.
func written(set *netipx.IPSet) (networks, except []netip.Prefix) {
	networks = set.Prefixes()
	var bases []netip.Prefix
	for _, all := range []netip.Prefix{allOf4, allOf6} {
		if set.OverlapsPrefix(all) {
			bases = append(bases, all)
		}
	}
	rest := remaining(map[string]*netipx.IPSet{}, []*netipx.IPSet{setOf(bases...)},
		[]*netipx.IPSet{set}, bases...)
	if others := rest.Prefixes(); len(bases)+len(others) < len(networks) {
		return bases, others
	}
	return networks, nil
}

// stayingMembers returns the filtered members that a policy's group has of the instances in both
// policies.
func stayingMembers(of, before, after *policy.Policy, group string) []string {
	stays := map[string]int{}
	for _, p := range []*policy.Policy{before, after} {
		for _, i := range p.Instances {
			stays[i.Name]++
		}
	}
	var out []string
	for _, i := range of.Instances {
		if stays[i.Name] == 2 && isFiltered(i) && slices.Contains(i.Groups, group) {
			out = append(out, i.Name)
		}
	}
	slices.Sort(out)
	return out
}
