package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/flows/policy"
)

// The root command, and what all commands read: settings and policy.

const defaultConfig = "/etc/portcullis/portcullis.yaml"

// files is the flag that all commands share.
type files struct{ config string }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "portcullis",
		Short: "Security groups for Open vSwitch",
		Long: "Portcullis gives every instance on a flat network its own firewall at its own " +
			"port of an Open vSwitch bridge.\n\n" +
			"Exit codes: 0 yes or done, 1 no or an error, 2 wrong usage.",
		Args:          cobra.NoArgs, // an unknown command is an argument of the root
		RunE:          action(func(cmd *cobra.Command) error { return cmd.Help() }),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	var f files
	root.PersistentFlags().StringVar(&f.config, "config", defaultConfig, "settings file")
	root.AddCommand(newRun(&f), newCheck(&f), newFlows(&f), newStatus(&f), newConnections(&f),
		newTop(&f), newExplain(&f), newPlan(&f), newConvert(), newSchema(), newVersion())
	setCompletion(root, &f)
	return root
}

// action makes a function the body of a command without arguments; what it returns is a failure,
// not wrong usage.
func action(do func(*cobra.Command) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if err := do(cmd); err != nil {
			return &failure{err}
		}
		return nil
	}
}

// loaded is everything that the files say.
type loaded struct {
	settings config.Settings
	policy   *policy.Policy
}

// load reads the settings and the policy, and tells of warnings.
func (f *files) load(cmd *cobra.Command) (loaded, error) {
	settings, err := config.LoadSettings(f.config)
	if err != nil {
		return loaded{}, err
	}
	return loadPolicy(cmd, settings)
}

// loadPolicy reads the policy that the settings name, and tells of warnings.
func loadPolicy(cmd *cobra.Command, settings config.Settings) (loaded, error) {
	pol, warnings, err := policydir.Load(settings.Policy)
	for _, w := range warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
	}
	if err != nil {
		return loaded{}, err
	}
	if w := settings.HostWarning(pol); w != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
	}
	return loaded{settings, pol}, nil
}
