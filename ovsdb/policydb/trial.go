package policydb

import (
	"cmp"
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

// A change on trial: one that is taken back unless it is confirmed in time. Commands and API
// servers begin and confirm it; package upkeep, which runs beside each member, takes it back.
// Invariant: it is confirmed or taken back, never both, and at any time it can be taken back alone:
// what others change meanwhile concerns none of its objects, and is valid without it. All of these
// are one transaction each, under the condition that the generation is as it was read, and on trial
// still.

// Trial is a change on trial.
type Trial struct {
	Generation int       `json:"generation"` // that it made
	ID         string    `json:"id"`         // of the change
	By         string    `json:"by"`
	At         time.Time `json:"at"`
	// Until is when it is taken back, by the clock of who made it. By any other clock only the time
	// from At to Until has a meaning.
	Until time.Time `json:"until"`
}

// Window is how long the trial lasts.
func (t Trial) Window() time.Duration { return t.Until.Sub(t.At) }

// TrialError refuses a change while another one is on trial.
type TrialError struct{ Trial Trial }

// Error names the trial, and what ends it.
func (e *TrialError) Error() string {
	return fmt.Sprintf("generation %d of %s is on trial until %s: keep it with 'portcullis confirm', "+
		"or take it back with 'portcullis confirm --undo', before another change of what it concerns",
		e.Trial.Generation, e.Trial.By, e.Trial.Until.Local().Format(time.TimeOnly))
}

// ErrNoTrial says that there is nothing to confirm.
var ErrNoTrial = errors.New("no change is on trial")

// OtherTrialError refuses to end the trial of a change that is on trial no more, while another is.
// It is an ErrNoTrial.
type OtherTrialError struct{ Named, OnTrial int } // generations

// Error names both.
func (e *OtherTrialError) Error() string {
	return fmt.Sprintf("generation %d is on trial, not %d", e.OnTrial, e.Named)
}

// Is says that the change which was named is not on trial.
func (e *OtherTrialError) Is(target error) bool { return target == ErrNoTrial }

// pending is the row of the change on trial; nil = none. One that was followed by a change which is
// not beside it is none: it was taken back by that.
func pending(all client.Rows, s state) *rows.Change {
	var last *rows.Change
	for _, row := range client.Table[*rows.Change](all, rows.ChangeTable) {
		if row.ConfirmBy != nil && (last == nil || row.Generation > last.Generation) {
			last = row
		}
	}
	if last == nil {
		return nil
	}
	beside := 0
	for _, row := range client.Table[*rows.Change](all, rows.ChangeTable) {
		if row.Generation > last.Generation && besideWhich(row.Undo) == last.Generation {
			beside++
		}
	}
	if last.Generation+beside != s.generation {
		return nil
	}
	return last
}

// mayStand refuses a change that could not stay if the one on trial were taken back; former undoes
// the change.
func mayStand(trial *rows.Change, s state, next *policy.Policy, former undo) error {
	refused := &editError{&TrialError{trialOf(trial)}}
	tried, err := readUndo(trial.Undo)
	if err != nil {
		return err
	}
	if tried.concerns(former) {
		return refused
	}
	back := tried.apply(next)
	if len(caused(s.policy, back, problems(back, ""), "")) > 0 {
		return refused
	}
	return nil
}

func trialOf(row *rows.Change) Trial {
	return Trial{Generation: row.Generation, ID: row.ID, By: row.By,
		At: time.UnixMilli(int64(row.At)), Until: moment(row.ConfirmBy)}
}

// expectTrial is the condition that nobody has confirmed it.
func expectTrial(row *rows.Change) client.Operation {
	at := 0
	return client.Operation{About: "the trial", Refused: errConflict, Op: libovsdb.Operation{
		Op: libovsdb.OperationWait, Table: rows.ChangeTable, Timeout: &at,
		Where: client.ByUUID(row.UUID), Columns: []string{"confirm_by"},
		Until: string(libovsdb.WaitConditionEqual),
		Rows:  []libovsdb.Row{{"confirm_by": client.Set([]int{*row.ConfirmBy})}}}}
}

// OnTrial returns the change on trial; nil = none.
func (c *Client) OnTrial() (trial *Trial, err error) {
	err = c.Read(func(all client.Rows) error {
		if row := pending(all, c.read(all)); row != nil {
			one := trialOf(row)
			trial = &one
		}
		return nil
	})
	return trial, err
}

// Confirm ends the trial of the change that made a generation, which stays; 0 = whichever is on
// trial. Confirmed twice is confirmed, unless another change is on trial by then, which may be the
// one that is meant. It returns the generation.
func (c *Client) Confirm(ctx context.Context, generation int) (int, error) {
	isSent := false
	err := insist(ctx, func() error {
		return c.Update(ctx, func(all client.Rows) ([]client.Operation, error) {
			s := c.read(all)
			row := pending(all, s)
			if generation == 0 && row != nil {
				generation = row.Generation // also when it is tried anew
			}
			if row == nil || row.Generation != generation {
				err := isConfirmed(all, generation)
				if err == nil && row != nil && !isSent {
					err = &editError{&OtherTrialError{Named: generation, OnTrial: row.Generation}}
				}
				return nil, err
			}
			isSent = true
			var w client.Operations
			w = append(w, expect(s), expectTrial(row))
			w.Update("trial", rows.ChangeTable, row.UUID,
				libovsdb.Row{"confirm_by": client.Set[int](nil)})
			return durable(w), nil
		})
	})
	return generation, err
}

// isConfirmed says why a generation cannot be confirmed; nil if it stands without a trial.
func isConfirmed(all client.Rows, generation int) error {
	if generation == 0 {
		return &editError{ErrNoTrial}
	}
	var list []Entry
	for _, row := range newestFirst(all) {
		list = append(list, entryOf(row))
	}
	if err := Stood(list, generation); err != nil {
		return &editError{err}
	}
	return nil
}

// Stood says of a generation that is not on trial how its trial ended; nil = it was confirmed, or
// never on trial. The list has all changes that followed it.
func Stood(list []Entry, generation int) error {
	for _, e := range list {
		if e.Generation != generation {
			continue
		}
		if by := EndedBy(list, e); by > 0 {
			return fmt.Errorf("generation %d was not confirmed in time: it was taken back by "+
				"generation %d", generation, by)
		}
		return nil
	}
	return fmt.Errorf("generation %d: %w, and none of that number is remembered", generation,
		ErrNoTrial)
}

// EndedBy returns the generation that took a change back which was on trial; 0 = none did. The list
// has all changes that followed it, in whatever order.
func EndedBy(list []Entry, tried Entry) int {
	if tried.ConfirmBy.IsZero() {
		return 0
	}
	by := 0
	for _, e := range list {
		isBeside := e.Generation <= tried.Generation || e.Beside == tried.Generation
		if !isBeside && (by == 0 || e.Generation < by) {
			by = e.Generation
		}
	}
	return by
}

// Ended returns, by the generations of all changes in a list that were taken back, the generations
// that took them back: what [EndedBy] says of each.
func Ended(list []Entry) map[int]int {
	all := slices.SortedFunc(slices.Values(list),
		func(a, b Entry) int { return cmp.Compare(a.Generation, b.Generation) })
	out := map[int]int{}
	for n, tried := range all {
		if tried.ConfirmBy.IsZero() {
			continue
		}
		for _, e := range all[n+1:] { // no change is beside two others
			if e.Generation > tried.Generation && e.Beside != tried.Generation {
				out[tried.Generation] = e.Generation
				break
			}
		}
	}
	return out
}

// Abandon takes the change on trial back that made a generation: a change like every other, which
// says why in words. What others have changed beside it stays.
func (c *Client) Abandon(ctx context.Context, change Change, generation int,
	why string) (int, error) {
	change.Ends = generation
	return c.change(ctx, proposal{Change: change,
		edit: func(all client.Rows, s state) (*policy.Policy, string, error) {
			row := pending(all, s)
			switch {
			case row == nil:
				return nil, "", fmt.Errorf("generation %d: %w", generation, ErrNoTrial)
			case row.Generation != generation:
				return nil, "", &OtherTrialError{Named: generation, OnTrial: row.Generation}
			}
			if s.generation == generation {
				next, err := formerly(all, s, generation-1)
				return next, fmt.Sprintf("%s: back to generation %d", why, generation-1), err
			}
			tried, err := readUndo(row.Undo)
			return tried.apply(s.policy), fmt.Sprintf("%s: without generation %d", why,
				generation), err
		}})
}
