// Command portcullis keeps security groups on the ports of an Open vSwitch bridge: `portcullis run`
// is the daemon, the other commands check its files and ask it.
package main

//go:generate go test -run "^(TestManualPages|TestPictures)$" -update .

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
)

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// execute runs one command line and returns the exit code.
func execute(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	var failed *cli.Failure
	var told cli.Verdict
	switch {
	case err == nil:
		return cli.ExitOK
	case errors.As(err, &told):
		return int(told)
	case errors.As(err, &failed):
		fmt.Fprintln(stderr, failed)
		cli.PrintFailure(cmd, failed)
		return cli.ExitError
	}
	fmt.Fprintln(stderr, cli.Wrong(cmd, err))
	return cli.ExitUsage
}
