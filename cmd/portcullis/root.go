package main

import (
	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/ask"
	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/daemon"
	"github.com/portcullis/portcullis/cmd/portcullis/files"
	"github.com/portcullis/portcullis/cmd/portcullis/live"
)

// The root command: every command has its file in one of the folders beside.

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "portcullis",
		Short: "Security groups for Open vSwitch",
		Long: "Portcullis gives every instance on a flat network its own firewall at its own " +
			"port of an Open vSwitch bridge.\n\n" +
			"Exit codes: 0 yes or done, 1 no or an error, 2 wrong usage.",
		Args:          cobra.NoArgs, // an unknown command is an argument of the root
		RunE:          cli.Action(func(cmd *cobra.Command) error { return cmd.Help() }),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	var f cli.Files
	addUndo(root, &f)
	f.AddConfig(root)
	root.AddCommand(daemon.NewRun(&f, version()), files.NewCheck(&f, version()), ask.NewFlows(&f),
		live.NewStatus(&f), live.NewConnections(&f), live.NewTop(&f), live.NewWatch(&f),
		live.NewShow(&f), live.NewList(&f), ask.NewExplain(&f), ask.NewPlan(&f), ask.NewMatrix(&f),
		ask.NewTest(&f), files.NewConvert(), files.NewSchema(), newVersion())
	cli.SetCompletion(root, &f)
	return root
}

// addUndo adds the commands that put policies in force, and go back.
func addUndo(root *cobra.Command, f *cli.Files) {
	root.AddCommand(files.NewHistory(f), files.NewApply(f, ask.NewPlan), files.NewConfirm(f),
		files.NewRollback(f, ask.NewPlan))
}
