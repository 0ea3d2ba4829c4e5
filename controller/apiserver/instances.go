package apiserver

import (
	"net/http"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Instances and their ports.

func (s *Server) listInstances(r *request) (*reply, error) {
	p, at, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	group := full(r.project, r.query.Get("group"))
	var all []*policy.Instance
	for _, i := range p.Instances {
		isIn := group == "" || slices.Contains(i.Groups, group)
		if isIn && isOwn(r.project, i.Name) &&
			strings.Contains(short(r.project, i.Name), r.query.Get("q")) {
			all = append(all, i)
		}
	}
	name := func(i *policy.Instance) string { return short(r.project, i.Name) }
	part, next, err := page(r, all, name)
	if err != nil {
		return nil, err
	}
	out := listed[*policy.Instance]{Items: make([]*policy.Instance, len(part)), Generation: at,
		Next: next}
	for n, i := range part {
		out.Items[n] = shortInstance(r.project, i)
	}
	return &reply{body: out}, nil
}

// instance finds the instance that a request names; nil = there is none.
func (r *request) instance(p *policy.Policy) *policy.Instance {
	name := full(r.project, r.PathValue("name"))
	n := slices.IndexFunc(p.Instances, func(i *policy.Instance) bool {
		return i.Name == name && isOwn(r.project, name)
	})
	if n < 0 {
		return nil
	}
	return p.Instances[n]
}

func (r *request) noInstance() *Problem {
	return problemf(http.StatusNotFound, "there is no instance %q here", r.PathValue("name"))
}

func (s *Server) showInstance(r *request) (*reply, error) {
	p, _, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	i := r.instance(p)
	if i == nil {
		return nil, r.noInstance()
	}
	return &reply{body: shortInstance(r.project, i), etag: tag(i)}, nil
}

// readInstance reads an instance from a body. The name may be left out, as the path has it; without
// a host it is on none.
func (r *request) readInstance(body []byte) (*policy.Instance, error) {
	body, err := withName(body, r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	p, err := part("instances", body)
	if err != nil {
		return nil, err
	}
	i := fullInstance(r.project, p.Instances[0])
	if i.Host == "" {
		i.Host = policy.Nowhere
	}
	return i, nil
}

// replaceInstance puts an instance in the place of the one of its name, if that is still the one
// that was meant.
func (r *request) replaceInstance(p *policy.Policy, i *policy.Instance) (*policy.Policy, error) {
	old, now := r.instance(p), ""
	if old != nil {
		now = tag(old)
	}
	if err := r.match(now); err != nil {
		return nil, err
	}
	next := *p
	next.Instances = exchanged(p.Instances, old, i)
	return &next, nil
}

func (s *Server) putInstance(r *request) (*reply, error) {
	i, err := r.readInstance(r.body)
	if err != nil {
		return nil, err
	}
	return s.change(r, "PUT instance "+i.Name, func(p *policy.Policy) (*policy.Policy, error) {
		return r.replaceInstance(p, i)
	})
}

// patchInstance merges a body into an instance.
func (s *Server) patchInstance(r *request) (*reply, error) {
	return s.change(r, "PATCH instance "+full(r.project, r.PathValue("name")),
		func(p *policy.Policy) (*policy.Policy, error) {
			old := r.instance(p)
			if old == nil {
				return nil, r.noInstance()
			}
			body, err := merged(shortInstance(r.project, old), r.body)
			if err != nil {
				return nil, err
			}
			i, err := r.readInstance(body)
			if err != nil {
				return nil, err
			}
			return r.replaceInstance(p, i)
		})
}

func (s *Server) deleteInstance(r *request) (*reply, error) {
	return s.change(r, "DELETE instance "+full(r.project, r.PathValue("name")),
		func(p *policy.Policy) (*policy.Policy, error) {
			old := r.instance(p)
			if old == nil {
				return nil, r.noInstance()
			}
			if err := r.match(tag(old)); err != nil {
				return nil, err
			}
			next := *p
			next.Instances = exchanged(p.Instances, old, nil)
			return &next, nil
		})
}

// Who is who asks.
type Who struct {
	Name    string `json:"name"`
	How     string `json:"how"`
	Role    string `json:"role"`
	Project string `json:"project,omitempty"` // "" = all
	// Description is what the token was made for that somebody came with, or has signed in with.
	Description string `json:"description,omitempty"`
}

func (s *Server) whoami(r *request) (*reply, error) {
	return &reply{body: Who{Name: r.who.Name, How: r.who.How, Role: r.who.Role.String(),
		Project: r.who.Project, Description: s.madeFor(r.who.Token)}}, nil
}

// madeFor is the description of a token, or of the one that a session was opened with; "" = none.
func (s *Server) madeFor(id string) string {
	kept, err := s.DB.Token(id)
	if err != nil || kept.Kind != policydb.Session {
		return kept.Description
	}
	opener, _, _ := s.opener(kept) // a session that was opened otherwise has none
	return opener.Description
}
