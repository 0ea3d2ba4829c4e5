package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/integration/measure"
)

// change is one small file of the policy that is replaced by another, and how the switch shows that
// it has followed.
type change struct {
	name  string
	file  string
	text  string
	shows []string // parts of the event of a flow that comes, or goes, with it
}

// What is added and removed again: a member elsewhere, a rule, an instance here. Their numbers are
// far from those of the scenario.
const (
	newMember  = 0xfa0001
	newPortNo  = 0xfb0001
	newNetwork = "203.0.113.0/24"
)

// pairs are the changes in pairs: the second undoes the first.
func (l *lab) pairs() [][2]change {
	sc := l.scenario
	last := (sc.Members - 1) / perFile
	groups := []string{"g0"}
	if sc.Memberships > 1 {
		groups = append(groups, "g1")
	}
	rule := fmt.Sprintf("      - {direction: ingress, protocol: tcp, ports: 8080, cidr: %s}\n",
		newNetwork)
	member, port := address(newMember),
		fmt.Sprintf("dl_dst=02:00:00:%02x:%02x:%02x", newPortNo>>16&255, newPortNo>>8&255, newPortNo&255)
	return [][2]change{
		{{"member added", remoteName(last), sc.remoteFile(last, instance(newMember, elsewhere, groups)),
			[]string{"ADDED", "=" + member}},
			{"member removed", remoteName(last), sc.remoteFile(last, ""),
				[]string{"DELETED", "=" + member}}},
		{{"rule added", "groups-000.yaml", sc.groupsFile(0, rule), []string{"ADDED", newNetwork}},
			{"rule removed", "groups-000.yaml", sc.groupsFile(0, ""), []string{"DELETED", newNetwork}}},
		{{"port plugged", "local.yaml", sc.localFile(instance(newPortNo, localHost, groups)),
			[]string{"ADDED", port}},
			{"port unplugged", "local.yaml", sc.localFile(""), []string{"DELETED", port}}},
	}
}

// samples are what is measured of one kind of change.
type samples struct{ total, load, decide, bundle measure.Series }

// changes measures each change, in turn with a bundle of one flow on the same switch.
func (l *lab) changes(ctx context.Context, s *measure.Shim, times int, r *result) error {
	m, err := measure.Listen(s, l.vs, bridge)
	if err != nil {
		return err
	}
	var lean, delay measure.Series
	for _, pair := range l.pairs() {
		var got [2]samples
		var floor measure.Series
		figures := [2]figure{{Name: pair[0].name}, {Name: pair[1].name}}
		for range times {
			for i, c := range pair {
				mods, err := l.sample(ctx, m, c, &got[i])
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				figures[i].Mods = max(figures[i].Mods, mods)
				if err := l.oneFlow(ctx, m, &floor, &lean, &delay); err != nil {
					return err
				}
			}
		}
		for i := range figures {
			figures[i].Timing, figures[i].Floor = got[i].total.Timing(), floor.Timing()
			figures[i].Stages = stages{got[i].load.Median(), got[i].decide.Median(), got[i].bundle.Median()}
		}
		r.Changes = append(r.Changes, figures[:]...)
	}
	r.Lean, r.Delay = lean.Timing(), delay.Timing()
	if err := l.besidePrepared(ctx, m, times, r); err != nil {
		return err
	}
	if err := l.repairs(ctx, m, times, r); err != nil {
		return err
	}
	return l.byHand(ctx, times, r)
}

// repairs measures how long a flow that somebody deletes is missing: from the command's end to the
// flow's return.
func (l *lab) repairs(ctx context.Context, m *measure.Monitor, times int, r *result) error {
	var taken measure.Series
	for range times {
		if _, err := l.rested(ctx, m); err != nil {
			return err
		}
		if _, err := l.timed(ctx, "ovs-ofctl", "-O", "OpenFlow15", "del-flows", bridge,
			fmt.Sprintf("table=%d", repairedTable)); err != nil {
			return err
		}
		gone := time.Now()
		back, err := m.Await(ctx, "ADDED", fmt.Sprintf("table=%d ", repairedTable))
		if err != nil {
			return err
		}
		taken.Add(max(0, back.Sub(gone)))
	}
	r.Repaired = taken.Timing()
	_, err := l.rested(ctx, m)
	return err
}

// repairedTable is one of few flows, whose last drops what nothing admitted.
const repairedTable = 53

// byHand measures what a port costs without us: ovs-vswitchd looks at every port of every bridge
// when one comes or goes.
func (l *lab) byHand(ctx context.Context, times int, r *result) error {
	var made, gone measure.Series
	for range times {
		took, err := l.timed(ctx, "ovs-vsctl", "add-port", twin, "by-hand")
		if err != nil {
			return err
		}
		made.Add(took)
		if took, err = l.timed(ctx, "ovs-vsctl", "del-port", twin, "by-hand"); err != nil {
			return err
		}
		gone.Add(took)
	}
	r.Made, r.Gone = made.Timing(), gone.Timing()
	return nil
}

// calm is how long nothing must have happened before the next sample.
const calm = 150 * time.Millisecond

// sample makes one change and waits until the switch has followed and the daemon is at rest again.
func (l *lab) sample(ctx context.Context, m *measure.Monitor, c change, s *samples) (mods int, err error) {
	began, err := l.replace(c.file, c.text)
	if err != nil {
		return 0, err
	}
	done, err := m.Await(ctx, c.shows...)
	if err != nil {
		return 0, err
	}
	s.total.Add(done.Sub(began))
	status, err := l.rested(ctx, m)
	if err != nil {
		return 0, err
	}
	s.load.Add(status.Policy.LoadedAt.Sub(began))
	s.decide.Add(status.Apply.At.Sub(status.Policy.LoadedAt))
	s.bundle = append(s.bundle, 1000*status.Apply.Seconds)
	return status.Apply.Adds + status.Apply.Deletes, nil
}

// rested waits until the daemon has nothing to do.
func (l *lab) rested(ctx context.Context, m *measure.Monitor) (*api.Status, error) {
	for ctx.Err() == nil {
		m.Drain(calm)
		status, err := l.daemon.Client.Status(ctx)
		if err != nil {
			return nil, err
		}
		if status.State == agent.StateInSync {
			return status, nil
		}
	}
	return nil, ctx.Err()
}

// foreignTable is none of the pipeline's: what happens there is not the daemon's business.
const foreignTable = 250

// oneFlow measures the floor of a change: one bundle with one flow, as anybody would send it, and
// without asking for names.
func (l *lab) oneFlow(ctx context.Context, m *measure.Monitor, floor, lean, delay *measure.Series) error {
	flow := fmt.Sprintf("table=%d,priority=%d,actions=drop", foreignTable, len(*lean)+1)
	took, err := l.timed(ctx, "ovs-ofctl", "-O", "OpenFlow15", "--bundle", "add-flow", bridge, flow)
	if err != nil {
		return err
	}
	floor.Add(took)
	ended := time.Now()
	heard, err := m.Await(ctx, "ADDED", fmt.Sprintf("table=%d ", foreignTable))
	if err != nil {
		return err
	}
	delay.Add(max(0, heard.Sub(ended)))
	took, err = l.timed(ctx, "ovs-ofctl", "-O", "OpenFlow15", "--no-names", "--bundle", "add-flow",
		bridge, flow)
	lean.Add(took)
	m.Drain(calm / 10)
	return err
}

// profileTime is how long the daemon is profiled while changes are made.
const profileTime = 20 * time.Second

// profile writes a CPU profile of the daemon, from now on, and says what came of it.
func (l *lab) profile(ctx context.Context, path string) <-chan string {
	said := make(chan string, 1)
	go func() {
		client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", l.daemon.Socket())
		}}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet,
			fmt.Sprintf("http://portcullis/debug/pprof/profile?seconds=%d", profileTime/time.Second), nil)
		if err != nil {
			said <- err.Error()
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			said <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil {
			err = os.WriteFile(path, text, 0o644)
		}
		said <- fmt.Sprintf("%s %v", path, err)
	}()
	return said
}
