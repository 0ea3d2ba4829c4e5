package objects

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// The command port.

var portKeys = []string{"mac", "iface_id", "addresses", "allowed_addresses", "type", "host_device",
	"trusted", "ethertypes", "limits", "log_denied"}

// NewPort makes the command port.
func NewPort(f *cli.Files) *cobra.Command {
	var add, set *cobra.Command
	add = writes(f, "port", "add INSTANCE INTERFACE", "Add a port to an instance", cobra.ExactArgs(2),
		oneInstance, func(_ *policy.Policy, args []string) (edit.Edit, error) {
			of := fields{"name": args[1]}
			of.flagged(add, portKeys...)
			port, err := readPort("port "+wording.Quote(args[1]), args[0], of)
			return edit.AddPort(args[0], port), err
		})
	portFlags(add)
	set = writes(f, "port", "set PORT", "Change a port; a list replaces the one before",
		cobra.ExactArgs(1), onePort, func(p *policy.Policy, args []string) (edit.Edit, error) {
			i, at, err := edit.FindPort(p, args[0])
			if err != nil {
				return nil, err
			}
			of := fieldsOf(i.Ports[at])
			of.flagged(set, portKeys...)
			port, err := readPort("port "+wording.Quote(args[0]), i.Name, of)
			return edit.SetPort(args[0], func(v *policy.Port) { *v = port }), err
		})
	portFlags(set)
	remove := writes(f, "port", "remove PORT", "Remove a port", cobra.ExactArgs(1), onePort,
		func(_ *policy.Policy, args []string) (edit.Edit, error) {
			return edit.RemovePort(args[0]), nil
		})
	return noun("port", "List, show, add, change and remove ports of a policy",
		"Port lists the ports of a policy, shows one, and changes them in a policy database. A port is "+
			"named by its interface, or, where several hosts have one of\nthat name, by "+
			"INSTANCE/INTERFACE.",
		"  portcullis port add web-1 tap-web-1b --mac 02:00:00:00:00:12 --address 192.0.2.12\n"+
			"  portcullis port set tap-web-1b --address 192.0.2.12 --address 2001:db8::12\n"+
			"  portcullis port set web-1/tap-web-1b --limit connections=1000",
		reads(f, "list [INSTANCE]", "List ports", cobra.MaximumNArgs(1), instancesOrAll, listPorts),
		reads(f, "show PORT", "Show a port", cobra.ExactArgs(1), onePort, showPort), add, set, remove)
}

func portFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.String("mac", "", "the `MAC` of the interface")
	flags.String("iface-id", "", "what external_ids:iface-id of the interface says")
	flags.StringArray("address", nil, "an `ADDRESS` of its own; several times for several, \"\" for none")
	flags.StringArray("allowed", nil, "a further `ADDRESS`, or \"ADDRESS MAC\"; likewise")
	flags.String("type", "", "internal, or \"\"")
	flags.Bool("host-device", false, "the host itself uses the device, too")
	flags.Bool("trusted", false, "not filtered")
	flags.StringArray("ethertype", nil, "a `TYPE` that passes, such as 0x88cc; likewise")
	flags.StringArray("limit", nil, "a limit of its own: `KEY=NUMBER`; likewise")
	flags.Bool("log-denied", false, "log what is denied here")
}

// readPort reads a port of an instance.
func readPort(about, instance string, f fields) (policy.Port, error) {
	p, err := read(about, "instances", fields{"name": instance, "ports": []any{f}})
	if err != nil {
		return policy.Port{}, portError{err}
	}
	port := p.Instances[0].Ports[0]
	port.At = policy.Position{}
	return port, nil
}

// portError is about a field of a port, whose place in a list is nothing to be told.
type portError struct{ error }

func (e portError) Error() string {
	return strings.NewReplacer("ports[0].", "", "ports[0]: ", "").Replace(e.error.Error())
}

func (e portError) Unwrap() error { return e.error }

var portColumns = []term.Column{{Title: "INSTANCE"}, {Title: "PORT"}, {Title: "MAC"},
	{Title: "ADDRESSES", Flex: true}, {Title: "ALLOWED", IfAny: true, Flex: true, Drop: 3},
	{Title: "TRUSTED", IfAny: true, Drop: 2}, {Title: "HOST"}}

// portRow is a row of those columns, from one of them on.
func portRow(i *policy.Instance, p *policy.Port, from int) term.Row {
	var allowed, addresses []string
	for _, a := range p.Addresses {
		addresses = append(addresses, policy.AddressText(a))
	}
	for _, a := range p.Allowed {
		allowed = append(allowed, policy.AddressText(a.Prefix))
	}
	cells := []string{i.Name, p.Name, p.MAC.String(), strings.Join(addresses, " "),
		strings.Join(allowed, " "), yes(p.Trusted), hostText(i)}
	return term.Row{Cells: cells[from:]}
}

// portView is a port with what it has of its instance.
type portView struct {
	Instance string   `json:"instance"`
	Host     string   `json:"host,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	policy.Port
}

func answerPort(i *policy.Instance, p policy.Port) portView {
	out := portView{Instance: i.Name, Host: i.Host, Groups: i.Groups, Port: p}
	if i.Host == policy.Nowhere {
		out.Host = ""
	}
	return out
}

func listPorts(w world, args []string) (answer, error) {
	grid := term.Grid{Of: "ports", Hint: "--all", Empty: "there are no ports", Columns: portColumns}
	list, of := []portView{}, w.Instances
	if len(args) > 0 {
		i, err := findInstance(w.Policy, args[0])
		if err != nil {
			return answer{}, err
		}
		of = []*policy.Instance{i}
	}
	for _, i := range of {
		for n := range i.Ports {
			grid.Rows = append(grid.Rows, portRow(i, &i.Ports[n], 0))
			list = append(list, answerPort(i, i.Ports[n]))
		}
	}
	return answer{term.Sheet{Grids: []term.Grid{grid}}, list}, nil
}

func showPort(w world, args []string) (answer, error) {
	i, at, err := edit.FindPort(w.Policy, args[0])
	if err != nil {
		return answer{}, err
	}
	row := portRow(i, &i.Ports[at], 0)
	var words []string
	for n, column := range portColumns {
		words = append(words, strings.ToLower(column.Title), row.Cells[n])
	}
	words = append(words, "iface-id", i.Ports[at].IfaceID, "groups", strings.Join(i.Groups, " "))
	return answer{term.Sheet{Facts: facts(words...)}, answerPort(i, i.Ports[at])}, nil
}
