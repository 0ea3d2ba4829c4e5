package objects

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policy/wording"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// The command host. Hosts are no objects of a policy: they are those that instances are on, and
// those that have said that they follow the database.

// NewHost makes the command host.
func NewHost(f *cli.Files) *cobra.Command {
	var to string
	drain := writes(f, "host", "drain HOST", "Move all instances of a host to another one",
		cobra.ExactArgs(1), oneHost, func(_ *policy.Policy, args []string) (edit.Edit, error) {
			return edit.Drain(args[0], to), nil
		})
	drain.Flags().StringVar(&to, "to", "", "the `HOST` that they move to; left out = they are on none")
	return noun("host", "List, show, drain and remove hosts of a policy",
		"Host lists the hosts that instances are on, or that follow the policy database, shows what is "+
			"on one, moves it away, and forgets a host that is no more.\nA host is added by placing an "+
			"instance on it, and by its own settings.",
		"  portcullis host list\n  portcullis host drain hv1 --to hv2 --dry-run\n"+
			"  portcullis host remove hv1",
		reads(f, "list", "List hosts", cobra.NoArgs, allInstances, listHosts),
		reads(f, "show HOST", "Show what is on a host", cobra.ExactArgs(1), oneHost, showHost), drain,
		newRemoveHost(f))
}

// hostRow is a host as host list has it.
type hostRow struct {
	Name      string `json:"name"`
	Instances int    `json:"instances"`
	Ports     int    `json:"ports"`
	// of a database, what it says of itself
	State      statusdb.Standing `json:"state,omitempty"`
	Generation int               `json:"generation,omitempty"`
	Why        string            `json:"why,omitempty"`
}

func listHosts(w world, _ []string) (answer, error) {
	on := edit.Hosts(w.Policy)
	rows := map[string]hostRow{}
	for _, name := range hostNames(w.Policy) {
		row := hostRow{Name: name, Instances: len(on[name])}
		for _, i := range on[name] {
			row.Ports += len(i.Ports)
		}
		rows[name] = row
	}
	if w.c != nil {
		fleet, err := w.c.Hosts(w.ctx, 0, 0)
		if err != nil {
			return answer{}, err
		}
		for _, h := range fleet.Hosts {
			row := rows[h.Name]
			row.Name, row.State, row.Generation, row.Why = h.Name, h.Standing, h.Generation, h.Why
			rows[h.Name] = row
		}
	}
	grid := term.Grid{Of: "hosts", Empty: "there are no hosts", Columns: []term.Column{{Title: "HOST"},
		{Title: "INSTANCES", Right: true}, {Title: "PORTS", Right: true}, {Title: "STATE", IfAny: true},
		{Title: "GENERATION", Right: true, IfAny: true}, {Title: "WHY", IfAny: true, Flex: true}}}
	list := []hostRow{}
	for _, row := range rows {
		list = append(list, row)
	}
	slices.SortFunc(list, func(a, b hostRow) int { return strings.Compare(a.Name, b.Name) })
	for _, row := range list {
		generation := ""
		if row.Generation > 0 {
			generation = strconv.Itoa(row.Generation)
		}
		grid.Rows = append(grid.Rows, term.Row{Cells: []string{row.Name, strconv.Itoa(row.Instances),
			strconv.Itoa(row.Ports), string(row.State), generation, row.Why}})
	}
	return answer{term.Sheet{Grids: []term.Grid{grid}}, list}, nil
}

func showHost(w world, args []string) (answer, error) {
	list := edit.Hosts(w.Policy)[args[0]]
	if list == nil {
		list = []*policy.Instance{}
	}
	grid := instancesGrid(list)
	grid.Empty = "no instance is on the host " + wording.Quote(args[0])
	return answer{term.Sheet{Grids: []term.Grid{grid}}, list}, nil
}

// newRemoveHost makes the verb that forgets what a host has said of itself.
func newRemoveHost(f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	cmd := &cobra.Command{Use: "remove HOST", Short: "Forget a host that is no more",
		Args: cobra.ExactArgs(1)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return cli.Outcome(func() error {
			db, err := f.NamedStore(database)
			if err != nil {
				return err
			}
			if db.Server != nil {
				return errors.New("host remove: forgets what is in the database's servers: name them by " +
					"--db, an API server cannot")
			}
			return cli.WithStore(cmd.Context(), db, func(ctx context.Context,
				c cli.Store) error {
				p, _, err := c.Policy()
				if err == nil {
					err = edit.CheckEmpty(p, args[0])
				}
				if err != nil {
					return err
				}
				source := statusdb.Source{Endpoint: db.Endpoint, TLS: db.TLS.Config()}
				var errs []error
				for _, one := range source.Forget(ctx, args[0]) {
					errs = append(errs, fmt.Errorf("%s: %s", one.Endpoint, one.Why))
				}
				if err := errors.Join(errs...); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "host %s is forgotten\n", args[0])
				return err
			})
		}())
	}
	database.AddTo(cmd)
	complete(cmd, f, &database, cmd.Use)
	return cmd
}
