package policydb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// How the policy in the database is changed. The commands that write call this. Invariant: what is
// written is valid, was made of exactly the generation that it replaces, and is written once.

// The pauses between two attempts at one change grow from the first to the last. What somebody else
// has changed arrives within some milliseconds.
const (
	firstPause = 2 * time.Millisecond
	retryPause = 20 * time.Millisecond
)

// errConflict says that somebody else has changed the policy since it was read.
var errConflict = errors.New("somebody else has changed the policy meanwhile")

// Change says who changes the policy, and why it can be told apart from every other change.
type Change struct {
	ID   string // of the request, such as a UUID: a change of the same ID is made once
	At   time.Time
	By   string // who
	From string // from where, such as a file's name
	// Trial is the time after which the change is taken back unless it is confirmed; 0 = it stays.
	Trial time.Duration
	// Project is the one whose objects alone may be changed, by somebody who is to learn nothing of
	// others; "" = all of them.
	Project string
	// Ends is the generation on trial that the change may take back, which ends the trial; beside any
	// other it alters nothing that is on trial.
	Ends int
}

// Edit makes another policy of the one that is there, and says in words what that changes. It must
// leave alone what it is given, and share with it the objects that stay as they are. It may be
// called several times.
type Edit func(current *policy.Policy) (next *policy.Policy, summary string, err error)

// Change edits the policy by one transaction and returns the generation that it made; the present
// one if nothing changes. A policy that is not valid is refused with all that is wrong with it, and
// nothing is written. Where somebody else was quicker it is edited anew. After a connection that
// was lost, ctx ends the attempts, and the error says that the change may have been made.
func (c *Client) Change(ctx context.Context, change Change, edit Edit) (int, error) {
	return c.change(ctx, proposalOf(change, edit))
}

func proposalOf(change Change, edit Edit) proposal {
	return proposal{Change: change,
		edit: func(_ client.Rows, s state) (*policy.Policy, string, error) {
			return edit(s.policy)
		}}
}

// Plan is Change without writing: whether the change is possible, told by the edit as it would be,
// and the present generation.
func (c *Client) Plan(change Change, edit Edit) (int, error) {
	return c.plan(proposalOf(change, edit))
}

func (c *Client) plan(a proposal) (int, error) {
	generation := 0
	err := c.Read(func(all client.Rows) error {
		s := c.read(all)
		generation = s.generation
		_, err := a.operations(c, all, s)
		return err
	})
	return generation, err
}

// Rollback makes the policy again what it was in a generation of the history: a change like every
// other. It ends a trial that began after that generation.
func (c *Client) Rollback(ctx context.Context, change Change, generation int) (int, error) {
	change.Ends = generation + 1
	return c.change(ctx, proposal{Change: change,
		edit: func(all client.Rows, s state) (*policy.Policy, string, error) {
			next, err := formerly(all, s, generation)
			return next, fmt.Sprintf("back to generation %d", generation), err
		}})
}

// proposal is a change that is to be made.
type proposal struct {
	Change
	// edit is an Edit that sees the rows, too.
	edit func(all client.Rows, s state) (next *policy.Policy, summary string, err error)
	// gone are the IDs of rules that go before others that say the same; the edit fills it.
	gone map[string]bool
}

func (c *Client) change(ctx context.Context, a proposal) (int, error) {
	generation := 0
	err := insist(ctx, func() (err error) {
		generation, err = c.tryChange(ctx, a)
		return err
	})
	if why := c.LastError(); err == client.ErrNotConnected && why != nil {
		err = fmt.Errorf("nothing was written: %w", why)
	}
	return generation, err
}

// insist tries something until it is done or refused: anew after a conflict or a lost answer, until
// ctx ends.
func insist(ctx context.Context, try func() error) error {
	isUncertain := false
	for pause := firstPause; ; pause = min(2*pause, retryPause) {
		err := try()
		switch {
		case err == nil, !errors.Is(err, errConflict) && !isLost(err):
			return err
		case isLost(err) && err != client.ErrNotConnected: // else nothing was sent
			isUncertain = true
		}
		select {
		case <-ctx.Done():
			if isUncertain {
				return fmt.Errorf("the change may have been made, or not: %w", err)
			}
			return err
		case <-time.After(pause/2 + rand.N(pause)): // those who collide do not do so again
		}
	}
}

// isLost says whether an error leaves it open what the database did.
func isLost(err error) bool {
	refused := (*client.RefusedError)(nil)
	invalid := (*InvalidError)(nil)
	edited := (*editError)(nil)
	return !errors.As(err, &refused) && !errors.As(err, &invalid) && !errors.As(err, &edited)
}

// editError is what an Edit returned.
type editError struct{ error }

func (e *editError) Unwrap() error { return e.error }

func (c *Client) tryChange(ctx context.Context, a proposal) (int, error) {
	generation := 0
	err := c.Update(ctx, func(all client.Rows) ([]client.Operation, error) {
		if entry := find(all, a.ID); entry != nil {
			generation = entry.Generation
			return nil, nil // it is there
		}
		s := c.read(all)
		generation = s.generation
		return a.operations(c, all, s)
	})
	return generation, err
}

// operations are those of the change, if it is possible.
func (a proposal) operations(c *Client, all client.Rows, s state) ([]client.Operation, error) {
	trial := pending(all, s)
	isBeside := trial != nil && trial.Generation != a.Ends
	if isBeside && a.Trial > 0 {
		return nil, &editError{&TrialError{trialOf(trial)}}
	}
	next, summary, err := a.edit(all, s)
	if err != nil {
		return nil, &editError{err}
	}
	if errs := c.mistakesIn(next, s, a.Project); len(errs) > 0 {
		return nil, &InvalidError{errs: errs}
	}
	former := newUndo(s.policy, next)
	if isBeside {
		if err := mayStand(trial, s, next, former); err != nil {
			return nil, err
		}
		former.Beside = trial.Generation
	}
	return a.transaction(all, trial, s, next, former, summary)
}

// find returns the row of a change.
func find(all client.Rows, id string) *rows.Change {
	for _, row := range client.Table[*rows.Change](all, rows.ChangeTable) {
		if row.ID == id {
			return row
		}
	}
	return nil
}

// InvalidError is a policy that is not valid.
type InvalidError struct{ errs []error }

// Error returns a line for each mistake.
func (e *InvalidError) Error() string { return errors.Join(e.errs...).Error() }

// Unwrap returns the mistakes.
func (e *InvalidError) Unwrap() []error { return e.errs }

// caused are the problems of a policy but those that were there before, of objects that stay as
// they are: rows that somebody else has written hold up no other change.
func caused(before, next *policy.Policy, errs []error, project string) []error {
	known := map[string]bool{}
	for _, err := range problems(before, project) {
		known[err.Error()] = true
	}
	c := policy.Changed(before, next)
	var changed []string
	for _, g := range c.NewGroups {
		changed = append(changed, policy.Object{Kind: policy.AGroup, Name: g.Name}.String()+": ")
	}
	for _, i := range c.NewInstances {
		changed = append(changed, policy.Object{Kind: policy.AnInstance, Name: i.Name}.String()+": ")
	}
	return slices.DeleteFunc(errs, func(err error) bool {
		return known[err.Error()] && !slices.ContainsFunc(changed,
			func(object string) bool { return strings.HasPrefix(err.Error(), object) })
	})
}

// unkept are the instances that a database cannot have, among those that differ from before.
func unkept(p, before *policy.Policy) (errs []error) {
	_, come := policy.Unshared(before.Instances, p.Instances)
	for _, i := range come {
		if len(i.Ports) == 0 {
			errs = append(errs, fmt.Errorf("instance %q: ports: has none; an instance of a database is "+
				"its ports", i.Name))
		}
	}
	return errs
}

// problems puts what is wrong with a policy into words, for somebody of a project, or of none.
func problems(p *policy.Policy, project string) []error {
	v := policy.Validator{Place: func(o policy.Object, field string) string {
		return o.String() + ": " + field
	}}
	var errs []error
	for _, problem := range v.Validate(p) {
		if project != "" {
			problem = problem.ToldTo(project)
		}
		errs = append(errs, errors.New(problem.String()))
	}
	return append(errs, unkept(p, &policy.Policy{})...)
}

// transaction is all operations of a change that is undone by former; none if the policy stays as
// it is. trial is the change that is on trial; nil = none.
func (a proposal) transaction(all client.Rows, trial *rows.Change, s state, next *policy.Policy,
	former undo, summary string) ([]client.Operation, error) {
	if former.isEmpty() {
		return nil, nil
	}
	if err := former.within(a.Project); err != nil {
		return nil, &editError{err}
	}
	text, err := former.text()
	if err != nil {
		return nil, err
	}
	old := surplus(all, len(text))
	if former.Beside > 0 && slices.Contains(old, trial.UUID) {
		return nil, &editError{&TrialError{trialOf(trial)}} // or it could not be taken back any more
	}
	w := &writing{rows: all, gone: a.gone}
	global := libovsdb.Row{"generation": s.generation + 1,
		"generation_at": int(a.At.UnixMilli())}
	if s.global == "" {
		w.Insert("the first generation", rows.GlobalTable, global)
	} else {
		w.Operations = append(w.Operations, expect(s))
		w.Update("generation", rows.GlobalTable, s.global, global)
	}
	if trial != nil {
		w.Operations = append(w.Operations, expectTrial(trial))
	}
	w.plan(s, next)
	w.Insert("change "+a.ID, rows.ChangeTable, a.row(s.generation+1, summary, text))
	for _, uuid := range old {
		w.Delete("an old change", rows.ChangeTable, uuid)
	}
	return durable(w.Operations), nil
}

// row is the change's own.
func (a proposal) row(generation int, summary, undo string) libovsdb.Row {
	out := libovsdb.Row{"generation": generation, "id": a.ID, "at": int(a.At.UnixMilli()),
		"by": a.By, "from": a.From, "summary": clipped(summary), "undo": undo}
	if a.Trial > 0 {
		out["confirm_by"] = client.Set([]int{int(a.At.Add(a.Trial).UnixMilli())})
	}
	return out
}

// expect is the condition that nobody else has changed the policy.
func expect(s state) client.Operation {
	at := 0
	return client.Operation{About: "the generation", Refused: errConflict, Op: libovsdb.Operation{
		Op: libovsdb.OperationWait, Table: rows.GlobalTable, Timeout: &at,
		Where: client.ByUUID(s.global), Columns: []string{"generation"},
		Until: string(libovsdb.WaitConditionEqual),
		Rows:  []libovsdb.Row{{"generation": s.generation}}}}
}

// maxSummary is what the column holds, in characters.
const maxSummary = 4096

// clipped fits words into the column.
func clipped(summary string) string {
	if list := []rune(summary); len(list) > maxSummary {
		return string(list[:maxSummary-1]) + "…"
	}
	return summary
}
