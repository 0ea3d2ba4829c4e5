package ask

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// The command flows: the program that the policy compiles to, with numbers that are made up.

// NewFlows makes the command flows.
func NewFlows(f *cli.Files) *cobra.Command {
	out := term.WordOf("text", "json")
	cmd := &cobra.Command{
		Use:   "flows",
		Short: "Print the flows that the policy compiles to",
		Long: "Flows prints the program of this host's bridge, one flow a line, in the text of " +
			"'ovs-ofctl dump-flows'. No switch is needed:\n" +
			"the local ports, by name, get the OpenFlow ports and zones 1, 2, … and the epoch 1; " +
			"the uplinks follow. Limits, if there are any,\n" +
			"stand before the flows, as comments: meters and the limits of conntrack zones. So " +
			"does what is left out because it cannot be compiled.",
		Example: "  portcullis flows\n" +
			"  portcullis flows --policy new.yaml | grep tp_dst=22\n" +
			"  portcullis flows -o json | jq '.flows[] | select(.table == 52)'",
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
			if out.Value == "json" {
				return term.PrintJSON(cmd.OutOrStdout(), listed(program))
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), program)
			return err
		}),
	}
	cmd.Flags().VarP(&out, "output", "o", "format")
	f.AddPolicy(cmd)
	return cmd
}

// list is a program for machines.
type list struct {
	Flows   []listedFlow `json:"flows"`
	Limits  []string     `json:"limits"`   // meters and limits of zones, as text
	LeftOut []leftOut    `json:"left_out"` // what cannot be compiled
}

type listedFlow struct {
	Table    uint8  `json:"table"`
	Priority uint16 `json:"priority"`
	Match    string `json:"match"`
	Actions  string `json:"actions"`
	Cookie   string `json:"cookie"` // as explain --flow takes it
}

type leftOut struct {
	At     string `json:"at,omitempty"` // file:line:column
	What   string `json:"what"`
	Reason string `json:"reason"`
}

func listed(p *flows.Program) list {
	out := list{Flows: make([]listedFlow, len(p.Flows)), Limits: []string{}, LeftOut: []leftOut{}}
	for n, f := range p.Flows {
		out.Flows[n] = listedFlow{f.Table, f.Priority, string(f.Match.AppendText(nil)),
			f.Actions.String(), fmt.Sprintf("%#x", f.Cookie)}
	}
	for _, m := range p.Meters {
		out.Limits = append(out.Limits, m.String())
	}
	for _, z := range p.ZoneLimits {
		out.Limits = append(out.Limits, z.String())
	}
	for _, l := range p.LeftOut {
		left := leftOut{What: l.What, Reason: l.Reason}
		if l.At != (policy.Position{}) {
			left.At = l.At.String()
		}
		out.LeftOut = append(out.LeftOut, left)
	}
	return out
}
