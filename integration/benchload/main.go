// Command benchload measures what packets cost on a host with many ports and many flows: through
// one NORMAL flow, through Portcullis' pipeline and through OVN's flows of the same policy, beside
// each other in one run. It needs root, iperf3 and, for the third, Debian's ovn-central and
// ovn-host.
// `make bench-load` calls it, and writes what docs/performance.md is made of.
//
//	benchload                     on the kernel's datapath; the userspace datapath if there is none
//	benchload -ports 40           a small host
//	benchload -against OTHER      another build of the daemon beside it
//
// Invariant: each figure of a round is measured on all sides one after the other, so what else the
// machine does meets all of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/portcullis/portcullis/integration/measure"
)

func main() { measure.Main("benchload", run, peer) }

// options are the flags.
type options struct {
	scenario scenario
	rounds   int
	each     time.Duration // of one figure in one round
	program  string
	against  string // another build of it; "" = none
	results  string
	datapath string
	clock    clock
	sides    []string
	ovnFlows string // a file; "" = none
}

// The userspace datapath looks at each port in turn, in one thread: with hundreds of them it does
// nothing else.
const (
	kernelPorts, userspacePorts = 500, 40
	manyMembers                 = 50_000
)

func parseOptions(args []string) (options, error) {
	var o options
	set := flag.NewFlagSet("benchload", flag.ContinueOnError)
	set.StringVar(&o.datapath, "datapath", "auto", "kernel, userspace or auto")
	set.IntVar(&o.scenario.Ports, "ports", 0, "on this host; 0 = as the datapath can carry")
	set.IntVar(&o.scenario.Members, "members", manyMembers, "instances elsewhere")
	set.IntVar(&o.scenario.Groups, "groups", 200, "of which each instance has three")
	set.Uint64Var(&o.scenario.Seed, "seed", 1, "of the policy")
	set.IntVar(&o.rounds, "rounds", 9, "of all figures")
	set.DurationVar(&o.each, "each", 2*time.Second, "how long each figure is measured in a round")
	set.StringVar((*string)(&o.clock), "clock", "",
		"a file whose size is the processor time used, in ns, as a host tells it; \"\" = /proc/stat")
	set.StringVar(&o.program, "program", filepath.Join("bin", "portcullis"), "the daemon")
	set.StringVar(&o.against, "against", "", "another build of it, measured beside it")
	set.StringVar(&o.ovnFlows, "ovn-flows", "",
		"a file of what OVN made of the policy before; it is made and kept there if it is missing")
	set.StringVar(&o.results, "results", filepath.Join("docs", "performance"),
		"the folder of the JSON file")
	sides := set.String("sides", "", "only these, with commas")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	var err error
	if *sides != "" {
		o.sides = strings.Split(*sides, ",")
	}
	if o.program, err = filepath.Abs(o.program); err != nil {
		return o, fmt.Errorf("find the program: %w", err)
	}
	if o.datapath, err = chooseDatapath(o.datapath); err != nil {
		return o, err
	}
	if o.scenario.Ports == 0 {
		o.scenario.Ports = kernelPorts
		if o.datapath == userspace {
			o.scenario.Ports = userspacePorts
		}
	}
	return o, o.scenario.check()
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := measureAll(ctx, o, out)
	if err != nil {
		return err
	}
	r.print(out)
	return nil
}
