// Package policydb is the policy of a fleet in a database of stock ovsdb-server: what hosts read of
// it and what writers write into it. Nothing of it decides who may reach whom: a row is a value of
// package policy in other words.
//
//   - read.go makes a policy of rows, and the same values again of rows that did not change.
//   - write.go makes the operations that turn rows into another policy.
//   - merge.go puts the policy of files into that of a database.
//   - client.go connects: [Client] is a host's source of policies; change.go is a writer's way to
//     change them, and back (undo.go).
//   - schema.go has both schemas; packages rows and statusrows are their generated models.
//
// A change is one transaction that raises Global.generation by one, under the condition that nobody
// else has raised it meanwhile, and adds a row to Change: who, when, what in words, and what it
// takes to undo it.
package policydb
