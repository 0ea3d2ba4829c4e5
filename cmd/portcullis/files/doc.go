// Package files has the commands that work on files and need no daemon: check, convert and schema.
package files
