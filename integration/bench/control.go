package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/integration/measure"
)

// idleTime is how long the daemon is watched doing nothing.
const idleTime = 5 * time.Second

// measureNamed measures one size, by its name.
func measureNamed(ctx context.Context, name string, o options) (*result, error) {
	for _, s := range sizes() {
		if s.name == name {
			return measureSize(ctx, s, o)
		}
	}
	return nil, fmt.Errorf("no size %q", name)
}

func measureSize(ctx context.Context, chosen size, o options) (*result, error) {
	chosen.scenario.Seed = o.seed
	if o.samples > 0 {
		chosen.samples = o.samples
	}
	r := &result{Size: chosen.name, Scenario: chosen.scenario}
	err := measure.During(func(s *measure.Shim) error {
		return controlPlane(ctx, s, chosen, o, r)
	})
	if err != nil {
		return nil, err
	}
	if chosen.rounds == 0 || o.noTraffic {
		return r, nil
	}
	t, err := measureTraffic(ctx, chosen, o)
	r.Traffic = t
	return r, err
}

func controlPlane(ctx context.Context, s *measure.Shim, chosen size, o options, r *result) error {
	l, err := newLab(s, chosen.scenario, o.program)
	if err != nil {
		return err
	}
	if o.profile != "" {
		l.daemon.Flags = []string{"--pprof"}
	}
	r.Machine = measure.ThisMachine(ctx, l.vs.Exec, o.program)
	if err := l.countFlows(ctx, r); err != nil {
		return err
	}
	if err := l.starts(ctx, chosen.starts, r); err != nil {
		return err
	}
	if o.profile != "" {
		profiled := l.profile(ctx, o.profile)
		defer func() { fmt.Fprintln(os.Stderr, "profile:", <-profiled) }()
	}
	if err := l.changes(ctx, s, chosen.samples, r); err != nil {
		return err
	}
	return l.rest(ctx, r)
}

// countFlows starts the daemon for the first time, and writes down the flows that it makes, for the
// floor.
func (l *lab) countFlows(ctx context.Context, r *result) error {
	if _, err := l.daemon.Start(ctx); err != nil {
		return err
	}
	sw := ofswitch.New(ofswitch.Options{Target: l.vs.Mgmt(bridge)})
	held, err := sw.Dump(ctx)
	if err != nil {
		return err
	}
	meters, err := sw.Meters(ctx)
	if err != nil {
		return err
	}
	if err := ofswitch.New(ofswitch.Options{Target: l.vs.Mgmt(twin)}).PutMeters(ctx,
		flows.MeterDelta{Add: meters}); err != nil {
		return err // without them the twin takes no flow that names one
	}
	names := map[uint8]string{}
	for _, t := range flows.Pipeline() {
		names[uint8(t.ID)] = t.Name
	}
	r.Flows, r.ByTable = len(held), map[string]int{}
	file, err := os.Create(l.flowFile())
	if err != nil {
		return fmt.Errorf("write the flows: %w", err)
	}
	out := bufio.NewWriter(file)
	for _, f := range held {
		r.ByTable[names[f.Table]]++
		fmt.Fprintln(out, f)
	}
	return errors.Join(out.Flush(), file.Close())
}

func (l *lab) flowFile() string { return filepath.Join(l.vs.Dir, "flows") }

// starts measures what a start costs, in turn with its floor.
func (l *lab) starts(ctx context.Context, times int, r *result) error {
	cold, restart, reload := figure{Name: "cold start"}, figure{Name: "restart without change"},
		figure{Name: "reload without change"}
	var coldTimes, coldFloor, restartTimes, sameFloor, reloadTimes measure.Series
	for range times {
		if err := l.empty(ctx); err != nil {
			return err
		}
		if err := l.floor(ctx, &coldFloor); err != nil {
			return err
		}
		if err := l.startAgain(ctx, &coldTimes); err != nil {
			return err
		}
		if err := l.afterStart(ctx, r); err != nil {
			return err
		}
		if err := l.floor(ctx, &sameFloor); err != nil {
			return err
		}
		mods, err := l.modsOf(ctx, func() error { return l.startAgain(ctx, &restartTimes) })
		if err != nil {
			return err
		}
		restart.Mods = max(restart.Mods, mods)
		mods, err = l.modsOf(ctx, func() error { return l.reload(ctx, &reloadTimes) })
		if err != nil {
			return err
		}
		reload.Mods = max(reload.Mods, mods)
	}
	cold.Mods = r.Flows
	cold.Timing, cold.Floor = coldTimes.Timing(), coldFloor.Timing()
	restart.Timing, restart.Floor = restartTimes.Timing(), sameFloor.Timing()
	reload.Timing, reload.Floor = reloadTimes.Timing(), sameFloor.Timing()
	r.Starts = []figure{cold, restart, reload}
	return nil
}

// empty ends the daemon and takes away the flows of both bridges, and the meters of the daemon's:
// they are a part of its cold start.
func (l *lab) empty(ctx context.Context) error {
	if err := l.daemon.Stop(); err != nil {
		return err
	}
	for _, name := range []string{bridge, twin} {
		if _, err := l.vs.Exec(ctx, "ovs-ofctl", "-O", "OpenFlow15", "del-flows", name); err != nil {
			return err
		}
	}
	_, err := l.vs.Exec(ctx, "ovs-ofctl", "-O", "OpenFlow15", "del-meters", bridge)
	return err
}

// floor makes the twin hold the same flows, by ovs-ofctl alone.
func (l *lab) floor(ctx context.Context, s *measure.Series) error {
	took, err := l.timed(ctx, "ovs-ofctl", "-O", "OpenFlow15", "--bundle", "replace-flows", twin,
		l.flowFile())
	s.Add(took)
	return err
}

func (l *lab) startAgain(ctx context.Context, s *measure.Series) error {
	if err := l.daemon.Stop(); err != nil {
		return err
	}
	took, err := l.daemon.Start(ctx)
	s.Add(took)
	return err
}

// reload has the same files read again.
func (l *lab) reload(ctx context.Context, s *measure.Series) error {
	if _, err := l.replace("local.yaml", l.scenario.localFile("")); err != nil {
		return err
	}
	began := time.Now()
	_, err := l.settled(ctx)
	s.Add(time.Since(began))
	return err
}

// modsOf returns how many flow mods a daemon has sent in the course of something, as it says
// itself: those of its last bundle, if there was one.
func (l *lab) modsOf(ctx context.Context, something func() error) (int, error) {
	before := 0
	if l.daemon.PID() != 0 {
		if status, err := l.daemon.Client.Status(ctx); err == nil {
			before = status.Counters.Applies
		}
	}
	pid := l.daemon.PID()
	if err := something(); err != nil {
		return 0, err
	}
	if l.daemon.PID() != pid {
		before = 0
	}
	status, err := l.daemon.Client.Status(ctx)
	if err != nil {
		return 0, err
	}
	if status.Counters.Applies == before {
		return 0, nil
	}
	return status.Apply.Adds + status.Apply.Deletes, nil
}

// afterStart notes what the daemon holds when it has just programmed everything.
func (l *lab) afterStart(ctx context.Context, r *result) error {
	status, err := l.daemon.Client.Status(ctx)
	if err != nil {
		return err
	}
	if status.Flows != r.Flows {
		return fmt.Errorf("%w: %d flows, then %d", errNotAsBefore, r.Flows, status.Flows)
	}
	u, err := measure.UsageOf(l.daemon.PID())
	r.Daemon.AfterStart = max(r.Daemon.AfterStart, u.Resident)
	return err
}

// rest looks at the daemon when all is done.
func (l *lab) rest(ctx context.Context, r *result) error {
	before, err := measure.UsageOf(l.daemon.PID())
	if err != nil {
		return err
	}
	began := time.Now()
	select { // idleness is what is measured
	case <-time.After(idleTime):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := measure.UsageOf(l.daemon.PID())
	r.Daemon.IdleCPU = 100 * (after.CPU - before.CPU).Seconds() / time.Since(began).Seconds()
	r.Daemon.AtEnd, r.Daemon.Peak, r.Daemon.CPU = after.Resident, after.Peak, before.CPU.Seconds()
	return err
}
