package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/generation"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// What another interface to the same policy stands on: package controller/exoscale answers below /v2
// with it. Invariant: whoever asks there has the same limits, and changes things by the same
// transactions, as below /v1.

// Refusal is a problem with a status of HTTP, in words.
func Refusal(status int, format string, args ...any) *Problem {
	return problemf(status, format, args...)
}

// RefusalOf is the problem that an error is; false = nobody expected it, and it is for the log.
func RefusalOf(err error) (*Problem, bool) { return problemOf(err) }

// Write sends a problem.
func (p *Problem) Write(w http.ResponseWriter) { p.write(w) }

// Now is the server's time.
func (s *Server) Now() time.Time { return s.now() }

// Admit takes one request from what somebody has.
func (s *Server) Admit(who access.Principal) error { return s.limits.admit(who, s.now()) }

// NoteUse notes beside the request that a token was used.
func (s *Server) NoteUse(t policydb.Token) { s.used(t) }

// Write is a change that somebody makes.
type Write struct {
	By   access.Principal
	ID   string // of the request: a write of the same ID is made once
	What string // in words, for the history
	Edit func(policydb.View) (policydb.Edited, error)
}

// Written is what came of a Write.
type Written struct {
	Generation int // that has it; the present one if nothing changed
	// Found = a write of this ID was made before.
	Found bool
	// Summary says who gained and who lost.
	Summary string
}

// Write makes a change, by one transaction.
func (s *Server) Write(ctx context.Context, w Write) (Written, error) {
	out := Written{Found: true}
	edit := func(v policydb.View) (policydb.Edited, error) {
		out.Found = false
		edited, err := w.Edit(v)
		if err != nil {
			return edited, err
		}
		told := generation.InWords(explain.CompareAccess(visible(v.Policy, w.By.Project),
			visible(edited.Policy, w.By.Project)))
		out.Summary = strings.TrimSpace(fmt.Sprintf("%d gained, %d lost\n%s", told.Gained, told.Lost,
			strings.Join(told.Lines, "\n")))
		edited.Summary = out.Summary
		return edited, nil
	}
	var err error
	out.Generation, err = s.DB.ChangeView(ctx, policydb.Change{ID: w.ID, At: s.now(),
		By: w.By.Name, From: w.What, Project: w.By.Project}, edit)
	return out, err
}

// HasProject says whether what is somebody's project is there; who has all needs none.
func HasProject(v policydb.View, who access.Principal) bool {
	return who.Project == "" || findProject(v.Policy, who.Project) != nil
}
