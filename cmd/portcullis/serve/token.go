package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/flows/policy/wording"
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

// onDatabase has something done with the database that a command names.
func onDatabase(cmd *cobra.Command, f *cli.Files, flag cli.DatabaseFlag,
	do func(context.Context, *policydb.Client) error) error {
	db, err := f.Database(flag)
	if err != nil {
		return err
	}
	if db.Endpoint == "" {
		return errors.New("no policy database is named: --db ENDPOINT, or " + config.DatabaseVariable)
	}
	return cli.WithDatabase(cmd.Context(), db, do)
}

func newTokenCreate(f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	var want apiserver.NewToken
	var role, expires string
	var key keyFlags
	out := term.Table
	cmd := &cobra.Command{
		Use:   "create --role ROLE",
		Short: "Make a token and print it, once",
		Long: "Create makes a token. A viewer sees policies and asks questions, an editor changes groups, " +
			"rules and instances, an operator does all.\nWith --project it is of that project alone.\n\n" +
			"Exit codes: 0 made; 1 not.",
		Example: "  portcullis token create --role operator\n" +
			"  portcullis token create --role editor --project acme --expires 90d -o json",
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			if err := want.Role.UnmarshalText([]byte(role)); err != nil {
				return fmt.Errorf("--role: %w", err)
			}
			now := time.Now()
			after, err := lifetime(expires)
			if err != nil {
				return err
			}
			if after > 0 {
				want.Expires = now.Add(after)
			}
			if key.isKey {
				return key.create(cmd, want, now, out, func(kept policydb.Token) error {
					return onDatabase(cmd, f, database, func(ctx context.Context,
						c *policydb.Client) error {
						return addToken(ctx, c, kept)
					})
				})
			}
			made, kept, err := want.Draw(whoAmI(), now)
			if err != nil {
				return err
			}
			if err := onDatabase(cmd, f, database, func(ctx context.Context,
				c *policydb.Client) error {
				return addToken(ctx, c, kept)
			}); err != nil {
				return err
			}
			if out == term.JSON {
				return term.PrintJSON(cmd.OutOrStdout(), made)
			}
			text := made.Text
			if text == "" {
				text = made.ID
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		}),
	}
	database.AddTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&role, "role", "", "`ROLE`: viewer, editor or operator")
	flags.StringVar(&want.Project, "project", "", "of this `PROJECT` alone (default: of all)")
	flags.StringVar(&want.Certificate, "certificate", "", "for who has a certificate with this `NAME` "+
		"(its CN, or a DNS name, e-mail address or URI in it), in place of a token: see serve --client-ca")
	flags.StringVar(&want.Description, "description", "", "`TEXT` for people")
	flags.StringVar(&expires, "expires", "", "`TIME` until it is void, such as 30d or 12h (default: "+
		"never)")
	flags.VarP(&out, "output", "o", "format")
	key.addTo(flags)
	_ = cmd.MarkFlagRequired("role") // fails for a flag that is not there
	return cmd
}

// addToken keeps a token, if its project is there.
func addToken(ctx context.Context, c *policydb.Client, t policydb.Token) error {
	p, _, err := c.Policy()
	if err != nil {
		return err
	}
	if t.Project != "" {
		names := make([]string, 0, len(p.Projects))
		for _, one := range p.Projects {
			names = append(names, one.Name)
		}
		if !slices.Contains(names, t.Project) {
			return fmt.Errorf("--project %s: there is no such project%s", t.Project,
				wording.DidYouMean(t.Project, names))
		}
	}
	return c.AddToken(ctx, t)
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
			return onDatabase(cmd, f, database, func(_ context.Context, c *policydb.Client) error {
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

func printTokens(cmd *cobra.Command, format term.Format, list []policydb.Token) error {
	tokens := make([]apiserver.Token, len(list))
	for n, t := range list {
		tokens[n] = apiserver.TokenOf(t)
	}
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
		return cli.Outcome(onDatabase(cmd, f, database, func(ctx context.Context,
			c *policydb.Client) error {
			if err := c.RemoveToken(ctx, args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "revoked: %s\n", args[0])
			return err
		}))
	}
	database.AddTo(cmd)
	return cmd
}
