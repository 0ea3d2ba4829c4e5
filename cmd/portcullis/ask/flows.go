package ask

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/flows"
)

// The command flows: the program that the policy compiles to, with numbers that are made up.

// NewFlows makes the command flows.
func NewFlows(f *cli.Files) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "flows",
		Short: "Print the flows that the policy compiles to",
		Long: "Flows prints the program of this host's bridge, one flow a line, in the text of " +
			"'ovs-ofctl dump-flows'. No switch is needed:\n" +
			"the local ports, by name, get the OpenFlow ports and zones 1, 2, … and the epoch 1; " +
			"the uplinks follow. Limits, if there are any,\n" +
			"stand before the flows, as comments: meters and the limits of conntrack zones. So " +
			"does what is left out because it cannot be compiled.",
		Args: cobra.NoArgs,
		RunE: cli.Action(func(cmd *cobra.Command) error {
			in, err := f.Load(cmd)
			if err != nil {
				return err
			}
			program, err := flows.Compile(in.Invented())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), program)
			return err
		}),
	}
	f.AddPolicy(cmd)
	return cmd
}
