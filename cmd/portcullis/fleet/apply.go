package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/controller/generation"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The command apply on a policy database: what files say put into it, as one change.

// applying is the command line.
type applying struct {
	database    cli.DatabaseFlag
	file        string
	prune       bool
	dryRun, out func() string // of flags that the command has for files, too
}

// Apply lets the command apply put files into a database.
func Apply(cmd *cobra.Command, f *cli.Files) *cobra.Command {
	a := &applying{}
	for _, name := range []string{"dry-run", "output"} {
		if cmd.Flags().Lookup(name) == nil {
			panic("apply has no flag " + name) // it is written into the program
		}
	}
	a.dryRun = func() string { return cmd.Flags().Lookup("dry-run").Value.String() }
	a.out = func() string { return cmd.Flags().Lookup("output").Value.String() }
	cmd.Flags().StringVarP(&a.file, "file", "f", "", "with --db: the `FILE` or folder")
	cmd.Flags().BoolVar(&a.prune, "prune", false,
		"with --db: take away what the files do not have")
	cmd.Long += "\n\nWith --db the files are put into a policy database, for all hosts that follow it: " +
		"groups and instances of their names are replaced, all\n" +
		"others stay unless --prune takes them away. It is one change, which 'portcullis history " +
		"--db' tells and 'portcullis rollback --db' undoes."
	cmd.Example += "\n  portcullis apply -f policy.yaml --db unix:/run/portcullis/db.sock"
	a.database.Add(cmd, f, cobra.MaximumNArgs(1), a.apply)
	return cmd
}

// applied is what apply answers as JSON.
type applied struct {
	Generation int      `json:"generation"` // that is in the database now
	IsChanged  bool     `json:"changed"`
	IsPlanned  bool     `json:"planned,omitempty"` // nothing was written
	Gained     int      `json:"gained"`
	Lost       int      `json:"lost"`
	Access     []string `json:"access"`
}

func (a *applying) apply(cmd *cobra.Command, db cli.Database, args []string) error {
	switch {
	case a.file == "" && len(args) == 0:
		return errors.New("apply: name a file or a folder: -f FILE")
	case a.file == "":
		a.file = args[0]
	case len(args) > 0:
		return errors.New("apply: -f names the files already")
	case cmd.Flags().Changed("confirm"):
		return errors.New("--confirm: is for a policy in files; 'portcullis rollback --db' undoes " +
			"this change")
	}
	wanted, _, err := policydir.Load(a.file)
	if err != nil {
		return err
	}
	answer := &applied{IsPlanned: a.dryRun() == "true", Access: []string{}}
	err = cli.WithDatabase(cmd.Context(), db, func(ctx context.Context,
		c *policydb.Client) error {
		return answer.put(ctx, c, a, wanted)
	})
	if err != nil {
		return err
	}
	return answer.print(cmd, a.out())
}

// put makes the change, or with --dry-run says what it would be.
func (ans *applied) put(ctx context.Context, c *policydb.Client, a *applying,
	wanted *policy.Policy) error {
	edit := func(current *policy.Policy) (*policy.Policy, string, error) {
		next := policydb.Merged(current, wanted)
		if a.prune {
			next = policydb.Pruned(next, wanted)
		}
		told := generation.InWords(explain.CompareAccess(current, next))
		ans.Gained, ans.Lost = told.Gained, told.Lost
		ans.Access = append([]string{}, told.Lines...)
		ans.IsChanged = !slices.Equal(current.Groups, next.Groups) ||
			!slices.Equal(current.Instances, next.Instances)
		return next, summary(told.Gained, told.Lost, told.Lines), nil
	}
	if !ans.IsPlanned {
		generation, err := c.Change(ctx, newChange("apply "+a.file), edit)
		ans.Generation = generation
		return err
	}
	current, generation, err := c.Policy()
	if err != nil {
		return err
	}
	ans.Generation = generation
	next, _, err := edit(current)
	if problems := policy.Validate(next); err == nil && len(problems) > 0 {
		err = errors.New(problems[0].String())
	}
	return err
}

// summary is what the history says of a change.
func summary(gained, lost int, lines []string) string {
	return strings.Join(append([]string{fmt.Sprintf("%d gained, %d lost", gained, lost)},
		lines...), "\n")
}

func (ans *applied) print(cmd *cobra.Command, format string) error {
	w := cmd.OutOrStdout()
	if term.Format(format) == term.JSON {
		return term.PrintJSON(w, ans)
	}
	for _, line := range ans.Access {
		fmt.Fprintln(w, line)
	}
	switch {
	case !ans.IsChanged:
		fmt.Fprintf(w, "unchanged: generation %d says all of it already\n", ans.Generation)
	case ans.IsPlanned:
		fmt.Fprintf(w, "nothing was written: generation %d stays; %d would gain, %d lose\n",
			ans.Generation, ans.Gained, ans.Lost)
	default:
		fmt.Fprintf(w, "generation %d: %d gained, %d lost\n", ans.Generation, ans.Gained, ans.Lost)
	}
	return nil
}

// newChange says who asks for a change.
func newChange(from string) policydb.Change {
	return policydb.Change{ID: rand.Text(), At: time.Now(), By: cli.Who(), From: from}
}
