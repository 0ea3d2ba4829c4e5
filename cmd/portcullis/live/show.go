package live

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/policy"
)

// The commands show and list: what the policy in force has, what refers to it, and what it does.

const showHelp = "Show says what an instance or a group has (addresses, groups, members, rules), which " +
	"rules of others are about it, what each rule has\n" +
	"admitted on this host since the daemon began, and how its ports stand here. It is asked of the " +
	"daemon, about the policy in force; without\n" +
	"a daemon the files answer, without counts and states. Exit codes: 0 shown; 1 there is no such " +
	"instance or group."

const listHelp = "List names the instances, groups or rules of the policy in force, with what each does " +
	"on this host: those that nobody uses are seen here.\n" +
	"Without a daemon the files answer, without counts and states. Exit codes: 0 listed; 1 there is " +
	"no policy."

// NewShow makes the command show.
func NewShow(f *cli.Files) *cobra.Command {
	cmd := &cobra.Command{Use: "show", Short: "Show an instance or a group", Long: showHelp,
		Example: "  portcullis show instance web-1\n  portcullis show group backend",
		Args:    cobra.NoArgs,
		RunE:    cli.Action(func(cmd *cobra.Command) error { return cmd.Help() })}
	cmd.AddCommand(newShown(f, "instance", func(w world, name string) (described, error) {
		return w.instance(name)
	}), newShown(f, "group", func(w world, name string) (described, error) {
		return w.group(name)
	}))
	return cmd
}

// NewList makes the command list.
func NewList(f *cli.Files) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List instances, groups or rules", Long: listHelp,
		Example: "  portcullis list instances\n  portcullis list rules",
		Args:    cobra.NoArgs,
		RunE:    cli.Action(func(cmd *cobra.Command) error { return cmd.Help() })}
	for kind, list := range map[string]func(world) described{"instances": world.instances,
		"groups": world.groups, "rules": world.rules} {
		cmd.AddCommand(newShown(f, kind, func(w world, _ string) (described, error) {
			return list(w), nil
		}))
	}
	return cmd
}

// described is an answer for people and for machines.
type described struct {
	sheet term.Sheet
	json  any
}

// newShown makes one command of show, which takes a name, or of list, which takes none.
func newShown(f *cli.Files, what string,
	describe func(world, string) (described, error)) *cobra.Command {
	out, all := term.Table, false
	cmd := &cobra.Command{Use: what, Args: cobra.NoArgs,
		Short: "List the " + what + " of the policy in force"}
	if !strings.HasSuffix(what, "s") {
		cmd.Use, cmd.Args = what+" NAME", cobra.ExactArgs(1)
		cmd.Short = "Show one " + what
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w, err := newWorld(cmd, f)
		if err != nil {
			return cli.Outcome(err)
		}
		answer, err := describe(w, strings.Join(args, ""))
		if err == nil && out == term.JSON {
			return cli.Outcome(term.PrintJSON(cmd.OutOrStdout(), answer.json))
		}
		if err == nil {
			err = answer.sheet.Print(cmd.OutOrStdout(), all)
		}
		return cli.Outcome(err)
	}
	cmd.Flags().VarP(&out, "output", "o", "format")
	cmd.Flags().BoolVar(&all, "all", false, "all rows, also those that the screen has no room for")
	return cmd
}

// world is what there is to describe.
type world struct {
	policy  *policy.Policy
	host    string
	status  *api.Status // nil = there is no daemon
	counts  *api.Counts // nil = not known
	places  places
	members map[string][]*policy.Instance // by group
	// packets, by group and words of the rule; only of those that have flows here
	admitted map[[2]string]uint64
}

// newWorld asks the daemon, or reads the files.
func newWorld(cmd *cobra.Command, f *cli.Files) (world, error) {
	settings, err := f.Settings()
	if err != nil {
		return world{}, err
	}
	w := world{host: settings.Host, places: newPlaces(f), members: map[string][]*policy.Instance{}}
	if err := w.ask(cmd.Context(), f); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: of the files, not of what is in force: %v\n", err)
		if w.policy, _, err = cli.LoadPolicy(settings, []string{settings.Policy}); err != nil {
			return w, err
		}
	}
	if w.counts != nil {
		w.admitted = make(map[[2]string]uint64, len(w.counts.Rules))
		for _, c := range w.counts.Rules {
			w.admitted[[2]string{c.Group, c.Rule}] = c.Admitted.Packets
		}
	}
	for _, i := range w.policy.Instances {
		for _, g := range i.Groups {
			w.members[g] = append(w.members[g], i)
		}
	}
	return w, nil
}

// ask has everything told by the daemon.
func (w *world) ask(ctx context.Context, f *cli.Files) error {
	client, err := f.Client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cli.AskTimeout)
	defer cancel()
	inForce, err := client.InForce(ctx)
	if err != nil {
		return err
	}
	w.policy = inForce.Policy
	if w.status, err = client.Status(ctx); err != nil {
		return err
	}
	w.counts = countsSoon(ctx, client)
	return nil
}
