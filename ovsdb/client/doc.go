// Package client follows a database of an OVSDB server (RFC 7047): any database whose model it is
// given. Package bridge is its caller.
//
// What it promises:
//   - Read shows one state that the database really had: never half of a transaction, never the
//     rest of a lost connection, and nothing before all rows are there.
//   - A transaction is all or nothing, and nothing without the lock, where one is wanted.
//   - A server that is gone, or silent, is left and connected to again.
//
// Start reading at client.go; connection.go speaks JSON-RPC, session.go follows the rows, update.go
// writes.
package client
