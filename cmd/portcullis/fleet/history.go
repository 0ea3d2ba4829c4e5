package fleet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The command history on a policy database.

// History lets the command history tell of a database.
func History(cmd *cobra.Command, f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	cmd.AddCommand(newDiff(f))
	cmd.Long += "\n\nWith --db it lists the changes of a policy database: who made which generation, " +
		"when, from where, and who gained and lost access by it. 'history diff' tells what leads from one " +
		"generation to another."
	cmd.Example += "\n  portcullis history --db unix:/run/portcullis/db.sock"
	database.Add(cmd, f, cobra.MaximumNArgs(1), func(cmd *cobra.Command, db cli.Database,
		args []string) error {
		number, err := generationOf(args)
		if err != nil {
			return err
		}
		return cli.WithStore(cmd.Context(), db, func(_ context.Context,
			c cli.Store) error {
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
func printHistory(cmd *cobra.Command, all []policydb.Entry, number int) error {
	list := all
	if number > 0 {
		list = only(all, number)
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
	text, err := historyTable(list, all, limit)
	if err == nil && number > 0 {
		_, lines, _ := strings.Cut(list[0].Summary, "\n")
		text += lines + "\n"
	}
	if err == nil {
		_, err = io.WriteString(cmd.OutOrStdout(), text)
	}
	return err
}

// historyTable lists at most so many changes of all; 0 = each in the list.
func historyTable(list, all []policydb.Entry, limit int) (string, error) {
	var b bytes.Buffer
	t := term.Columns(&b)
	fmt.Fprintln(t, "GENERATION\tAT\tBY\tFROM\tACCESS")
	ended := policydb.Ended(all)
	for n, e := range list {
		if limit > 0 && n == limit {
			break
		}
		access, _, _ := strings.Cut(e.Summary, "\n")
		if word := trialWord(e, ended[e.Generation]); word != "" {
			access = word + ": " + access
		}
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

// trialWord says how the trial of a change stands that a generation has ended, 0 = none has; "" =
// it was confirmed, or there was none.
func trialWord(e policydb.Entry, endedBy int) string {
	switch {
	case e.ConfirmBy.IsZero():
		return ""
	case endedBy > 0:
		return "not confirmed"
	}
	return "on trial until " + e.ConfirmBy.Local().Format(time.TimeOnly)
}

func only(list []policydb.Entry, number int) []policydb.Entry {
	for _, e := range list {
		if e.Generation == number {
			return []policydb.Entry{e}
		}
	}
	return nil
}
