// Package ovsdb is a map of what speaks OVSDB (RFC 7047); it has no code of its own.
//
//   - client follows any database whose model it is given: one connection, one lock.
//   - bridge keeps the rows of one bridge in Open vSwitch's database: what is there, what is wanted,
//     and the one transaction in between.
//   - vswitch is the generated model of that database.
//   - credentials and authority are what both sides of TLS show each other.
//   - unixctl asks daemons of Open vSwitch at their control sockets, which is no OVSDB.
//   - policyserver makes and runs the servers of that database.
//   - policydb is the policy of a fleet in a database of its own: what hosts read, and how writers
//     change it. Its rows are a generated model, too (generate_main.go).
//   - statusdb is what hosts say of themselves, in another database of the same server.
package ovsdb
