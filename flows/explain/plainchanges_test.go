package explain

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go4.org/netipx"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// The plain comparison of access: of everybody, whatever has changed. What looks at the change
// alone must say the same.

// What is said of the part that a change touches is what is said of everything.
func TestOnlyWhatIsTouchedIsCompared(t *testing.T) {
	met := map[string]int{}
	one := func(t *rapid.T) {
		before := policytest.DrawWorld(t).Policy
		after := before
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			after = policytest.DrawSuccessor(t, after)
		}
		got := CompareAccess(before, after)
		require.Equal(t, jsonOf(t, plainCompare(before, after)), jsonOf(t, got))
		met["loses"] += len(got.Loses)
		met["gains"] += len(got.Gains)
		met["ports"] += len(got.Ports)
		for _, c := range append(got.Loses, got.Gains...) {
			if c.Group != "" {
				met["groups"]++
			}
			if c.Peer != "" {
				met["peers"]++
			}
		}
	}
	for range 4 {
		rapid.Check(t, one)
	}
	t.Log(met)
	for _, what := range []string{"loses", "gains", "ports", "groups", "peers"} {
		require.Positive(t, met[what], what)
	}
}

// plainCompare says what becomes different where one policy takes the place of another.
func plainCompare(before, after *policy.Policy) AccessChanges {
	was, is := plainAccess(before), plainAccess(after)
	out := AccessChanges{Loses: []AccessChange{}, Gains: []AccessChange{},
		Ports: plainPortChanges(before, after)}
	for _, class := range plainClasses(before, after) {
		for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
			b, a := was.of(class.was, d), is.of(class.is, d)
			if b.equal(a) {
				continue
			}
			lost, gained := b.plainMinus(a), a.plainMinus(b)
			for i := range lost {
				lost[i].Rules, lost[i].ClosedBy = b.plainAdmitting(lost[i]), closing(b, a)
			}
			for i := range gained {
				gained[i].Rules, gained[i].OpenedBy = a.plainAdmitting(gained[i]), a.open && !b.open
			}
			out.Loses = plainCollect(out.Loses, lost, d, class.instances)
			out.Gains = plainCollect(out.Gains, gained, d, class.instances)
		}
	}
	out.Loses = plainNaming(was, out.Loses, before, after)
	out.Gains = plainNaming(is, out.Gains, before, after)
	return out
}

// plainAdmitting returns the rules that have a part in a change.
func (a portAccess) plainAdmitting(c AccessChange) []Named {
	var out []Named
	for _, r := range a.rules {
		if r.Group != "" && r.peers.IPSet.Overlaps(c.peers.IPSet) &&
			len(r.services[0].Union(r.services[1]).Intersect(c.Services)) > 0 &&
			!slices.ContainsFunc(out, func(o Named) bool { return o.Group == r.Group && o.Rule == r.Rule }) {
			out = append(out, r.Named)
		}
	}
	return out
}

// plainMinus returns what a admits and b does not: sets of addresses with the services that they
// have in common, exactly.
func (a portAccess) plainMinus(b portAccess) []AccessChange {
	var out []AccessChange
	for v6 := range 2 {
		for _, piece := range plainPieces(v6, a, b) {
			rest := plainRemaining(a.plainCovering(piece, v6), b.plainCovering(piece, v6), v6 == 0)
			if rest == nil {
				continue
			}
			n := slices.IndexFunc(out, func(c AccessChange) bool { return c.peers.Equal(rest.IPSet) })
			if n >= 0 {
				out[n].Services = out[n].Services.Union(Services{piece})
				continue
			}
			out = append(out, AccessChange{Services: Services{piece}, peers: rest})
		}
	}
	return plainJoin(out)
}

// plainJoin puts together what differs in the family of the addresses only.
func plainJoin(list []AccessChange) []AccessChange {
	var out []AccessChange
	for _, c := range list {
		same := func(o AccessChange) bool {
			return slices.Equal(o.Services.Minus(Services{discovery}), c.Services.Minus(Services{discovery}))
		}
		n := slices.IndexFunc(out, same)
		if n < 0 {
			out = append(out, c)
			continue
		}
		var b netipx.IPSetBuilder
		b.AddSet(out[n].peers.IPSet)
		b.AddSet(c.peers.IPSet)
		both, _ := b.IPSet()
		out[n].peers = newAddresses(both)
		out[n].Services = out[n].Services.Union(c.Services)
	}
	return out
}

// plainPieces cuts the services of both at every border, so that each rule admits all of a piece or
// nothing of it.
func plainPieces(v6 int, both ...portAccess) []span {
	cuts := []uint32{0}
	for _, a := range both {
		for _, r := range a.rules {
			for _, s := range r.services[v6] {
				cuts = append(cuts, s.first, s.last+1)
			}
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []span
	for i := range len(cuts) - 1 {
		out = append(out, span{cuts[i], cuts[i+1] - 1})
	}
	return out
}

// plainCovering returns the peers of the rules that admit a piece.
func (a portAccess) plainCovering(piece span, v6 int) []*addresses {
	var out []*addresses
	for _, r := range a.rules {
		holds := func(s span) bool { return s.first <= piece.first && piece.last <= s.last }
		if slices.ContainsFunc(r.services[v6], holds) && !slices.Contains(out, r.peers) {
			out = append(out, r.peers)
		}
	}
	return out
}

// plainRemaining returns the addresses of one family that are in any of the first sets and in none
// of the others; nil = there are none.
func plainRemaining(in, without []*addresses, v4 bool) *addresses {
	var b netipx.IPSetBuilder
	for _, s := range in {
		b.AddSet(s.IPSet)
	}
	for _, s := range without {
		b.RemoveSet(s.IPSet)
	}
	b.RemovePrefix(map[bool]netip.Prefix{true: allOf6, false: allOf4}[v4])
	rest, _ := b.IPSet()
	if len(rest.Ranges()) == 0 {
		return nil
	}
	return newAddresses(rest)
}

// plainCollect adds changes of some instances, together with those of others that are the same.
func plainCollect(list, more []AccessChange, d policy.Direction, instances []string) []AccessChange {
	for _, c := range more {
		c.Direction = d.String()
		same := func(o AccessChange) bool {
			return o.Direction == c.Direction && slices.Equal(o.Services, c.Services) &&
				o.peers.Equal(c.peers.IPSet) && slices.Equal(o.Rules, c.Rules)
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

func plainAccess(p *policy.Policy) *access {
	all := map[string]bool{"": true}
	for _, g := range p.Groups {
		all[g.Name] = true
	}
	return newAccess(NewIndex(p), &peerSets{touched: all})
}

// plainClasses groups the instances that are in both policies, unless no rule is asked about them.
func plainClasses(before, after *policy.Policy) []accessClass {
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

// plainNaming finds the groups whose members are meant, and puts the lines in order.
func plainNaming(x *access, list []AccessChange, before, after *policy.Policy) []AccessChange {
	for i := range list {
		c := &list[i]
		slices.Sort(c.Instances)
		c.Networks, c.Except = written(c.peers.IPSet)
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
			for _, p := range r.rule.Peers {
				if m := x.index.members(p.Group); c.Peer == "" && p.Group != "" && m != nil &&
					c.peers.IPSet.Equal(m) {
					c.Peer = p.Group
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b AccessChange) int {
		return strings.Compare(a.Group+"\x00"+a.Instances[0], b.Group+"\x00"+b.Instances[0])
	})
	return list
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

// plainPortChanges compares the ports of two policies by name.
func plainPortChanges(before, after *policy.Policy) []PortChange {
	was, is := portsByName(before.Instances), portsByName(after.Instances)
	out := []PortChange{}
	add := func(what string, l placed) {
		ref := PortRef{l.Instance.Name, l.Port.Name}
		if n := slices.IndexFunc(out, func(c PortChange) bool { return c.What == what }); n >= 0 {
			out[n].Ports = append(out[n].Ports, ref)
			return
		}
		out = append(out, PortChange{what, []PortRef{ref}})
	}
	for name, l := range was {
		if _, stays := is[name]; !stays {
			add("gone", l)
		}
	}
	for name, l := range is {
		old, known := was[name]
		if !known {
			add("new", l)
			continue
		}
		for _, what := range old.becomes(l) {
			add(what, l)
		}
	}
	for i := range out {
		slices.SortFunc(out[i].Ports, func(a, b PortRef) int {
			return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Port, b.Port))
		})
	}
	slices.SortFunc(out, func(a, b PortChange) int { return strings.Compare(a.What, b.What) })
	return out
}
