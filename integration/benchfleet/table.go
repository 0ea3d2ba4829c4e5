package benchfleet

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/portcullis/portcullis/integration/measure"
)

// What was measured, as tables for people. Command bench calls this.

// Print writes the tables.
func (r *Result) Print(out io.Writer, verdicts []measure.Verdict) {
	fmt.Fprintf(out, "fleet, %s: %s, %d cores; Open vSwitch %s; %s; %s; %.0f s\n\n", r.Size,
		r.Machine.Processor, r.Machine.Cores, r.Machine.OVS, r.Machine.Go, r.Machine.Program, r.Took)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	r.printHosts(w)
	r.printWriters(w)
	r.printFans(w)
	r.printDaemons(w)
	_ = w.Flush()
	fmt.Fprintln(out)
	for _, v := range verdicts {
		fmt.Fprintln(out, v)
	}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func (r *Result) printHosts(w io.Writer) {
	if len(r.Hosts) > 0 {
		fmt.Fprintln(w, "a host of\tflows\tfile: start ms\tCPU s\tMiB\tdatabase: start ms\tCPU s\tMiB\tpeak MiB\tserver CPU s\tread MB\t")
	}
	for _, h := range r.Hosts {
		fmt.Fprintf(w, "%s ports\t%d\t%.0f\t%.2f\t%.0f\t%.0f\t%.2f\t%.0f\t%.0f\t%.2f\t%.1f\t\n",
			measure.Number(float64(h.World.Ports)), h.Flows, h.File.Start.Median, h.File.CPU,
			mib(h.File.Resident), h.Database.Start.Median, h.Database.CPU, mib(h.Database.Resident),
			mib(h.Database.Peak), h.ServerCPU, h.Megabytes())
	}
	if f := r.Force; f != nil {
		fmt.Fprintf(w, "\none of %d members\tcommit ms\tadded ms\tp99\tremoved ms\tone flow ms\tload\tdecide\tbundle\tdaemon CPU ms\t\n\t%.2f\t%.1f\t%.1f\t%.1f\t%.2f\t%.1f\t%.1f\t%.1f\t%.1f\t\n",
			f.Members, f.Commit.Median, f.Added.Median, f.Added.P99, f.Removed.Median, f.Floor.Median,
			f.Loaded, f.Decided, f.Bundled, f.CPU)
	}
	if c := r.Reconnect; c != nil {
		fmt.Fprintf(w, "\nreconnect within %d commits\tbytes\tserver CPU ms\ttook ms\tbundles\t\n\t%.0f\t%.1f\t%.0f\t%d\t\n",
			c.Commits, c.Bytes, c.CPU, c.Took, c.Bundles)
	}
}

func (r *Result) printWriters(w io.Writer) {
	if len(r.Imports) > 0 {
		fmt.Fprintln(w, "\nimport of\tmembers\tms\ttransactions\tcommand CPU s\tserver CPU s\tserver MiB\tpeak MiB\tfile MB\t")
	}
	for _, i := range r.Imports {
		fmt.Fprintf(w, "%s ports\t%d\t%.0f\t%d\t%.2f\t%.2f\t%.0f\t%.0f\t%.1f\t\n",
			measure.Number(float64(i.World.Ports)), i.Members, i.Took, i.Transactions, i.CPU, i.ServerCPU,
			mib(i.Server), mib(i.Peak), i.Megabytes())
	}
	if c := r.Writers; c != nil {
		fmt.Fprintf(w, "\nchange on three members\tleader ms\tp99\tfollower ms\traw ms\twriter CPU ms\t%d writers, a second\traw a second\t\n\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t\n",
			c.Many, c.Leader.Median, c.Leader.P99, c.Follower.Median, c.Floor.Median, c.CPU, c.Rate,
			c.RawRate)
	}
}

func (r *Result) printFans(w io.Writer) {
	fans := r.AllFans()
	if len(fans) > 0 {
		fmt.Fprintln(w, "\nclients\trelays\tcommit ms\tlast ms\tp99\techoes ms\tratio\tserver CPU ms\tfloor\ta relay's\tbytes\tchanges a second\tserver MiB\t")
	}
	for _, f := range fans {
		fmt.Fprintf(w, "%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t\n",
			f.Clients, f.Relays, f.Commit.Median, f.Last.Median, f.Last.P99, f.Echoes.Median, f.Ratio(),
			f.CPU, f.EchoCPU, f.RelayCPU, f.Bytes, f.Rate, mib(f.Server))
	}
	if s := r.Restart; s != nil {
		fmt.Fprintf(w, "\nrestart under\tup ms\tall back ms\tresumed\tbytes each\tserver CPU s\tthat read all\tlast s\tserver CPU s each\tMB each\tserver peak MiB\t\n%d clients\t%.0f\t%.0f\t%d\t%.0f\t%.2f\t%d\t%.1f\t%.2f\t%.1f\t%.0f\t\n",
			s.Clients, s.Up, s.Back, s.Resumed, s.Bytes, s.CPU, s.Readers, s.Read, s.ReadCPU, s.ReadMB,
			mib(s.Peak))
	}
}

func (r *Result) printDaemons(w io.Writer) {
	if len(r.Daemons) > 0 {
		fmt.Fprintln(w, "\nwhole hosts\tadded on all ms\tp99\ton half ms\tremoved ms\tdaemon CPU ms\tswitch CPU ms\tserver CPU ms\tidle %\tdaemon MiB\tserver MiB\t")
	}
	for _, d := range r.Daemons {
		fmt.Fprintf(w, "%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t\n", d.Hosts,
			d.Added.Median, d.Added.P99, d.Middle.Median, d.Removed.Median, d.CPU, d.SwitchCPU,
			d.ServerCPU, d.Idle, mib(d.Resident), mib(d.Server))
	}
}
