package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The command token: who may come to the API servers of a policy database. It works on the database
// itself, as the first token cannot be had by the API.

// NewToken makes the command.
func NewToken(f *cli.Files) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke the tokens of the API",
		Long: "A token is what people and programs show to 'portcullis serve'. Its text is printed once, " +
			"when it is made; the database keeps a digest.",
		Example: "  portcullis token create --role viewer --project acme --expires 30d\n" +
			"  portcullis token list",
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error { return cmd.Help() }),
	}
	cmd.AddCommand(newTokenCreate(f), newTokenList(f), newTokenRevoke(f))
	return cmd
}

// onStore has something done where a command says that the tokens are.
func onStore(cmd *cobra.Command, f *cli.Files, flag cli.DatabaseFlag,
	do func(context.Context, cli.Store) error) error {
	db, err := f.NamedStore(flag)
	if err != nil {
		return err
	}
	return cli.WithStore(cmd.Context(), db, do)
}

// keepKey keeps a key, in the database itself: its secret is sealed here.
func keepKey(cmd *cobra.Command, f *cli.Files, flag cli.DatabaseFlag, kept policydb.Token) error {
	db, err := f.NamedStore(flag)
	if err == nil && db.Server != nil {
		err = errors.New("--exoscale: keys are made in the database itself: name it by --db")
	}
	if err != nil {
		return err
	}
	return cli.WithDatabase(cmd.Context(), db, func(ctx context.Context, c *policydb.Client) error {
		return cli.KeepToken(ctx, c, kept)
	})
}

// creating is the command line of token create.
type creating struct {
	database      cli.DatabaseFlag
	want          apiserver.NewToken
	role, expires string
	key           keyFlags
	out           term.Format
}

func newTokenCreate(f *cli.Files) *cobra.Command {
	t := &creating{out: term.Table}
	cmd := &cobra.Command{
		Use:   "create --role ROLE",
		Short: "Make a token and print it, once",
		Long: "Create makes a token. A viewer sees policies and asks questions, an editor changes groups, " +
			"rules and instances, an operator does all.\nWith --project it is of that project alone.\n\n" +
			"Exit codes: 0 made; 1 not.",
		Example: "  portcullis token create --role operator\n" +
			"  portcullis token create --role editor --project acme --expires 90d -o json",
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error { return t.run(cmd, f) }),
	}
	t.addTo(cmd)
	return cmd
}

// run makes the token and prints it.
func (t *creating) run(cmd *cobra.Command, f *cli.Files) error {
	if err := t.want.Role.UnmarshalText([]byte(t.role)); err != nil {
		return fmt.Errorf("--role: %w", err)
	}
	now := time.Now()
	after, err := lifetime(t.expires)
	if err != nil {
		return err
	}
	if after > 0 {
		t.want.Expires = now.Add(after)
	}
	if t.key.isKey {
		return t.key.create(cmd, t.want, now, t.out, func(kept policydb.Token) error {
			return keepKey(cmd, f, t.database, kept)
		})
	}
	var made apiserver.MadeToken
	if err := onStore(cmd, f, t.database, func(ctx context.Context, c cli.Store) (err error) {
		made, err = c.CreateToken(ctx, t.want)
		return err
	}); err != nil {
		return err
	}
	if t.out == term.JSON {
		return term.PrintJSON(cmd.OutOrStdout(), made)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), cmp.Or(made.Text, made.ID))
	return err
}

func (t *creating) addTo(cmd *cobra.Command) {
	t.database.AddTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&t.role, "role", "", "`ROLE`: viewer, editor or operator")
	flags.StringVar(&t.want.Project, "project", "", "of this `PROJECT` alone (default: of all)")
	flags.StringVar(&t.want.Certificate, "certificate", "", "for who has a certificate with this `NAME` "+
		"(its CN, or a DNS name, e-mail address or URI in it), in place of a token: see serve --client-ca")
	flags.StringVar(&t.want.Description, "description", "", "`TEXT` for people")
	flags.StringVar(&t.expires, "expires", "", "`TIME` until it is void, such as 30d or 12h (default: "+
		"never)")
	flags.VarP(&t.out, "output", "o", "format")
	t.key.addTo(flags)
	_ = cmd.MarkFlagRequired("role") // fails for a flag that is not there
}

// lifetime reads how long a token is to live: a duration of Go, or days.
func lifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	days, isDays := strings.CutSuffix(text, "d")
	if n, err := strconv.Atoi(days); isDays && err == nil && n > 0 && n < 100_000 {
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("--expires %s: must be a time such as 30d or 12h", text)
	}
	return d, nil
}

// whoAmI names who runs the command.
func whoAmI() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %d", os.Geteuid())
}

func newTokenList(f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	out := term.Table
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens, without their secrets",
		Long:    "List prints which tokens there are, who made them, and when they were used last.\n\nExit codes: 0 listed; 1 not.",
		Example: "  portcullis token list",
		Args:    cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			return onStore(cmd, f, database, func(_ context.Context, c cli.Store) error {
				list, err := c.Tokens()
				if err != nil {
					return err
				}
				return printTokens(cmd, out, list)
			})
		}),
	}
	database.AddTo(cmd)
	cmd.Flags().VarP(&out, "output", "o", "format")
	return cmd
}

func printTokens(cmd *cobra.Command, format term.Format, tokens []apiserver.Token) error {
	if format == term.JSON {
		return term.PrintJSON(cmd.OutOrStdout(), tokens)
	}
	t := term.Columns(cmd.OutOrStdout())
	fmt.Fprintln(t, "ID\tKIND\tROLE\tPROJECT\tCREATED\tBY\tEXPIRES\tLAST USED\tDESCRIPTION")
	for _, one := range tokens {
		project := one.Project
		if project == "" {
			project = "all"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", one.ID,
			strings.TrimSpace(one.Kind+" "+one.Certificate), one.Role, project,
			one.At.Local().Format(time.DateOnly), one.By, dated(one.Expires), dated(one.Used),
			one.Description)
	}
	return t.Flush()
}

// dated is a moment in a table.
func dated(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format(time.DateTime)
}

func newTokenRevoke(f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	cmd := &cobra.Command{
		Use:     "revoke ID",
		Short:   "Revoke a token, at once",
		Long:    "Revoke has the API servers know a token no more.\n\nExit codes: 0 revoked; 1 there is none of this ID.",
		Example: "  portcullis token revoke 7f3a",
		Args:    cobra.ExactArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return cli.Outcome(onStore(cmd, f, database, func(ctx context.Context,
			c cli.Store) error {
			if err := c.RevokeToken(ctx, args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "revoked: %s\n", args[0])
			return err
		}))
	}
	database.AddTo(cmd)
	return cmd
}
