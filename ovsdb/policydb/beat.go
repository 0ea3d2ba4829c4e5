package policydb

import (
	"context"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// What is written beside changes to keep the database in order. Package upkeep calls it. Invariant:
// none of it is a generation, and several who do it at one time do it once.

// Pulse is what moves in the database as long as somebody writes to it: the generation, or the
// beat.
type Pulse struct {
	Generation int
	Beat       int // milliseconds by the clock of who wrote it, but always more than before
}

// Pulse returns the present one; the zero Pulse = nobody has written a policy yet.
func (c *Client) Pulse() (p Pulse, err error) {
	err = c.Read(func(all client.Rows) error {
		for _, row := range client.Table[*rows.Global](all, rows.GlobalTable) {
			p = Pulse{Generation: row.Generation, Beat: row.Beat}
		}
		return nil
	})
	return p, err
}

// Beat moves the pulse on, unless it moved meanwhile or there is none: whoever reads the database,
// through whatever stands between, sees by it that the writers are still there.
func (c *Client) Beat(ctx context.Context, seen Pulse, now time.Time) error {
	return c.Update(ctx, func(all client.Rows) ([]client.Operation, error) {
		var w client.Operations
		for uuid, row := range client.Table[*rows.Global](all, rows.GlobalTable) {
			if row.Generation != seen.Generation || row.Beat != seen.Beat {
				continue
			}
			w = append(w, expectPulse(uuid, seen))
			w.Update("beat", rows.GlobalTable, uuid,
				libovsdb.Row{"beat": max(int(now.UnixMilli()), seen.Beat+1)})
		}
		return w, nil
	})
}

// expectPulse is the condition that nobody else was quicker.
func expectPulse(uuid string, seen Pulse) client.Operation {
	at := 0
	return client.Operation{About: "the beat", Refused: errConflict, Op: libovsdb.Operation{
		Op: libovsdb.OperationWait, Table: rows.GlobalTable, Timeout: &at,
		Where: client.ByUUID(uuid), Columns: []string{"generation", "beat"},
		Until: string(libovsdb.WaitConditionEqual),
		Rows:  []libovsdb.Row{{"generation": seen.Generation, "beat": seen.Beat}}}}
}

// Forget deletes the changes that are more than the database is to remember: writers do that with
// each change, but for those that are not of this program.
func (c *Client) Forget(ctx context.Context) error {
	return c.Update(ctx, func(all client.Rows) ([]client.Operation, error) {
		var w client.Operations
		for _, uuid := range surplus(all, 0) {
			w.Delete("an old change", rows.ChangeTable, uuid)
		}
		return w, nil
	})
}
