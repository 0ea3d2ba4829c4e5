package objects

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/fleet"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/excerpt"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// What all verbs are made of. Invariant: a verb that reads works on files, too; one that writes
// changes a database, or the file that an instance has for itself: other files are changed by who
// has them.

const nounHelp = "\n\nWithout --db, and without a database in the settings, list and show tell of the " +
	"policy files. These are changed by changing the files; but 'instance' gives each\ninstance a " +
	"file of its own in the policy's folder.\n" +
	"Each change is one of the database's history: --dry-run tells who would gain and who would lose " +
	"access, --confirm takes it back unless it is confirmed.\n\n" +
	"Exit codes: 0 done; 1 refused, or an error; 2 wrong usage."

// noun makes a command of verbs.
func noun(use, short, long, example string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long + nounHelp, Example: example,
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error { return cmd.Help() })}
	cmd.AddCommand(verbs...)
	return cmd
}

// answer is an answer for people and for machines.
type answer struct {
	sheet term.Sheet
	json  any
}

// world is a policy that is read.
type world struct {
	*policy.Policy
	db  cli.Database    // with no endpoint: it is of files
	ctx context.Context // of the command
	c   cli.Store       // nil = it is of files
	// members counts the instances of each group; nil = they are all there
	members map[string]int
}

// see reads the policy of a database, or of files; of a server it reads what is asked for, and all
// if something that is named is not there, to say what is.
func see(cmd *cobra.Command, f *cli.Files, flag cli.DatabaseFlag, asked excerpt.Asked,
	look func(world) error) error {
	db, err := f.Store(flag)
	if err != nil {
		return err
	}
	if db.Endpoint == "" {
		in, err := f.Load(cmd)
		if err != nil {
			return err
		}
		return look(world{Policy: in.Policy, ctx: cmd.Context()})
	}
	return cli.WithStore(cmd.Context(), db, func(ctx context.Context, c cli.Store) error {
		got, err := c.Part(asked)
		if err != nil {
			return err
		}
		err = look(world{got.Policy, db, ctx, c, got.Members})
		if err == nil || db.Server == nil || !asked.HasNames() {
			return err
		}
		p, _, wholeErr := c.Policy()
		if wholeErr != nil {
			return err
		}
		return look(world{Policy: p, db: db, ctx: ctx, c: c})
	})
}

// reads makes a verb that tells something of what it asks for.
func reads(f *cli.Files, use, short string, args cobra.PositionalArgs, asked asks,
	tell func(world, []string) (answer, error)) *cobra.Command {
	var database cli.DatabaseFlag
	out, all := term.Table, false
	cmd := &cobra.Command{Use: use, Short: short, Args: args}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var answer answer
		err := see(cmd, f, database, asked(args), func(w world) (err error) {
			answer, err = tell(w, args)
			return err
		})
		switch {
		case err != nil:
			return cli.Outcome(err)
		case out == term.JSON:
			return cli.Outcome(term.PrintJSON(cmd.OutOrStdout(), answer.json))
		}
		return cli.Outcome(answer.sheet.Print(cmd.OutOrStdout(), all))
	}
	database.AddTo(cmd)
	cmd.Flags().VarP(&out, "output", "o", "format")
	cmd.Flags().BoolVar(&all, "all", false, "all rows, also those that the screen has no room for")
	complete(cmd, f, &database, use)
	return cmd
}

// change makes the edit that arguments ask for. The policy is the one that it is to be made of.
type change func(p *policy.Policy, args []string) (edit.Edit, error)

// of is the edit of some arguments.
func (make change) of(args []string) policydb.Edit {
	return func(p *policy.Policy) (*policy.Policy, string, error) {
		one, err := make(p, args)
		if err != nil {
			return nil, "", err
		}
		next, err := one(p)
		return next, "", err
	}
}

// inFiles makes a change of files, which the words tell what it came from; nil = it is for
// databases only.
type inFiles func(cmd *cobra.Command, w fleet.Writing, words string, args []string) error

// writes makes a verb that changes something in a database, of which it asks for a part; its flags
// are added by who calls it.
func writes(f *cli.Files, noun, use, short string, args cobra.PositionalArgs, asked asks,
	make change) *cobra.Command {
	return writesAlso(f, noun, use, short, args, asked, make, nil)
}

// writesAlso is writes, of a verb that changes files where no database is named.
func writesAlso(f *cli.Files, noun, use, short string, args cobra.PositionalArgs, asked asks,
	make change, otherwise inFiles) *cobra.Command {
	var database cli.DatabaseFlag
	var writing fleet.Writing
	cmd := &cobra.Command{Use: use, Short: short, Args: args}
	verb, _, _ := strings.Cut(use, " ")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return cli.Outcome(func() error {
			from := clipped(strings.Join(append([]string{noun, verb}, args...), " "))
			if db, err := f.Store(database); err == nil && db.Endpoint == "" && otherwise != nil {
				return otherwise(cmd, writing, from, args)
			}
			db, err := f.NamedStore(database)
			if err != nil {
				return err
			}
			return writing.DoPart(cmd, db, from, asked(args), make.of(args))
		}())
	}
	database.AddTo(cmd)
	writing.AddTo(cmd)
	complete(cmd, f, &database, use)
	return cmd
}

// clipped fits words into the history.
func clipped(text string) string {
	const most = 255
	if list := []rune(text); len(list) > most {
		return string(list[:most-1]) + "…"
	}
	return text
}

// complete offers the names of what the arguments are called in the usage of a command.
func complete(cmd *cobra.Command, f *cli.Files, database *cli.DatabaseFlag, use string) {
	words := strings.Fields(use)[1:]
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion,
		cobra.ShellCompDirective) {
		var offers []cobra.Completion
		if len(args) < len(words) {
			defer cli.Briefly(cmd)()
			what := strings.Trim(words[len(args)], "[].…")
			_ = see(cmd, f, *database, allOf(what), func(w world) error { // there is nobody to be told
				offers = completions(w.Policy, what)
				return nil
			})
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}
