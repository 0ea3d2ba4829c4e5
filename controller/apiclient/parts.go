package apiclient

import (
	"context"
	"errors"
	"net/http"

	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/flows/excerpt"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Changes of objects of which only a part of the policy is asked for. Invariant: the part and the
// change are of one generation: where the policy has another one meanwhile, both are made anew.

// Plans says whether the server says what a change means in the words of who asks: those of a
// project are its own, which it finds out itself.
func (c *Client) Plans() bool { return c.Who.Project == "" }

// PlanPart says what a change would mean, and writes nothing.
func (c *Client) PlanPart(change policydb.Change, asked excerpt.Asked,
	edit policydb.Edit) (apiserver.Done, error) {
	for {
		body, at, err := c.edited(asked, edit)
		if err != nil || body == nil {
			return apiserver.Done{Generation: at}, err
		}
		done, err := c.send(c.ctx, change, body.of(change, at), "?dry_run=true")
		if !isOutrun(err) {
			return done, err
		}
	}
}

// ChangePart makes a change; agrees judges before what it would mean, nil = nobody does.
func (c *Client) ChangePart(ctx context.Context, change policydb.Change, asked excerpt.Asked,
	edit policydb.Edit, agrees func(apiserver.Done) error) (apiserver.Done, error) {
	for {
		body, at, err := c.edited(asked, edit)
		if err != nil {
			return apiserver.Done{}, err
		}
		var would apiserver.Done
		if body != nil && agrees != nil {
			would, err = c.send(ctx, change, body.of(change, at), "?dry_run=true")
		}
		if err == nil && agrees != nil {
			err = agrees(would)
		}
		if err == nil && body == nil {
			return apiserver.Done{Generation: at}, nil
		}
		var done apiserver.Done
		if err == nil {
			done, err = c.insist(ctx, change, body.of(change, at))
		}
		if !isOutrun(err) {
			return done, err
		}
	}
}

// isOutrun says whether somebody else was quicker.
func isOutrun(err error) bool {
	var refused *Refused
	return errors.As(err, &refused) && refused.Status == http.StatusPreconditionFailed
}

// edited is what an edit changes of what it asks for, and of which generation; nil = nothing. What
// it refuses of a part it is to refuse of the whole, which has what is not there.
func (c *Client) edited(asked excerpt.Asked, edit policydb.Edit) (*changes, int, error) {
	got, err := c.Part(asked)
	if err != nil {
		return nil, 0, err
	}
	next, _, err := edit(got.Policy)
	if err != nil {
		if got, err = c.Part(excerpt.Asked{}); err == nil {
			next, _, err = edit(got.Policy)
		}
	}
	if err != nil {
		return nil, got.Generation, err
	}
	return c.differing(got.Policy, next), got.Generation, nil
}
