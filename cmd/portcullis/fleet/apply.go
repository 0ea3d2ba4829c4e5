package fleet

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The command apply on a policy database: what files say put into it, as one change.

// applying is the command line.
type applying struct {
	Writing
	database cli.DatabaseFlag
	file     string
	prune    bool
}

// Apply lets the command apply put files into a database.
func Apply(cmd *cobra.Command, f *cli.Files) *cobra.Command {
	a := &applying{}
	cmd.Flags().StringVarP(&a.file, "file", "f", "", "with --db: the `FILE` or folder")
	cmd.Flags().BoolVar(&a.prune, "prune", false,
		"with --db: take away what the files do not have")
	a.addRest(cmd)
	cmd.Long += "\n\nWith --db the files are put into a policy database, for all hosts that follow it: " +
		"groups and instances of their names are replaced, all\n" +
		"others stay unless --prune takes them away. It is one change, which 'portcullis history " +
		"--db' tells and 'portcullis rollback --db' undoes. On a\n" +
		"terminal the plan is shown and asked about, unless --yes. A change that is not confirmed is " +
		"taken back by the database's own keepers."
	cmd.Example += "\n  portcullis apply -f policy.yaml --db unix:/run/portcullis/db.sock --wait"
	a.database.Add(cmd, f, cobra.MaximumNArgs(1), a.apply)
	return cmd
}

// shared reads the flags that a command has for files, too.
func (w *Writing) shared(cmd *cobra.Command) (err error) {
	if w.DryRun, err = cmd.Flags().GetBool("dry-run"); err != nil {
		return err
	}
	if w.Confirm, err = cmd.Flags().GetDuration("confirm"); err != nil {
		return err
	}
	if w.Timeout, err = cmd.Flags().GetDuration("timeout"); err != nil {
		return err
	}
	w.Out = term.Format(cmd.Flags().Lookup("output").Value.String())
	return nil
}

func (a *applying) apply(cmd *cobra.Command, db cli.Database, args []string) error {
	switch {
	case a.file == "" && len(args) == 0:
		return errors.New("apply: name a file or a folder: -f FILE")
	case a.file == "":
		a.file = args[0]
	case len(args) > 0:
		return errors.New("apply: -f names the files already")
	}
	if err := errors.Join(a.shared(cmd), a.check()); err != nil {
		return err
	}
	wanted, _, err := policydir.LoadPart(a.file)
	if err != nil {
		return err
	}
	a.size = len(wanted.Groups) + len(wanted.Instances)
	return a.Do(cmd, db, "apply "+a.file, func(current *policy.Policy) (*policy.Policy, string,
		error) {
		next := policydb.Merged(current, wanted)
		if a.prune {
			next = policydb.Pruned(next, wanted)
		}
		return next, "", nil
	})
}
