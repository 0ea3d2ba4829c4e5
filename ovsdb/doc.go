// Package ovsdb is a map of what speaks OVSDB (RFC 7047); it has no code of its own.
//
//   - client follows any database whose model it is given: one connection, one lock.
//   - bridge keeps the rows of one bridge in Open vSwitch's database: what is there, what is wanted,
//     and the one transaction in between.
//   - vswitch is the generated model of that database.
package ovsdb
