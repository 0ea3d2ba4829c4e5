package files

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/controller/hostnet"
	"github.com/portcullis/portcullis/flows"
)

// The command check: what the daemon would refuse or leave out, found without a switch.

const checkHelp = "Check reads the settings and the policy as the daemon would, and names every " +
	"mistake as file:line:column: field: message.\n" +
	"A port of this host that is the bridge, an uplink or a device that the host itself " +
	"uses is one, and so is one that could speak as a\n" +
	"gateway: the daemon takes no such port, though all else. It warns if no instance is " +
	"on this host. No switch is needed.\n" +
	"What cannot be compiled, and so would be left out, is a mistake, too. Exit codes: 0 " +
	"valid, 1 not valid."

// NewCheck makes the command check.
func NewCheck(f *cli.Files) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Validate the settings and the policy",
		Long:  checkHelp,
		Args:  cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			in, err := f.Load(cmd)
			if err != nil {
				return err
			}
			devices, err := hostnet.Devices()
			if err != nil {
				return err
			}
			if err := in.Settings.Check(in.Policy, devices); err != nil {
				return err
			}
			program, err := flows.Compile(in.Invented())
			if err == nil {
				err = complete(program)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(),
				"valid: %d groups, %d instances, %d ports on host %s, %d flows\n",
				len(in.Policy.Groups),
				len(in.Policy.Instances), len(in.LocalPorts()), in.Settings.Host,
				len(program.Flows))
			return nil
		}),
	}
}

// complete returns an error that names what a program does without, in the words of the daemon.
func complete(p *flows.Program) error {
	var errs []error
	for _, l := range p.LeftOut {
		errs = append(errs, errors.New(l.String()))
	}
	return errors.Join(errs...)
}
