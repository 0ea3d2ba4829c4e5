package policydb

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// The changes that the database remembers: what they were, which policies can be had again by them,
// and which ones it forgets. Invariant: what is remembered is without a gap, from some generation
// to the present one.

// What is kept of the past, whichever is reached first. Each member and each writer has all of it
// in memory; one change that is larger than that is kept alone.
const (
	keptChanges = 1000
	keptBytes   = 16 << 20 // of what it takes to undo them
)

// Entry is one change of the past.
type Entry struct {
	Generation int       `json:"generation"` // that it made
	At         time.Time `json:"at"`
	By         string    `json:"by"`
	From       string    `json:"from"`
	Summary    string    `json:"summary"` // who gained and who lost access, in words
	// ConfirmBy is until when it is, or was, on trial. Zero: it never was, or was confirmed. [EndedBy]
	// tells whether it was taken back.
	ConfirmBy time.Time `json:"confirm_by,omitzero"`
	// Beside is the generation on trial that went on although this one followed; 0 = none.
	Beside int `json:"beside,omitempty"`
}

// History returns the changes that the database remembers, the newest first.
func (c *Client) History() ([]Entry, error) { return c.HistoryAfter(0) }

// HistoryAfter returns those that made a generation after one, the newest first.
func (c *Client) HistoryAfter(generation int) ([]Entry, error) {
	var out []Entry
	err := c.Read(func(all client.Rows) error {
		for _, row := range client.Table[*rows.Change](all, rows.ChangeTable) {
			if row.Generation > generation {
				out = append(out, entryOf(row))
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Entry) int { return b.Generation - a.Generation })
	return out, err
}

func entryOf(row *rows.Change) Entry {
	return Entry{Generation: row.Generation, At: time.UnixMilli(int64(row.At)), By: row.By,
		From: row.From, Summary: row.Summary, ConfirmBy: moment(row.ConfirmBy),
		Beside: besideWhich(row.Undo)}
}

// Formerly returns the policy of a generation that the database remembers. It must not be changed.
func (c *Client) Formerly(generation int) (p *policy.Policy, err error) {
	err = c.Read(func(all client.Rows) error {
		s := c.read(all)
		if len(s.errs) > 0 {
			return &InvalidError{errs: s.errs}
		}
		if p = s.policy; generation == s.generation {
			return nil
		}
		p, err = formerly(all, s, generation)
		return err
	})
	return p, err
}

// surplus are the rows of the changes to be forgotten when one of so many bytes comes.
func surplus(all client.Rows, coming int) []string {
	var out []string
	number, bytes := min(1, coming), coming
	for _, row := range client.Table[*rows.Change](all, rows.ChangeTable) {
		number, bytes = number+1, bytes+len(row.Undo)
	}
	if number <= keptChanges && bytes <= keptBytes {
		return nil
	}
	number, bytes = min(1, coming), coming
	for _, row := range newestFirst(all) {
		number, bytes = number+1, bytes+len(row.Undo)
		if number > keptChanges || bytes > keptBytes {
			out = append(out, row.UUID)
		}
	}
	return out
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
