package agenttest

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
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// World is a host: files, database and switch outlive the daemon.
type World struct {
	T         *testing.T
	Journal   *journal
	Policy    *Policy
	Database  *Database
	Sw        *Switch
	Meters    *MeterTable     // nil = the switch has none
	Conntrack agent.Conntrack // likewise
	Devices   func() ([]config.Device, error)
	Others    func(device string) bool // as Options.OthersPlug
	Counts    telemetry.CountSource
	Counters  *telemetry.CounterReader // nil if counts is
	Latencies *telemetry.Latencies
	Announcer agent.Announcer // likewise
	Log       *logrus.Logger  // nil = nobody reads it
	// Version is what Open vSwitch says of itself; nil = it is not asked
	Version func(context.Context) (string, error)
	Late    time.Duration // how far the daemon's clock is behind
	Ctl     *agent.Agent
	Cancel  context.CancelFunc
	Ended   chan error
}

func NewWorld(t *testing.T, text string) *World {
	j := &journal{}
	return &World{T: t, Journal: j, Policy: newFakePolicy(text), Database: NewDatabase(j),
		Sw: newFakeSwitch(j)}
}

// Run is a test with one world and a started daemon, in a time of its own. Goroutines that are left
// when it ends fail it.
func Run(t *testing.T, text string, test func(w *World)) {
	t.Helper()
	RunWith(t, text, func(*World) {}, test)
}

// RunWith is run, of a world that is set up before the daemon starts.
func RunWith(t *testing.T, text string, setUp, test func(w *World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(t, text)
		setUp(w)
		w.Start()
		defer func() { w.Cancel() }() // where the test fails
		w.Settle()
		w.Journal.Take()
		test(w)
		w.Stop()
	})
}

func site() policy.Site { return policy.Site{Host: "hv1"} }

func (w *World) Start() {
	w.Latencies = telemetry.NewLatencies()
	opts := agent.Options{Bridge: "br-int", Uplinks: []string{"eth1"}, Site: site(),
		Source: "policy.yaml",
		Policy: w.Policy, Database: w.Database, Switch: w.Sw, Devices: w.Devices, OthersPlug: w.Others,
		Conntrack: w.Conntrack, Announcer: w.Announcer, Observe: w.Latencies.Observe,
		Version: w.Version, Clock: func() time.Time { return time.Now().Add(-w.Late) }}
	if w.Meters != nil {
		opts.Meters = w.Meters
	}
	if w.Log != nil {
		opts.Log = logrus.NewEntry(w.Log)
	}
	w.Ctl = agent.New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	w.Cancel, w.Ended = cancel, make(chan error, 1)
	reading := make(chan error, 1)
	if w.Counters = nil; w.Counts != nil {
		w.Counters = telemetry.NewCounterReader(w.Counts, w.Ctl.Hub(),
			logrus.NewEntry(logrus.New()))
		go func() { reading <- w.Counters.Run(ctx) }()
	} else {
		reading <- nil
	}
	go func() { w.Ended <- errors.Join(w.Ctl.Run(ctx), <-reading) }()
}

// Api is what the daemon answers.
func (w *World) Api() api.Server {
	return api.Server{Agent: w.Ctl, Counters: w.Counters, Conntrack: w.Conntrack, Devices: w.Devices}
}

// Stop ends the daemon; Run must return nil.
func (w *World) Stop() {
	w.T.Helper()
	w.Cancel()
	require.NoError(w.T, <-w.Ended)
}

func (w *World) Restart() {
	w.T.Helper()
	w.Stop()
	w.Start()
	w.Settle()
}

// Settle waits until nothing moves any more without the clock.
func (w *World) Settle() { synctest.Wait() }

// Pass lets time pass.
func (w *World) Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// InSync requires that the switch holds exactly the program of the policy and of the rows, but for
// ports that somebody has to repair.
func (w *World) InSync() {
	w.T.Helper()
	w.Settle()
	status := w.Ctl.Snapshot()
	require.Empty(w.T, status.Error)
	require.True(w.T, status.Settled(), status.Summary)
	held, _ := w.Sw.Holds()
	delta := openflow.Diff(w.want(), held)
	require.True(w.T, delta.Empty(), "%+v", delta)
	require.Equal(w.T, len(held), status.Flows)
}

// want compiles what should be there, from the rows.
func (w *World) want() []openflow.Flow {
	w.T.Helper()
	pol, _, err := w.Policy.Load()
	require.NoError(w.T, err)
	snap, err := w.Database.Snapshot()
	require.NoError(w.T, err)
	in := flows.Input{Policy: pol, Site: site(), LastMeter: w.Meters.last()}
	for _, i := range pol.Instances {
		for _, p := range i.Ports {
			if row := snap.Ports[p.Name]; i.IsLocal("hv1") && row.OFPort != 0 {
				in.Bindings = append(in.Bindings, flows.Binding{Port: p.Name, OFPort: row.OFPort,
					Zone: row.Zone, Epoch: row.Epoch})
			}
		}
	}
	if row := snap.Ports["eth1"]; row.OFPort != 0 {
		in.Uplinks = []flows.Uplink{{Name: "eth1", OFPort: row.OFPort}}
	}
	program, err := flows.Compile(in)
	require.NoError(w.T, err)
	return program.Flows
}

func (w *World) Port(name string) agent.PortStatus {
	w.T.Helper()
	for _, p := range w.Ctl.Snapshot().Ports {
		if p.Name == name {
			return p
		}
	}
	w.T.Fatalf("no port %s in %+v", name, w.Ctl.Snapshot())
	return agent.PortStatus{}
}

// File writes a policy: one instance with one port for each entry such as "a: 80 443", which opens
// these TCP ports to everybody.
func File(entries ...string) string {
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
			groups += fmt.Sprintf("      - {direction: ingress, protocol: tcp, ports: %s, cidr: "+
				"0.0.0.0/0}\n", p)
		}
		n := name[0] - 'a' + 1
		instances += fmt.Sprintf("  - {name: i-%s%s, groups: [g-%s], ports: [{name: %s, mac: "+
			"02:00:00:00:00:%02x, addresses: [192.0.2.%d]}]}\n",
			name, host, name, name, n, n)
	}
	return groups + instances
}

// NextZone has a zone be the next that is given out.
func (w *World) NextZone(zone uint16) {
	w.Database.Edit(func(f *Database) { f.Snap.LastZone = zone - 1 })
	w.Settle()
}
