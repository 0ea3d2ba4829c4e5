package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/policy/wording"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// The command status --all on a policy database: how every host stands to the present generation.

// Status lets the command status tell of all hosts.
func Status(cmd *cobra.Command, f *cli.Files) *cobra.Command {
	var database cli.DatabaseFlag
	database.AddTo(cmd)
	cmd.Long += "\n\nWith --all, where the policy is in a database (--db, or as the settings say), it " +
		"asks there for every host: the generation in force,\nits age, and the ports. With --wait " +
		"the hosts answer at once, and it returns as soon as each that has a port has the " +
		"generation of this\nmoment in force, or after --timeout; a host that has been silent " +
		"for minutes is named and not waited for. The exit code is 0 if all have\nit in " +
		"force and no port is in error."
	cmd.Example += "\n  portcullis status --all --db unix:/run/portcullis/db.sock --wait"
	oneHost := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		flags := cmd.Flags()
		isAll := flags.Changed("all")
		if !isAll || flags.Changed("watch") || flags.Changed("health") {
			if database.Endpoint != "" || database.Server.URL != "" {
				return errors.New("--db and --server are asked for all hosts; add --all")
			}
			return oneHost(cmd, args)
		}
		db, err := f.Store(database)
		if err != nil {
			return cli.Outcome(err)
		}
		if db.Endpoint == "" {
			return oneHost(cmd, args)
		}
		return cli.Outcome(showFleet(cmd, db))
	}
	return cmd
}

// showFleet asks for all hosts, and prints how they stand.
func showFleet(cmd *cobra.Command, db cli.Database) error {
	flags := cmd.Flags()
	wait := flags.Changed("wait")
	timeout, err := flags.GetDuration("timeout")
	if err != nil {
		return err
	}
	var hosts statusdb.Fleet
	err = cli.WithStore(cmd.Context(), db, func(ctx context.Context, c cli.Store) error {
		if wait {
			_, generation, err := c.Policy()
			if err != nil {
				return err
			}
			if _, err := c.Hosts(ctx, generation, timeout); err != nil {
				return err
			}
		}
		hosts, err = c.Hosts(ctx, 0, 0)
		return err
	})
	if err != nil {
		return err
	}
	if err := printFleet(cmd, hosts); err != nil {
		return err
	}
	if len(hosts.Missing()) > 0 || inError(hosts) > 0 {
		return cli.Verdict(cli.ExitError)
	}
	return nil
}

// inError is how many ports somebody has to repair.
func inError(f statusdb.Fleet) (n int) {
	for _, h := range f.Hosts {
		n += h.Errors
	}
	return n
}

func printFleet(cmd *cobra.Command, f statusdb.Fleet) error {
	w := cmd.OutOrStdout()
	if term.Format(cmd.Flags().Lookup("output").Value.String()) == term.JSON {
		return term.PrintJSON(w, f)
	}
	return fleetSheet(f, time.Now()).Print(w, true)
}

// fleetSheet is how all hosts stand, for people: what is missing first.
func fleetSheet(f statusdb.Fleet, now time.Time) term.Sheet {
	var s term.Sheet
	add := func(colour, label, text string) {
		s.Facts = append(s.Facts, term.Fact{Label: label, Colour: colour, Text: text})
	}
	missing, colour := f.Missing(), term.Green
	if len(missing) > 0 {
		colour = term.Red
	}
	add(colour, "fleet", inForce(f, len(missing)))
	for _, h := range missing {
		add(term.Red, "missing", fmt.Sprintf("%s (%s): %s", h.Name,
			wording.Count(h.PortsPlaced, "port"), h.Why))
	}
	for _, h := range f.Hosts {
		for _, p := range h.Ports {
			if p.State == statusdb.Error {
				add(term.Red, "error", fmt.Sprintf("%s: port %s: %s", h.Name, p.Name, p.Reason))
			}
		}
	}
	for _, one := range f.Unreachable {
		add(term.Yellow, "database", one.Endpoint+" does not answer: "+one.Why)
	}
	s.Grids = []term.Grid{hostsGrid(f, now)}
	return s
}

// inForce says on how many hosts that have a port the generation is in force.
func inForce(f statusdb.Fleet, missing int) string {
	placed := 0
	for _, h := range f.Hosts {
		if h.PortsPlaced > 0 {
			placed++
		}
	}
	if placed == 0 {
		return fmt.Sprintf("generation %d; no host has a port", f.Generation)
	}
	return fmt.Sprintf("generation %d is in force on %d of %s that %s a port", f.Generation,
		placed-missing, wording.Count(placed, "host"), map[bool]string{true: "has",
			false: "have"}[placed == 1])
}

// hostsGrid has a row for each host.
func hostsGrid(f statusdb.Fleet, now time.Time) term.Grid {
	g := term.Grid{Of: "hosts", Empty: "no host has said anything",
		Columns: []term.Column{{Title: "HOST"}, {Title: "STATE"}, {Title: "GENERATION", Right: true},
			{Title: "IN FORCE SINCE", Drop: 3}, {Title: "PORTS", Right: true},
			{Title: "SEEN", Drop: 2}, {Title: "VERSION", Drop: 4},
			{Title: "PROBLEM", Flex: true, IfAny: true}}}
	colours := map[statusdb.Standing]string{statusdb.Late: term.Yellow, statusdb.Silent: term.Red,
		statusdb.Never: term.Red}
	for _, h := range f.Hosts {
		colour := colours[h.Standing]
		if h.PortsPlaced == 0 {
			colour = ""
		}
		g.Rows = append(g.Rows, term.Row{Colour: colour, Cells: []string{h.Name, string(h.Standing),
			strconv.Itoa(h.Generation), term.Ago(h.GenerationAt, now),
			fmt.Sprintf("%d of %d", h.PortsBound, h.PortsPlaced), term.Ago(h.SeenAt, now), h.Version,
			h.Trouble()}})
	}
	return g
}
