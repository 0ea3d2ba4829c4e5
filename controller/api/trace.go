package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file answers what this host's switch does with the packets of a question, beside what the
// policy in force says: see [Tracer]. Invariant: one question at a time is traced, because Open
// vSwitch traces in the thread that sets up its flows.

// Tracer runs the packets of a question that enter at this host through its switch: what
// `portcullis explain --live -o json` has as live, and whether the switch does what the policy
// says. The error is [ErrNotHere], wraps [ErrSwitch], or says what is wrong with the question.
type Tracer func(ctx context.Context, r explain.Reader, site policy.Site, q Question) (live []byte,
	agrees bool, err error)

var (
	// ErrNotHere says that no packet of a question enters at this host.
	ErrNotHere = errors.New("neither end is at a port of this host")
	// ErrSwitch says that the switch gave no answer.
	ErrSwitch = errors.New("the switch does not say")
)

// tracesAtOnce questions are run through the switch at the same time.
const tracesAtOnce = 1

// Traced is what the switch does.
type Traced struct {
	Version string          `json:"version"` // [Version]
	Digest  string          `json:"digest"`  // of the policy in force
	Agrees  bool            `json:"agrees"`  // with the policy in force
	Live    json.RawMessage `json:"live"`
}

// trace answers tracePath.
func (a *answers) trace(w http.ResponseWriter, req *http.Request) {
	if a.Tracer == nil {
		refuse(w, problemf(http.StatusNotImplemented, "this daemon traces nothing"))
		return
	}
	answerQuestion(w, req, a.tracing, a.traced)
}

func (a *answers) traced(ctx context.Context, q Question) (*Traced, *Problem) {
	s := a.Agent.Snapshot()
	index, problem := a.currentIndex(s)
	if problem != nil {
		return nil, problem
	}
	site := s.Running.Site
	if s.Running.Policy == nil {
		site = a.Agent.Site()
	}
	out := &Traced{Version: Version, Digest: s.Policy.Digest}
	var err error
	out.Live, out.Agrees, err = a.Tracer(ctx, index.At(site), site, q)
	switch {
	case errors.Is(err, ErrNotHere):
		return nil, problemf(http.StatusNotFound, "%v", err)
	case errors.Is(err, ErrSwitch):
		return nil, problemf(http.StatusBadGateway, "%v", err)
	case err != nil:
		return nil, problemf(http.StatusBadRequest, "%v", err)
	}
	return out, nil
}

// Trace asks what the switch does with the packets of a question.
func (c *Client) Trace(ctx context.Context, q Question) (*Traced, error) {
	out := &Traced{}
	if _, err := c.ask(ctx, tracePath, q.values(), out, &out.Version); err != nil {
		return nil, err
	}
	return out, nil
}
