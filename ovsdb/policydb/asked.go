package policydb

import (
	"context"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// How somebody who waits for a generation has every host say at once that it is in force there.
// Packages that wait call Ask. Invariant: it is no change of the policy.

// Ask has all hosts answer for a generation as soon as it is in force, and returns when the
// database knows of it. It never asks for less than somebody else does.
func (c *Client) Ask(ctx context.Context, generation int) error {
	return c.Update(ctx, func(all client.Rows) ([]client.Operation, error) {
		var plan client.Operations
		for uuid, global := range client.Table[*rows.Global](all, rows.GlobalTable) {
			if global.Ack < generation {
				plan.Update("ask the hosts", rows.GlobalTable, uuid,
					libovsdb.Row{"ack": generation})
			}
		}
		return plan, nil
	})
}
