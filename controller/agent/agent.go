package agent

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/config"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/bridge"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// This file is what the daemon sees of the agent: what it works with, [New], [Agent.Run] and the
// requests. Invariant: [Agent.Run] alone touches the loop's state; requests only fill signals.

// The pauses and limits of the loop.
const (
	// resyncEvery is how often everything is looked at without a cause: files, rows, flows.
	resyncEvery = time.Minute
	// A failed turn is repeated after minRetry, then after twice as long, up to maxRetry.
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
	// maxReconnect is the longest pause before the next candidate to listen to a switch that went
	// away. It is short, because a switch that is back holds no flows: nothing passes until it is
	// noticed.
	maxReconnect = 250 * time.Millisecond
	// callTimeout bounds one conversation with the database or the switch.
	callTimeout = time.Minute
)

// Policy is where the policy comes from.
type Policy interface {
	// Load reads all of it. What it returned before is never changed. An error means: not valid, or
	// not readable. A policy that comes with an error of type *history.Instead is to be in force
	// in the place of the files; with any other error it is what is valid of a database's rows.
	Load() (*policy.Policy, strictyaml.Warnings, error)
	// Whole says whether what Load returned last is what there was to read; if it is not, Changed
	// is filled when there is more.
	Whole() bool
	// Digest returns a short name of the content of what Load returned last without an error.
	Digest() string
	// Changed has one slot, filled when Load may return something else.
	Changed() <-chan struct{}
}

// Followed is a Policy that may be in a database.
type Followed interface {
	// Following tells how things stood with the database at the last Load.
	Following() policydb.Following
}

// Database is the bridge's rows in OVSDB.
type Database interface {
	// Snapshot returns one state of the rows, or an error while they are not known completely.
	Snapshot() (bridge.Snapshot, error)
	// Changed has one slot, filled when Snapshot may return something else.
	Changed() <-chan struct{}
	// Ensure makes the rows hold what is desired and does nothing where they do. If it fails with
	// *bridge.PortError or bridge.ErrDatapathType, everything else was done.
	Ensure(ctx context.Context, d bridge.Desired) error
}

// Switch is the bridge's flows.
type Switch interface {
	// Prepare sets what a restarted switch has forgotten. It may be repeated.
	Prepare(ctx context.Context) error
	// Flows tells all flows of the pipeline's tables, or, at the end, an error.
	Flows(ctx context.Context) iter.Seq2[openflow.Flow, error]
	ofswitch.BundleSender
	// Watch returns when the connection to the switch ends, or ctx does. It calls changed once as
	// soon as it listens, and then whenever flows may have been changed by somebody else.
	Watch(ctx context.Context, changed func()) error
}

// Announcer tells neighbours.
type Announcer interface {
	// Announce takes announcements to the local ports of their families, each once. After an error
	// some may have been told.
	Announce(ctx context.Context, list []flows.Announcement) error
}

// Options are what an agent works with. All of it is needed, except Devices, Announcer, Meters,
// Conntrack, Version, Observe, Clock and Log.
type Options struct {
	Bridge  string   // its name, for the status
	Uplinks []string // names of ports toward the physical network
	// OthersPlug says whether others add a device to the bridge; nil = they add none.
	OthersPlug func(device string) bool
	Site       policy.Site // what else the settings say
	// HostGiven says that somebody has set Site.Host: ports of a host of another name are taken
	// away at the start only then.
	HostGiven bool
	Source    string // the path of the policy, for the status
	Policy    Policy
	Database  Database
	Switch    Switch
	// Devices tells what the host uses its network devices for; nil = it is not asked.
	Devices   func() ([]config.Device, error)
	Announcer Announcer           // nil = neighbours are not told that an address moved
	Meters    ofswitch.MeterTable // nil = limits are left out
	Conntrack Conntrack           // nil = nobody is made to forget connections
	// Version asks Open vSwitch for its version where the database does not have it; nil = it is not
	// asked.
	Version func(context.Context) (string, error)
	Observe func(Durations) // is told what each turn spent its time on; nil = nobody is
	// the time, by which stored numbers are believed; nil = that of the system
	Clock func() time.Time
	Log   *logrus.Entry // nil discards
}

// Agent keeps one bridge equal to the policy. Its methods may be called from any goroutine.
type Agent struct {
	opts     Options
	hub      *Hub
	reload   signal
	tickets  atomic.Uint64 // requests to read the policy again, counted: see Settle
	asked    chan struct{} // see Alive
	shown    atomic.Int32  // who wants denied packets shown: see ShowDenied
	nextTurn signal        // the next turn is to follow
}

// New returns an agent; it does nothing until Run.
func New(opts Options) *Agent {
	if opts.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		opts.Log = logrus.NewEntry(silent)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Observe == nil {
		opts.Observe = func(Durations) {}
	}
	first := &Snapshot{State: StateStarting, Since: opts.Clock(), Bridge: opts.Bridge, Host: opts.Site.Host,
		Policy: PolicyStatus{Source: opts.Source}}
	first.Summary = first.summary()
	return &Agent{opts: opts, hub: NewHub(first), reload: newSignal(), nextTurn: newSignal(),
		asked: make(chan struct{})}
}

// Run works until ctx ends, and returns nil then; the flows stay. The only error is a policy that
// is not valid at the start where none comes in its place: later a policy that is not valid leaves
// the last valid one in force.
func (c *Agent) Run(ctx context.Context) error {
	var listening sync.WaitGroup
	defer listening.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watcher := newSwitchWatcher(c.opts.Switch, c.opts.Version, c.opts.Log)
	listening.Go(func() { watcher.run(ctx) })
	r, timers := newReconciler(c, watcher), newTimers()
	defer timers.stop()
	r.loading.stale = true
	r.load()
	sources := c.sources(r, timers)
	for pauses := NewBackOff(minRetry, maxRetry); sources.wait(ctx); {
		switch {
		case r.policy != nil:
		case r.invalid != nil:
			return fmt.Errorf("the policy is not valid:\n%w", r.invalid)
		default:
			r.begin(ctx)
			continue
		}
		r.load()
		r.learned = false
		if err := r.turn(ctx); err != nil && !r.learned {
			timers.retry.Reset(pauses.NextBackOff())
			continue
		}
		timers.retry.Stop()
		pauses.Reset()
	}
	return nil
}

// Reload makes the loop read the policy again.
func (c *Agent) Reload() { c.reload.set() }

// ShowDenied has the switch show what is denied at every port that does not forbid it (log_denied:
// false), until done is called. It is one bundle that changes what is shown, not what passes.
func (c *Agent) ShowDenied() (done func()) {
	c.shown.Add(1)
	c.nextTurn.set()
	return sync.OnceFunc(func() {
		c.shown.Add(-1)
		c.nextTurn.set()
	})
}

// Hub is where the snapshots are published.
func (c *Agent) Hub() *Hub { return c.hub }

// Snapshot returns the present snapshot. It never changes later.
func (c *Agent) Snapshot() *Snapshot { return c.hub.Snapshot() }

// Settle reads the policy again and returns as soon as what was read is not valid, or is in force
// with every port programmed that can be, or ctx ends: see [Snapshot.Settled]. The error is ctx's.
func (c *Agent) Settle(ctx context.Context) (*Snapshot, error) {
	ticket := c.tickets.Add(1)
	c.reload.set()
	return c.hub.Await(ctx, func(s *Snapshot) bool {
		return s.ticket >= ticket && (s.Settled() || len(s.Policy.Errors) > 0)
	})
}

// Read reads the policy again and returns as soon as what was read is in the snapshot, in force or
// not valid, or ctx ends. The error is ctx's.
func (c *Agent) Read(ctx context.Context) (*Snapshot, error) {
	ticket := c.tickets.Add(1)
	c.reload.set()
	return c.hub.Await(ctx, func(s *Snapshot) bool { return s.ticket >= ticket })
}

// Site is what the settings say of this host.
func (c *Agent) Site() policy.Site { return c.opts.Site }

// Alive returns nil as soon as the loop is between two turns, which it is within a turn's time
// unless it is stuck; else ctx's error. It causes no turn.
func (c *Agent) Alive(ctx context.Context) error {
	select {
	case c.asked <- struct{}{}: // nothing is buffered: that it was received is the answer
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
