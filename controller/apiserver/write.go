package apiserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/generation"
	"github.com/portcullis/portcullis/controller/hostask"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// A change of an edit: one transaction under the generation that it was made of. Handlers that
// write call [Server.change]. Invariant: what If-Match says is judged against the very policy that
// the change replaces.

// Done is the answer to a write.
type Done struct {
	Generation int `json:"generation"` // that has it; with dry_run, the present one
	// Changed = it was, or would be, another policy than before
	Changed bool     `json:"changed"`
	DryRun  bool     `json:"dry_run,omitempty"` // nothing was written
	Gained  int      `json:"gained"`            // who may now reach more
	Lost    int      `json:"lost"`
	Access  []string `json:"access"` // who gained and who lost, in words

	summary string // what the history and the audit say of it
	change  hostask.Change
}

// viewEdit is an edit that finds rules by their IDs: gone are the IDs of those that are to go.
type viewEdit func(v policydb.View) (next *policy.Policy, gone []string, err error)

// change makes a change, or with dry_run says what it would be.
func (s *Server) change(r *request, what string, make edit.Edit) (*reply, error) {
	return s.changeView(r, what, func(v policydb.View) (*policy.Policy, []string, error) {
		next, err := make(v.Policy)
		return next, nil, err
	})
}

// changeView is change for an edit by IDs.
func (s *Server) changeView(r *request, what string, make viewEdit) (*reply, error) {
	out := &Done{DryRun: r.query.Get("dry_run") == "true", Access: []string{},
		summary: new(history.Access).Summary()}
	change := s.changeOf(r, what)
	judge := func(v policydb.View) (policydb.Edited, error) { return r.judge(v, make, out) }
	var err error
	if out.DryRun {
		out.Generation, err = s.DB.PlanView(change, judge)
		return &reply{body: out}, err
	}
	out.Generation, err = s.DB.ChangeView(r.Context(), change, judge)
	if r.after = out.Generation; err == nil && r.attempts == 0 {
		err = s.recall(out)
	}
	if err == nil {
		r.what = what + ": " + out.summary
	}
	return &reply{body: out}, err
}

// recall says of a change that was made before, by a request that is repeated, what the history
// does.
func (s *Server) recall(out *Done) error {
	list, err := s.DB.History()
	at := slices.IndexFunc(list, func(e policydb.Entry) bool { return e.Generation == out.Generation })
	if err != nil || at < 0 {
		return err // it is not remembered any more
	}
	out.Changed, out.summary = true, list[at].Summary
	lines := strings.Split(out.summary, "\n")
	if _, err := fmt.Sscanf(lines[0], "%d gained, %d lost", &out.Gained, &out.Lost); err == nil {
		out.Access = lines[1:]
	}
	return nil
}

// judge makes the change of one generation, if that is the one that it is to be made of, and tells
// what it means.
func (r *request) judge(v policydb.View, make viewEdit, out *Done) (policydb.Edited, error) {
	if r.attempts++; r.madeOf != nil && *r.madeOf != v.Generation {
		return policydb.Edited{}, problemf(http.StatusPreconditionFailed, "somebody has changed the "+
			"policy meanwhile: it is generation %d now; read it again", v.Generation)
	}
	r.before = v.Generation
	current := v.Policy
	next, gone, err := make(v)
	if err != nil {
		return policydb.Edited{}, err
	}
	if err := out.compare(r.Context(), current, next, r.project); err != nil {
		return policydb.Edited{}, err
	}
	return policydb.Edited{Policy: next, Summary: out.summary, Gone: gone}, nil
}

// exchanged is a list with an object in the place of an old one; without an old one it is new, and
// with none in its place the old one goes.
func exchanged[T any](list []*T, old, next *T) []*T {
	out := slices.DeleteFunc(slices.Clone(list), func(v *T) bool { return v == old })
	if next != nil {
		out = append(out, next)
	}
	return out
}

// compare says what turns one policy into another, as far as a project sees it.
func (d *Done) compare(ctx context.Context, current, next *policy.Policy, project string) error {
	d.Changed = !slices.Equal(current.Groups, next.Groups) ||
		!slices.Equal(current.Instances, next.Instances) ||
		!slices.Equal(current.Projects, next.Projects)
	var err error
	if d.change, err = comparing(ctx, current, next, project); err != nil {
		return err
	}
	told := generation.InWords(d.change.Access)
	d.Gained, d.Lost, d.summary = told.Gained, told.Lost, told.Summary()
	d.Access = append([]string{}, told.Lines...)
	return nil
}

// comparing looks two policies up, as far as a project sees them, and says who gains and who loses.
func comparing(ctx context.Context, current, next *policy.Policy,
	project string) (hostask.Change, error) {
	out := hostask.Change{Before: explain.NewIndex(visible(current, project)),
		After: explain.NewIndex(visible(next, project))}
	var isWhole bool
	out.Access, isWhole = out.Before.CompareAccessUntil(out.After,
		func() bool { return ctx.Err() != nil })
	if !isWhole {
		return out, problemf(http.StatusServiceUnavailable,
			"who gains and who loses by it was not found out in time")
	}
	return out, nil
}

// changeOf says who changes what. A request that is repeated under the same Idempotency-Key is the
// same change, and is made once.
func (s *Server) changeOf(r *request, what string) policydb.Change {
	id := r.id
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		sum := sha256.Sum256([]byte(r.who.How + "\n" + r.who.Name + "\n" + r.Method + "\n" +
			r.URL.RequestURI() + "\n" + key))
		id = "key-" + hex.EncodeToString(sum[:20])
	}
	return policydb.Change{ID: id, At: s.now(), By: r.who.Name + " from " + r.from,
		From: what, Trial: r.trial, Project: r.who.Project}
}

// tag is the ETag of an object: of what it says, so that every server has the same.
func tag(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // values of a policy can be written
	}
	sum := sha256.Sum256(text)
	return strconv.Quote(hex.EncodeToString(sum[:12]))
}

// match judges the conditions of a write (RFC 9110, 13.1; RFC 6585, 3). now is the ETag of the
// object; "" = it is not there.
func (r *request) match(now string) error {
	want, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	switch {
	case none == "*" && now != "":
		return problemf(http.StatusPreconditionFailed, "it is there already, as %s", now)
	case now == "" && want != "":
		return problemf(http.StatusPreconditionFailed, "it is not there (any more)")
	case now == "":
		return nil
	case want == "":
		return problemf(http.StatusPreconditionRequired, "say which state is to be replaced: "+
			"If-Match with the ETag that GET answers, or * for any")
	case want == "*" || slices.Contains(strings.Split(strings.ReplaceAll(want, " ", ""), ","), now):
		return nil
	}
	return problemf(http.StatusPreconditionFailed, "somebody has changed it meanwhile: it is %s now, "+
		"not %s; read it again", now, want)
}

// merged is an object with a patch merged into it.
func merged(object any, patch []byte) ([]byte, error) {
	var target, change any
	if err := json.Unmarshal(marshal(object), &target); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(patch, &change); err != nil {
		return nil, problemf(http.StatusBadRequest, "the body is no JSON: %v", err)
	}
	if _, isObject := change.(map[string]any); !isObject {
		return nil, problemf(http.StatusBadRequest, "a merge patch of an object must be an object")
	}
	return marshal(mergePatch(target, change)), nil
}

// mergePatch is the algorithm of RFC 7396, section 2.
func mergePatch(target, patch any) any {
	change, isObject := patch.(map[string]any)
	if !isObject {
		return patch
	}
	out, isObject := target.(map[string]any)
	if !isObject {
		out = map[string]any{}
	}
	for key, value := range change {
		if value == nil {
			delete(out, key)
			continue
		}
		out[key] = mergePatch(out[key], value)
	}
	return out
}

// What follows another interface to the same policy stands on: package controller/exoscale answers
// below /v2 with it. Invariant: whoever asks there has the same limits, and changes things by the
// same transactions, as below /v1.

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

// Address is where a request comes from.
func (s *Server) Address(req *http.Request) string { return s.address(req) }

// Unrecognised counts somebody at an address who was not recognised; the error is that they were so
// too often.
func (s *Server) Unrecognised(address string) error { return s.limits.fail(address, s.now()) }

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
	// Before is the one that it was made of.
	Before int
	// Found = a write of this ID was made before.
	Found bool
	// Attempts is how often it was made anew, as others were quicker, and once more.
	Attempts int
	// Summary says what was changed, and who gained and who lost.
	Summary string
}

// Write makes a change, by one transaction.
func (s *Server) Write(ctx context.Context, w Write) (Written, error) {
	out := Written{Found: true}
	told := func(v policydb.View) (policydb.Edited, error) {
		out.Found, out.Before = false, v.Generation
		out.Attempts++
		edited, err := w.Edit(v)
		if err != nil {
			return edited, err
		}
		change, err := comparing(ctx, v.Policy, edited.Policy, w.By.Project)
		if err != nil {
			return edited, err
		}
		out.Summary = generation.InWords(change.Access).Summary()
		edited.Summary = out.Summary
		return edited, nil
	}
	var err error
	out.Generation, err = s.DB.ChangeView(ctx, policydb.Change{ID: w.ID, At: s.now(),
		By: w.By.Name, From: w.What, Project: w.By.Project}, told)
	if err == nil {
		out.Summary = w.What + ": " + out.Summary
	}
	return out, err
}

// Answered is a request that was answered.
type Answered struct {
	*http.Request
	Who    access.Principal
	ID     string
	From   string // the address that it came from
	Route  string
	Status int
	Began  time.Time
	Err    error
	Did    Written // the zero Written = nothing
}

// Record logs a request, and has it counted.
func (s *Server) Record(t Answered) {
	took := s.now().Sub(t.Began)
	r := &request{Request: t.Request, id: t.ID, from: t.From, who: t.Who, before: t.Did.Before,
		after: t.Did.Generation, what: t.Did.Summary}
	s.audit(r, t.Status, took, t.Err)
	if s.Observe != nil {
		s.Observe(Observed{Method: t.Method, Route: t.Route, Status: t.Status, Took: took,
			Retries: max(0, t.Did.Attempts-1)})
	}
}

// HasProject says whether what is somebody's project is there; who has all needs none.
func HasProject(v policydb.View, who access.Principal) bool {
	return who.Project == "" || findProject(v.Policy, who.Project) != nil
}
