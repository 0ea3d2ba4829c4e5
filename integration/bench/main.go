// Command bench measures the real daemon beside a private Open vSwitch, and in the same run what
// Open vSwitch's own tools take for the same flows: the floor. It makes its policy from a seed,
// prints a table, and writes everything as JSON.
//
//	bench -size medium                    one size: the table, bench.json
//	bench -size medium,huge -strict       several; exit code 1 if a target is missed
//	bench -sweep members,ports,rules      flows and times along one dimension each
//	bench -fleet full                     many hosts on one policy database: tables, fleet.json
//	bench -page docs/performance.md       the page and its plots, from what was written before
//
// The control plane is measured on the dummy datapath: everything of Open vSwitch but the moving of
// packets. The datapath is measured on the userspace datapath, with network namespaces on veth
// pairs; that needs root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/integration/benchfleet"
	"github.com/portcullis/portcullis/integration/measure"
)

func main() { measure.Main("bench", run, peer) }

// options are the flags.
type options struct {
	sizes, sweeps []string
	seed          uint64
	samples       int
	strict        bool
	noTraffic     bool
	program       string
	results       string
	page          string
	profile       string
	fleet         string
	scenes        []string // of the fleet; none = all
	hosts         int
}

func parseOptions(args []string) (options, error) {
	var o options
	var sizes, sweeps, scenes string
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.StringVar(&sizes, "size", "", "small, medium, large, huge or all, or several with commas")
	set.StringVar(&sweeps, "sweep", "", "members, ports, rules or all, or several with commas")
	set.Uint64Var(&o.seed, "seed", 1, "of the policy")
	set.IntVar(&o.samples, "samples", 0, "of each change; 0 = as many as fit the size")
	set.BoolVar(&o.strict, "strict", false, "exit with 1 if a target is missed")
	set.BoolVar(&o.noTraffic, "no-traffic", false, "leave the datapath out")
	set.StringVar(&o.program, "program", filepath.Join("bin", "portcullis"), "the daemon")
	set.StringVar(&o.results, "results", filepath.Join("docs", "performance"),
		"the folder of the JSON files")
	set.StringVar(&o.page, "page", "", "write this page from the results, and the plots beside them")
	set.StringVar(&o.profile, "profile", "",
		"write a CPU profile of the daemon during the changes to this file")
	set.StringVar(&o.fleet, "fleet", "", strings.Join(benchfleet.Sizes(), " or "))
	set.StringVar(&scenes, "scenes", "",
		"of the fleet, only these: "+strings.Join(benchfleet.Scenes(), ","))
	set.IntVar(&o.hosts, "hosts", 0, "of the fleet: whole daemons at most; 0 = as the size has it")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	var err error
	for _, list := range []struct {
		to    *[]string
		text  string
		known []string
	}{{&o.sizes, sizes, sizeNames()}, {&o.sweeps, sweeps, sweepNames()},
		{&o.scenes, scenes, benchfleet.Scenes()}} {
		if *list.to, err = choose(list.text, list.known); err != nil {
			return o, err
		}
	}
	return o, nil
}

// choose takes a list with commas apart; "all" is everything.
func choose(list string, known []string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	if list == "all" {
		return known, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%q is none of %s", name, strings.Join(known, ", "))
		}
	}
	return names, nil
}

var errMissed = errors.New("a target was missed")

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.program, err = filepath.Abs(o.program); err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	missed, err := measureSizes(ctx, o, out)
	if err != nil {
		return err
	}
	if o.fleet != "" {
		over, err := measureFleet(ctx, o, out)
		if err != nil {
			return fmt.Errorf("fleet: %w", err)
		}
		missed = missed || over
	}
	if err := sweepAll(ctx, o, out); err != nil {
		return err
	}
	if o.page != "" {
		if err := writePage(o.page, o.results); err != nil {
			return err
		}
	}
	if missed && o.strict {
		return errMissed
	}
	return nil
}

// measureSizes measures the sizes of one host that were asked for, and says whether a target was
// missed.
func measureSizes(ctx context.Context, o options, out io.Writer) (missed bool, err error) {
	for _, name := range o.sizes {
		r, err := measureNamed(ctx, name, o)
		if err != nil {
			return missed, fmt.Errorf("%s: %w", name, err)
		}
		verdicts := judge(r)
		r.print(out, verdicts)
		missed = missed || slices.ContainsFunc(verdicts, func(v measure.Verdict) bool {
			return !v.Pass
		})
		if err := measure.Save(filepath.Join(o.results, name+".json"), r); err != nil {
			return missed, err
		}
	}
	return missed, nil
}
