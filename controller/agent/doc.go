// Package agent keeps one bridge equal to the policy: it reads the policy files, the bridge's rows
// in OVSDB and the switch's flows, and changes what differs.
//
// One goroutine, [Agent.Run], owns all state. Everything else only fills one-slot signals: the
// policy files changed, the database changed, the switch went away or was changed by somebody else,
// it is time to try again or to look again. A signal says nothing but "look"; state is always read
// anew, so that signals may be lost, doubled or late.
//
// What it must not do: write anything before it knows the policy and the rows, show the switch a
// new epoch that the database does not hold yet, or remove flows when it stops.
//
// Start with agent.go (the loop), sources.go (what it waits for) and sync.go (one turn, top to
// bottom); epochs.go says why a connection that lost its permission is judged again and no other
// is.
package agent
