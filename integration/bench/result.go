package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/integration/sandbox"
)

// result is all that was measured of one size. Times are in milliseconds.
type result struct {
	Size     string         `json:"size"`
	Scenario scenario       `json:"scenario"`
	Machine  machine        `json:"machine"`
	Flows    int            `json:"flows"`
	ByTable  map[string]int `json:"flows_by_table"`
	Starts   []figure       `json:"starts"`
	Changes  []figure       `json:"changes"`
	// its floor is the same change without what was prepared
	Prepared figure `json:"prepared_hashes,omitzero"`
	// ovs-ofctl told not to ask for names: what Open vSwitch itself takes
	Lean timing `json:"one_flow_bundle_without_names"`
	// from the end of a bundle to our hearing of it
	Delay timing `json:"measuring_delay"`
	// from a deletion by hand to the flow's return
	Repaired timing      `json:"flow_repaired,omitzero"`
	Made     timing      `json:"ovs_vsctl_add_port"` // until ovs-vswitchd has done it
	Gone     timing      `json:"ovs_vsctl_del_port"` // likewise
	Daemon   daemonUsage `json:"daemon"`
	Traffic  *traffic    `json:"traffic,omitempty"`
}

// figures returns all that was measured of the daemon's work.
func (r *result) figures() []figure {
	all := slices.Concat(r.Starts, r.Changes)
	if r.Prepared.Name != "" {
		all = append(all, r.Prepared)
	}
	return all
}

// machine is where it was measured.
type machine struct {
	When      time.Time `json:"when"`
	Program   string    `json:"program"` // as it says itself
	Processor string    `json:"processor"`
	Cores     int       `json:"cores"`
	OVS       string    `json:"open_vswitch"`
	Go        string    `json:"go"`
}

// timing sums up a series.
type timing struct {
	Samples int     `json:"samples"`
	Median  float64 `json:"median_ms"`
	P99     float64 `json:"p99_ms"`
}

func (s series) timing() timing { return timing{len(s), s.median(), s.quantile(0.99)} }

// figure is something that the daemon does, and the floor: what Open vSwitch's own tool takes for
// the same, in the same run.
type figure struct {
	Name string `json:"name"`
	timing
	Floor  timing `json:"floor"`
	Mods   int    `json:"flow_mods"` // the largest number of flow mods of one sample
	Stages stages `json:"stages,omitzero"`
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

func thisMachine(ctx context.Context, vs *sandbox.OVS, program string) machine {
	m := machine{When: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(),
		Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for _, line := range strings.Split(string(text), "\n") {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				m.Processor = strings.TrimSpace(value)
			}
		}
	}
	if out, err := vs.Exec(ctx, "ovs-vswitchd", "--version"); err == nil {
		words := strings.Fields(strings.SplitN(out, "\n", 2)[0])
		m.OVS = words[len(words)-1]
	}
	if out, err := vs.Exec(ctx, program, "version"); err == nil {
		m.Program = strings.TrimSpace(strings.SplitN(out, "\n", 2)[0])
	}
	return m
}

// save writes something as JSON.
func save(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
