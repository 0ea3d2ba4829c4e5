package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/portcullis/portcullis/integration/measure"
)

// sweep changes one dimension of a small host and leaves the others as they are.
type sweep struct {
	name   string
	what   string // on the axis
	values []int
	set    func(*scenario, int)
}

func sweeps() []sweep {
	return []sweep{
		{"members", "members elsewhere", []int{1_000, 2_000, 5_000, 10_000, 20_000, 40_000},
			func(s *scenario, n int) { s.Members = n }},
		{"ports", "local ports", []int{25, 50, 100, 200, 400}, func(s *scenario, n int) { s.Ports = n }},
		{"rules", "rules of each group", []int{6, 12, 25, 50, 80},
			func(s *scenario, n int) { s.Rules = n }},
	}
}

func sweepNames() []string {
	var out []string
	for _, s := range sweeps() {
		out = append(out, s.name)
	}
	return out
}

// sweepBase is what the dimension that is swept is changed of.
func sweepBase() scenario {
	return scenario{Ports: 50, Members: 5_000, Groups: 50, Memberships: 2, Rules: baseRules}
}

// sweepSamples is how often each change is measured at each point, and sweepStarts each start.
const (
	sweepSamples = 7
	sweepStarts  = 3
)

// swept is one dimension, measured.
type swept struct {
	Name   string    `json:"name"`
	What   string    `json:"what"`
	Values []int     `json:"values"`
	Points []*result `json:"points"`
}

// sweepAll measures the dimensions that were asked for.
func sweepAll(ctx context.Context, o options, out io.Writer) error {
	o.noTraffic, o.profile = true, ""
	for _, s := range sweeps() {
		if !slices.Contains(o.sweeps, s.name) {
			continue
		}
		done := swept{Name: s.name, What: s.what, Values: s.values}
		for _, n := range s.values {
			point := size{name: fmt.Sprintf("%s %d", s.name, n), scenario: sweepBase(), starts: sweepStarts,
				samples: sweepSamples}
			s.set(&point.scenario, n)
			r, err := measureSize(ctx, point, o)
			if err != nil {
				return fmt.Errorf("%s: %w", point.name, err)
			}
			fmt.Fprintf(out, "%-16s %7d flows, cold start %7.1f ms (floor %7.1f), member added %6.1f ms (floor %5.1f), %d MiB\n",
				point.name, r.Flows, r.Starts[0].Median, r.Starts[0].Floor.Median, r.Changes[0].Median,
				r.Changes[0].Floor.Median, r.Daemon.AfterStart>>20)
			done.Points = append(done.Points, r)
		}
		if err := measure.Save(filepath.Join(o.results, "sweep-"+s.name+".json"), done); err != nil {
			return err
		}
	}
	return nil
}
