package policy

import (
	"strings"
	"unicode/utf8"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Projects: whose groups and instances are whose. A part of [Validate]; writers ask, too.
// Invariant: a name alone says which project its object is of, so that no object can be of two.

// Project is one of several whose groups and instances are kept apart in one policy: it has those
// whose names begin with its own and a slash. Addresses, MACs and interfaces are everybody's: no
// two projects have the same.
type Project struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	At          Position `json:"at,omitzero"`
}

// MaxProjectName is the length of a project's name in characters.
const MaxProjectName = 63

// SplitName parts a name at its first slash: what is before it is the project, if there is one of
// that name. Without a slash the project is "".
func SplitName(name string) (project, rest string) {
	project, rest, hasSlash := strings.Cut(name, "/")
	if !hasSlash {
		return "", name
	}
	return project, rest
}

// ProjectOf returns the project that a name is of; "" = none.
func (p *Policy) ProjectOf(name string) string {
	project, _ := SplitName(name)
	for _, known := range p.Projects {
		if known.Name == project {
			return project
		}
	}
	return ""
}

// BadProjectName is of the name of a project.
func BadProjectName(s string) string {
	if problem := BadName(s); problem != "" {
		return problem
	}
	if strings.Contains(s, "/") {
		return "is " + wording.Quote(s) + "; the name of a project has no slash, which ends it in the " +
			"names of its groups and instances"
	}
	if length := utf8.RuneCountInString(s); length > MaxProjectName {
		return "has " + wording.Count(length, "character") + "; the name of a project has at most 63"
	}
	return ""
}

// project judges a project.
func (v *Validator) project(at location, p *Project) {
	v.wrong(at.at(keyName), BadProjectName(p.Name))
	v.wrong(at.at(keyDescription), BadText(p.Description))
}

// projectOf is [Policy.ProjectOf] of the policy that is judged.
func (v *Validator) projectOf(name string) string {
	if len(v.projects) == 0 {
		return ""
	}
	project, _ := SplitName(name)
	if _, isOne := v.projects[project]; isOne {
		return project
	}
	return ""
}

// nameInProject reports a name that is nothing but that of a project.
func (v *Validator) nameInProject(at location, name string) {
	if len(v.projects) == 0 {
		return
	}
	if project := v.projectOf(name); project != "" {
		_, rest := SplitName(name)
		if problem := BadName(rest); problem != "" {
			v.wrongf(at, "is %s: what follows the project %s %s", wording.Quote(name),
				wording.Quote(project), problem)
		}
	}
}

// foreign reports a group of another project that a rule names, or that an instance is in. Of the
// groups that are no project's the same holds as of one more project.
func (v *Validator) foreign(at location, owner string, group *Group) {
	theirs := v.projectOf(group.Name)
	if theirs == owner || group.IsNetwork {
		return
	}
	isMember := at.kind == AnInstance
	if !isMember && group.Shared {
		return
	}
	whose := "is no project's"
	if theirs != "" {
		whose = "is of the project " + wording.Quote(theirs)
	}
	name := wording.Quote(group.Name)
	if isMember {
		v.wrongf(at, "the group %s %s; an instance is in groups of its own project only", name, whose)
	} else {
		v.wrongf(at, "the group %s %s, which does not share it; shared: true at the group lets the "+
			"rules of others name it", name, whose)
	}
	v.veil(hidden(group.Name))
}

// hidden is said of a group that a project may not know of, and of one that is not there.
func hidden(name string) string {
	return "there is no group " + wording.Quote(name) + " here, and no other project shares one of " +
		"this name"
}

// veil says in other words what was reported last, for who may not know of other projects.
func (v *Validator) veil(text string) { v.problems[len(v.problems)-1].veiled = text }

// contest says of what was reported last that it is about something another object has.
func (v *Validator) contest(other location, value string) {
	last := &v.problems[len(v.problems)-1]
	last.other, last.otherField, last.value = v.object(other), other.field(), value
}

// ToldTo is the problem in words for somebody of a project, who is to learn nothing of others: not
// even whose it is what two have.
func (p Problem) ToldTo(project string) Problem {
	switch {
	case p.Object.isOf(project) && p.value != "" && !p.other.isOf(project):
		p.Text = p.value + " is taken"
	case p.Object.isOf(project) && p.veiled != "":
		p.Text = p.veiled
	case p.Object.isOf(project):
	case p.value != "" && p.other.isOf(project):
		p = Problem{Object: p.other, Field: p.otherField, Text: p.value + " is taken"}
	default:
		p = Problem{Object: Object{Kind: AProject, Name: project}, Field: keyNames[keyName],
			Text: "the policy of somebody else would not be valid any more"}
	}
	return p
}

// isOf says whether an object is a project's, or the project.
func (o Object) isOf(project string) bool {
	if o.Kind == AProject {
		return o.Name == project
	}
	return strings.HasPrefix(o.Name, project+"/")
}
