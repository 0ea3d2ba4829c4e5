package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
)

// PortChange is what becomes of some ports, whatever the rules say.
type PortChange struct {
	What  string    `json:"what"` // "new", "gone", "no longer has 203.0.113.11" …
	Ports []PortRef `json:"ports"`
}

// PortRef names a port.
type PortRef struct {
	Instance string `json:"instance"`
	Port     string `json:"port"`
}

// portChanges compares the ports of the instances that changed, by name.
func (t touched) portChanges() []PortChange {
	was, is := portsByName(t.changes.GoneInstances), portsByName(t.changes.NewInstances)
	found := map[string][]PortRef{}
	add := func(what string, l placed) {
		found[what] = append(found[what], PortRef{l.Instance.Name, l.Port.Name})
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
	out := []PortChange{}
	for _, what := range slices.Sorted(maps.Keys(found)) {
		slices.SortFunc(found[what], func(a, b PortRef) int {
			return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Port, b.Port))
		})
		out = append(out, PortChange{what, found[what]})
	}
	return out
}

func portsByName(instances []*policy.Instance) map[string]placed {
	out := map[string]placed{}
	for _, i := range instances {
		for n := range i.Ports {
			out[i.Ports[n].Name] = placed{i, &i.Ports[n]}
		}
	}
	return out
}

// becomes says what is different in a port of the same name.
func (l placed) becomes(now placed) []string {
	var out []string
	if l.Instance.Name != now.Instance.Name {
		out = append(out, fmt.Sprintf("belonged to instance %s", l.Instance.Name))
	}
	if l.Instance.Host != now.Instance.Host {
		out = append(out, fmt.Sprintf("moves from %s to %s", hostText(l.Instance.Host),
			hostText(now.Instance.Host)))
	}
	if l.Instance.MigratingTo != now.Instance.MigratingTo && now.Instance.MigratingTo != "" {
		out = append(out, "is about to move to "+now.Instance.MigratingTo+" and is local there, too")
	}
	if l.Port.MAC != now.Port.MAC {
		out = append(out, fmt.Sprintf("has the MAC %s instead of %s", now.Port.MAC, l.Port.MAC))
	}
	if l.Port.Trusted != now.Port.Trusted {
		out = append(out, map[bool]string{true: "is trusted now: no rule is asked",
			false: "is no longer trusted: its rules are asked"}[now.Port.Trusted])
	}
	if !slices.Equal(l.Port.EtherTypes, now.Port.EtherTypes) {
		out = append(out, fmt.Sprintf("passes the EtherTypes %#04x instead of %#04x", now.Port.EtherTypes,
			l.Port.EtherTypes))
	}
	return append(out, usesDiffer(listed(l.Port), listed(now.Port))...)
}

func hostText(host string) string {
	if host == "" {
		return "every host"
	}
	return host
}

// listed returns what the policy lists of a port, sorted; the link-local addresses of MACs follow.
func listed(p *policy.Port) []policy.Use {
	return slices.DeleteFunc(p.Uses(),
		func(u policy.Use) bool { return !slices.Contains(p.Listed(), u) })
}

// usesDiffer names the addresses that only one of the two has.
func usesDiffer(was, is []policy.Use) []string {
	var out []string
	tell := func(words string, list, other []policy.Use) {
		for _, u := range list {
			if !slices.Contains(other, u) {
				out = append(out, fmt.Sprintf("%s %s with MAC %s", words, networkText(u.Prefix), u.MAC))
			}
		}
	}
	tell("may no longer use", was, is)
	tell("may now use", is, was)
	return out
}
