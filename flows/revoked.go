package flows

import (
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
)

// RevokedPorts returns the local ports that could do something under the old input that they may
// not do under the new one: these need a new epoch, so that their connections are judged again.
// Sorted. It may name a port that lost nothing in effect (another rule may still admit the same):
// judging a connection again costs a look at the rules and no packet. A port that is new is not
// named.
func RevokedPorts(before, after Input) []string {
	changes, host := policy.Changed(before.Policy, after.Policy), after.Site.Host
	was, is := groupsByName(before.Policy), groupsByName(after.Policy)
	reduced := reducedGroups(changes, after.Policy)
	narrowed := narrowedGroups(changes, was, is, reduced)
	old := goneMemberships(changes.GoneInstances, host)
	if len(narrowed)+len(old) == 0 {
		return nil
	}
	come := make(map[*policy.Instance]bool, len(changes.NewInstances))
	for _, i := range changes.NewInstances {
		come[i] = true
	}
	var lost []string
	for _, i := range after.Policy.Instances {
		if !i.IsLocal(host) {
			continue
		}
		for _, p := range i.Ports {
			groups, had := i.Groups,
				slices.ContainsFunc(i.Groups, func(g string) bool { return narrowed[g] })
			if come[i] {
				groups, had = old[p.Name]
			}
			if had && !p.Trusted && isNarrowed(permissionOf(groups, was), permissionOf(i.Groups, is), reduced) {
				lost = append(lost, p.Name)
			}
		}
	}
	slices.Sort(lost)
	return lost
}

func groupsByName(p *policy.Policy) map[string]*policy.Group {
	out := make(map[string]*policy.Group, len(p.Groups))
	for _, g := range p.Groups {
		out[g.Name] = g
	}
	return out
}

// goneMemberships returns the groups that each port of this host was in, of those instances that
// are not what they were.
func goneMemberships(gone []*policy.Instance, host string) map[string][]string {
	out := map[string][]string{}
	for _, i := range gone {
		for _, p := range i.Ports {
			if i.IsLocal(host) && !p.Trusted {
				out[p.Name] = i.Groups
			}
		}
	}
	return out
}

// membership is a network that stands for a member of a group.
type membership struct {
	group   string
	network netip.Prefix
}

func eachMembership(groups []*policy.Group, instances []*policy.Instance, do func(membership)) {
	for _, g := range groups {
		for _, n := range g.ExternalSources {
			do(membership{g.Name, n})
		}
	}
	for _, i := range instances {
		for _, g := range i.Groups {
			for _, p := range i.Ports {
				for _, n := range p.Networks() {
					do(membership{g, n})
				}
			}
		}
	}
}

// reducedGroups returns the groups that a network is no longer a member of. All of the policy is
// looked at only where something was taken out of a group and not put back: another member may have
// the same address.
func reducedGroups(c policy.Changes, after *policy.Policy) map[string]bool {
	gone := map[membership]bool{}
	eachMembership(c.GoneGroups, c.GoneInstances, func(m membership) { gone[m] = true })
	eachMembership(c.NewGroups, c.NewInstances, func(m membership) { delete(gone, m) })
	if len(gone) > 0 {
		eachMembership(after.Groups, using(gone, after.Instances), func(m membership) { delete(gone, m) })
	}
	reduced := map[string]bool{}
	for m := range gone {
		reduced[m.group] = true
	}
	return reduced
}

// using returns the instances that may use a network of one of the memberships. It is the one look
// at everything that a loss costs.
func using(gone map[membership]bool, instances []*policy.Instance) []*policy.Instance {
	networks := make(map[netip.Prefix]bool, len(gone))
	for m := range gone {
		networks[m.network] = true
	}
	var out []*policy.Instance
	for _, i := range instances {
		if slices.ContainsFunc(i.Ports, func(p policy.Port) bool {
			return slices.ContainsFunc(p.Addresses, func(n netip.Prefix) bool { return networks[n] }) ||
				slices.ContainsFunc(p.Allowed, func(a policy.AllowedAddress) bool { return networks[a.Prefix] })
		}) {
			out = append(out, i)
		}
	}
	return out
}

// narrowedGroups returns the groups whose members may have lost something, if they are still in
// them. A group that lost its egress rules is one of them: another group may keep its members'
// egress closed.
func narrowedGroups(c policy.Changes, was, is map[string]*policy.Group,
	reduced map[string]bool) map[string]bool {
	out := map[string]bool{}
	for _, g := range slices.Concat(c.GoneGroups, c.NewGroups) {
		had, has := permissionOf([]string{g.Name}, was), permissionOf([]string{g.Name}, is)
		for what := range had.rules {
			if _, stays := has.rules[what]; !stays {
				out[g.Name] = true
			}
		}
		if had.open && !has.open {
			out[g.Name] = true
		}
	}
	for name, g := range was {
		if len(reduced) > 0 &&
			slices.ContainsFunc(g.Rules, func(r policy.Rule) bool { return hasReducedPeer(r, reduced) }) {
			out[name] = true
		}
	}
	return out
}

// permission is all that groups give to a member.
type permission struct {
	open  bool                   // egress is open
	rules map[string]policy.Rule // by what they admit
}

func permissionOf(names []string, groups map[string]*policy.Group) permission {
	p := permission{open: true, rules: map[string]policy.Rule{}}
	for _, name := range names {
		if groups[name] == nil {
			continue
		}
		for _, r := range groups[name].Rules {
			if !r.IsWithheld() {
				p.rules[r.String()] = r
			}
			p.open = p.open && r.Direction != policy.Egress
		}
	}
	return p
}

// hasReducedPeer says whether a peer of the rule is one of the groups.
func hasReducedPeer(r policy.Rule, reduced map[string]bool) bool {
	return slices.ContainsFunc(r.Peers, func(p policy.Peer) bool { return reduced[p.Group] })
}

func isNarrowed(had, has permission, reduced map[string]bool) bool {
	if had.open && !has.open {
		return true
	}
	for what, r := range had.rules {
		if r.Direction == policy.Egress && has.open {
			continue
		}
		if _, stays := has.rules[what]; !stays || hasReducedPeer(r, reduced) {
			return true
		}
	}
	return false
}
