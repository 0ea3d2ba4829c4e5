package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file answers questions about the policy in force, and asks them. How a question is read and
// what it is answered is the business of the command explain, which does both without a daemon,
// too: see [Explainer].

// Question is what is asked, in the words of the command line.
type Question struct {
	From, To, Service string
	Via               string // "", or the only kind of way: direct, router
	Form              Form
	// the files are read again before, so that the answer is about what they say now
	Read bool
}

// Form is how an answer is written.
type Form string

// The forms. The zero Form is JSON.
const (
	AsJSON   Form = ""
	AsText   Form = "text"
	AsColour Form = "colour" // text for a terminal
)

// Explained is an answer about the policy in force.
type Explained struct {
	Version string      `json:"version"` // [Version]
	Source  string      `json:"source"`  // path of the policy
	Digest  string      `json:"digest"`  // of the policy in force
	Site    policy.Site `json:"site"`    // what the settings in force say of this host
	// why the files are not what is in force; none = they are
	Errors []string `json:"errors,omitempty"`
	// whether all that was asked about is admitted, or a list names anybody
	Admitted bool `json:"admitted"`
	// as 'portcullis explain -o json' prints it; or as text, if that is asked for
	Answer json.RawMessage `json:"answer,omitempty"`
	Text   string          `json:"text,omitempty"`
}

// Explainer answers a question in its form: the answer, and whether all is admitted. The error says
// what is wrong with the question.
type Explainer func(r explain.Reader, q Question) (text []byte, admitted bool, err error)

// explain answers explainPath.
func (a *answers) explain(w http.ResponseWriter, req *http.Request) {
	if a.Explain == nil {
		refuse(w, problemf(http.StatusNotImplemented, "this daemon explains nothing"))
		return
	}
	answerQuestion(w, req, a.explaining, a.explained)
}

// answerQuestion answers a question when it is its turn.
func answerQuestion[T any](w http.ResponseWriter, req *http.Request, turns *queue,
	ask func(context.Context, Question) (*T, *Problem)) {
	leave, problem := turns.acquire(req.Context())
	if problem != nil {
		refuse(w, problem)
		return
	}
	defer leave()
	out, problem := ask(req.Context(), questionOf(req.URL.Query()))
	if problem != nil {
		refuse(w, problem)
		return
	}
	answer(w, http.StatusOK, out)
}

func questionOf(query url.Values) Question {
	return Question{From: query.Get("from"), To: query.Get("to"), Service: query.Get("service"),
		Via: query.Get("via"), Form: Form(query.Get("form")), Read: query.Get("read") == "true"}
}

// values is the question as a query.
func (q Question) values() url.Values {
	query := url.Values{}
	for key, value := range map[string]string{"from": q.From, "to": q.To, "service": q.Service,
		"via": q.Via, "form": string(q.Form)} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if q.Read {
		query.Set("read", "true")
	}
	return query
}

func (a *answers) explained(ctx context.Context, q Question) (*Explained, *Problem) {
	s := a.Agent.Snapshot()
	if q.Read {
		var err error
		if s, err = a.Agent.Read(ctx); err != nil {
			return nil, problemf(http.StatusServiceUnavailable, "the files were not read in time")
		}
	}
	index, problem := a.currentIndex(s)
	if problem != nil {
		return nil, problem
	}
	out := &Explained{Version: Version, Source: s.Policy.Source, Digest: s.Policy.Digest,
		Site: s.Running.Site, Errors: s.Policy.Errors}
	if s.Running.Policy == nil {
		out.Site = a.Agent.Site()
	}
	text, admitted, err := a.Explain(index.At(out.Site), q)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "%v", err)
	}
	if out.Admitted = admitted; q.Form == AsJSON {
		out.Answer = text
	} else {
		out.Text = string(text)
	}
	return out, nil
}

// Explain asks a question about the policy in force.
func (c *Client) Explain(ctx context.Context, q Question) (*Explained, error) {
	out := &Explained{}
	if _, err := c.ask(ctx, explainPath, q.values(), out, &out.Version); err != nil {
		return nil, err
	}
	return out, nil
}
