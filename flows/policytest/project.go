package policytest

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
)

// InProjects draws projects for the groups and instances of a valid policy, and returns it with
// their names there: as valid as before, with the same members but for those that would be in a
// group of another project.
func InProjects(t *rapid.T, p *policy.Policy) *policy.Policy {
	out := p.Clone()
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"p", "q", "r"}), 0, 2,
		rapid.ID).Draw(t, "projects") {
		out.Projects = append(out.Projects, &policy.Project{Name: name,
			Description: rapid.SampledFrom([]string{"", "a customer"}).Draw(t, "what")})
	}
	names := map[string]string{}
	for _, g := range out.Groups {
		if names[g.Name] = g.Name; !g.IsNetwork {
			names[g.Name] = drawProject(t, out) + g.Name
			g.Shared = rapid.Bool().Draw(t, "shared")
		}
		g.Name = names[g.Name]
	}
	groups := map[string]*policy.Group{}
	for _, g := range out.Groups {
		groups[g.Name] = g
	}
	for _, g := range out.Groups {
		for n := range g.Rules {
			for k := range g.Rules[n].Peers {
				share(out, g, &g.Rules[n].Peers[k], names, groups)
			}
		}
	}
	for _, i := range out.Instances {
		i.Name = drawProject(t, out) + i.Name
		for n, name := range i.Groups {
			i.Groups[n] = names[name]
		}
		i.Groups = slices.DeleteFunc(i.Groups, func(name string) bool {
			return out.ProjectOf(name) != out.ProjectOf(i.Name)
		})
	}
	return out
}

// drawProject draws what a name begins with.
func drawProject(t *rapid.T, p *policy.Policy) string {
	prefixes := []string{""}
	for _, project := range p.Projects {
		prefixes = append(prefixes, project.Name+"/")
	}
	return rapid.SampledFrom(prefixes).Draw(t, "project")
}

// share renames the peer of a rule of a group, and has it shared where it is of another project.
func share(p *policy.Policy, g *policy.Group, peer *policy.Peer, names map[string]string,
	groups map[string]*policy.Group) {
	if peer.Group == "" {
		return
	}
	peer.Group = names[peer.Group]
	if !peer.IsNetwork && p.ProjectOf(peer.Group) != p.ProjectOf(g.Name) {
		groups[peer.Group].Shared = true
	}
}
