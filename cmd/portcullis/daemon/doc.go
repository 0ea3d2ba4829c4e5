// Package daemon has the command run: it wires the parts of the daemon together (run.go) and tells
// systemd of it (systemd.go).
package daemon
