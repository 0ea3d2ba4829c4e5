package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The commands export, history and rollback on a policy database.

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
		return cli.WithDatabase(cmd.Context(), db, func(_ context.Context,
			c *policydb.Client) error {
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

// History lets the command history tell of a database.
func History(cmd *cobra.Command, f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	cmd.Long += "\n\nWith --db it lists the changes of a policy database: who made which generation, " +
		"when, from where, and who gained and lost access by it."
	cmd.Example += "\n  portcullis history --db unix:/run/portcullis/db.sock"
	database.Add(cmd, f, cobra.MaximumNArgs(1), func(cmd *cobra.Command, db cli.Database,
		args []string) error {
		number, err := generationOf(args)
		if err != nil {
			return err
		}
		return cli.WithDatabase(cmd.Context(), db, func(_ context.Context,
			c *policydb.Client) error {
			list, err := c.History()
			if err != nil {
				return err
			}
			return printHistory(cmd, list, number)
		})
	})
	return cmd
}

// generationOf reads the number of a generation; 0 = none is named.
func generationOf(args []string) (int, error) {
	if len(args) == 0 {
		return 0, nil
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number of a generation", args[0])
	}
	return n, nil
}

// printHistory prints all changes, or all of one.
func printHistory(cmd *cobra.Command, list []policydb.Entry, number int) error {
	if number > 0 {
		list = only(list, number)
		if len(list) == 0 {
			return fmt.Errorf("the database remembers no generation %d", number)
		}
	}
	if term.Format(cmd.Flags().Lookup("output").Value.String()) == term.JSON {
		if list == nil {
			list = []policydb.Entry{}
		}
		return term.PrintJSON(cmd.OutOrStdout(), list)
	}
	limit, err := cmd.Flags().GetInt("limit")
	if err != nil {
		return err
	}
	text, err := historyTable(list, limit)
	if err == nil && number > 0 {
		_, lines, _ := strings.Cut(list[0].Summary, "\n")
		text += lines + "\n"
	}
	if err == nil {
		_, err = io.WriteString(cmd.OutOrStdout(), text)
	}
	return err
}

// historyTable lists at most so many changes; 0 = all.
func historyTable(list []policydb.Entry, limit int) (string, error) {
	var b bytes.Buffer
	t := term.Columns(&b)
	fmt.Fprintln(t, "GENERATION\tAT\tBY\tFROM\tACCESS")
	for n, e := range list {
		if limit > 0 && n == limit {
			break
		}
		access, _, _ := strings.Cut(e.Summary, "\n")
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", e.Generation, e.At.Local().Format(time.DateTime),
			e.By, e.From, access)
	}
	if err := t.Flush(); err != nil {
		return "", err
	}
	if more := len(list) - limit; limit > 0 && more > 0 {
		fmt.Fprintf(&b, "and %d more: portcullis history -n 0\n", more)
	}
	return b.String(), nil
}

func only(list []policydb.Entry, number int) []policydb.Entry {
	for _, e := range list {
		if e.Generation == number {
			return []policydb.Entry{e}
		}
	}
	return nil
}

// Rollback lets the command rollback undo changes of a database.
func Rollback(cmd *cobra.Command, f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	cmd.Long += "\n\nWith --db the policy of a database becomes again what it was in that generation. " +
		"It is a change like every other, and can be undone like one."
	cmd.Example += "\n  portcullis rollback 12 --db unix:/run/portcullis/db.sock"
	database.Add(cmd, f, cobra.ExactArgs(1), func(cmd *cobra.Command, db cli.Database,
		args []string) error {
		number, err := generationOf(args)
		if err != nil {
			return err
		}
		for _, name := range []string{"confirm", "dry-run"} {
			if cmd.Flags().Changed(name) {
				return errors.New("--" + name + ": is for a policy in files")
			}
		}
		return cli.WithDatabase(cmd.Context(), db, func(ctx context.Context,
			c *policydb.Client) error {
			made, err := c.Rollback(ctx, newChange("rollback"), number)
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "generation %d: as in generation %d\n", made, number)
			}
			return err
		})
	})
	return cmd
}
