package edit

import (
	"slices"
	"strconv"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Edits of projects, groups and their rules.

// AddProject declares a project.
func AddProject(one policy.Project) Edit { return projects.add(&one) }

// SetProject changes a project, but for its name.
func SetProject(name string, change func(*policy.Project)) Edit {
	return projects.set(name, func(_ *policy.Policy, one *policy.Project) error {
		change(one)
		return nil
	})
}

// RemoveProject takes a project away that has nothing left.
func RemoveProject(name string) Edit {
	return projects.remove(name, func(p *policy.Policy) error {
		var left []string
		for _, g := range p.Groups {
			if project, _ := policy.SplitName(g.Name); project == name {
				left = append(left, groups.quoted(g.Name))
			}
		}
		for _, i := range p.Instances {
			if project, _ := policy.SplitName(i.Name); project == name {
				left = append(left, instances.quoted(i.Name))
			}
		}
		if len(left) == 0 {
			return nil
		}
		return refuse(ErrNeeded, projects.quoted(name), "it is not empty; remove first: %s",
			some(left))
	})
}

// AddGroup adds a group, or a named network.
func AddGroup(g policy.Group) Edit { return groups.add(&g) }

// SetGroup changes a group, but for its name. Lists that it changes must be made anew.
func SetGroup(name string, change func(*policy.Group)) Edit {
	return groups.set(name, func(_ *policy.Policy, g *policy.Group) error {
		change(g)
		return nil
	})
}

// RemoveGroup takes a group away that no rule of another names and that no instance is in.
func RemoveGroup(name string) Edit {
	return groups.remove(name, func(p *policy.Policy) error {
		var rules, members []string
		for _, g := range p.Groups {
			for _, r := range g.Rules {
				if r.Names(name) && g.Name != name {
					rules = append(rules, wording.Quote(r.String())+" of "+groups.quoted(g.Name))
				}
			}
		}
		for _, i := range p.Instances {
			if slices.Contains(i.Groups, name) {
				members = append(members, i.Name)
			}
		}
		switch {
		case len(rules) > 0:
			return refuse(ErrNeeded, groups.quoted(name), "%s it; remove first: %s",
				count(len(rules), "rule names", "rules name"), some(rules))
		case len(members) > 0:
			return refuse(ErrNeeded, groups.quoted(name), "%s in it; take out first: %s",
				count(len(members), "instance is", "instances are"), some(members))
		}
		return nil
	})
}

// count says "1 rule names" or "3 rules name".
func count(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + several
}

// AddRule gives a group one rule more.
func AddRule(group string, r policy.Rule) Edit {
	return groups.set(group, func(_ *policy.Policy, g *policy.Group) error {
		if slices.ContainsFunc(g.Rules, r.Equal) {
			return refuse(ErrThere, groups.quoted(group), "it has this rule already: %s", r)
		}
		g.Rules = append(slices.Clone(g.Rules), r)
		return nil
	})
}

// SetRule replaces a rule of a group, whose description does not matter, by another one.
func SetRule(group string, old, r policy.Rule) Edit {
	return All(RemoveRule(group, old), AddRule(group, r))
}

// RemoveRule takes a rule away from a group. Descriptions do not matter.
func RemoveRule(group string, r policy.Rule) Edit {
	return groups.set(group, func(_ *policy.Policy, g *policy.Group) error {
		at := slices.IndexFunc(g.Rules, r.Equal)
		if at < 0 {
			var words []string
			for _, other := range g.Rules {
				words = append(words, other.String())
			}
			return refuse(ErrNotThere, groups.quoted(group), "it has no rule %s%s",
				wording.Quote(r.String()), wording.DidYouMean(r.String(), words))
		}
		g.Rules = slices.Delete(slices.Clone(g.Rules), at, at+1)
		return nil
	})
}
