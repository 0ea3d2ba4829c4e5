package apiserver

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// Projects: made and removed by operators of all. Their tenants see their own.

// ProjectBody is what a project says beside its name.
type ProjectBody struct {
	Description string `json:"description,omitempty"`
}

// Project is a project as it is answered.
type Project struct {
	Name string `json:"name"`
	ProjectBody
	Groups    int `json:"groups"`
	Instances int `json:"instances"`
}

// findProject finds a project; nil = there is none.
func findProject(p *policy.Policy, name string) *policy.Project {
	n := slices.IndexFunc(p.Projects, func(one *policy.Project) bool { return one.Name == name })
	if n < 0 {
		return nil
	}
	return p.Projects[n]
}

// projectOf is a project as it is answered.
func projectOf(p *policy.Policy, one *policy.Project) Project {
	out := Project{Name: one.Name, ProjectBody: ProjectBody{Description: one.Description}}
	for _, g := range p.Groups {
		if isOwn(one.Name, g.Name) {
			out.Groups++
		}
	}
	for _, i := range p.Instances {
		if isOwn(one.Name, i.Name) {
			out.Instances++
		}
	}
	return out
}

func (s *Server) listProjects(r *request) (*reply, error) {
	p, at, err := s.DB.Policy()
	if err != nil {
		return nil, err
	}
	var all []*policy.Project
	for _, one := range p.Projects {
		if strings.Contains(one.Name, r.query.Get("q")) {
			all = append(all, one)
		}
	}
	part, next, err := page(r, all, func(one *policy.Project) string { return one.Name })
	if err != nil {
		return nil, err
	}
	out := listed[Project]{Items: make([]Project, len(part)), Generation: at, Next: next}
	for n, one := range part {
		out.Items[n] = projectOf(p, one)
	}
	return &reply{body: out}, nil
}

func (s *Server) showProject(r *request) (*reply, error) {
	p, _, err := s.DB.Policy()
	if err != nil {
		return nil, err
	}
	one := findProject(p, r.project)
	if one == nil {
		return nil, noProject(r)
	}
	return &reply{body: projectOf(p, one), etag: tag(one)}, nil
}

func noProject(r *request) *Problem {
	return problemf(http.StatusNotFound, "there is no project %q", r.PathValue("project"))
}

// asOperator is the request of who has all projects: the project in the path is what it is about.
func (r *request) asOperator() (name string) {
	name, r.project = r.project, ""
	return name
}

func (s *Server) putProject(r *request) (*reply, error) {
	var in ProjectBody
	d := json.NewDecoder(strings.NewReader(string(r.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, problemf(http.StatusBadRequest, "the body: %v; it has description", err)
	}
	name := r.asOperator()
	return s.change(r, "PUT project "+name, func(p *policy.Policy) (*policy.Policy, error) {
		old, now := findProject(p, name), ""
		if old != nil {
			now = tag(old)
		}
		if err := r.match(now); err != nil {
			return nil, err
		}
		next := *p
		next.Projects = slices.DeleteFunc(slices.Clone(p.Projects),
			func(one *policy.Project) bool { return one == old })
		next.Projects = append(next.Projects,
			&policy.Project{Name: name, Description: in.Description})
		return &next, nil
	})
}

func (s *Server) deleteProject(r *request) (*reply, error) {
	name := r.asOperator()
	return s.change(r, "DELETE project "+name, func(p *policy.Policy) (*policy.Policy, error) {
		old := findProject(p, name)
		if old == nil {
			return nil, noProject(r)
		}
		if err := r.match(tag(old)); err != nil {
			return nil, err
		}
		if has := projectOf(p, old); has.Groups+has.Instances > 0 {
			return nil, problemf(http.StatusConflict, "project %q has %d groups and %d instances: remove "+
				"them first", name, has.Groups, has.Instances)
		}
		next := *p
		next.Projects = slices.DeleteFunc(slices.Clone(p.Projects),
			func(one *policy.Project) bool { return one == old })
		return &next, nil
	})
}
