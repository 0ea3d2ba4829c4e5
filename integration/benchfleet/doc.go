// Package benchfleet measures a fleet: what a policy database carries, what it costs a host to
// follow it, and how soon a change is in force. Each figure stands beside a floor of the same run:
// what raw clients of the same ovsdb-server, which hold nothing and decide nothing, take for as
// much.
//
//   - wire.go is such a client, and server.go the servers: one, three that replace each other, relays.
//   - world.go has the policies; they are those of package policytest in rows.
//   - The scenes are what is measured, a file each: importing.go, hosts.go, force.go, fanout.go,
//     daemons.go, reconnect.go, writers.go, restart.go.
//   - result.go is what comes of it, targets.go what should, capacity.go what follows from it for
//     fleets that no machine of ours has.
//
// Command bench runs it (-fleet) and writes the page.
package benchfleet
