// Package bridge keeps the rows of one bridge in Open vSwitch's database: it shows what is there
// (Client.Snapshot), says when something changed (Client.Changed), and makes what is wanted
// (Client.Ensure).
//
// What it promises:
//   - A Snapshot is one state that the database really had: never half of a transaction, never the
//     rest of a lost connection, never a row of another bridge.
//   - Ensure sends one transaction, and none when nothing differs. It changes keys of maps and
//     elements of sets, never whole columns that others write too, and a key that somebody else
//     wrote stays as it is.
//
// What it must not do: know what a policy is, touch the uplinks, or remember anything. Zones,
// epochs and the revision live in external_ids (ids.go) so that a restarted process finds them.
//
// Start reading at plan.go, the pure function from (what is there, what is wanted) to operations;
// bridge.go hands it the rows, view.go finds those of the bridge. Package client has the
// connection.
package bridge
