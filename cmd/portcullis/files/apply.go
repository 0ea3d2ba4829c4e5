package files

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config/policydir"
)

// The commands apply and confirm: a policy put in force, and kept only if somebody says so in time.

const applyHelp = "Apply checks a policy, shows what it would change (as 'portcullis plan' does), puts " +
	"its files into the place of those that the settings\n" +
	"name, and waits until they are in force. What was there is kept (portcullis history).\n\n" +
	"With --confirm the policy is taken back after that time unless 'portcullis confirm' is called, " +
	"or Enter pressed: for a change that may cut\n" +
	"off who makes it. The daemon keeps the time, also over a restart of it, and whatever becomes " +
	"of this command. Files that somebody changes\n" +
	"meanwhile are taken as always, are kept as generations, and are taken back with the rest.\n\n" +
	"Exit codes: 0 in force (and confirmed), or with --dry-run checked; 1 an error, not in time, or " +
	"taken back; 2 wrong usage."

// NewApply makes the command apply.
func NewApply(f *cli.Files, plan Planner) *cobra.Command {
	p := &placing{files: f, plan: plan, out: term.Table}
	cmd := &cobra.Command{
		Use:   "apply FILE|FOLDER",
		Short: "Put a policy in force, and take it back unless it is confirmed",
		Long:  applyHelp,
		Example: "  portcullis apply new.yaml --dry-run\n" +
			"  portcullis apply new.yaml --confirm 60s\n" +
			"  portcullis confirm",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cli.Outcome(p.apply(cmd, args[0]))
		},
	}
	p.flags(cmd)
	return cmd
}

// apply puts the files at a path in force.
func (p *placing) apply(cmd *cobra.Command, from string) error {
	if err := p.load(); err != nil {
		return err
	}
	files, err := policydir.Contents(from)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s: there is no policy file", from)
	}
	target, err := relocated(files, from, p.settings.Policy)
	if err != nil {
		return err
	}
	p.note = "apply " + from
	return p.run(cmd, from, target)
}

// relocated returns the files at one path as they would stand at another: a file for a file, or the
// files of a folder for those of a folder.
func relocated(files []policydir.Content, from, to string) ([]policydir.Content, error) {
	isFolder := func(path string) (is, isThere bool) {
		info, err := os.Stat(path)
		return err == nil && info.IsDir(), err == nil
	}
	source, _ := isFolder(from)
	target, isThere := isFolder(to)
	switch {
	case isThere && target && !source:
		return nil, fmt.Errorf("the policy is the folder %s, and %s is a file: name a folder", to, from)
	case isThere && !target && source:
		return nil, fmt.Errorf("the policy is the file %s, and %s is a folder: name a file", to, from)
	}
	out := make([]policydir.Content, len(files))
	for i, f := range files {
		out[i] = f
		if out[i].Path = to; source {
			out[i].Path = filepath.Join(to, filepath.Base(f.Path))
		}
	}
	return out, nil
}

// NewConfirm makes the command confirm.
func NewConfirm(f *cli.Files) *cobra.Command {
	var undo bool
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Keep the policy that 'apply --confirm' put on trial",
		Long: "Confirm tells the daemon that the policy on trial stays. With --undo it is taken back " +
			"now instead.\n\n" +
			"Exit codes: 0 done, 1 there is none on trial, or it was taken back already.",
		Example: "  portcullis apply new.yaml --confirm 60s &\n  portcullis confirm",
		Args:    cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			client, err := f.Client()
			if err != nil {
				return err
			}
			ctx, cancel := cli.Bounded(cmd.Context())
			defer cancel()
			if undo {
				t, err := client.Abandon(ctx, "")
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "generation %d comes back\n", t.Back)
				}
				return f.Unanswered(err)
			}
			if _, err := client.Confirm(ctx, ""); err != nil {
				return f.Unanswered(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "confirmed: the policy in force stays")
			return nil
		}),
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "take it back now")
	return cmd
}
