package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// How the server says no: application/problem+json (RFC 9457). Handlers return a *Problem, or any
// error that problemOf knows. Invariant: what nobody expected is told to the log, not to the
// client.

// Problem is the body of an answer that is no success.
type Problem struct {
	Type   string   `json:"type"` // always about:blank: the status says what kind it is
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail"` // what is wrong, and what would be right
	Errors []Detail `json:"errors,omitempty"`
	// Message is Detail, for clients that look for it there.
	Message string `json:"message"`
	// Request is the ID under which the log has it.
	Request string `json:"request,omitempty"`
}

// Detail is one mistake of several.
type Detail struct {
	Message string `json:"message"`
	// Location is where, such as body.rules[0].ports.
	Location string `json:"location,omitempty"`
}

// Error returns what is wrong.
func (p *Problem) Error() string { return p.Detail }

// problemf is a problem with a status of HTTP.
func problemf(status int, format string, args ...any) *Problem {
	detail := fmt.Sprintf(format, args...)
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: detail, Message: detail}
}

// invalid is a problem of several mistakes.
func invalid(details []Detail) *Problem {
	p := problemf(http.StatusUnprocessableEntity, "%s", details[0].Message)
	if p.Errors = details; len(details) > 1 {
		p.Detail = fmt.Sprintf("%s, and %d more: see errors", p.Detail, len(details)-1)
		p.Message = p.Detail
	}
	return p
}

// problemOf makes a problem of an error; false = nobody expected it.
func problemOf(err error) (*Problem, bool) {
	var known *Problem
	var inFile strictyaml.Errors
	var notValid *policydb.InvalidError
	var onTrial *policydb.TrialError
	var refused *client.RefusedError
	var schema *policydb.SchemaError
	switch {
	case errors.As(err, &known):
		return known, true
	case errors.As(err, &inFile):
		return invalid(inBody(inFile)), true
	case errors.As(err, &notValid):
		details := make([]Detail, len(notValid.Unwrap()))
		for n, one := range notValid.Unwrap() {
			details[n] = Detail{Message: one.Error()}
		}
		return invalid(details), true
	case errors.As(err, &onTrial), errors.Is(err, policydb.ErrNoTrial):
		return problemf(http.StatusConflict, "%v", err), true
	case errors.Is(err, policydb.ErrTaken):
		return problemf(http.StatusConflict, "%v", err), true
	case errors.Is(err, policydb.ErrNoToken):
		return problemf(http.StatusNotFound, "%v", err), true
	case errors.As(err, &refused):
		return problemf(http.StatusConflict, "the database refuses it: %v", err), true
	case errors.As(err, &schema):
		return problemf(http.StatusServiceUnavailable, "%v", schema), true
	case errors.Is(err, client.ErrNotConnected):
		p := problemf(http.StatusServiceUnavailable, "the policy database does not answer")
		return p, true
	}
	return problemf(http.StatusInternalServerError,
		"the server could not do it; its log says why"), false
}

// inBody names the places of mistakes as those of a body.
func inBody(list strictyaml.Errors) []Detail {
	out := make([]Detail, len(list))
	for n, e := range list {
		out[n] = Detail{Message: e.Message, Location: "body"}
		if e.Field != "" {
			out[n].Location += "." + e.Field
		}
	}
	return out
}

// write sends a problem.
func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that went away needs no answer
}
