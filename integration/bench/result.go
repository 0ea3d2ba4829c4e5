package main

import (
	"slices"

	"github.com/portcullis/portcullis/integration/measure"
)

// result is all that was measured of one size. Times are in milliseconds.
type result struct {
	Size     string          `json:"size"`
	Scenario scenario        `json:"scenario"`
	Machine  measure.Machine `json:"machine"`
	Flows    int             `json:"flows"`
	ByTable  map[string]int  `json:"flows_by_table"`
	Starts   []figure        `json:"starts"`
	Changes  []figure        `json:"changes"`
	// its floor is the same change without what was prepared
	Prepared figure `json:"prepared_hashes,omitzero"`
	// ovs-ofctl told not to ask for names: what Open vSwitch itself takes
	Lean measure.Timing `json:"one_flow_bundle_without_names"`
	// from the end of a bundle to our hearing of it
	Delay measure.Timing `json:"measuring_delay"`
	// from a deletion by hand to the flow's return
	Repaired measure.Timing `json:"flow_repaired,omitzero"`
	Made     measure.Timing `json:"ovs_vsctl_add_port"` // until ovs-vswitchd has done it
	Gone     measure.Timing `json:"ovs_vsctl_del_port"` // likewise
	Daemon   daemonUsage    `json:"daemon"`
	Traffic  *traffic       `json:"traffic,omitempty"`
}

// figures returns all that was measured of the daemon's work.
func (r *result) figures() []figure {
	all := slices.Concat(r.Starts, r.Changes)
	if r.Prepared.Name != "" {
		all = append(all, r.Prepared)
	}
	return all
}

// figure is something that the daemon does, and the floor: what Open vSwitch's own tool takes for
// the same, in the same run.
type figure struct {
	Name string `json:"name"`
	measure.Timing
	Floor  measure.Timing `json:"floor"`
	Mods   int            `json:"flow_mods"` // the largest number of flow mods of one sample
	Stages stages         `json:"stages,omitzero"`
}

// ratio is how many times the floor it takes.
func (f figure) ratio() float64 {
	if f.Floor.Median == 0 {
		return 0
	}
	return f.Median / f.Floor.Median
}

// stages are the medians of what a change is made of.
type stages struct {
	Load   float64 `json:"load_ms"`   // from the rename to the new policy in force
	Decide float64 `json:"decide_ms"` // until the bundle begins: rows, epochs, flows, difference
	Bundle float64 `json:"bundle_ms"` // until the switch has acknowledged it
}

// daemonUsage is what the daemon uses.
type daemonUsage struct {
	AfterStart int64   `json:"resident_after_cold_start"` // bytes
	AtEnd      int64   `json:"resident_at_the_end"`
	Peak       int64   `json:"peak"`
	IdleCPU    float64 `json:"idle_cpu_percent"` // of one core
	CPU        float64 `json:"cpu_s"`            // since its last start, with its children
	Up         float64 `json:"up_s"`
}
