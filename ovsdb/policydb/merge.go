package policydb

import (
	"reflect"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// A policy of files put into that of a database, by the names of its objects. Whoever makes an
// [Edit] of files calls it. Invariant: what was applied is found unchanged, and keeps its value.

// Merged puts the groups and instances of a policy into the place of those of their names. What is
// the same but for where it is written stays the value that it was.
func Merged(current, wanted *policy.Policy) *policy.Policy {
	return &policy.Policy{
		Projects: mergedList(current.Projects, wanted.Projects, projectName, plainProject),
		Groups:   mergedList(current.Groups, wanted.Groups, groupName, plainGroup),
		Instances: mergedList(current.Instances, wanted.Instances, instanceName,
			plainInstance),
	}
}

func mergedList[T any](current, wanted []*T, name func(*T) string, plain func(*T) *T) []*T {
	out := slices.Clone(current)
	at := make(map[string]int, len(out))
	for n, v := range out {
		at[name(v)] = n
	}
	for _, v := range wanted {
		v = plain(v)
		switch n, isThere := at[name(v)]; {
		case !isThere:
			out = append(out, v)
		case !reflect.DeepEqual(plain(out[n]), v):
			out[n] = v
		}
	}
	return out
}

// Pruned takes away what a policy does not name.
func Pruned(p, wanted *policy.Policy) *policy.Policy {
	return &policy.Policy{
		Projects:  prunedList(p.Projects, wanted.Projects, projectName),
		Groups:    prunedList(p.Groups, wanted.Groups, groupName),
		Instances: prunedList(p.Instances, wanted.Instances, instanceName)}
}

func prunedList[T any](list, wanted []*T, name func(*T) string) []*T {
	isWanted := make(map[string]bool, len(wanted))
	for _, v := range wanted {
		isWanted[name(v)] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(v *T) bool { return !isWanted[name(v)] })
}

// plainProject is a project without the place where it is written.
func plainProject(p *policy.Project) *policy.Project {
	return &policy.Project{Name: p.Name, Description: p.Description}
}

// plainGroup is a group as the database would give it back: without the places where it is written,
// with lists in one order.
func plainGroup(g *policy.Group) *policy.Group {
	out := *g
	out.At = policy.Position{}
	out.ExternalSources = asSet(g.ExternalSources, policy.ComparePrefix)
	out.Rules = nil
	for _, r := range g.Rules {
		r.At = policy.Position{}
		r.Ports, r.Peers = policy.UnionOfPorts(r.Ports), policy.UnionOfPeers(r.Peers)
		out.Rules = append(out.Rules, r)
	}
	slices.SortStableFunc(out.Rules, compareRules)
	return &out
}

// plainInstance is the same of an instance.
func plainInstance(i *policy.Instance) *policy.Instance {
	out := *i
	out.At = policy.Position{}
	if out.Host == "" {
		out.Host = policy.Nowhere
	}
	out.Groups = sorted(i.Groups)
	out.Ports = nil
	for _, p := range i.Ports {
		p.At = policy.Position{}
		p.Addresses = asSet(p.Addresses, policy.ComparePrefix)
		p.EtherTypes = sorted(p.EtherTypes)
		p.Allowed = asSet(p.Allowed, func(a, b policy.AllowedAddress) int {
			return strings.Compare(allowedColumn(a), allowedColumn(b))
		})
		out.Ports = append(out.Ports, p)
	}
	slices.SortFunc(out.Ports, func(a, b policy.Port) int { return strings.Compare(a.Name, b.Name) })
	return &out
}
