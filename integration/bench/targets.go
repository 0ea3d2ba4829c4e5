package main

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/integration/measure"
)

// The targets.
const (
	maxFlowsMedium  = 32_000
	maxColdRatio    = 1.5
	maxSameRatio    = 1.0
	maxChangeRatio  = 3.0
	maxPrepared     = 1.2
	maxRepair       = 1000 // ms
	maxIdleCPU      = 1.0  // percent
	minConnectRatio = 0.7
	// Two zones track a packet between two instances of one host, and the userspace datapath adds
	// its bytes up in each. The profile in docs/performance.md gives 0.84 as the most there can be.
	minStreamRatio = 0.75
)

// maxResident is the most that the daemon may hold, in MiB, by size.
func maxResident() map[string]int64 { return map[string]int64{"medium": 100, "huge": 600} }

// judge holds a result against the targets. Those that name no size hold in each.
func judge(r *result) []measure.Verdict {
	var out []measure.Verdict
	most := func(target, unit string, found, limit float64) {
		out = append(out, measure.Verdict{Target: fmt.Sprintf("%s ≤ %g%s", target, limit, unit),
			Found: fmt.Sprintf("%.2f%s", found, unit), Pass: found <= limit})
	}
	if r.Size == "medium" {
		out = append(out, measure.Verdict{Target: fmt.Sprintf("flows < %d", maxFlowsMedium),
			Found: fmt.Sprint(r.Flows), Pass: r.Flows < maxFlowsMedium})
	}
	for _, f := range r.Starts {
		limit := maxSameRatio
		if strings.HasPrefix(f.Name, "cold") {
			limit = maxColdRatio
		} else {
			most(f.Name+", flow mods", "", float64(f.Mods), 0)
		}
		most(f.Name+" / replace-flows", "", f.ratio(), limit)
	}
	for _, f := range r.Changes {
		most(f.Name+" / one-flow bundle", "", f.ratio(), maxChangeRatio)
	}
	if f := r.Prepared; f.Name != "" {
		most(f.Name+" / without them", "", f.ratio(), maxPrepared)
	}
	if r.Repaired.Samples > 0 {
		most("flow repaired", " ms", r.Repaired.Median, maxRepair)
	}
	if limit, ok := maxResident()[r.Size]; ok {
		most("resident", " MiB", float64(max(r.Daemon.AfterStart, r.Daemon.AtEnd)>>20), float64(limit))
	}
	most("idle CPU", " %", r.Daemon.IdleCPU, maxIdleCPU)
	return append(out, judgeTraffic(r.Traffic)...)
}

// judgeTraffic holds what was measured of traffic, if it was, against the same of NORMAL.
func judgeTraffic(t *traffic) (out []measure.Verdict) {
	if t != nil {
		least := func(target string, p pair, limit float64) {
			out = append(out, measure.Verdict{
				Target: fmt.Sprintf("%s / NORMAL's ≥ %g", target, limit),
				Found:  fmt.Sprintf("%.2f", p.ratio()), Pass: p.ratio() >= limit})
		}
		least("new connections per second", t.Connects, minConnectRatio)
		least("established TCP throughput", t.Throughput, minStreamRatio)
	}
	return out
}
