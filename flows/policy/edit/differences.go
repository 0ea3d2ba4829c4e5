package edit

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// What tells two policies apart, in the words of policies: the history tells it of two generations.

// Difference is one thing that only one of two policies has.
type Difference struct {
	Object string `json:"object"` // such as group "web"
	// What is "removed", "added", or what is different: "- ingress tcp 80 from …" or "+ …" of rules,
	// "host hv1 → hv2" of what has one value.
	What string `json:"what"`
}

// String returns one line.
func (d Difference) String() string { return d.Object + ": " + d.What }

// Differences returns what leads from one policy to another, in the order of kinds and names.
func Differences(before, after *policy.Policy) []Difference {
	out := append(differences(projects, before, after, ofProjects),
		differences(groups, before, after, ofGroups)...)
	return append(out, differences(instances, before, after, ofInstances)...)
}

func differences[T any](k kind[T], before, after *policy.Policy,
	parts func(a, b *T) []string) []Difference {
	old, next := map[string]*T{}, map[string]*T{}
	var names []string
	for _, v := range *k.list(before) {
		old[k.name(v)] = v
		names = append(names, k.name(v))
	}
	for _, v := range *k.list(after) {
		next[k.name(v)] = v
		names = append(names, k.name(v))
	}
	slices.Sort(names)
	var out []Difference
	for _, name := range slices.Compact(names) {
		a, b := old[name], next[name]
		switch {
		case a == b:
		case a == nil:
			out = append(out, Difference{k.quoted(name), "added"})
			a = new(T)
		case b == nil:
			out = append(out, Difference{k.quoted(name), "removed"})
			continue
		}
		if a != b {
			for _, part := range parts(a, b) {
				out = append(out, Difference{k.quoted(name), part})
			}
		}
	}
	return out
}

func ofProjects(a, b *policy.Project) []string {
	return value(nil, "description", a.Description, b.Description)
}

func ofGroups(a, b *policy.Group) []string {
	out := value(nil, "description", a.Description, b.Description)
	out = value(out, "shared", a.Shared, b.Shared)
	out = items(out, "external source ", texts(a.ExternalSources), texts(b.ExternalSources))
	return items(out, "", texts(a.Rules), texts(b.Rules))
}

func ofInstances(a, b *policy.Instance) []string {
	out := value(nil, "host", hostText(a), hostText(b))
	out = value(out, "migrating_to", a.MigratingTo, b.MigratingTo)
	out = items(out, "group ", a.Groups, b.Groups)
	old := map[string]*policy.Port{}
	for n := range a.Ports {
		old[a.Ports[n].Name] = &a.Ports[n]
	}
	for n := range b.Ports {
		port := &b.Ports[n]
		was, isThere := old[port.Name]
		if delete(old, port.Name); !isThere {
			out = append(out, "+ port "+port.Name)
			was = &policy.Port{}
		}
		out = append(out, ofPorts(was, port)...)
	}
	for _, p := range a.Ports {
		if old[p.Name] != nil {
			out = append(out, "- port "+p.Name)
		}
	}
	return out
}

func hostText(i *policy.Instance) string {
	if i.Host == policy.Nowhere {
		return ""
	}
	return i.Host
}

func ofPorts(a, b *policy.Port) []string {
	name := "port " + b.Name + ": "
	out := value(nil, "mac", a.MAC, b.MAC)
	out = value(out, "iface_id", a.IfaceID, b.IfaceID)
	out = items(out, "address ", texts(a.Addresses), texts(b.Addresses))
	out = items(out, "allowed ", allowedTexts(a), allowedTexts(b))
	out = value(out, "type", a.Type, b.Type)
	out = value(out, "host_device", a.HostDevice, b.HostDevice)
	out = value(out, "trusted", a.Trusted, b.Trusted)
	out = value(out, "ethertypes", a.EtherTypes, b.EtherTypes)
	out = value(out, "limits", a.Limits, b.Limits)
	out = value(out, "log_denied", a.LogDenied, b.LogDenied)
	for n := range out {
		out[n] = name + out[n]
	}
	return out
}

func allowedTexts(p *policy.Port) []string {
	var out []string
	for _, a := range p.Allowed {
		text := a.Prefix.String()
		if !a.MAC.IsZero() {
			text += " with " + a.MAC.String()
		}
		out = append(out, text)
	}
	return out
}

// value adds what one value was and is, if these differ.
func value[T any](out []string, what string, a, b T) []string {
	if reflect.DeepEqual(a, b) {
		return out
	}
	var none T
	say := func(v T) string {
		if reflect.DeepEqual(v, none) {
			return "none"
		}
		return strings.TrimSpace(fmt.Sprintf("%v", v))
	}
	return append(out, fmt.Sprintf("%s %s → %s", what, say(a), say(b)))
}

// items adds what only one of two lists has.
func items(out []string, what string, a, b []string) []string {
	for _, text := range a {
		if !slices.Contains(b, text) {
			out = append(out, "- "+what+text)
		}
	}
	for _, text := range b {
		if !slices.Contains(a, text) {
			out = append(out, "+ "+what+text)
		}
	}
	return out
}

func texts[T fmt.Stringer](list []T) []string {
	out := make([]string, len(list))
	for n, v := range list {
		out[n] = v.String()
	}
	return out
}
