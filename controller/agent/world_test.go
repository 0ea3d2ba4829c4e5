package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// world is a host: files, database and switch outlive the daemon.
type world struct {
	t         *testing.T
	journal   *journal
	policy    *fakePolicy
	database  *fakeDatabase
	sw        *fakeSwitch
	limiter   *fakeLimiter    // nil = the switch has none
	tracker   agent.Conntrack // likewise
	devices   func() ([]config.Device, error)
	counts    telemetry.CountSource
	counters  *telemetry.CounterReader // nil if counts is
	latencies *telemetry.Latencies
	announcer agent.Announcer // likewise
	log       *logrus.Logger  // nil = nobody reads it
	late      time.Duration   // how far the daemon's clock is behind
	ctl       *agent.Agent
	cancel    context.CancelFunc
	ended     chan error
}

func newWorld(t *testing.T, text string) *world {
	j := &journal{}
	return &world{t: t, journal: j, policy: newFakePolicy(text), database: newFakeDatabase(j), sw: newFakeSwitch(j)}
}

// run is a test with one world and a started daemon, in a time of its own. Goroutines that are left when it ends fail it.
func run(t *testing.T, text string, test func(w *world)) {
	t.Helper()
	runWith(t, text, func(*world) {}, test)
}

// runWith is run, of a world that is set up before the daemon starts.
func runWith(t *testing.T, text string, setUp, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, text)
		setUp(w)
		w.start()
		defer func() { w.cancel() }() // where the test fails
		w.settle()
		w.journal.take()
		test(w)
		w.stop()
	})
}

func site() policy.Site { return policy.Site{Host: "hv1"} }

func (w *world) start() {
	w.latencies = telemetry.NewLatencies()
	opts := agent.Options{Bridge: "br-int", Uplinks: []string{"eth1"}, Site: site(), Source: "policy.yaml",
		Policy: w.policy, Database: w.database, Switch: w.sw, Devices: w.devices, Conntrack: w.tracker, Announcer: w.announcer, Observe: w.latencies.Observe,
		Clock: func() time.Time { return time.Now().Add(-w.late) }}
	if w.limiter != nil {
		opts.Meters = w.limiter
	}
	if w.log != nil {
		opts.Log = logrus.NewEntry(w.log)
	}
	w.ctl = agent.New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.ended = cancel, make(chan error, 1)
	reading := make(chan error, 1)
	if w.counters = nil; w.counts != nil {
		w.counters = telemetry.NewCounterReader(w.counts, w.ctl.Hub(), logrus.NewEntry(logrus.New()))
		go func() { reading <- w.counters.Run(ctx) }()
	} else {
		reading <- nil
	}
	go func() { w.ended <- errors.Join(w.ctl.Run(ctx), <-reading) }()
}

// api is what the daemon answers.
func (w *world) api() api.Server {
	return api.Server{Agent: w.ctl, Counters: w.counters, Conntrack: w.tracker}
}

// stop ends the daemon; Run must return nil.
func (w *world) stop() {
	w.t.Helper()
	w.cancel()
	require.NoError(w.t, <-w.ended)
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
	w.settle()
}

// settle waits until nothing moves any more without the clock.
func (w *world) settle() { synctest.Wait() }

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// inSync requires that the switch holds exactly the program of the policy and of the rows.
func (w *world) inSync() {
	w.t.Helper()
	w.settle()
	status := w.ctl.Snapshot()
	require.Empty(w.t, status.Error)
	require.Equal(w.t, agent.StateInSync, status.State)
	held, _ := w.sw.holds()
	delta := flows.Diff(w.want(), held)
	require.True(w.t, delta.Empty(), "%+v", delta)
	require.Equal(w.t, len(held), status.Flows)
}

// want compiles what should be there, from the rows.
func (w *world) want() []flows.Flow {
	w.t.Helper()
	pol, _, err := w.policy.Load()
	require.NoError(w.t, err)
	snap, err := w.database.Snapshot()
	require.NoError(w.t, err)
	in := flows.Input{Policy: pol, Site: site(), LastMeter: w.limiter.last()}
	for _, i := range pol.Instances {
		for _, p := range i.Ports {
			if row := snap.Ports[p.Name]; i.IsLocal("hv1") && row.OFPort != 0 {
				in.Bindings = append(in.Bindings, flows.Binding{Port: p.Name, OFPort: row.OFPort, Zone: row.Zone, Epoch: row.Epoch})
			}
		}
	}
	if row := snap.Ports["eth1"]; row.OFPort != 0 {
		in.Uplinks = []flows.Uplink{{Name: "eth1", OFPort: row.OFPort}}
	}
	program, err := flows.Compile(in)
	require.NoError(w.t, err)
	return program.Flows
}

func (w *world) port(name string) agent.PortStatus {
	w.t.Helper()
	for _, p := range w.ctl.Snapshot().Ports {
		if p.Name == name {
			return p
		}
	}
	w.t.Fatalf("no port %s in %+v", name, w.ctl.Snapshot())
	return agent.PortStatus{}
}

// file writes a policy: one instance with one port for each entry such as "a: 80 443", which opens these TCP ports to everybody.
func file(entries ...string) string {
	groups, instances := "groups:\n", "instances:\n"
	if len(entries) == 0 {
		return "groups: []\ninstances: []\n"
	}
	for _, e := range entries {
		name, ports, _ := strings.Cut(e, ":")
		host := ""
		if rest, far := strings.CutPrefix(name, "far-"); far {
			name, host = rest, ", host: hv2"
		}
		groups += fmt.Sprintf("  - name: g-%s\n    rules:\n", name)
		if strings.TrimSpace(ports) == "" {
			groups = strings.TrimSuffix(groups, "    rules:\n")
		}
		for _, p := range strings.Fields(ports) {
			groups += fmt.Sprintf("      - {direction: ingress, protocol: tcp, ports: %s, cidr: 0.0.0.0/0}\n", p)
		}
		n := name[0] - 'a' + 1
		instances += fmt.Sprintf("  - {name: i-%s%s, groups: [g-%s], ports: [{name: %s, mac: 02:00:00:00:00:%02x, addresses: [192.0.2.%d]}]}\n",
			name, host, name, name, n, n)
	}
	return groups + instances
}

func TestFileIsAPolicy(t *testing.T) {
	pol, warnings, err := policyfile.Parse([]strictyaml.File{{Name: "p", Data: []byte(file("a: 80 443", "b:", "far-c: 22"))}})
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Len(t, pol.Groups, 3)
	require.Equal(t, "hv2", pol.Instances[2].Host)
}
