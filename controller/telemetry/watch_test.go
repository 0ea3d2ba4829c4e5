package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

func silentLog() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}

// webPolicy has web-1 with 203.0.113.11 in group web, and far-1 in group far elsewhere.
func webPolicy() *policy.Policy {
	rule := policy.Rule{Protocol: policy.TCP, Ports: []policy.PortRange{{First: 80, Last: 80}},
		Direction: policy.Ingress, Peers: []policy.Peer{{CIDR: netip.MustParsePrefix("0.0.0.0/0")}}}
	instance := func(name, group, address string) *policy.Instance {
		return &policy.Instance{Name: name, Groups: []string{group}, Ports: []policy.Port{
			{Name: "tap-" + name, Addresses: []netip.Prefix{netip.MustParsePrefix(address)}}}}
	}
	return &policy.Policy{Groups: []*policy.Group{{Name: "web", Rules: []policy.Rule{rule}},
		{Name: "far"}}, Instances: []*policy.Instance{instance("web-1", "web", "203.0.113.11/32"),
		instance("far-1", "far", "198.51.100.2/32")}}
}

// watchedStatus has web-1's port in zone 7.
func watchedStatus() *agent.Snapshot {
	return &agent.Snapshot{InForce: webPolicy(), OwnEpoch: map[string]uint32{"tap1": 3},
		Ports: []agent.PortStatus{{Name: "tap1", Instance: "web-1", Zone: 7, Epoch: 5,
			Groups: []string{"web"}, Addresses: []string{"203.0.113.11"}}}}
}

// shown are the packets that have come, without waiting.
func shown(w *Watching) (out []FirstPacket) {
	for {
		select {
		case p := <-w.Packets():
			out = append(out, p)
		default:
			return out
		}
	}
}

// What is denied is handed to those who ask for it, and logged only where the policy says so.
func TestDeniedIsWatched(t *testing.T) {
	status := watchedStatus()
	status.LogsDenied = map[string]bool{}
	l, read := written()
	feed := &Feed{}
	h := deniedSink{log: l, feed: feed, hub: agent.NewHub(status)}
	for want, queries := range map[int][]WatchQuery{
		1: {{}, {Verdict: VerdictDenied}, {To: "web-1"}, {To: "web"}, {To: "203.0.113.0/24"},
			{From: "far-1"}, {From: "far", To: "203.0.113.11", Group: "web", Port: "tap1",
				Instance: "web-1", Protocol: "tcp"}, {Protocol: "6"}},
		0: {{Verdict: VerdictAdmitted}, {From: "web-1"}, {To: "far"}, {Protocol: "udp"},
			{From: "198.51.100.3"}},
	} {
		for _, q := range queries {
			w, err := feed.Subscribe(status, q)
			require.NoError(t, err)
			h.handle(knock(22), time.Unix(1000, 0))
			got := shown(w)
			require.Len(t, got, want, "%+v", q)
			feed.Leave(w)
			if want == 1 {
				require.Equal(t, FirstPacket{Time: time.Unix(1000, 0), Verdict: VerdictDenied,
					Port: "tap1", Instance: "web-1", Direction: "ingress", Protocol: "tcp",
					Src: knock(22).Src, Dst: knock(22).Dst, SrcPort: 4000, DstPort: 22,
					From: "far-1", To: "web-1", Reason: "no ingress rule admits it"}, got[0])
			}
		}
	}
	require.Empty(t, read(), "nobody wants it logged")
	status.LogsDenied["tap1"] = true
	h.handle(knock(22), time.Unix(1000, 0))
	require.Len(t, read(), 1)
}

// A name that is not known is an error with what is near, never silence.
func TestWatchedNamesAreKnown(t *testing.T) {
	feed := &Feed{}
	for want, q := range map[string]WatchQuery{
		`"webb" is no instance, no group, no address and no network; did you mean "web"?`: {To: "webb"},
		`"x" is no instance`:                 {From: "x"},
		`no port "tap2" on this host`:        {Port: "tap2"},
		`no group with an instance "far" on`: {Group: "far"},
	} {
		_, err := feed.Subscribe(watchedStatus(), q)
		require.ErrorIs(t, err, ErrUnknownPort)
		require.ErrorContains(t, err, want)
	}
	for range maxWatching {
		_, err := feed.Subscribe(watchedStatus(), WatchQuery{})
		require.NoError(t, err)
	}
	_, err := feed.Subscribe(watchedStatus(), WatchQuery{})
	require.ErrorIs(t, err, ErrTooMany)
}

// Who does not read holds up nobody, and is told how many are lost.
func TestSlowWatcherLoses(t *testing.T) {
	feed := &Feed{}
	w, err := feed.Subscribe(watchedStatus(), WatchQuery{})
	require.NoError(t, err)
	for range watchRoom + 12 {
		feed.publish(FirstPacket{Verdict: VerdictDenied}, nil)
	}
	require.Len(t, shown(w), watchRoom)
	require.Equal(t, uint64(12), w.Lost())
	require.Zero(t, w.Lost())
}

// fakeLister is what a tracker knows, and how often it was asked.
type fakeLister struct {
	mu    sync.Mutex
	list  []ofswitch.Connection
	err   error
	asked int
	takes time.Duration
}

func (f *fakeLister) Connections(_ context.Context, _ uint16,
	take func(ofswitch.Connection) bool) error {
	list, takes, err := f.next()
	time.Sleep(takes)
	for _, c := range list {
		if !take(c) {
			return nil
		}
	}
	return err
}

func (f *fakeLister) next() ([]ofswitch.Connection, time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return slices.Clone(f.list), f.takes, f.err
}

// edit changes what the tracker knows.
func (f *fakeLister) edit(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// times is how often it was asked.
func (f *fakeLister) times() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// Connections that come while somebody watches are shown once, with their rule; those that were
// there, those of the port's last instance and those of nobody are not. Nobody looks otherwise.
func TestAdmittedIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := watchedStatus()
		rule := flows.RuleIDs(status.InForce)[flows.RuleKey("web", status.InForce.Groups[0].Rules[0])]
		conn := func(port uint16) ofswitch.Connection {
			return ofswitch.Connection{Protocol: policy.TCP, Src: knock(0).Src, Dst: knock(0).Dst,
				SrcPort: port, DstPort: 80, Zone: 7, Mark: 5, Rule: rule}
		}
		lister, feed := &fakeLister{list: []ofswitch.Connection{conn(1)}}, &Feed{}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- HearAdmitted(ctx, lister, agent.NewHub(status), feed, silentLog()) }()
		pass := func() { time.Sleep(admittedEvery); synctest.Wait() }
		pass()
		require.Zero(t, lister.times())
		w, err := feed.Subscribe(status, WatchQuery{})
		require.NoError(t, err)
		pass()
		require.Empty(t, shown(w), "it was there")
		old, elsewhere := conn(3), conn(4)
		old.Mark, elsewhere.Zone = 2, 9
		lister.edit(func() { lister.list = append(lister.list, conn(2), old, elsewhere) })
		pass()
		pass()
		got := shown(w)
		require.Len(t, got, 1)
		require.Equal(t, uint16(2), got[0].SrcPort)
		require.Equal(t, VerdictAdmitted, got[0].Verdict)
		require.Equal(t, "far-1", got[0].From)
		require.Equal(t, "web-1", got[0].To)
		require.Equal(t, "web", got[0].Group)
		require.Contains(t, got[0].Rule, "ingress tcp 80")
		require.False(t, got[0].Again)
		lister.edit(func() { lister.list[0].Mark = 6 })
		pass()
		got = shown(w)
		require.Len(t, got, 1)
		require.True(t, got[0].Again, "its port lost a permission, and a rule admits it again")

		// what cannot be compared is said once, and nothing is taken for new behind it
		lister.edit(func() { lister.err = errors.New("the switch is gone") })
		pass()
		pass()
		got = shown(w)
		require.Len(t, got, 1)
		require.Equal(t, VerdictNote, got[0].Verdict)
		require.Equal(t, "the switch is gone", got[0].Reason)
		lister.edit(func() { lister.err, lister.list = nil, append(lister.list, conn(5)) })
		pass()
		require.Empty(t, shown(w))
		feed.Leave(w)
		pass()
		asked := lister.times()
		pass()
		require.Equal(t, asked, lister.times())
		cancel()
		require.NoError(t, <-ended)
	})
}

// However long a look takes, most of the time nobody looks.
func TestLookingForAdmittedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lister, feed := &fakeLister{takes: time.Second}, &Feed{}
		for n := range maxCompared + 10 {
			lister.list = append(lister.list, ofswitch.Connection{Zone: 7, Mark: 5, Rule: 1,
				SrcPort: uint16(n), DstPort: uint16(n >> 16)})
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		w, err := feed.Subscribe(watchedStatus(), WatchQuery{})
		require.NoError(t, err)
		go func() {
			ended <- HearAdmitted(ctx, lister, agent.NewHub(watchedStatus()), feed, silentLog())
		}()
		time.Sleep(32 * time.Second)
		require.Equal(t, 3, lister.times())
		got := shown(w)
		require.Len(t, got, 1)
		require.Contains(t, got[0].Reason, fmt.Sprint(maxCompared))
		cancel()
		require.NoError(t, <-ended)
	})
}

// What one look at 100,000 connections costs, of which 100 are new.
func BenchmarkCompareAdmitted(b *testing.B) {
	lister, feed := &fakeLister{}, &Feed{}
	for n := range 100_000 {
		lister.list = append(lister.list, ofswitch.Connection{Protocol: policy.TCP, Zone: 7, Mark: 5,
			Rule: 1, Src: knock(0).Src, Dst: knock(0).Dst, SrcPort: uint16(n),
			DstPort: uint16(n >> 16)})
	}
	l := &comparison{lister: lister, hub: agent.NewHub(watchedStatus()), feed: feed}
	require.NoError(b, l.compare(b.Context(), time.Now()))
	for n := 0; b.Loop(); n++ {
		for i := range 100 {
			lister.list[i].SrcPort, lister.list[i].DstPort = uint16(n), uint16(100+i)
		}
		require.NoError(b, l.compare(b.Context(), time.Now()))
	}
}
