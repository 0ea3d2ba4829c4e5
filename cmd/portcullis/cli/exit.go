package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
)

// How commands end: with an exit code, and an error that is a failure or wrong usage.

// The exit codes.
const (
	ExitOK    = 0
	ExitError = 1 // the command ran, and the answer is no or an error
	ExitUsage = 2 // the command line is wrong
	// ExitChanges is what plan says if something would change: no other number's twin, so that a
	// script does not take a flag that is misspelt for a change.
	ExitChanges = 3
)

// Action makes a function the body of a command without arguments; what it returns is a failure,
// not wrong usage.
func Action(do func(*cobra.Command) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if err := do(cmd); err != nil {
			return &Failure{err}
		}
		return nil
	}
}

// Outcome makes every error that is no exit code a failure.
func Outcome(err error) error {
	var told Verdict
	if err == nil || errors.As(err, &told) {
		return err
	}
	return &Failure{err}
}

// Failure is an error of a command that was called correctly; every other error is one of usage.
type Failure struct{ Err error }

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Verdict is an exit code whose reason was printed as the answer.
type Verdict int

func (v Verdict) Error() string { return fmt.Sprintf("exit code %d", int(v)) }

// answered counts what a command that was asked for JSON has printed.
type answered struct {
	io.Writer
	bytes int
}

func (a *answered) Write(b []byte) (int, error) {
	n, err := a.Writer.Write(b)
	a.bytes += n
	return n, err
}

// CountAnswer has [PrintFailure] know whether a command that was asked for JSON has answered. The
// root command calls it before every command.
func CountAnswer(cmd *cobra.Command, _ []string) {
	if isJSON(cmd) {
		cmd.SetOut(&answered{Writer: cmd.OutOrStdout()})
	}
}

func isJSON(cmd *cobra.Command) bool {
	out := cmd.Flags().Lookup("output")
	return out != nil && out.Value.String() == string(term.JSON)
}

// PrintFailure tells programs of a failure: where a command was asked for JSON and has printed
// nothing, its answer is an object with the error, as that of --watch is while there is no daemon.
func PrintFailure(cmd *cobra.Command, f *Failure) {
	if a, ok := cmd.OutOrStdout().(*answered); ok && a.bytes == 0 {
		_ = term.PrintJSON(a, struct { // nobody is left to be told
			Error string `json:"error"`
		}{f.Error()})
	}
}
