package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/portcullis/portcullis/flows/explain"
)

// This file answers questions about the policy in force, and asks them. How a question is read and
// what it is answered is the business of the command explain, which does both without a daemon, too:
// see [Explainer].

// Question is what is asked, in the words of the command line.
type Question struct {
	From, To, Service string
	Via               string // "", or the only kind of way: direct, router
	Colour            bool   // the text is for a terminal with colours
}

// Explained is an answer about the policy in force.
type Explained struct {
	Version string `json:"version"` // [Version]
	Source  string `json:"source"`  // path of the policy
	Digest  string `json:"digest"`  // of the policy in force
	// why the files are not what is in force; none = they are
	Errors []string `json:"errors,omitempty"`
	// whether all that was asked about is admitted, or a list names anybody
	Admitted bool            `json:"admitted"`
	Answer   json.RawMessage `json:"answer"` // as 'portcullis explain -o json' prints it
	Text     string          `json:"text"`   // for people
}

// Explainer answers a question: whether all is admitted, the answer as JSON, and as text. The error
// says what is wrong with the question. It ends when ctx does.
type Explainer func(ctx context.Context, r explain.Reader, q Question) (Explained, error)

// explain answers explainPath.
func (a *answers) explain(w http.ResponseWriter, req *http.Request) {
	if a.Explain == nil {
		refuse(w, problemf(http.StatusNotImplemented, "this daemon explains nothing"))
		return
	}
	leave, problem := a.explaining.enter(req.Context())
	if problem != nil {
		refuse(w, problem)
		return
	}
	defer leave()
	s := a.Agent.Snapshot()
	index, problem := a.look(s)
	if problem != nil {
		refuse(w, problem)
		return
	}
	site := s.Running.Site
	if s.Running.Policy == nil {
		site = a.Agent.Site()
	}
	query := req.URL.Query()
	out, err := a.Explain(req.Context(), index.At(site), Question{From: query.Get("from"),
		To: query.Get("to"), Service: query.Get("service"), Via: query.Get("via"),
		Colour: query.Get("colour") == "true"})
	if err != nil {
		refuse(w, problemf(http.StatusBadRequest, "%v", err))
		return
	}
	out.Version, out.Source, out.Digest, out.Errors = Version, s.Policy.Source, s.Policy.Digest,
		s.Policy.Errors
	answer(w, http.StatusOK, out)
}

// Explain asks a question about the policy in force.
func (c *Client) Explain(ctx context.Context, q Question) (*Explained, error) {
	query := url.Values{}
	for key, value := range map[string]string{"from": q.From, "to": q.To, "service": q.Service,
		"via": q.Via} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if q.Colour {
		query.Set("colour", "true")
	}
	out := &Explained{}
	if _, err := c.ask(ctx, explainPath, query, out, &out.Version); err != nil {
		return nil, err
	}
	return out, nil
}
