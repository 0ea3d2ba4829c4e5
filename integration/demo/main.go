// Command demo shows the example policy at work: it starts a private Open vSwitch, the example's
// hosts as network namespaces and the real daemon, tries every service between every two hosts with
// real packets, sends forged frames beside honest ones, and prints what was expected beside what
// was seen. It exits with 1 on any difference. With DEMO_KEEP=1 it goes on running until it is
// interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/integration/example"
	"github.com/portcullis/portcullis/integration/testnet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

var errDifferent = errors.New("what was seen differs from what was expected")

func run(ctx context.Context, out io.Writer) error {
	began := time.Now()
	w, err := build()
	if err != nil {
		if w != nil {
			err = errors.Join(err, errors.New(w.Report()), w.Close())
		}
		return err
	}
	err = show(out, w, began)
	if os.Getenv("DEMO_KEEP") == "1" {
		keep(ctx, out, w)
	}
	return errors.Join(err, w.Close())
}

// build makes the example's world. The program is PORTCULLIS_BIN, or bin/portcullis.
func build() (*testnet.World, error) {
	program := os.Getenv("PORTCULLIS_BIN")
	if program == "" {
		program = filepath.Join("bin", "portcullis")
	}
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, fmt.Errorf("find the program: %w", err)
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("build the program first: %w", err)
	}
	spec, err := example.Spec(example.PolicyFile, program)
	if err != nil {
		return nil, err
	}
	return testnet.New(spec)
}

func show(out io.Writer, w *testnet.World, began time.Time) error {
	s, err := w.Status()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s on a private Open vSwitch: %d ports, %s.\n\n", example.PolicyFile,
		len(s.Ports), s.State)
	good := true
	example.PrintLegend(out)
	for _, f := range []testnet.Family{testnet.IPv4, testnet.IPv6} {
		seen, err := example.Seen(w, f)
		if err != nil {
			return err
		}
		good = example.PrintTables(out, f, example.Expected(f), seen) && good
	}
	forged, err := printForgeries(out, w)
	if err != nil {
		return err
	}
	if !good || !forged {
		return errDifferent
	}
	fmt.Fprintf(out, "\nAll as expected, in %s.\n", time.Since(began).Round(100*time.Millisecond))
	return nil
}

// printForgeries sends every forged frame and its honest twin and says whether each reached exactly
// whom it must.
func printForgeries(out io.Writer, w *testnet.World) (bool, error) {
	equal := true
	fmt.Fprintf(out, "\n%-30s%-9s%-9s| %-21s%s\n", "forged frame", "from", "seen by", "honest twin",
		"seen by")
	for _, c := range example.Forgeries(w) {
		var by [2]string
		for i, s := range []example.Sent{c.Forged, c.Honest} {
			got, err := w.Receivers(s.From, s.Frame)
			if err != nil {
				return false, err
			}
			slices.Sort(s.To)
			by[i] = strings.Join(got, " ")
			if len(got) == 0 {
				by[i] = "nobody"
			}
			if !slices.Equal(got, s.To) {
				by[i], equal = by[i]+"!", false
			}
		}
		fmt.Fprintf(out, "%-30s%-9s%-9s| %-21s%s\n", c.Forged.Name, c.Forged.From, by[0], c.Honest.Name,
			by[1])
	}
	return equal, nil
}

// keep leaves the world running until ctx ends, and tells how to look around in it.
func keep(ctx context.Context, out io.Writer, w *testnet.World) {
	fmt.Fprintf(out, "\nIt goes on running. Enter a host:\n")
	for _, name := range w.Names() {
		fmt.Fprintf(out, "  %-9s %s bash\n", name, w.Host(name).Enter())
	}
	fmt.Fprintf(out, "The switch:  OVS_RUNDIR=%s ovs-ofctl -O OpenFlow15 dump-flows %s\n", w.Dir,
		testnet.Bridge)
	fmt.Fprintf(out, "The daemon:  bin/portcullis status --config %s\n",
		filepath.Join(w.Dir, "portcullis.yaml"))
	fmt.Fprintf(out, "The policy:  edit %s\n", filepath.Join(w.Dir, "policy.yaml"))
	fmt.Fprintf(out, "Stop it:     Ctrl-C, or kill %d\n", os.Getpid())
	<-ctx.Done()
}
