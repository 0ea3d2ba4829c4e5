// Package fleet has the commands for a policy that several hosts have from one database: apply,
// export, history and rollback change it and read it. Package ovsdb/policydb does what they ask
// for; package db has the commands that look after the database.
package fleet
