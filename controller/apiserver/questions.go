package apiserver

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
)

// Questions about the policy of the database: the same ones, in the same words, as a host answers of
// what it has in force.

// look returns the policy, looked up. It was looked up already if the last question was about the
// same.
func (s *Server) look() (*explain.Index, error) {
	p, _, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index == nil || !policy.Changed(s.of, p).Empty() {
		s.of, s.index = p, explain.NewIndex(policy.Spelled(p))
	}
	return s.index, nil
}

// index is what a request sees of the policy.
func (s *Server) indexFor(r *request) (*explain.Index, error) {
	if r.project == "" {
		return s.look()
	}
	p, _, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	return explain.NewIndex(policy.Spelled(visible(p, r.project))), nil
}

// Explained is an answer.
type Explained struct {
	Generation int             `json:"generation"`
	Admitted   bool            `json:"admitted"` // all that was asked about, or a list names anybody
	Answer     json.RawMessage `json:"answer"`   // as 'portcullis explain -o json' prints it
}

func (s *Server) explain(r *request) (*reply, error) {
	if s.Explain == nil {
		return nil, problemf(http.StatusNotImplemented, "this server explains nothing")
	}
	index, err := s.indexFor(r)
	if err != nil {
		return nil, err
	}
	p := index.Policy()
	q := api.Question{From: r.end(p, "from"), To: r.end(p, "to"), Service: r.query.Get("service"),
		Via: r.query.Get("via")}
	text, admitted, err := s.Explain(index.At(policy.Site{}), q)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "%v", err)
	}
	_, at, err := s.DB.Readable()
	return &reply{body: Explained{Generation: at, Admitted: admitted, Answer: text}}, err
}

// end is an end of a question: a project's own name for a group or an instance is the policy's.
func (r *request) end(p *policy.Policy, key string) string {
	word := r.query.Get(key)
	name := full(r.project, word)
	isGroup := slices.ContainsFunc(p.Groups, func(g *policy.Group) bool { return g.Name == name })
	if isGroup || slices.ContainsFunc(p.Instances, func(i *policy.Instance) bool {
		return i.Name == name
	}) {
		return name
	}
	return word
}

// Matrix is who reaches whom.
type Matrix struct {
	Generation int `json:"generation"`
	matrix.Answer
}

func (s *Server) matrix(r *request) (*reply, error) {
	p, at, err := s.DB.Readable()
	if err != nil {
		return nil, err
	}
	p = visible(p, r.project)
	q, err := api.MatrixQuestion{Instances: r.query.Get("instances") == "true",
		From: r.end(p, "from"), To: r.end(p, "to"), Group: r.end(p, "group"),
		Service: r.query.Get("service")}.Question()
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "?service: %v", err)
	}
	found, err := matrix.Ask(policy.Spelled(p), q)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "%v", err)
	}
	return &reply{body: Matrix{Generation: at, Answer: *found}}, nil
}
