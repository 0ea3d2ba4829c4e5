package apiserver

import (
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// What a project sees of a policy, and how it names it. Handlers call this for each name that comes
// in or goes out. Invariant: nothing of another project is in what a project sees, but the names of
// groups that are shared.
//
// Below /v1/projects/P a name is one of the project P; "other/web" is the group web of another that
// shares it, and "/web" one of no project. Elsewhere a name is as the policy has it.

// full is the name that the policy has for what a project calls so.
func full(project, name string) string {
	switch {
	case project == "" || name == "":
		return name
	case strings.HasPrefix(name, "/"):
		return name[1:]
	case strings.Contains(name, "/"):
		return name
	}
	return project + "/" + name
}

// short is what a project calls a name of the policy.
func short(project, name string) string {
	if project == "" {
		return name
	}
	if own, isOwn := strings.CutPrefix(name, project+"/"); isOwn {
		return own
	}
	if !strings.Contains(name, "/") {
		return "/" + name
	}
	return name
}

// isOwn says whether an object is a project's: without one, everything is.
func isOwn(project, name string) bool {
	return project == "" || strings.HasPrefix(name, project+"/")
}

// fullGroup is a group that a project has written, as the policy has it.
func fullGroup(project string, g *policy.Group) *policy.Group {
	out := *g
	out.Name, out.Rules = full(project, g.Name), renamed(g.Rules, project, full)
	return &out
}

// shortGroup is a group as a project has it.
func shortGroup(project string, g *policy.Group) *policy.Group {
	out := *g
	out.Name, out.Rules = short(project, g.Name), renamed(g.Rules, project, short)
	return &out
}

// renamed are rules with other names for the groups that they name.
func renamed(rules []policy.Rule, project string,
	name func(project, name string) string) []policy.Rule {
	out := slices.Clone(rules)
	for n := range out {
		out[n].At = policy.Position{}
		out[n].Peers = slices.Clone(out[n].Peers)
		for i := range out[n].Peers {
			if peer := &out[n].Peers[i]; peer.Group != "" && !peer.IsNetwork {
				peer.Group = name(project, peer.Group)
			}
		}
	}
	return out
}

// fullInstance is an instance that a project has written, as the policy has it.
func fullInstance(project string, i *policy.Instance) *policy.Instance {
	return instanceNamed(i, project, full)
}

// shortInstance is an instance as a project has it.
func shortInstance(project string, i *policy.Instance) *policy.Instance {
	return instanceNamed(i, project, short)
}

func instanceNamed(i *policy.Instance, project string,
	name func(project, name string) string) *policy.Instance {
	out := *i
	out.Name, out.Groups, out.At = name(project, i.Name), slices.Clone(i.Groups), policy.Position{}
	for n := range out.Groups {
		out.Groups[n] = name(project, out.Groups[n])
	}
	out.Ports = slices.Clone(i.Ports)
	for n := range out.Ports {
		out.Ports[n].At = policy.Position{}
	}
	return &out
}

// visible is the part of a policy that a project sees: its own objects, and the names of what its
// rules name.
func visible(p *policy.Policy, project string) *policy.Policy {
	if project == "" {
		return p
	}
	out := &policy.Policy{}
	named := map[string]bool{}
	for _, g := range p.Groups {
		if isOwn(project, g.Name) {
			out.Groups = append(out.Groups, g)
			for _, r := range g.Rules {
				for _, peer := range r.Peers {
					named[peer.Group] = true
				}
			}
		}
	}
	for _, g := range p.Groups {
		switch {
		case isOwn(project, g.Name):
		case g.IsNetwork:
			out.Groups = append(out.Groups, g)
		case named[g.Name]:
			out.Groups = append(out.Groups, &policy.Group{Name: g.Name})
		}
	}
	for _, i := range p.Instances {
		if isOwn(project, i.Name) {
			out.Instances = append(out.Instances, i)
		}
	}
	return out
}
