// Package statusdb is what hosts say of themselves, in the database Portcullis_Status of stock
// ovsdb-server: which generation of the policy each has in force, and how its ports stand. Each
// member of a policy database has a Portcullis_Status of its own in the same process; a host writes
// to one of them, and who reads asks all and believes the newest row of each host.
//
//   - report.go has the values.
//   - writer.go keeps the rows of one host equal to its last report; rows.go plans what to write.
//   - read.go asks every member; fleet.go holds what hosts say against the policy: who has answered,
//     who has not, and why.
//
// Nothing of it decides what passes: a status database that is dead costs nobody anything.
package statusdb
