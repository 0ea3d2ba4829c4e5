package policydb

import (
	"context"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
)

// The policy together with the IDs of its objects. API servers call this. Invariant: an ID is the
// UUID of a row, so it stays as long as the object does, whatever else changes.

// View is one generation of the policy and the IDs of what it has.
type View struct {
	Policy     *policy.Policy
	Generation int
	Groups     map[string]string   // IDs by name
	Rules      map[string][]string // by name of the group, in the order of its rules
}

// View returns the present generation, as far as it can be read.
func (c *Client) View() (View, error) {
	var v View
	err := c.Read(func(all client.Rows) error {
		v = c.view(c.read(all))
		return nil
	})
	return v, err
}

// view is what was just read, with the IDs.
func (c *Client) view(s state) View {
	v := View{Policy: s.policy, Generation: s.generation, Groups: map[string]string{},
		Rules: map[string][]string{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	for uuid, made := range c.mirror.madeGroups {
		v.Groups[made.group.Name] = uuid
		v.Rules[made.group.Name] = made.ids
	}
	return v
}

// Edited is another policy, and what an edit by IDs knows of the rows.
type Edited struct {
	Policy  *policy.Policy
	Summary string // what it changes, in words
	// Gone are the IDs of rules that are to go, though others that say the same may stay.
	Gone []string
}

// ChangeView is [Client.Change] for an edit that finds objects by their IDs: those of the very
// generation that it replaces.
func (c *Client) ChangeView(ctx context.Context, change Change,
	edit func(View) (Edited, error)) (int, error) {
	return c.change(ctx, c.proposalByIDs(change, edit))
}

// PlanView is [Client.Plan] for such an edit.
func (c *Client) PlanView(change Change, edit func(View) (Edited, error)) (int, error) {
	return c.plan(c.proposalByIDs(change, edit))
}

func (c *Client) proposalByIDs(change Change, edit func(View) (Edited, error)) proposal {
	gone := map[string]bool{}
	return proposal{Change: change, gone: gone,
		edit: func(_ client.Rows, s state) (*policy.Policy, string, error) {
			clear(gone)
			out, err := edit(c.view(s))
			for _, id := range out.Gone {
				gone[id] = true
			}
			return out.Policy, out.Summary, err
		}}
}
