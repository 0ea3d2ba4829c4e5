package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/flows"
)

// The command flows: the program that the policy compiles to, with numbers that are made up.

func newFlows(f *files) *cobra.Command {
	return &cobra.Command{
		Use:   "flows",
		Short: "Print the flows that the policy compiles to",
		Long: "Flows prints the program of this host's bridge, one flow a line, in the text of " +
			"'ovs-ofctl dump-flows'. No switch is needed:\n" +
			"the local ports, by name, get the OpenFlow ports and zones 1, 2, … and the epoch 1; " +
			"the uplinks follow. Limits, if there are any,\n" +
			"stand before the flows, as comments: meters and the limits of conntrack zones. So " +
			"does what is left out because it cannot be compiled.",
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command) error {
			in, err := f.load(cmd)
			if err != nil {
				return err
			}
			program, err := flows.Compile(in.invented())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), program)
			return err
		}),
	}
}

// localPorts returns the names of this host's ports, sorted.
func (l loaded) localPorts() []string {
	var names []string
	for _, i := range l.policy.Instances {
		if !i.IsLocal(l.settings.Host) {
			continue
		}
		for _, p := range i.Ports {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}

// invented is the input of a bridge that has every port, with numbers that depend on the names
// alone. Ports that the settings refuse are left out, as the daemon leaves them out.
func (l loaded) invented() flows.Input {
	in := flows.Input{Policy: l.policy, Site: l.settings.Site(), LastMeter: flows.MaxMeter}
	number := uint32(0)
	misfits := l.settings.Misfits(l.policy.Instances)
	for _, name := range l.localPorts() {
		if slices.ContainsFunc(misfits, func(m config.Misfit) bool { return m.Port == name }) {
			continue
		}
		number++
		in.Bindings = append(in.Bindings, flows.Binding{Port: name, OFPort: number,
			Zone: uint16(number), Epoch: 1})
	}
	for _, name := range l.settings.Uplinks {
		number++
		in.Uplinks = append(in.Uplinks, flows.Uplink{Name: name, OFPort: number})
	}
	return in
}
