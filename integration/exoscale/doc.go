// Package exoscale holds the tests that Exoscale's own clients, versions 2 and 3, work with
// `portcullis serve` unchanged: `make test-exoscale`. They run the program, before a real policy
// database, and know nothing of it but its commands.
package exoscale
