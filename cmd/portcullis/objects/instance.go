package objects

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/files"
	"github.com/portcullis/portcullis/cmd/portcullis/fleet"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/config/instancefile"
	"github.com/portcullis/portcullis/flows/excerpt"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// The command instance.

// NewInstance makes the command instance.
func NewInstance(f *cli.Files) *cobra.Command {
	remove := changes(f, "remove INSTANCE", "Remove an instance with its ports", oneInstance,
		func(_ string, args []string) (edit.Edit, error) {
			return edit.RemoveInstance(args[0]), nil
		})
	return noun("instance", "List, show, add, change, move and remove instances of a policy",
		"Instance lists the instances of a policy, shows one, and changes and moves them, in a policy "+
			"database or in the policy's folder, where each that was added has a file of\nits own. Such an "+
			"instance is its ports: it has one at least.",
		"  portcullis instance add web-1 --host hv1 --group web --port name=tap1,mac=02:00:00:00:00:11,address=192.0.2.11\n"+
			"  portcullis instance set web-1 --join admin --leave web\n"+
			"  portcullis instance move web-1 --to hv2",
		reads(f, "list", "List instances", cobra.NoArgs, allInstances, listInstances),
		reads(f, "show INSTANCE", "Show an instance", cobra.ExactArgs(1), oneInstance, showInstance),
		newAddInstance(f), newSetInstance(f), newMove(f), remove)
}

func newAddInstance(f *cli.Files) *cobra.Command {
	var host string
	var replace bool
	var groups, ports []string
	cmd := changes(f, "add INSTANCE", "Add an instance", oneInstance,
		func(nowhere string, args []string) (edit.Edit, error) {
			i := policy.Instance{Name: args[0], Host: cmp.Or(host, nowhere), Groups: groups}
			var err error
			if i.Ports, err = portsOf(i.Name, ports); err != nil {
				return nil, err
			}
			if i = i.Sorted(); replace {
				return edit.PutInstance(i), nil
			}
			return edit.AddInstance(i), nil
		})
	cmd.Flags().StringVar(&host, "host", "", "where it runs; left out = on none yet, or, in files, "+
		"on every host that reads them")
	cmd.Flags().BoolVar(&replace, "replace", false, "in the place of one of this name, if there is one")
	cmd.Flags().StringArrayVar(&groups, "group", nil, "a `GROUP` that it is in; several times for several")
	cmd.Flags().StringArrayVar(&ports, "port", nil,
		"a port: name=`INTERFACE`,mac=MAC,address=ADDRESS,…; several times for several")
	return cmd
}

// portsOf reads ports, each in one word.
func portsOf(instance string, all []string) ([]policy.Port, error) {
	var out []policy.Port
	for _, words := range all {
		port, err := portOf(instance, words)
		if err != nil {
			return nil, err
		}
		out = append(out, port)
	}
	return out, nil
}

// changes makes a verb of the noun instance, which changes files where no database is named. The
// edit is told what the host is of an instance that has been given none.
func changes(f *cli.Files, use, short string, asked asks,
	make func(nowhere string, args []string) (edit.Edit, error)) *cobra.Command {
	return writesAlso(f, "instance", use, short, cobra.ExactArgs(1), asked,
		func(_ *policy.Policy, args []string) (edit.Edit, error) { return make(policy.Nowhere, args) },
		func(cmd *cobra.Command, w fleet.Writing, words string, args []string) error {
			one, err := make("", args)
			if err != nil {
				return err
			}
			return ofFiles(w, words).Do(cmd, f, instancefile.Change{Name: args[0], Edit: one})
		})
}

// ofFiles are the flags of a change of a database, for files.
func ofFiles(w fleet.Writing, words string) files.InstanceChange {
	return files.InstanceChange{Note: words, Project: w.Project, IsDry: w.DryRun, IsPatient: w.Wait,
		Confirm: w.Confirm, Timeout: w.Timeout, Out: w.Out}
}

func newSetInstance(f *cli.Files) *cobra.Command {
	var groups, join, leave []string
	var cmd *cobra.Command
	cmd = changes(f, "set INSTANCE", "Change the groups that an instance is in",
		func(args []string) excerpt.Asked {
			return excerpt.Asked{Instances: first(args), Groups: join}
		},
		func(_ string, args []string) (edit.Edit, error) {
			var all []edit.Edit
			if cmd.Flags().Changed("group") {
				all = append(all, edit.SetInstance(args[0], func(i *policy.Instance) {
					i.Groups = slices.DeleteFunc(slices.Sorted(slices.Values(groups)),
						func(name string) bool { return name == "" })
				}))
			}
			for _, name := range join {
				all = append(all, edit.Join(args[0], name))
			}
			for _, name := range leave {
				all = append(all, edit.Leave(args[0], name))
			}
			if len(all) == 0 {
				return nil, errors.New("instance set: say what: --group, --join or --leave; " +
					"'instance move' moves it, 'port' changes its ports")
			}
			return edit.All(all...), nil
		})
	cmd.Flags().StringArrayVar(&groups, "group", nil,
		"a `GROUP` that it is in, instead of those before; several times for several, \"\" for none")
	cmd.Flags().StringArrayVar(&join, "join", nil, "one `GROUP` more")
	cmd.Flags().StringArrayVar(&leave, "leave", nil, "one `GROUP` less")
	return cmd
}

const moveHelp = "Move puts an instance onto another host. Without --live it is there from one moment " +
	"to the next. With --live the host that it moves to filters its ports, too,\n" +
	"until --finish leaves it there, or --abort takes the move back."

func newMove(f *cli.Files) *cobra.Command {
	var to string
	var live, finish, abort bool
	cmd := changes(f, "move INSTANCE", "Move an instance to another host", oneInstance,
		func(_ string, args []string) (edit.Edit, error) {
			switch {
			case finish:
				return edit.Finish(args[0]), nil
			case abort:
				return edit.Abort(args[0]), nil
			case to == "":
				return nil, errors.New("instance move: say where: --to HOST")
			case live:
				return edit.Migrate(args[0], to), nil
			}
			return edit.Place(args[0], to), nil
		})
	cmd.Long = moveHelp
	cmd.Flags().StringVar(&to, "to", "", "the `HOST` that it moves to")
	cmd.Flags().BoolVar(&live, "live", false, "begin a move during which both hosts filter")
	cmd.Flags().BoolVar(&finish, "finish", false, "it has moved: end the move")
	cmd.Flags().BoolVar(&abort, "abort", false, "it stays: take the move back")
	cmd.MarkFlagsMutuallyExclusive("live", "finish", "abort")
	cmd.MarkFlagsMutuallyExclusive("to", "finish")
	cmd.MarkFlagsMutuallyExclusive("to", "abort")
	return cmd
}

func listInstances(w world, _ []string) (answer, error) {
	grid := instancesGrid(w.Instances)
	list := w.Instances
	if list == nil {
		list = []*policy.Instance{}
	}
	return answer{term.Sheet{Grids: []term.Grid{grid}}, list}, nil
}

func instancesGrid(list []*policy.Instance) term.Grid {
	grid := term.Grid{Of: "instances", Hint: "--all", Empty: "there are no instances",
		Columns: []term.Column{{Title: "INSTANCE"}, {Title: "HOST"}, {Title: "MOVING TO", IfAny: true},
			{Title: "GROUPS", Flex: true}, {Title: "ADDRESSES", Flex: true}}}
	for _, i := range list {
		var addresses []string
		for _, port := range i.Ports {
			for _, a := range port.Addresses {
				addresses = append(addresses, policy.AddressText(a))
			}
		}
		grid.Rows = append(grid.Rows, term.Row{Cells: []string{i.Name, hostText(i), i.MigratingTo,
			strings.Join(i.Groups, " "), strings.Join(addresses, " ")}})
	}
	return grid
}

// hostText is where an instance runs.
func hostText(i *policy.Instance) string {
	switch i.Host {
	case policy.Nowhere:
		return "none"
	case "":
		return "every"
	}
	return i.Host
}

func showInstance(w world, args []string) (answer, error) {
	i, err := findInstance(w.Policy, args[0])
	if err != nil {
		return answer{}, err
	}
	grid := term.Grid{Of: "ports", Hint: "--all", Columns: portColumns[1:]}
	for n := range i.Ports {
		grid.Rows = append(grid.Rows, portRow(i, &i.Ports[n], 1))
	}
	return answer{term.Sheet{Facts: facts("instance", i.Name, "host", hostText(i), "moving to",
		i.MigratingTo, "groups", strings.Join(i.Groups, " ")), Grids: []term.Grid{grid}}, i}, nil
}

// portOf reads a port in one word: name=tap1,mac=…,address=….
func portOf(instance, words string) (policy.Port, error) {
	about := "port of instance " + wording.Quote(instance)
	f := fields{}
	lists := map[string]string{"address": "addresses", "allowed": "allowed_addresses",
		"ethertype": "ethertypes"}
	several := map[string][]string{}
	for _, word := range strings.Split(words, ",") {
		key, value, isSet := strings.Cut(word, "=")
		switch list := lists[key]; {
		case !isSet:
			return policy.Port{}, fmt.Errorf("%s: %s is no KEY=VALUE; write name=tap1,mac=02:00:00:"+
				"00:00:11,address=192.0.2.11", about, wording.Quote(word))
		case list != "":
			several[list] = append(several[list], value)
		case value == "true" || value == "false":
			f[key] = value == "true"
		default:
			f[key] = value
		}
	}
	for key, list := range several {
		f.putList(key, list)
	}
	return readPort(about, instance, f)
}
