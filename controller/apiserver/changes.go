package apiserver

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Changes of the past, and several writes as one change.

// several is the body of several writes.
type several struct {
	// Put is a part of a policy: its groups and instances replace those of their names.
	Put json.RawMessage `json:"put"`
	// Remove are names.
	Remove struct {
		Groups    []string `json:"groups"`
		Instances []string `json:"instances"`
	} `json:"remove"`
	// Generation is the one that the writes were made of; null = any.
	Generation *int `json:"generation"`
}

// readSeveral reads several writes.
func (r *request) readSeveral() (*several, *policy.Policy, error) {
	var in several
	d := json.NewDecoder(strings.NewReader(string(r.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, nil, problemf(http.StatusBadRequest, "the body: %v; it has put, remove and "+
			"generation", err)
	}
	if len(in.Put) == 0 {
		return &in, &policy.Policy{}, nil
	}
	put, err := policyfile.ParsePart(strictyaml.File{Name: "body", Data: in.Put})
	return &in, put, within(err, "")
}

func (s *Server) changeSeveral(r *request) (*reply, error) {
	in, put, err := r.readSeveral()
	if err != nil {
		return nil, err
	}
	var groups []*policy.Group
	for _, g := range put.Groups {
		if g.IsNetwork && r.project != "" {
			return nil, problemf(http.StatusForbidden, "networks are of no project")
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
	return s.change(r, "POST changes", func(p *policy.Policy) (*policy.Policy, error) {
		return r.several(p, in, groups, instances)
	})
}

// several makes several writes.
func (r *request) several(p *policy.Policy, in *several, groups []*policy.Group,
	instances []*policy.Instance) (*policy.Policy, error) {
	next := *p
	var err error
	next.Groups, err = removed(r, p.Groups, in.Remove.Groups, "group",
		func(g *policy.Group) string { return g.Name })
	if err != nil {
		return nil, err
	}
	next.Instances, err = removed(r, p.Instances, in.Remove.Instances, "instance",
		func(i *policy.Instance) string { return i.Name })
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if !isOwn(r.project, g.Name) {
			return nil, r.foreign("group", g.Name)
		}
	}
	for _, i := range instances {
		if !isOwn(r.project, i.Name) {
			return nil, r.foreign("instance", i.Name)
		}
	}
	out := policydb.Merged(&next, &policy.Policy{Groups: groups, Instances: instances})
	return out, nil
}

// foreign refuses to write what is of another project.
func (r *request) foreign(kind, name string) *Problem {
	return problemf(http.StatusNotFound, "there is no %s %q here: the project is %s", kind, name,
		r.project)
}

// removed is a list without what is named. A name that is not there is a mistake.
func removed[T any](r *request, list []T, gone []string, kind string,
	name func(T) string) ([]T, error) {
	out := slices.Clone(list)
	for _, one := range gone {
		wanted, before := full(r.project, one), len(out)
		out = slices.DeleteFunc(out, func(v T) bool {
			return name(v) == wanted && isOwn(r.project, wanted)
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
	made, err := s.DB.Rollback(r.Context(), s.changeOf(r, "rollback"), n)
	if err != nil {
		if _, isKnown := problemOf(err); !isKnown {
			err = problemf(http.StatusConflict, "%v", err)
		}
		return nil, err
	}
	return &reply{body: Done{Generation: made, Changed: true, Access: []string{}}}, nil
}

// exportPolicy answers the policy as a file that, applied again, changes nothing.
func (s *Server) exportPolicy(*request) (*reply, error) {
	p, _, err := s.DB.Policy()
	if err != nil {
		return nil, err
	}
	return &reply{kind: "application/yaml", body: policyfile.Marshal(p)}, nil
}
