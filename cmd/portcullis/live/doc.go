// Package live has the commands that show what a running daemon tells: status, connections, top,
// watch, show and list. Those with --watch go on by one loop (watch.go).
package live
