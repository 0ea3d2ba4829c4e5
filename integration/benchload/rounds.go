package main

// The figures and the rounds in which they are measured. The command calls measureAll.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/integration/measure"
)

// sample is what one slice of one side has shown: figures by name.
type sample map[string]float64

// slice is one kind of load.
type slice struct {
	name string
	load func(context.Context, *side, options, int) (sample, error)
}

func slicesOfARound() []slice {
	return []slice{
		{"stream", streamOf(whole, 0)},
		{"short", streamOf(cut, 1)},
		{"trips", trips},
		{"first", first},
		{"connects", connects},
	}
}

// measureAll makes the sides, goes through the rounds and closes the sides. After each round it
// keeps what was measured so far.
func measureAll(ctx context.Context, o options, out io.Writer) (r *result, err error) {
	work, err := os.MkdirTemp("", "pcl")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	wanted, err := prepare(&o, work, out)
	if err != nil {
		return nil, err
	}
	var sides []*side
	defer func() {
		for _, s := range sides {
			err = errors.Join(err, s.close())
		}
	}()
	for _, p := range wanted {
		s, err := newSide(ctx, p, o)
		if err != nil {
			return nil, err
		}
		sides = append(sides, s)
		fmt.Fprintln(out, "ready:", s.name)
	}
	if err := refusals(ctx, sides, o); err != nil {
		return nil, err
	}
	r, err = newResult(ctx, sides, o)
	for r != nil && err == nil && r.Rounds < o.rounds {
		if err = r.round(ctx, sides, o, r.Rounds); err != nil {
			return nil, err
		}
		r.Rounds++
		r.sum()
		fmt.Fprintf(out, "round %d of %d\n", r.Rounds, o.rounds)
		err = measure.Save(filepath.Join(o.results, "load-"+o.datapath+".json"), r)
	}
	return r, err
}

// prepare says which programs are measured, and has OVN's flows made if they are.
func prepare(o *options, work string, out io.Writer) ([]program, error) {
	wanted := programs(*o)
	if !slices.ContainsFunc(wanted, isOVN) {
		return wanted, nil
	}
	var err error
	o.ovnFlows, err = prepareOVN(*o, work)
	if errors.Is(err, errNoOVN) || errors.Is(err, errAborts) {
		fmt.Fprintln(out, "left out:", err)
		return slices.DeleteFunc(wanted, isOVN), nil
	}
	return wanted, err
}

// round measures each figure on all sides in turn, another one first in each round.
func (r *result) round(ctx context.Context, sides []*side, o options, round int) error {
	for _, kind := range slicesOfARound() {
		for n := range sides {
			s := sides[(round+n)%len(sides)]
			found, err := kind.load(ctx, s, o, round)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", s.name, kind.name, err)
			}
			r.add(s.name, found)
		}
	}
	return nil
}

// refusals shows that what is measured is the policy: datagrams pass only where nothing is refused.
func refusals(ctx context.Context, sides []*side, o options) error {
	for _, s := range sides {
		f, err := s.ask(ctx, o, "denied")
		if err != nil {
			return err
		}
		if passed := f.Count > 0; passed != admitsAll(s.name) {
			return fmt.Errorf("%s: %d of %d datagrams that no rule admits were answered", s.name, f.Count,
				datagrams)
		}
	}
	return nil
}

// ask has a client of ours measure.
func (s *side) ask(ctx context.Context, o options, what string) (found, error) {
	var f found
	cmd, out, err := s.peer(ctx, s.clients, o, what)
	if err != nil {
		return f, err
	}
	return f, errors.Join(json.NewDecoder(out).Decode(&f), cmd.Wait())
}

// The names of figures.
const (
	whole, cut           = "TCP", "TCP in 1,500 byte packets"
	rate, perGbit        = ", Gbit/s", ", CPU seconds per Gbit"
	figureP50, figureP99 = "request and answer, p50, µs", "request and answer, p99, µs"
	figureTripCPU        = "request and answer, CPU, µs"
	figureFirst          = "first connection of a pair, p50, µs"
	figureFirstCPU       = "first connection of a pair, CPU, µs"
	figureUpcalls        = "first connection of a pair, packets to ovs-vswitchd"
	figureRate           = "new connections per second"
	figureConnectCPU     = "new connection, CPU, µs"
	figureConnectP50     = "new connection, p50, µs"
	figureConnectP99     = "new connection, p99, µs"
	figureMegaflows      = "first connection of a pair, megaflows"
	figurePasses         = "lookups of a packet"
	figureMasks          = "shapes of megaflows"
)

// figures are all names, in the order of the table.
func figures() []string {
	return []string{whole + perGbit, whole + rate, cut + perGbit, cut + rate, figureTripCPU, figureP50,
		figureP99, figureConnectCPU, figureRate, figureConnectP50, figureConnectP99, figureFirstCPU,
		figureFirst, figureUpcalls, figureMegaflows, figureMasks, figurePasses}
}

// streamOf sends on one pair: the first as virtual machines do, which leave it to whoever comes
// behind Open vSwitch to cut packets of 64 KB; the second, like all of clients with odd numbers, in
// packets as long as a wire takes.
func streamOf(name string, pair int) func(context.Context, *side, options, int) (sample, error) {
	return func(ctx context.Context, s *side, o options, _ int) (sample, error) {
		before, err := o.clock.busy()
		if err != nil {
			return nil, err
		}
		bits, seconds, err := s.iperf(ctx, o, pair)
		if err != nil {
			return nil, err
		}
		after, err := o.clock.busy()
		const giga = 1e9
		return sample{name + rate: bits / seconds / giga,
			name + perGbit: (after - before).Seconds() / (bits / giga)}, err
	}
}

// iperf has iperf3 send on a pair, and returns how many bits arrived in which time.
func (s *side) iperf(ctx context.Context, o options, pair int) (bits, seconds float64, err error) {
	var out, complaint bytes.Buffer
	client, server := o.scenario.pair(pair)
	cmd := exec.CommandContext(ctx, "iperf3", "-J", "-c", address(server), "-B",
		address(client), "-p", fmt.Sprint(iperfPort), "-t", fmt.Sprint(o.each.Seconds()))
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := s.clients.Do(cmd.Start); err != nil {
		return 0, 0, fmt.Errorf("iperf3: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return 0, 0, fmt.Errorf("iperf3: %w: %s%s", err, out.String(), complaint.String())
	}
	var said struct {
		End struct {
			Received struct{ Bytes, Seconds float64 } `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(out.Bytes(), &said); err != nil {
		return 0, 0, fmt.Errorf("iperf3: %w", err)
	}
	got := said.End.Received
	if got.Bytes == 0 || got.Seconds == 0 {
		return 0, 0, fmt.Errorf("iperf3: nothing arrived: %s", strings.TrimSpace(out.String()))
	}
	return got.Bytes * 8, got.Seconds, nil
}

const us = 1e6

func trips(ctx context.Context, s *side, o options, _ int) (sample, error) {
	f, err := s.ask(ctx, o, "trips")
	return sample{figureP50: f.P50, figureP99: f.P99,
		figureTripCPU: f.CPU * us / float64(f.Count)}, err
}

// first has the datapath forget its flows, and looks at what it has learnt afterwards.
func first(ctx context.Context, s *side, o options, _ int) (sample, error) {
	if _, err := s.sw.Appctl("dpctl/del-flows"); err != nil {
		return nil, err
	}
	before, err := misses(s.sw)
	if err != nil {
		return nil, err
	}
	f, err := s.ask(ctx, o, "first")
	if err != nil {
		return nil, err
	}
	after, err := misses(s.sw)
	if err != nil {
		return nil, err
	}
	c, err := lookCached(s.sw)
	return sample{figureFirst: f.P50, figureFirstCPU: f.CPU * us / float64(f.Count),
		figureUpcalls:   (after - before) / float64(f.Count),
		figureMegaflows: c.megaflows / float64(f.Count), figureMasks: c.masks}, err
}

// connects makes connections of pairs that have had some, and looks at how often packets were
// looked up.
func connects(ctx context.Context, s *side, o options, _ int) (sample, error) {
	f, err := s.ask(ctx, o, "connects")
	if err != nil {
		return nil, err
	}
	c, err := lookCached(s.sw)
	if err != nil {
		return nil, err
	}
	return sample{figureRate: float64(f.Count) / f.Seconds,
		figureConnectP50: f.P50, figureConnectP99: f.P99,
		figureConnectCPU: f.CPU * us / float64(f.Count), figurePasses: c.passes}, nil
}

// add keeps the figures of one slice.
func (r *result) add(side string, found sample) {
	for name, value := range found {
		if r.Figures[name] == nil {
			r.Figures[name] = map[string]measure.Series{}
		}
		r.Figures[name][side] = append(r.Figures[name][side], value)
	}
}
