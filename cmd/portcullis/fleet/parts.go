package fleet

import (
	"context"
	"slices"

	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/flows/excerpt"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Changes of a part of a policy. Who makes one of a database has the whole of it, and finds out
// what it means; a server finds it out itself, and is asked for no more than the objects that are
// changed.

// planner is a store that says what a change means.
type planner interface {
	// Plans says whether it does so in the words of who asks.
	Plans() bool
	PlanPart(change policydb.Change, asked excerpt.Asked, edit policydb.Edit) (apiserver.Done, error)
	// ChangePart makes a change; agrees judges before what it would mean, nil = nobody does.
	ChangePart(ctx context.Context, change policydb.Change, asked excerpt.Asked, edit policydb.Edit,
		agrees func(apiserver.Done) error) (apiserver.Done, error)
}

// planner returns the store if it can be asked for the part that is changed; nil = it cannot.
func (w *writing) planner() planner {
	c, isOne := w.client.(planner)
	if !isOne || !w.asked.HasNames() || !c.Plans() {
		return nil
	}
	return c
}

// planPart says what the change would be.
func (w *writing) planPart(c planner) error {
	done, err := c.PlanPart(w.newChange(), w.asked, w.edit)
	w.note(done)
	return err
}

// make makes the change, and returns the generation that has it.
func (w *writing) make(ctx context.Context) (int, error) {
	c := w.planner()
	if c == nil {
		return w.client.Change(ctx, w.newChange(), w.explained)
	}
	var agrees func(apiserver.Done) error
	if w.shown != nil {
		agrees = func(would apiserver.Done) error {
			if !slices.Equal(w.shown, would.Access) {
				return errOtherPlan
			}
			return nil
		}
	}
	done, err := c.ChangePart(ctx, w.newChange(), w.asked, w.edit, agrees)
	w.note(done)
	return done.Generation, err
}

// note keeps what a server says that a change means.
func (w *writing) note(done apiserver.Done) {
	w.Generation, w.IsChanged = done.Generation, done.Changed
	w.Gained, w.Lost, w.Access = done.Gained, done.Lost, slices.Concat([]string{}, done.Access)
}
