// Package db has the commands db: they make the policy database of several hosts, run it and
// look after it. Package ovsdb/policyserver does what they ask for.
package db
