// Package policydb is the policy of a fleet in a database of stock ovsdb-server: what hosts read of
// it and what writers write into it. Nothing of it decides who may reach whom: a row is a value of
// package policy in other words.
//
//   - read.go makes a policy of rows, and the same values again of rows that did not change.
//   - write.go makes the operations that turn rows into another policy.
//   - merge.go puts the policy of files into that of a database.
//   - client.go connects for commands: [Client] has all rows; change.go is a writer's way to change
//     them, and back (undo.go).
//   - follower.go is a host's way: [Follower] reads a stream into mirror.go, which is rows and policy
//     in one; sieve.go leaves out what is not valid, keeper.go keeps the rows for the next start,
//     following.go says how things stand.
//   - schema.go has both schemas; packages rows and statusrows are their generated models.
//
// A change is one transaction that raises Global.generation by one, under the condition that nobody
// else has raised it meanwhile, and adds a row to Change: who, when, what in words, and what it
// takes to undo it.
package policydb
