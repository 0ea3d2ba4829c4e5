package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/portcullis/portcullis/integration/measure"
)

// print writes a table for people.
func (r *result) print(out io.Writer, verdicts []measure.Verdict) {
	s := r.Scenario
	fmt.Fprintf(out, "%s: %d local ports, %d members elsewhere, %d groups of %d rules, %d groups for each instance; seed %d\n",
		r.Size, s.Ports, s.Members, s.Groups, s.Rules, s.Memberships, s.Seed)
	fmt.Fprintf(out, "%s, %d cores; Open vSwitch %s; %s; %s\n\n%d flows:", r.Machine.Processor,
		r.Machine.Cores, r.Machine.OVS, r.Machine.Go, r.Machine.Program, r.Flows)
	for _, table := range slices.Sorted(maps.Keys(r.ByTable)) {
		fmt.Fprintf(out, " %s %d", table, r.ByTable[table])
	}
	fmt.Fprint(out, "\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tmedian ms\tp99 ms\tfloor ms\tratio\tflow mods\tload ms\tdecide ms\tbundle ms\t")
	for _, f := range r.figures() {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.2f\t%d\t", f.Name, f.Median, f.P99, f.Floor.Median,
			f.ratio(), f.Mods)
		if f.Stages != (stages{}) {
			fmt.Fprintf(w, "%.1f\t%.1f\t%.1f\t", f.Stages.Load, f.Stages.Decide, f.Stages.Bundle)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	fmt.Fprintf(out, "\novs-vsctl add-port %.1f ms, del-port %.1f ms (medians)", r.Made.Median,
		r.Gone.Median)
	fmt.Fprintf(out, "\nflows that were deleted by hand are back after: median %.1f ms, p99 %.1f ms",
		r.Repaired.Median, r.Repaired.P99)
	fmt.Fprintf(out, "\none-flow bundle without names %.1f ms; what measuring adds: median %.2f ms, p99 %.2f ms\n", r.Lean.Median, r.Delay.Median, r.Delay.P99)
	d := r.Daemon
	fmt.Fprintf(out, "daemon: %d MiB after the cold start, %d MiB at the end, peak %d MiB; idle %.1f %% of a core; %.1f s of CPU\n",
		d.AfterStart>>20, d.AtEnd>>20, d.Peak>>20, d.IdleCPU, d.CPU)
	if r.Traffic != nil {
		r.Traffic.print(out)
	}
	fmt.Fprintln(out)
	for _, v := range verdicts {
		fmt.Fprintln(out, v)
	}
	fmt.Fprintln(out)
}
