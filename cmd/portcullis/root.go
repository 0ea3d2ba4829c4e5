package main

import (
	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/ask"
	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/daemon"
	"github.com/portcullis/portcullis/cmd/portcullis/db"
	"github.com/portcullis/portcullis/cmd/portcullis/files"
	"github.com/portcullis/portcullis/cmd/portcullis/fleet"
	"github.com/portcullis/portcullis/cmd/portcullis/hook"
	"github.com/portcullis/portcullis/cmd/portcullis/live"
	"github.com/portcullis/portcullis/cmd/portcullis/objects"
	"github.com/portcullis/portcullis/cmd/portcullis/serve"
)

// The root command: every command has its file in one of the folders beside.

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "portcullis",
		Short: "Security groups for Open vSwitch",
		Long: "Portcullis gives every instance on a flat network its own firewall at its own " +
			"port of an Open vSwitch bridge.\n\n" +
			"Exit codes: 0 yes or done, 1 no or an error, 2 wrong usage; plan: 3 something would " +
			"change.",
		Example: "  portcullis status\n" +
			"  portcullis explain web-1 db-1 mysql\n" +
			"  portcullis check new.yaml && portcullis plan --policy new.yaml",
		Version:          version(),
		RunE:             cli.Action(func(cmd *cobra.Command) error { return cmd.Help() }),
		PersistentPreRun: cli.CountAnswer,
		SilenceUsage:     true,
		SilenceErrors:    true,
	}
	root.Flags().BoolP("version", "V", false, "print the version")
	root.SetVersionTemplate("portcullis {{.Version}}\n")
	var f cli.Files
	f.AddConfig(root)
	addCommands(root, &f)
	suggest(root)
	cli.SetUsage(root)
	root.SetHelpCommandGroupID(program)
	cli.SetCompletion(root, &f)
	return root
}

// program heads the commands that are about the program itself.
const program = "The program:"

// addCommands adds all commands, in groups by what they are for.
func addCommands(root *cobra.Command, f *cli.Files) {
	group(root, "Every day:", fleet.Status(live.NewStatus(f), f), live.NewWatch(f), live.NewTop(f),
		live.NewConnections(f), live.NewShow(f), live.NewList(f))
	group(root, "Before a change:", files.NewCheck(f, version()), ask.NewPlan(f),
		ask.NewMatrix(f), ask.NewTest(f))
	group(root, "Change, and undo:", fleet.Apply(files.NewApply(f, ask.NewPlan), f),
		fleet.Confirm(files.NewConfirm(f), f), fleet.Rollback(files.NewRollback(f, ask.NewPlan), f),
		fleet.History(files.NewHistory(f), f))
	group(root, "Change one thing:", objects.NewGroup(f), objects.NewRule(f),
		objects.NewInstance(f), objects.NewPort(f), objects.NewHost(f), objects.NewProject(f))
	group(root, "Several hosts:", db.NewDB(f), fleet.NewExport(f),
		serve.NewServe(f), serve.NewToken(f), fleet.NewContext())
	group(root, "Why it is so:", ask.NewExplain(f), ask.NewFlows(f))
	group(root, "Files:", files.NewConvert(), files.NewSchema())
	root.SetCompletionCommandGroupID(program)
	group(root, program, daemon.NewRun(f, version()), hook.New(f), newVersion())
}

// group adds commands under a title of their own.
func group(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, cmd := range commands {
		cmd.GroupID = title
	}
	root.AddCommand(commands...)
}

// suggest lets commands be found by words that other programs have for them.
func suggest(root *cobra.Command) {
	words := map[string][]string{
		"check":       {"validate", "verify", "lint"},
		"plan":        {"diff", "dry-run", "preview"},
		"explain":     {"trace", "why", "ask"},
		"status":      {"state", "health", "info"},
		"run":         {"start", "daemon"},
		"connections": {"conntrack", "sessions"},
		"top":         {"stats", "counters", "hits"},
		"flows":       {"dump-flows", "compile"},
		"matrix":      {"graph", "map"},
		"convert":     {"import"},
	}
	for _, cmd := range root.Commands() {
		cmd.SuggestFor = words[cmd.Name()]
	}
}
