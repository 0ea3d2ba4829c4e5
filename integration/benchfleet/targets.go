package benchfleet

import (
	"fmt"

	"github.com/portcullis/portcullis/integration/measure"
)

// What a fleet is held to. Command bench prints the verdicts, and fails on one with -strict. The
// budgets are ratios to what was measured in the same run, where time is what they are about.

// The budgets, for a world of medium size.
const (
	maxForceFloors    = 5 // bundles of one flow, and
	maxForceMore      = 3 // ms
	maxFanRatio       = 1.0
	maxMemory         = 40  // MiB above a policy in a file
	maxMemoryLarge    = 150 // at 50,000 ports
	maxSyncCPU        = 1.5 // s
	maxReconnectBytes = 20_000
	maxReconnectCPU   = 5 // ms
	maxImport         = 2_000
	maxTransactions   = 25
	maxCommit         = 5   // ms
	minRate           = 200 // a second
	maxGrowth         = 1.5 // of what a host costs, from the fewest hosts to the most

	largeWorld = 50_000
	manyFans   = 1_000
)

// verdicts are collected in the order of the budgets.
type verdicts []measure.Verdict

func (v *verdicts) most(target, unit string, found, limit float64) {
	*v = append(*v, measure.Verdict{Target: fmt.Sprintf("%s ≤ %s%s", target, number(limit), unit),
		Found: number(found) + unit, Pass: found <= limit})
}

// number writes one as people read it, with as many digits as are of use.
func number(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.3g", v)
	}
	return measure.Number(v)
}

// Judge holds a result against the budgets. What was not measured is not judged.
func Judge(r *Result) []measure.Verdict {
	var v verdicts
	if f := r.Force; f != nil {
		v.most("commit to flow in force", " ms", f.Added.Median,
			maxForceFloors*f.Floor.Median+maxForceMore)
	}
	for _, f := range r.Fans {
		if f.Clients == manyFans {
			v.most("change at the last of 1,000 clients / 1,000 echoes", "", f.Ratio(), maxFanRatio)
		}
	}
	v.daemons(r.Daemons)
	v.hosts(r.Hosts)
	if c := r.Reconnect; c != nil {
		target := fmt.Sprintf("reconnect within %d commits, ", c.Commits)
		v.most(target+"bytes", "", c.Bytes, maxReconnectBytes)
		v.most(target+"CPU of the server", " ms", c.CPU, maxReconnectCPU)
		v.most(target+"bundles", "", float64(c.Bundles), 0)
	}
	for _, i := range r.Imports {
		if i.World == medium() && i.Members == 1 {
			v.most("import of medium", " ms", i.Took, maxImport)
			v.most("import of medium, transactions", "", float64(i.Transactions), maxTransactions)
		}
	}
	if w := r.Writers; w != nil {
		v.most("commit at the leader of three", " ms", w.Leader.Median, maxCommit)
		v.most("commit at a follower", " ms", w.Follower.Median, maxCommit)
		v = append(v, measure.Verdict{
			Target: fmt.Sprintf("changes of %d writers a second ≥ %d", w.Many, minRate),
			Found:  number(w.Rate), Pass: w.Rate >= minRate})
	}
	if s := r.Restart; s != nil {
		v.most("clients that have to read everything after a restart", "",
			float64(s.Clients-s.Resumed), 0)
	}
	return v
}

// daemons holds what a host costs among many against what it costs among few.
func (v *verdicts) daemons(list []Daemons) {
	if len(list) < 2 {
		return
	}
	few, many := list[0], list[len(list)-1]
	v.most(fmt.Sprintf("CPU of a change at each of %d hosts / of %d", many.Hosts, few.Hosts), "",
		many.CPU/max(few.CPU, 1e-9), maxGrowth)
	grown := float64(many.Hosts) / float64(few.Hosts)
	v.most(fmt.Sprintf("change in force on all of %d hosts / of %d, for each host", many.Hosts,
		few.Hosts), "", many.Added.Median/max(few.Added.Median, 1e-9)/grown, maxGrowth)
}

func (v *verdicts) hosts(list []Host) {
	for _, h := range list {
		switch {
		case h.World == medium():
			v.most("memory above a file at medium", " MiB", h.Memory(), maxMemory)
			v.most("CPU of the first start at medium", " s", h.Database.CPU, maxSyncCPU)
		case h.World.Ports == largeWorld:
			v.most("memory above a file at 50,000 ports", " MiB", h.Memory(), maxMemoryLarge)
		}
	}
}
