package apiserver

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/generation"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Changes of the past, and several writes as one change.

// several is the body of several writes.
type several struct {
	// Put is a part of a policy: its groups and instances replace those of their names.
	Put json.RawMessage `json:"put"`
	// Remove are names.
	Remove struct {
		Projects  []string `json:"projects"`
		Groups    []string `json:"groups"`
		Instances []string `json:"instances"`
	} `json:"remove"`
	// Generation is the one that the writes were made of; null = any.
	Generation *int `json:"generation"`
	// Message is what the history says that it came from; "" = the request.
	Message string `json:"message"`
	// Confirm is the time after which the change is taken back unless it is confirmed; "" = it stays.
	Confirm string `json:"confirm"`
	trial   time.Duration
}

// check judges what is not of the policy.
func (in *several) check(r *request) (err error) {
	const longest = 255 // of a message
	switch {
	case len(in.Message) > longest || policy.BadText(in.Message) != "":
		return problemf(http.StatusUnprocessableEntity, "message: must be a line of at most %d bytes",
			longest)
	case in.Confirm == "":
		return nil
	case r.who.Project != "":
		return problemf(http.StatusForbidden, "confirm: a trial is of the whole policy, and yours is "+
			"the project %s", r.who.Project)
	}
	in.trial, err = time.ParseDuration(in.Confirm)
	if err != nil || in.trial < time.Second || in.trial > generation.LongestTrial {
		return problemf(http.StatusUnprocessableEntity, "confirm: must be a time from 1s to %s, such as "+
			"60s", generation.LongestTrial)
	}
	return nil
}

// readSeveral reads several writes.
func (r *request) readSeveral() (*several, *policy.Policy, error) {
	var in several
	d := json.NewDecoder(strings.NewReader(string(r.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, nil, problemf(http.StatusBadRequest, "the body: %v; it has put, remove, "+
			"generation, message and confirm", err)
	}
	if err := in.check(r); err != nil {
		return nil, nil, err
	}
	if len(in.Put) == 0 {
		return &in, &policy.Policy{}, nil
	}
	put, err := policyfile.ParsePart(strictyaml.File{Name: "body", Data: in.Put})
	return &in, put, within(err, "")
}

func (s *Server) changeSeveral(r *request) (*reply, error) {
	what, make, err := s.editOfSeveral(r)
	if err != nil {
		return nil, err
	}
	return s.change(r, what, make)
}

// editOfSeveral reads several writes as one edit, and what the history is to say that it came from.
func (s *Server) editOfSeveral(r *request) (what string, make edit.Edit, err error) {
	in, put, err := r.readSeveral()
	if err != nil {
		return "", nil, err
	}
	if len(put.Projects)+len(in.Remove.Projects) > 0 &&
		!r.who.May(access.Operator, access.OfAll, "") {
		return "", nil, problemf(http.StatusForbidden, "projects are made and removed by operators of all")
	}
	var groups []*policy.Group
	for _, g := range put.Groups {
		if g.IsNetwork && r.project != "" {
			return "", nil, problemf(http.StatusForbidden, "networks are of no project")
		}
		groups = append(groups, fullGroup(r.project, g))
	}
	var instances []*policy.Instance
	for _, i := range put.Instances {
		own := fullInstance(r.project, i)
		if own.Host == "" {
			own.Host = policy.Nowhere
		}
		instances = append(instances, own)
	}
	r.trial, r.madeOf = in.trial, in.Generation
	return cmp.Or(in.Message, "POST changes"), func(p *policy.Policy) (*policy.Policy, error) {
		return r.several(p, in, &policy.Policy{Projects: put.Projects, Groups: groups,
			Instances: instances})
	}, nil
}

// several makes several writes.
func (r *request) several(p *policy.Policy, in *several,
	put *policy.Policy) (*policy.Policy, error) {
	next := *p
	var err error
	next.Projects, err = removed("", p.Projects, in.Remove.Projects, "project",
		func(one *policy.Project) string { return one.Name })
	if err != nil {
		return nil, err
	}
	next.Groups, err = removed(r.project, p.Groups, in.Remove.Groups, "group",
		func(g *policy.Group) string { return g.Name })
	if err != nil {
		return nil, err
	}
	next.Instances, err = removed(r.project, p.Instances, in.Remove.Instances, "instance",
		func(i *policy.Instance) string { return i.Name })
	if err != nil {
		return nil, err
	}
	for _, g := range put.Groups {
		if !isOwn(r.project, g.Name) {
			return nil, r.foreign("group", g.Name)
		}
	}
	for _, i := range put.Instances {
		if !isOwn(r.project, i.Name) {
			return nil, r.foreign("instance", i.Name)
		}
	}
	return policydb.Merged(&next, put), nil
}

// foreign refuses to write what is of another project.
func (r *request) foreign(kind, name string) *Problem {
	return problemf(http.StatusNotFound, "there is no %s %q here: the project is %s", kind, name,
		r.project)
}

// removed is a list without what is named. A name that is not there is a mistake.
func removed[T any](project string, list []T, gone []string, kind string,
	name func(T) string) ([]T, error) {
	out := slices.Clone(list)
	for _, one := range gone {
		wanted, before := full(project, one), len(out)
		out = slices.DeleteFunc(out, func(v T) bool {
			return name(v) == wanted && isOwn(project, wanted)
		})
		if len(out) == before {
			return nil, problemf(http.StatusNotFound, "there is no %s %q here to remove", kind, one)
		}
	}
	return out, nil
}

// Change is a change of the past.
type Change struct {
	policydb.Entry
	Lines []string `json:"lines"` // of Summary
}

func changeOf(e policydb.Entry) Change {
	return Change{Entry: e, Lines: strings.Split(e.Summary, "\n")}
}

// listChanges answers the newest first.
func (s *Server) listChanges(r *request) (*reply, error) {
	list, err := s.DB.History()
	if err != nil {
		return nil, err
	}
	if text := r.query.Get("before"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, problemf(http.StatusBadRequest, "?before=%s: must be a generation", text)
		}
		list = slices.DeleteFunc(list, func(e policydb.Entry) bool { return e.Generation >= n })
	}
	names := func(e policydb.Entry) string { return strconv.Itoa(e.Generation) }
	part, next, err := page(r, list, names)
	if err != nil {
		return nil, err
	}
	out := listed[Change]{Items: make([]Change, len(part)), Next: next}
	for n, e := range part {
		out.Items[n] = changeOf(e)
	}
	return &reply{body: out}, nil
}

// generation is the one that a path names.
func (r *request) generation() (int, error) {
	n, err := strconv.Atoi(r.PathValue("generation"))
	if err != nil || n < 0 {
		return 0, problemf(http.StatusBadRequest, "%q is no number of a generation",
			r.PathValue("generation"))
	}
	return n, nil
}

func (s *Server) showChange(r *request) (*reply, error) {
	n, err := r.generation()
	if err != nil {
		return nil, err
	}
	list, err := s.DB.History()
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if e.Generation == n {
			return &reply{body: changeOf(e)}, nil
		}
	}
	return nil, problemf(http.StatusNotFound, "the database remembers no change that made "+
		"generation %d", n)
}

func (s *Server) rollback(r *request) (*reply, error) {
	n, err := r.generation()
	if err != nil {
		return nil, err
	}
	former, err := s.DB.Formerly(n)
	if err != nil {
		return nil, conflict(err)
	}
	current, at, err := s.DB.Policy()
	if err != nil {
		return nil, err
	}
	out := &Done{Generation: at, DryRun: r.query.Get("dry_run") == "true"}
	if err = out.compare(r.Context(), current, former, r.project); err != nil {
		return nil, err
	}
	if out.DryRun {
		return &reply{body: out}, nil
	}
	if out.Generation, err = s.DB.Rollback(r.Context(), s.changeOf(r, "rollback"), n); err != nil {
		return nil, conflict(err)
	}
	r.before, r.after, r.what = at, out.Generation, "rollback: "+out.summary
	return &reply{body: out}, nil
}

// GenerationHeader says which generation an answer is of that has no room for it.
const GenerationHeader = "Portcullis-Generation"

// exportPolicy answers the policy as a file that, applied again, changes nothing: that of a project
// has what is its own, and the networks. The whole is not answered while a part of it cannot be
// read.
func (s *Server) exportPolicy(r *request) (*reply, error) {
	p, at, err := s.readAll(r)
	if text := r.query.Get("generation"); err == nil && text != "" {
		if at, err = strconv.Atoi(text); err != nil || at < 0 {
			return nil, problemf(http.StatusBadRequest, "%q is no number of a generation", text)
		}
		if p, err = s.DB.Formerly(at); err != nil {
			return nil, r.veiled(conflict(err))
		}
		if r.project != "" {
			p = ownPart(p, r.project)
		}
	}
	if err != nil {
		return nil, err
	}
	return &reply{kind: "application/yaml", body: policyfile.Marshal(p),
		headers: map[string]string{GenerationHeader: strconv.Itoa(at)}}, nil
}

// veiled is an error without what is wrong with the rows of others, for somebody of a project.
func (r *request) veiled(err error) error {
	if notValid := new(policydb.InvalidError); r.who.Project != "" && errors.As(err, &notValid) {
		return problemf(http.StatusServiceUnavailable, "a part of the policy cannot be read; its "+
			"operators are told which")
	}
	return err
}

// ownPart is what a project has, by its own names, and the networks.
func ownPart(p *policy.Policy, project string) *policy.Policy {
	out := &policy.Policy{}
	for _, g := range p.Groups {
		switch {
		case g.IsNetwork:
			out.Groups = append(out.Groups, g)
		case isOwn(project, g.Name):
			out.Groups = append(out.Groups, shortGroup(project, g))
		}
	}
	for _, i := range p.Instances {
		if isOwn(project, i.Name) {
			out.Instances = append(out.Instances, shortInstance(project, i))
		}
	}
	return out
}

// Trials is the change on trial.
type Trials struct {
	Trial *policydb.Trial `json:"trial,omitempty"` // nil = there is none
}

// onTrial is the change on trial, nil = there is none, and its generation, 0 = there is none.
func (s *Server) onTrial() (trial *policydb.Trial, generation int, err error) {
	if trial, err = s.DB.OnTrial(); trial != nil {
		generation = trial.Generation
	}
	return trial, generation, err
}

func (s *Server) showTrial(*request) (*reply, error) {
	trial, err := s.DB.OnTrial()
	return &reply{body: Trials{trial}}, err
}

// confirm keeps the change on trial; generation 0 = whichever it is.
func (s *Server) confirm(r *request) (*reply, error) {
	n, err := r.generation()
	if err != nil {
		return nil, err
	}
	if n, err = s.DB.Confirm(r.Context(), n); err != nil {
		return nil, conflict(err)
	}
	return &reply{body: Done{Generation: n, Access: []string{}}}, nil
}

// abandon takes the change on trial back before its time.
func (s *Server) abandon(r *request) (*reply, error) {
	n, err := r.generation()
	if err != nil {
		return nil, err
	}
	made, err := s.DB.Abandon(r.Context(), s.changeOf(r, "abandon"), n, "taken back")
	if err != nil {
		return nil, conflict(err)
	}
	return &reply{body: Done{Generation: made, Changed: true, Access: []string{}}}, nil
}

// conflict is what is said of what the history does not allow.
func conflict(err error) error {
	if _, isKnown := problemOf(err); isKnown {
		return err
	}
	return problemf(http.StatusConflict, "%v", err)
}
