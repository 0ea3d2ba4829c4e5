package db

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/ovsdb/policyserver"
)

// The commands db backup, restore, upgrade and remove.

func newBackup(f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	out := term.Table
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all of a policy database into a file",
		Long: "Backup writes what a policy database holds at one moment into a file of root's: the " +
			"policy, its history, who may use the API. What was at FILE is replaced when the new " +
			"one is complete.\n\nExit codes: 0 written; 1 not.",
		Example: "  portcullis db backup /var/backups/policy.db --db unix:/var/lib/portcullis/db/db.sock",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cli.Outcome(withBest(cmd, f, database, func(ctx context.Context,
				r policyserver.Remote) error {
				generation, err := r.Backup(ctx, args[0])
				if err != nil {
					return err
				}
				if out == term.JSON {
					return term.PrintJSON(cmd.OutOrStdout(), struct {
						File       string `json:"file"`
						Generation int    `json:"generation"`
					}{args[0], generation})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: generation %d\n", args[0], generation)
				return err
			}))
		},
	}
	database.AddDatabaseTo(cmd)
	cmd.Flags().VarP(&out, "output", "o", "format")
	return cmd
}

// restoring is the command line of db restore.
type restoring struct {
	database      cli.DatabaseFlag
	out           term.Format
	isSure, isDry bool
}

func newRestore(f *cli.Files) *cobra.Command {
	r := &restoring{out: term.Table}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a backup the content of a policy database",
		Long: "Restore makes what a backup holds the content of a running policy database, in one " +
			"transaction and under a generation of its own, so that hosts follow; they are told " +
			"what differs only. A backup of an older schema is converted. A file that is not whole " +
			"is refused, and so is the restoration if somebody changes the policy meanwhile.\n\n" +
			"Exit codes: 0 restored; 1 not.",
		Example: "  portcullis db restore /var/backups/policy.db " +
			"--db unix:/var/lib/portcullis/db/db.sock",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return cli.Outcome(err)
			}
			return cli.Outcome(withBest(cmd, f, r.database, func(ctx context.Context,
				remote policyserver.Remote) error {
				return r.restore(ctx, cmd, remote, path)
			}))
		},
	}
	r.database.AddDatabaseTo(cmd)
	cmd.Flags().BoolVarP(&r.isSure, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&r.isDry, "dry-run", false, "only say what would be done")
	cmd.Flags().VarP(&r.out, "output", "o", "format")
	return cmd
}

func (r *restoring) restore(ctx context.Context, cmd *cobra.Command, remote policyserver.Remote,
	path string) error {
	plan, err := remote.PlanRestore(ctx, path, cli.Who())
	if err != nil {
		return err
	}
	plan.IsPlanned = r.isDry
	if !r.isDry {
		question := fmt.Sprintf("generation %d of %s takes the place of generation %d at %s, as "+
			"generation %d", plan.From, path, plan.Replaced, remote.Endpoint, plan.Generation)
		if err := r.agree(cmd, question); err != nil {
			return err
		}
		if err := remote.Restore(ctx, plan); err != nil {
			return err
		}
	}
	if r.out == term.JSON {
		return term.PrintJSON(cmd.OutOrStdout(), plan)
	}
	done := "restored"
	if r.isDry {
		done = "would be restored"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: generation %d is that of the backup, %d; it takes "+
		"the place of generation %d\n", done, plan.Generation, plan.From, plan.Replaced)
	return err
}

// agree asks whoever is there.
func (r *restoring) agree(cmd *cobra.Command, question string) error {
	if r.isSure {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: yes or no? ", question)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer := strings.TrimSpace(line); answer != "yes" && answer != "y" {
		return errors.New("nothing was restored: nobody said yes; --yes does without")
	}
	return nil
}

func newUpgrade(f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	var isDry bool
	out := term.Table
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Convert a running policy database to the schema of this program",
		Long: "Upgrade adds what this version of the program needs to the schema of a running policy " +
			"database. If what it holds does not fit, it stays as it was. All hosts read the policy " +
			"anew afterwards; nothing passes or stops by it.\n\n" +
			"Exit codes: 0 it has this schema, or a newer one; 1 not; 3 with --dry-run: it would be " +
			"converted.",
		Example: "  portcullis db upgrade --db unix:/var/lib/portcullis/db/db.sock",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.Outcome(withBest(cmd, f, database, func(ctx context.Context,
				r policyserver.Remote) error {
				return upgrade(ctx, cmd, r, upgrading{out: out, isDry: isDry})
			}))
		},
	}
	database.AddDatabaseTo(cmd)
	cmd.Flags().BoolVar(&isDry, "dry-run", false, "only say whether it is needed")
	cmd.Flags().VarP(&out, "output", "o", "format")
	return cmd
}

// upgrading is the command line of db upgrade.
type upgrading struct {
	out   term.Format
	isDry bool
}

func upgrade(ctx context.Context, cmd *cobra.Command, r policyserver.Remote, u upgrading) error {
	v, err := r.Versions(ctx)
	if err != nil {
		return err
	}
	words := fmt.Sprintf("nothing to do: the database has the schema %s", v.Server)
	verdict := error(nil)
	switch {
	case v.Order() > 0:
		words = fmt.Sprintf("nothing was done: the database has the schema %s, which is newer than "+
			"this program's %s", v.Server, v.Program)
	case v.Order() < 0 && u.isDry:
		words = fmt.Sprintf("needed: the database has the schema %s, this program %s", v.Server,
			v.Program)
		verdict = cli.Verdict(cli.ExitChanges)
	case v.Order() < 0:
		if err := r.Upgrade(ctx); err != nil {
			return err
		}
		words = fmt.Sprintf("done: from the schema %s to %s", v.Server, v.Program)
	}
	if u.out == term.JSON {
		err = term.PrintJSON(cmd.OutOrStdout(), struct {
			policyserver.Versions
			IsNeeded bool   `json:"needed"` // it was, before this
			Summary  string `json:"summary"`
		}{v, v.Order() < 0, words})
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), words)
	}
	return errors.Join(err, verdict)
}

func newRemove() *cobra.Command {
	var dir folderFlag
	cmd := &cobra.Command{
		Use:   "remove MEMBER --dir DIR",
		Short: "Take a lost member out of a policy database",
		Long: "Remove takes a member that will not come back out of the cluster, so that it does not " +
			"count for the majority any more. It is called where another member runs. MEMBER is its " +
			"ID or its address, as 'portcullis db status' has them there.\n\n" +
			"Exit codes: 0 removed; 1 not.",
		Example: "  portcullis db remove 192.0.2.3:6643 --dir /var/lib/portcullis/db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := dir.folder()
			if err != nil {
				return cli.Outcome(err)
			}
			ctx, cancel := context.WithTimeout(contextOf(cmd), answerTime)
			defer cancel()
			m, err := folder.Remove(ctx, args[0])
			if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "removed: %s at %s\n", m.ID, m.Address)
			}
			return cli.Outcome(err)
		},
	}
	dir.add(cmd)
	return cmd
}
