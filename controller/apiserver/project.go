package apiserver

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/excerpt"
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

// readAll reads what who asks sees, by its own names. That of no project is not answered while a
// part of it cannot be read.
func (s *Server) readAll(r *request) (*policy.Policy, int, error) {
	if r.project == "" {
		return s.DB.Policy()
	}
	p, at, err := s.DB.Readable()
	if err != nil {
		return nil, 0, err
	}
	return ownPart(p, r.project), at, nil
}

// partParameters are what a part may be asked for by.
func partParameters() []parameter {
	return []parameter{
		{"kinds", "all objects of these kinds: groups, instances; one a line, as below", "string"},
		{"groups", "these groups", "string"},
		{"around", "these groups, those whose rules name them, and the instances in them", "string"},
		{"projects", "these projects, and all that is theirs", "string"},
		{"rules", "the groups of rules of these IDs, as explain and counters have them", "string"},
		{"instances", "these instances", "string"},
		{"ports", "the instances of these ports", "string"},
		{"hosts", "the instances that are on these hosts, or are about to be", "string"}}
}

// lines are the names that a parameter has, one a line.
func (r *request) lines(key string) []string {
	return slices.DeleteFunc(strings.Split(r.query.Get(key), "\n"),
		func(one string) bool { return one == "" })
}

// showPart answers the part of the policy that is asked for. It is cut out of what the project
// sees, so that nothing of another is in it.
func (s *Server) showPart(r *request) (*reply, error) {
	asked := excerpt.Asked{Kinds: r.lines("kinds"), Groups: r.lines("groups"), Around: r.lines("around"),
		Projects: r.lines("projects"), Rules: r.lines("rules"), Instances: r.lines("instances"),
		Ports: r.lines("ports"), Hosts: r.lines("hosts")}
	for _, kind := range asked.Kinds {
		if kind != excerpt.AllGroups && kind != excerpt.AllInstances {
			return nil, problemf(http.StatusBadRequest, "?kinds=%s: must be %s or %s, one a line", kind,
				excerpt.AllGroups, excerpt.AllInstances)
		}
	}
	if asked.IsAll() && len(r.query) > 0 {
		return nil, problemf(http.StatusBadRequest, "what is asked for has no name: leave out the whole "+
			"query to be answered all")
	}
	p, at, err := s.readAll(r)
	if err != nil {
		return nil, err
	}
	return &reply{body: excerpt.Of(p, at, asked)}, nil
}

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
	p, at, err := s.DB.Readable()
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
	p, _, err := s.DB.Readable()
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
		next.Projects = exchanged(p.Projects, old,
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
		next.Projects = exchanged(p.Projects, old, nil)
		return &next, nil
	})
}
