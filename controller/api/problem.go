package api

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/portcullis/portcullis/controller/agent"
)

// This file is how the API says no: as JSON with a reason and a way out, also where nothing is.

// Problem is the body of every answer that is an error.
type Problem struct {
	Version string `json:"version"` // [Version]
	Message string `json:"error"`   // what is wrong
	Hint    string `json:"hint,omitempty"`
	// what can be asked, where something was asked that is not there
	Calls []Call `json:"calls,omitempty"`

	status int
}

// Error returns the reason, and in the next line the way out.
func (p *Problem) Error() string {
	if p.Hint == "" {
		return p.Message
	}
	return p.Message + "\n" + p.Hint
}

// Status is the status of HTTP with which it was said.
func (p *Problem) Status() int { return p.status }

// Call is something that can be asked.
type Call struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	What   string `json:"what"`
}

// problemf is a problem with a status of HTTP.
func problemf(status int, format string, args ...any) *Problem {
	return &Problem{Version: Version, Message: fmt.Sprintf(format, args...), status: status}
}

// or adds a way out.
func (p *Problem) or(hint string) *Problem {
	p.Hint = hint
	return p
}

func refuse(w http.ResponseWriter, p *Problem) { answer(w, p.status, p) }

// calls lists what can be asked.
func calls() []Call {
	return []Call{
		{http.MethodGet, statusPath, "how things stand; ?wait=30s waits until the policy is settled"},
		{http.MethodGet, healthPath, "200 if what the files say is in force, 503 and the reason if not"},
		{http.MethodGet, connectionsPath, "live connections; ?port=, ?instance=, ?limit="},
		{http.MethodGet, countersPath, "what the switch has counted"},
		{http.MethodGet, watchPath, "first packets, admitted and denied, one a line; ?verdict=, ?to="},
		{http.MethodGet, inForcePath, "the policy in force, and where its ports are on the switch"},
		{http.MethodGet, explainPath, "why one end reaches another: ?from=, ?to=, ?service=, ?via="},
		{http.MethodGet, tracePath, "what the switch does then: ?from=, ?to=, ?service=, ?via="},
		{http.MethodGet, matrixPath, "who reaches whom: ?instances=true, ?from=, ?to=, ?group=, ?service="},
		{http.MethodPost, planPath, "what a policy would change, before it is in force"},
	}
}

// nothing answers what is asked of no path, or by another method than a path has.
func nothing(w http.ResponseWriter, req *http.Request) {
	var methods []string
	for _, c := range calls() {
		if c.Path == req.URL.Path {
			methods = append(methods, c.Method)
		}
	}
	if len(methods) > 0 {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		refuse(w, problemf(http.StatusMethodNotAllowed, "%s is asked by %s, not %s", req.URL.Path,
			strings.Join(methods, " or "), req.Method))
		return
	}
	p := problemf(http.StatusNotFound, "there is nothing at %s", req.URL.Path)
	p.Calls = calls()
	refuse(w, p.or("this is version "+Version+" of the API of Portcullis; the calls are listed"))
}

// Health is whether what the files say is in force.
type Health struct {
	Version string `json:"version"` // [Version]
	Healthy bool   `json:"healthy"`
	State   string `json:"state"`
	Reason  string `json:"reason"` // the state and why it is that, in one line
}

// pendingTooLong is how long a port may wait for Open vSwitch before that is trouble.
const pendingTooLong = 30 * time.Second

// IsHealthy says whether what the files say is in force, or will be in a moment.
func (s *Status) IsHealthy(now time.Time) bool {
	isWaiting := s.State == agent.StatePending && now.Sub(s.Since) < pendingTooLong
	return s.State == agent.StateInSync || isWaiting
}

// health answers healthPath.
func (s Server) health(w http.ResponseWriter, _ *http.Request) {
	now := s.Agent.Snapshot()
	out := Health{Version: Version, Healthy: statusOf(now).IsHealthy(time.Now()),
		State: string(now.State), Reason: now.Summary}
	code := http.StatusOK
	if !out.Healthy {
		code = http.StatusServiceUnavailable
	}
	answer(w, code, out)
}
