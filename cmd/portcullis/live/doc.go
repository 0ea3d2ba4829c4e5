// Package live has the commands that show what a running daemon tells: status, connections, top and
// watch. Those with --watch go on by one loop (watch.go).
package live
