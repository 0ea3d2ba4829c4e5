package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/apiclient"
	"github.com/portcullis/portcullis/flows/policy"
)

// The command context: the API servers that somebody works with, and which one is meant.

const contextLong = "Context keeps the API servers that you work with, and your tokens for them, in a " +
	"file that is yours alone (~/.config/portcullis/contexts.yaml).\nCommands that take --server ask " +
	"the one that was chosen with 'context use', unless --server, --db, --context or the variables " +
	"name another.\n\nExit codes: 0 done; 1 refused, or an error; 2 wrong usage."

// NewContext makes the command context.
func NewContext() *cobra.Command {
	cmd := &cobra.Command{Use: "context", Short: "Keep API servers and tokens, and choose one",
		Long: contextLong, Args: cobra.NoArgs,
		Example: "  portcullis context add prod --server https://policy.example.org --token pc_...\n" +
			"  portcullis context use prod",
		RunE: cli.Action(func(cmd *cobra.Command) error { return cmd.Help() })}
	use := &cobra.Command{Use: "use NAME", Short: "Choose the server that commands ask", Long: contextLong,
		Example: "  portcullis context use prod", Args: cobra.ExactArgs(1),
		RunE: onContexts(func(cmd *cobra.Command, all *apiclient.Contexts, args []string) error {
			if _, err := all.Find(args[0]); err != nil {
				return err
			}
			all.Current = args[0]
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "commands ask %s\n", args[0])
			return err
		})}
	remove := &cobra.Command{Use: "remove NAME", Short: "Forget a server and its token",
		Long: contextLong, Example: "  portcullis context remove prod", Args: cobra.ExactArgs(1),
		RunE: onContexts(func(cmd *cobra.Command, all *apiclient.Contexts, args []string) error {
			found, err := all.Find(args[0])
			if err != nil {
				return err
			}
			name := found.Name
			all.List = slices.DeleteFunc(all.List, func(c apiclient.Context) bool { return c.Name == name })
			if all.Current == name {
				all.Current = ""
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is forgotten\n", name)
			return err
		})}
	for _, verb := range []*cobra.Command{use, remove} {
		verb.ValidArgsFunction = completeContexts
	}
	cmd.AddCommand(newContextAdd(), use, newContextList(), remove)
	return cmd
}

// onContexts has something done with the contexts, and keeps what it made of them.
func onContexts(do func(*cobra.Command, *apiclient.Contexts, []string) error) func(*cobra.Command,
	[]string) error {
	return func(cmd *cobra.Command, args []string) error {
		return cli.Outcome(func() error {
			file := apiclient.ContextsFile()
			all, err := apiclient.ReadContexts(file)
			if err != nil {
				return err
			}
			if err := do(cmd, &all, args); err != nil {
				return err
			}
			return all.Write(file)
		}())
	}
}

func completeContexts(*cobra.Command, []string, string) ([]cobra.Completion,
	cobra.ShellCompDirective) {
	all, _ := apiclient.ReadContexts(apiclient.ContextsFile()) // there is nobody to be told
	var out []cobra.Completion
	for _, c := range all.List {
		out = append(out, cobra.CompletionWithDesc(c.Name, c.Server))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func newContextAdd() *cobra.Command {
	var one apiclient.Context
	cmd := &cobra.Command{Use: "add NAME", Short: "Keep a server and a token for it", Long: contextLong,
		Example: "  portcullis context add prod --server https://policy.example.org --token pc_...",
		Args:    cobra.ExactArgs(1)}
	cmd.Flags().StringVar(&one.Server, "server", "", "the `URL` of the server")
	cmd.Flags().StringVar(&one.Token, "token", "", "your `TOKEN`; left out = none, as at a socket")
	cmd.Flags().StringVar(&one.CA, "server-ca", "", "the authorities of its certificate: `FILE` of PEM")
	_ = cmd.MarkFlagRequired("server") // fails for a flag that is not there
	cmd.RunE = onContexts(func(cmd *cobra.Command, all *apiclient.Contexts, args []string) error {
		one.Name = args[0]
		if policy.BadName(one.Name) != "" || strings.Contains(one.Name, "/") {
			return fmt.Errorf("%q is no name for a context: letters, digits, - and _", one.Name)
		}
		if found, _ := all.Find(one.Name); found != nil && found.Name == one.Name {
			return fmt.Errorf("there is a context %s already, for %s: remove it first", one.Name, found.Server)
		}
		if err := apiclient.CheckURL(one.Server); err != nil {
			return err
		}
		if one.CA != "" {
			path, err := filepath.Abs(one.CA)
			if err != nil {
				return err
			}
			one.CA = path
		}
		all.List = append(all.List, one)
		all.Current = cmp.Or(all.Current, one.Name)
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is kept; commands ask %s\n", one.Name, all.Current)
		return err
	})
	return cmd
}

// contextView is a context without its token.
type contextView struct {
	Name      string `json:"name"`
	Server    string `json:"server"`
	IsCurrent bool   `json:"current"`
	HasToken  bool   `json:"token"`
}

func newContextList() *cobra.Command {
	out := term.Table
	cmd := &cobra.Command{Use: "list", Short: "List the servers, without the tokens", Long: contextLong,
		Example: "  portcullis context list", Args: cobra.NoArgs}
	cmd.Flags().VarP(&out, "output", "o", "format")
	cmd.RunE = cli.Action(func(cmd *cobra.Command) error {
		all, err := apiclient.ReadContexts(apiclient.ContextsFile())
		if err != nil {
			return err
		}
		list := []contextView{}
		grid := term.Grid{Of: "contexts", Empty: "there are none",
			Columns: []term.Column{{Title: ""}, {Title: "NAME"}, {Title: "SERVER"}, {Title: "TOKEN"}}}
		for _, c := range all.List {
			one := contextView{c.Name, c.Server, c.Name == all.Current, c.Token != ""}
			list = append(list, one)
			grid.Rows = append(grid.Rows, term.Row{Cells: []string{
				map[bool]string{true: "*"}[one.IsCurrent], c.Name, c.Server,
				map[bool]string{true: "yes", false: "none"}[one.HasToken]}})
		}
		if out == term.JSON {
			return term.PrintJSON(cmd.OutOrStdout(), list)
		}
		return errors.Join(term.Sheet{Grids: []term.Grid{grid}}.Print(cmd.OutOrStdout(), true))
	})
	return cmd
}
