package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/portcullis/portcullis/integration/benchfleet"
	"github.com/portcullis/portcullis/integration/measure"
)

// The fleet, beside the host: main.go calls this.

// fleetFile is where the page finds what was measured of a fleet.
const fleetFile = "fleet.json"

// measureFleet measures a fleet, prints it, and keeps it if it is the whole of it. It says whether
// a budget was missed.
func measureFleet(ctx context.Context, o options, out io.Writer) (missed bool, err error) {
	r, err := benchfleet.Run(ctx, benchfleet.Options{Program: o.program, Size: o.fleet,
		Scenes: o.scenes, Hosts: o.hosts, Log: os.Stderr})
	if err != nil {
		return false, err
	}
	verdicts := benchfleet.Judge(r)
	r.Print(out, verdicts)
	missed = slices.ContainsFunc(verdicts, func(v measure.Verdict) bool { return !v.Pass })
	sizes := benchfleet.Sizes()
	if len(o.scenes) > 0 || o.fleet != sizes[len(sizes)-1] {
		return missed, nil
	}
	return missed, measure.Save(filepath.Join(o.results, fleetFile), r)
}
