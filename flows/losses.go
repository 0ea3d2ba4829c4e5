package flows

import (
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
)

// Losses returns the local ports that could do something under the old input that they may not do under the new one: these need a new
// epoch, so that their connections are judged again. Sorted. It may name a port that lost nothing in effect (another rule may still
// admit the same): judging a connection again costs a look at the rules and no packet. A port that is new is not named.
func Losses(before, after Input) []string {
	was, is := permissions(before), permissions(after)
	kept := map[string]bool{}
	shrunk := func(group string) bool {
		if _, known := kept[group]; !known {
			kept[group] = includes(is.members[group], was.members[group])
		}
		return !kept[group]
	}
	var lost []string
	for name, had := range was.ports {
		if has, stays := is.ports[name]; stays && loses(had, has, shrunk) {
			lost = append(lost, name)
		}
	}
	slices.Sort(lost)
	return lost
}

// permission is all that the groups of one port give it.
type permission struct {
	open  bool                   // egress is open
	rules map[string]policy.Rule // by what they admit
}

type permissionSet struct {
	ports   map[string]permission
	members map[string][]netip.Prefix
}

func permissions(in Input) permissionSet {
	set := permissionSet{ports: map[string]permission{}, members: in.Policy.Members()}
	groups := make(map[string]*policy.Group, len(in.Policy.Groups))
	for _, g := range in.Policy.Groups {
		groups[g.Name] = g
	}
	for _, i := range in.Policy.Instances {
		if !i.IsLocal(in.Site.Host) {
			continue
		}
		p := permission{open: true, rules: map[string]policy.Rule{}}
		for _, name := range i.Groups {
			for _, r := range groups[name].Rules {
				p.rules[r.String()] = r
				p.open = p.open && r.Direction != policy.Egress
			}
		}
		for _, port := range i.Ports {
			if !port.Trusted {
				set.ports[port.Name] = p
			}
		}
	}
	return set
}

func loses(had, has permission, shrunk func(group string) bool) bool {
	if had.open && !has.open {
		return true
	}
	for what, r := range had.rules {
		if r.Direction == policy.Egress && has.open {
			continue
		}
		if _, stays := has.rules[what]; !stays || r.Peer.Group != "" && shrunk(r.Peer.Group) {
			return true
		}
	}
	return false
}

// includes says whether every network of part is in whole; both are sorted.
func includes(whole, part []netip.Prefix) bool {
	i := 0
	for _, p := range part {
		for i < len(whole) && policy.ComparePrefix(whole[i], p) < 0 {
			i++
		}
		if i == len(whole) || whole[i] != p {
			return false
		}
	}
	return true
}
