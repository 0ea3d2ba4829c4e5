package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file answers who reaches whom in the policy in force, and asks it.

// MatrixQuestion is what is asked, in the words of the command line. The zero question is about all
// groups.
type MatrixQuestion struct {
	Instances       bool
	From, To, Group string // ends; "" = all
	Service         string // "" = any
	Read            bool   // the daemon reads its files first
}

// Question returns it as what flows/matrix is asked; the error says what is wrong with the service.
func (q MatrixQuestion) Question() (matrix.Question, error) {
	out := matrix.Question{Instances: q.Instances, From: q.From, To: q.To, Around: q.Group}
	if q.Service == "" {
		return out, nil
	}
	asked, err := explain.ParseAsked(q.Service)
	if err == nil {
		out.Services = &[2]explain.Services{asked.Of(false), asked.Of(true)}
	}
	return out, err
}

// Matrix is who reaches whom in the policy in force.
type Matrix struct {
	Version string `json:"version"` // [Version]
	Source  string `json:"source"`  // path of the policy
	Digest  string `json:"digest"`  // of the policy in force
	// why the files are not what is in force; none = they are
	Errors []string `json:"errors,omitempty"`
	matrix.Answer
}

// matrix answers matrixPath.
func (a *answers) matrix(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	q, err := MatrixQuestion{Instances: query.Get("instances") == "true", From: query.Get("from"),
		To: query.Get("to"), Group: query.Get("group"), Service: query.Get("service")}.Question()
	if err != nil {
		refuse(w, problemf(http.StatusBadRequest, "service: %v", err))
		return
	}
	leave, problem := a.explaining.acquire(req.Context())
	if problem != nil {
		refuse(w, problem)
		return
	}
	defer leave()
	s := a.Agent.Snapshot()
	if query.Get("read") == "true" {
		if s, err = a.Agent.Read(req.Context()); err != nil {
			refuse(w, problemf(http.StatusServiceUnavailable, "the files were not read in time"))
			return
		}
	}
	p, problem := inForce(s)
	if problem != nil {
		refuse(w, problem)
		return
	}
	found, err := matrix.Ask(policy.Spelled(p), q)
	if err != nil {
		refuse(w, problemf(http.StatusBadRequest, "%v", err))
		return
	}
	answer(w, http.StatusOK, Matrix{Version, s.Policy.Source, s.Policy.Digest, s.Policy.Errors, *found})
}

// Matrix asks who reaches whom in the policy in force.
func (c *Client) Matrix(ctx context.Context, q MatrixQuestion) (*Matrix, error) {
	query := url.Values{}
	for key, value := range map[string]string{"from": q.From, "to": q.To, "group": q.Group,
		"service": q.Service} {
		if value != "" {
			query.Set(key, value)
		}
	}
	for key, isSet := range map[string]bool{"instances": q.Instances, "read": q.Read} {
		if isSet {
			query.Set(key, "true")
		}
	}
	out := &Matrix{}
	if _, err := c.ask(ctx, matrixPath, query, out, &out.Version); err != nil {
		return nil, err
	}
	return out, nil
}
