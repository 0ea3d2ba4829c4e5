package main

// What was measured, as JSON and as a table. The command writes it, command bench reads it for the
// page.

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/portcullis/portcullis/integration/measure"
)

// result is all that the page has of a run.
type result struct {
	Machine  measure.Machine                      `json:"machine"`
	Linux    string                               `json:"linux"`
	Datapath string                               `json:"datapath"`
	Scenario scenario                             `json:"scenario"`
	Rounds   int                                  `json:"rounds"`
	Each     float64                              `json:"each_s"`
	Sides    []string                             `json:"sides"`
	Flows    map[string]int                       `json:"flows"`
	Figures  map[string]map[string]measure.Series `json:"figures"` // by name and side, of each round
	Rows     []row                                `json:"rows"`
}

// row is one figure: medians of the sides, and of their rounds' ratios to the first side.
type row struct {
	Name    string    `json:"name"`
	Medians []float64 `json:"medians"`
	Ratios  []float64 `json:"ratios"`
}

func newResult(ctx context.Context, sides []*side, o options) (*result, error) {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return nil, fmt.Errorf("read the kernel's release: %w", err)
	}
	r := &result{Linux: strings.TrimSpace(string(release)), Datapath: o.datapath,
		Scenario: o.scenario, Each: o.each.Seconds(), Flows: map[string]int{},
		Figures: map[string]map[string]measure.Series{}}
	for _, s := range sides {
		run := func(_ context.Context, name string, args ...string) (string, error) {
			return s.sw.Run(name, args...)
		}
		r.Machine = measure.ThisMachine(ctx, run, o.program)
		out, err := s.sw.Run("ovs-ofctl", "-O", "OpenFlow15", "--no-stats", "dump-flows", bridge)
		if err != nil {
			return nil, err
		}
		r.Sides = append(r.Sides, s.name)
		r.Flows[s.name] = strings.Count(out, "actions=")
	}
	return r, nil
}

// sum makes the rows.
func (r *result) sum() {
	r.Rows = nil
	for _, name := range figures() {
		of := r.Figures[name]
		base := of[r.Sides[0]]
		line := row{Name: name}
		for _, side := range r.Sides {
			var ratios measure.Series
			for n, value := range of[side] {
				if n < len(base) && base[n] > 0 {
					ratios = append(ratios, value/base[n])
				}
			}
			line.Medians = append(line.Medians, of[side].Median())
			line.Ratios = append(line.Ratios, ratios.Median())
		}
		r.Rows = append(r.Rows, line)
	}
}

// print writes a table for people.
func (r *result) print(out io.Writer) {
	fmt.Fprintf(out, "%s datapath, Linux %s, Open vSwitch %s, %d cores; "+
		"%d ports, %d members elsewhere, %d groups\n", r.Datapath, r.Linux, r.Machine.OVS,
		r.Machine.Cores,
		r.Scenario.Ports, r.Scenario.Members,
		r.Scenario.Groups)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "flows\t")
	for _, side := range r.Sides {
		fmt.Fprintf(w, "%s %d\t \t", side, r.Flows[side])
	}
	fmt.Fprintln(w)
	for _, line := range r.Rows {
		fmt.Fprintf(w, "%s\t", line.Name)
		for n := range r.Sides {
			fmt.Fprintf(w, "%.3g\t× %.2f\t", line.Medians[n], line.Ratios[n])
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
}
