package policydb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// How the policy in the database is changed. The commands that write call this. Invariant: what is
// written is valid, was made of exactly the generation that it replaces, and is written once.

// kept is how many changes the database remembers.
const kept = 1000

// retryPause is the time between two attempts at one change.
const retryPause = 20 * time.Millisecond

// errConflict says that somebody else has changed the policy since it was read.
var errConflict = errors.New("somebody else has changed the policy meanwhile")

// Change says who changes the policy, and why it can be told apart from every other change.
type Change struct {
	ID   string // of the request, such as a UUID: a change of the same ID is made once
	At   time.Time
	By   string // who
	From string // from where, such as a file's name
}

// Edit makes another policy of the one that is there, and says in words what that changes. It must
// leave alone what it is given, and share with it the objects that stay as they are. It may be
// called several times.
type Edit func(current *policy.Policy) (next *policy.Policy, summary string, err error)

// Entry is one change of the past.
type Entry struct {
	Generation int       `json:"generation"` // that it made
	At         time.Time `json:"at"`
	By         string    `json:"by"`
	From       string    `json:"from"`
	Summary    string    `json:"summary"` // who gained and who lost access, in words
}

// Change edits the policy by one transaction and returns the generation that it made; the present
// one if nothing changes. A policy that is not valid is refused with all that is wrong with it, and
// nothing is written. Where somebody else was quicker it is edited anew. After a connection that
// was lost, ctx ends the attempts, and the error says that the change may have been made.
func (c *Client) Change(ctx context.Context, change Change, edit Edit) (int, error) {
	return c.change(ctx, change, func(_ client.Rows, s state) (*policy.Policy, string, error) {
		return edit(s.policy)
	})
}

// Rollback makes the policy again what it was in a generation of the history: a change like every
// other.
func (c *Client) Rollback(ctx context.Context, change Change, generation int) (int, error) {
	return c.change(ctx, change, func(all client.Rows, s state) (*policy.Policy, string, error) {
		next, err := formerly(all, s, generation)
		return next, fmt.Sprintf("back to generation %d", generation), err
	})
}

// edit is an Edit that sees the rows, too.
type edit func(all client.Rows, s state) (next *policy.Policy, summary string, err error)

func (c *Client) change(ctx context.Context, change Change, edit edit) (int, error) {
	isUncertain := false
	for {
		generation, err := c.tryChange(ctx, change, edit)
		switch {
		case err == nil, !errors.Is(err, errConflict) && !isLost(err):
			return generation, err
		case isLost(err) && !errors.Is(err, client.ErrNotConnected):
			isUncertain = true
		}
		select {
		case <-ctx.Done():
			if isUncertain {
				return 0, fmt.Errorf("the change may have been made, or not: %w", err)
			}
			return 0, err
		case <-time.After(retryPause):
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

func (c *Client) tryChange(ctx context.Context, change Change, edit edit) (int, error) {
	generation := 0
	err := c.Update(ctx, func(all client.Rows) ([]client.Operation, error) {
		if entry := find(all, change.ID); entry != nil {
			generation = entry.Generation
			return nil, nil // it is there
		}
		s := c.read(all)
		generation = s.generation
		if len(s.errs) > 0 {
			return nil, &InvalidError{errs: s.errs}
		}
		next, summary, err := edit(all, s)
		if err != nil {
			return nil, &editError{err}
		}
		if errs := problems(next); len(errs) > 0 {
			return nil, &InvalidError{errs: errs}
		}
		return transaction(all, s, next, change, summary)
	})
	return generation, err
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

// problems puts what is wrong with a policy into words.
func problems(p *policy.Policy) []error {
	v := policy.Validator{Place: func(o policy.Object, field string) string {
		return o.String() + ": " + field
	}}
	var errs []error
	for _, problem := range v.Validate(p) {
		errs = append(errs, errors.New(problem.String()))
	}
	return errs
}

// transaction is all operations of a change; none if the policy stays as it is.
func transaction(all client.Rows, s state, next *policy.Policy, change Change,
	summary string) ([]client.Operation, error) {
	former := newUndo(s.policy, next)
	if former.isEmpty() {
		return nil, nil
	}
	text, err := former.text()
	if err != nil {
		return nil, err
	}
	w := &writing{rows: all}
	global := libovsdb.Row{"generation": s.generation + 1,
		"generation_at": int(change.At.UnixMilli())}
	if s.global == "" {
		w.Insert("the first generation", rows.GlobalTable, global)
	} else {
		w.Operations = append(w.Operations, expect(s))
		w.Update("generation", rows.GlobalTable, s.global, global)
	}
	w.plan(s.policy, next)
	w.Insert("change "+change.ID, rows.ChangeTable, libovsdb.Row{"generation": s.generation + 1,
		"id": change.ID, "at": int(change.At.UnixMilli()), "by": change.By, "from": change.From,
		"summary": clipped(summary), "undo": text})
	for uuid, row := range client.Table[*rows.Change](all, rows.ChangeTable) {
		if row.Generation <= s.generation+1-kept {
			w.Delete("an old change", rows.ChangeTable, uuid)
		}
	}
	// a database that is no cluster writes to the disk in its own time otherwise
	durable := true
	w.Operations = append(w.Operations, client.Operation{About: "commit",
		Op: libovsdb.Operation{Op: libovsdb.OperationCommit, Durable: &durable}})
	return w.Operations, nil
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

// History returns the changes that the database remembers, the newest first.
func (c *Client) History() ([]Entry, error) {
	var out []Entry
	err := c.Read(func(all client.Rows) error {
		for _, row := range newestFirst(all) {
			out = append(out, Entry{Generation: row.Generation,
				At: time.UnixMilli(int64(row.At)), By: row.By, From: row.From,
				Summary: row.Summary})
		}
		return nil
	})
	return out, err
}

func newestFirst(all client.Rows) []*rows.Change {
	var out []*rows.Change
	for _, row := range client.Table[*rows.Change](all, rows.ChangeTable) {
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b *rows.Change) int { return b.Generation - a.Generation })
	return out
}

// formerly is the policy of a generation: the changes since are undone, the newest first.
func formerly(all client.Rows, s state, generation int) (*policy.Policy, error) {
	history := newestFirst(all)
	if len(history) == 0 || generation >= s.generation ||
		generation < history[len(history)-1].Generation-1 {
		return nil, noWayBack(history, generation)
	}
	next, at := s.policy, s.generation
	for _, row := range history {
		if row.Generation <= generation {
			break
		}
		former, err := readUndo(row.Undo)
		if err == nil && row.Generation != at {
			err = fmt.Errorf("the change that made generation %d is not remembered", at)
		}
		if err != nil {
			return nil, fmt.Errorf("generation %d: %w", row.Generation, err)
		}
		next, at = former.apply(next), at-1
	}
	return next, nil
}

// noWayBack says which generations can be had again.
func noWayBack(history []*rows.Change, generation int) error {
	if len(history) == 0 {
		return errors.New("the database remembers no change")
	}
	return fmt.Errorf("generation %d cannot be had again: those from %d to %d can", generation,
		history[len(history)-1].Generation-1, history[0].Generation-1)
}
