// Projects. Called by reader.go.

package policyfile

import (
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// projects reads the list of them.
func (r *reader) projects(n strictyaml.Node) {
	entries, _ := n.EntriesLike(namedEntries)
	for nth, e := range entries {
		r.object = valueID{kind: policy.AProject, index: nth}
		r.fragment.policy.Projects = append(r.fragment.policy.Projects, r.project(e))
	}
}

// project reads one entry of projects.
func (r *reader) project(n strictyaml.Node) *policy.Project {
	p := &policy.Project{At: n.Location().Pos}
	f, ok := n.HintedFields(projectHints, projectKeys...)
	if !ok {
		return p
	}
	if _, ok := f["name"]; !ok {
		n.Errorf("a project needs a name")
	}
	r.field(f, "name", func(n strictyaml.Node) { p.Name, _ = r.text(n) })
	r.field(f, "description", func(n strictyaml.Node) { p.Description = description(n) })
	return p
}

// projectSchema is the schema of a project.
func projectSchema(d strictyaml.Describer) schema {
	return d.Object("projects", projectKeys, map[string]schema{
		"name": {"type": "string", "maxLength": policy.MaxProjectName,
			"pattern": projectPattern},
		"description": strictyaml.Matching(descriptionPattern),
	}, "name")
}
