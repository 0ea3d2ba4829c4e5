// Package ovsdb is a map of what speaks OVSDB (RFC 7047); it has no code of its own.
//
//   - bridge keeps the rows of one bridge in Open vSwitch's database.
//   - vswitch is the generated model of that database.
package ovsdb
