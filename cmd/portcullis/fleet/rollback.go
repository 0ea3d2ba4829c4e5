package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/controller/generation"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
)

// The commands export, rollback and history diff on a policy database.

// NewExport makes the command export.
func NewExport(f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the policy as one policy file",
		Long: "Export prints the policy of a database, or of the files that the settings name, as one " +
			"policy file. Applied again it changes nothing.\n\n" +
			"Exit codes: 0 printed; 1 the policy cannot be read, or is not valid.",
		Example: "  portcullis export --db unix:/run/portcullis/db.sock > policy.yaml",
		Args:    cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			in, err := f.Load(cmd)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(policyfile.Marshal(in.Policy))
			return err
		}),
	}
	database.Add(cmd, f, cobra.NoArgs, func(cmd *cobra.Command, db cli.Database, _ []string) error {
		return cli.WithStore(cmd.Context(), db, func(_ context.Context,
			c cli.Store) error {
			p, _, err := c.Policy()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(policyfile.Marshal(p))
			return err
		})
	})
	return cmd
}

// Rollback lets the command rollback undo changes of a database.
func Rollback(cmd *cobra.Command, f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	var w Writing
	w.addRest(cmd)
	cmd.Long += "\n\nWith --db the policy of a database becomes again what it was in that generation. " +
		"It is a change like every other, and can be undone like one."
	cmd.Example += "\n  portcullis rollback 12 --db unix:/run/portcullis/db.sock --dry-run"
	database.Add(cmd, f, cobra.ExactArgs(1), func(cmd *cobra.Command, db cli.Database,
		args []string) error {
		number, err := generationOf(args)
		if err == nil {
			err = w.shared(cmd)
		}
		if err == nil {
			err = w.check()
		}
		if err != nil {
			return err
		}
		return cli.WithStore(cmd.Context(), db, func(ctx context.Context,
			c cli.Store) error {
			return w.rollBack(ctx, cmd, db, c, number)
		})
	})
	return cmd
}

// rollBack makes the policy what it was in a generation, which is the same whatever comes
// meanwhile.
func (w *Writing) rollBack(ctx context.Context, cmd *cobra.Command, db cli.Database,
	c cli.Store, number int) error {
	target, err := c.Formerly(number)
	if err != nil {
		return err
	}
	one := w.newWriting(cmd, db, c, "rollback", func(*policy.Policy) (*policy.Policy, string, error) {
		return target, fmt.Sprintf("back to generation %d", number), nil
	})
	one.ends, one.like = number+1, fmt.Sprintf("as in generation %d", number)
	return one.do(ctx)
}

// newDiff makes the command history diff.
func newDiff(f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	out := term.Table
	cmd := &cobra.Command{
		Use:   "diff [GENERATION] [GENERATION]",
		Short: "Tell what leads from one generation of a database to another",
		Long: "Diff tells what leads from one generation of a policy database to another, in words of " +
			"the policy, and who gained and lost access by it:\n" +
			"from the one before to a generation, to the present one where none is named, or from the " +
			"first to the second of two.\n\n" +
			"Exit codes: 0 told; 1 the database does not remember one of them.",
		Example: "  portcullis history diff 12 --db unix:/run/portcullis/db.sock\n" +
			"  portcullis history diff 12 15 --db unix:/run/portcullis/db.sock",
		Args: cobra.MaximumNArgs(2),
	}
	cmd.Flags().VarP(&out, "output", "o", "format")
	database.AddTo(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return cli.Outcome(func() error {
			db, err := f.NamedStore(database)
			if err != nil {
				return err
			}
			return cli.WithStore(cmd.Context(), db, func(_ context.Context,
				c cli.Store) error {
				told, err := diff(c, args)
				if err != nil {
					return err
				}
				return told.print(cmd, out)
			})
		}())
	}
	return cmd
}

// diffView is what history diff answers as JSON.
type diffView struct {
	From        int               `json:"from"`
	To          int               `json:"to"`
	Differences []edit.Difference `json:"differences"`
	Gained      int               `json:"gained"`
	Lost        int               `json:"lost"`
	Access      []string          `json:"access"`
}

// diff compares the generations that are named.
func diff(c cli.Store, args []string) (*diffView, error) {
	_, present, err := c.Policy()
	if err != nil {
		return nil, err
	}
	told := &diffView{From: present - 1, To: present}
	var numbers []int
	for n := range args {
		number, err := generationOf(args[n:])
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, number)
	}
	switch len(numbers) {
	case 1:
		told.From, told.To = numbers[0]-1, numbers[0]
	case 2:
		told.From, told.To = numbers[0], numbers[1]
	}
	before, err := c.Formerly(told.From)
	if err != nil {
		return nil, err
	}
	after, err := c.Formerly(told.To)
	if err != nil {
		return nil, err
	}
	access := generation.InWords(explain.CompareAccess(before, after))
	told.Differences = slices.Concat([]edit.Difference{}, edit.Differences(before, after))
	told.Gained, told.Lost = access.Gained, access.Lost
	told.Access = slices.Concat([]string{}, access.Lines)
	return told, nil
}

func (d *diffView) print(cmd *cobra.Command, format term.Format) error {
	if format == term.JSON {
		return term.PrintJSON(cmd.OutOrStdout(), d)
	}
	var b strings.Builder
	for _, one := range d.Differences {
		b.WriteString(one.String() + "\n")
	}
	for _, line := range d.Access {
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "generation %d to %d: %d gained, %d lost\n", d.From, d.To, d.Gained, d.Lost)
	_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
	return err
}
