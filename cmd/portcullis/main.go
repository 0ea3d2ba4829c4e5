// Command portcullis keeps security groups on the ports of an Open vSwitch bridge: `portcullis run`
// is the daemon, the other commands check its files and ask it.
package main

//go:generate go test -run ^TestManualPages$ -update .

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// The exit codes.
const (
	exitOK    = 0
	exitError = 1 // the command ran, and the answer is no or an error
	exitUsage = 2 // the command line is wrong
	// exitChanges is what plan says if something would change.
	exitChanges = 2
)

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// execute runs one command line and returns the exit code.
func execute(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	var failed *failure
	var told verdict
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &told):
		return int(told)
	case errors.As(err, &failed):
		fmt.Fprintln(stderr, failed)
		return exitError
	}
	fmt.Fprintf(stderr, "portcullis: %v\nSee 'portcullis --help'.\n", err)
	return exitUsage
}

// failure is an error of a command that was called correctly; every other error is one of usage.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// verdict is an exit code whose reason was printed as the answer.
type verdict int

func (v verdict) Error() string { return fmt.Sprintf("exit code %d", int(v)) }
