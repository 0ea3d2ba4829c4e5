package agent_test

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// nextZone has a zone be the next that is given out.
func (w *world) nextZone(zone uint16) {
	w.database.edit(func(f *fakeDatabase) { f.snap.LastZone = zone - 1 })
	w.settle()
}

// memory is a switch's memory of connections, which may refuse to forget.
type memory struct {
	mu     sync.Mutex
	held   fakeTracker
	broken error // what comes of flushing
	flush  func(zone uint16)
}

func (m *memory) Connections(ctx context.Context, zone uint16, take func(ofswitch.Connection) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held.Connections(ctx, zone, take)
}

func (m *memory) ForgetZone(ctx context.Context, zone uint16) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flush != nil {
		m.flush(zone)
	}
	if m.broken != nil {
		return m.broken
	}
	return m.held.ForgetZone(ctx, zone)
}

func (m *memory) Forget(ctx context.Context, c ofswitch.Connection) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	return m.held.Forget(ctx, c)
}

func (m *memory) breakDown(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

// remember has the switch know connections, from so many source ports.
func (m *memory) remember(zone uint16, mark uint32, from ...uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, port := range from {
		m.held.list = append(m.held.list, tcpTo(zone, mark, 0, port))
	}
}

// marks are the marks of what a zone holds.
func (m *memory) marks(zone uint16) (out []uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.held.list {
		if c.Zone == zone {
			out = append(out, c.Mark)
		}
	}
	return out
}

// trackedWorld is run with a switch that remembers.
func trackedWorld(t *testing.T, text string, test func(w *world, m *memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, m := newWorld(t, text), &memory{}
		w.tracker = m
		w.start()
		defer func() { w.cancel() }()
		w.settle()
		test(w, m)
		w.stop()
	})
}

func (w *world) listed(port string) int {
	w.t.Helper()
	list, err := telemetry.ListConnections(w.t.Context(), w.tracker, w.ctl.Snapshot(), telemetry.ConnectionsQuery{Port: port})
	require.NoError(w.t, err)
	return len(list.Connections)
}

func TestZonesAreUsedAgainAsLateAsPossible(t *testing.T) {
	run(t, file("a: 80", "b: 22"), func(w *world) {
		old := w.database.row("a")
		w.policy.set(file("b: 22", "c: 443"))
		w.inSync()
		require.Zero(w.t, w.database.row("a"))
		require.Equal(w.t, uint16(3), w.database.row("c").Zone)
		w.restart()
		w.policy.set(file("b: 22", "d: 443"))
		w.inSync()
		require.Equal(w.t, uint16(4), w.database.row("d").Zone, "the database remembers, not the daemon")
		w.nextZone(65535)
		w.policy.set(file("b: 22", "d: 443", "e: 1", "f: 1", "g: 1"))
		w.inSync()
		require.Equal(w.t, []uint16{65535, 1, 3}, []uint16{w.database.row("e").Zone, w.database.row("f").Zone, w.database.row("g").Zone}, "around, and never 0")
		require.Greater(w.t, w.database.row("f").Epoch, old.Epoch)
	})
}

func TestZonesOfOthersAreLeftAlone(t *testing.T) {
	run(t, file("a: 80", "b: 22"), func(w *world) {
		a, b := w.database.row("a"), w.database.row("b")
		w.database.edit(func(f *fakeDatabase) {
			f.snap.Neighbours = bridge.Neighbours{Revision: a.Epoch + 100, Zones: map[uint16]bridge.ZoneClaim{
				a.Zone: {By: "port x of bridge br-a", Prior: true}, b.Zone: {By: "port y of bridge br-z"}, 3: {By: "OVN", Prior: true}, 4: {}}}
		})
		w.inSync()
		require.Equal(w.t, b, w.database.row("b"), "the other bridge gives way")
		require.Equal(w.t, uint16(5), w.database.row("a").Zone)
		require.Greater(w.t, w.database.row("a").Epoch, a.Epoch+100, "no epoch that the other bridge may have used")
		w.restart()
		require.Equal(w.t, uint16(5), w.database.row("a").Zone)
	})
}

func TestNumbersOfOthersAreBelievedWithinBounds(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		a := w.database.row("a")
		w.database.edit(func(f *fakeDatabase) {
			row := f.snap.Ports["a"]
			row.Unflushed = math.MaxUint32
			f.snap.Ports["a"] = row
			f.snap.Neighbours = bridge.Neighbours{Revision: math.MaxUint32, Zones: map[uint16]bridge.ZoneClaim{a.Zone: {Prior: true}}}
		})
		w.inSync()
		require.NotEqual(t, a.Zone, w.database.row("a").Zone)
		require.Equal(t, a.Epoch+1, w.database.row("a").Epoch)
		require.LessOrEqual(t, w.database.row("a").Unflushed, w.database.row("a").Epoch)
	})
}

func TestAZoneIsEmptyBeforeAnotherPortHasIt(t *testing.T) {
	trackedWorld(t, file("a: 80", "b: 22"), func(w *world, m *memory) {
		a, b := w.database.row("a"), w.database.row("b")
		m.remember(a.Zone, a.Epoch, 1, 2)
		m.remember(b.Zone, b.Epoch, 3)
		m.remember(9, 1, 4) // left by an earlier run
		require.Equal(t, 2, w.listed("a"))
		w.policy.set(file("b: 22"))
		w.inSync()
		require.Empty(t, m.marks(a.Zone), "when the port has left")
		w.nextZone(9)
		m.flush = func(uint16) {
			held, _ := w.sw.holds()
			for _, f := range held {
				require.NotContains(t, f.Match, "reg1=0x9", "before the port's flows are there")
			}
		}
		w.policy.set(file("b: 22", "c: 443"))
		w.inSync()
		require.Equal(t, uint16(9), w.database.row("c").Zone)
		require.Empty(t, m.marks(9), "and before the next has come")
		require.Zero(t, w.database.row("c").Unflushed)
		require.Equal(t, []uint32{b.Epoch}, m.marks(b.Zone), "that of a port that stays is never emptied")
		w.restart()
		w.database.setAbsent("b", "No such device")
		w.inSync()
		w.database.setPresent("b")
		w.inSync()
		require.Equal(t, []uint32{b.Epoch}, m.marks(b.Zone))
	})
}

// A zone that cannot be emptied is used all the same, nobody is shown what is in it, and it is tried again, also by the next daemon; what
// the port has opened itself meanwhile stays.
func TestAZoneThatCannotBeEmptied(t *testing.T) {
	trackedWorld(t, file("b: 22"), func(w *world, m *memory) {
		m.remember(9, 1, 1, 2)
		m.breakDown(errors.New("ovs-vswitchd is deaf"))
		w.nextZone(9)
		w.policy.set(file("b: 22", "c: 443"))
		w.inSync()
		c := w.database.row("c")
		require.Equal(t, uint16(9), c.Zone)
		require.Equal(t, c.Epoch, c.Unflushed)
		require.Equal(t, agent.PortApplied, w.port("c").State)
		require.Len(t, w.ctl.Snapshot().Warnings, 1)
		require.Contains(t, w.ctl.Snapshot().Warnings[0], "deaf")
		require.Zero(t, w.listed("c"))
		m.remember(9, c.Epoch, 3)
		require.Equal(t, 1, w.listed("c"))

		w.restart()
		require.Equal(t, 1, w.listed("c"))
		require.Equal(t, c.Epoch, w.database.row("c").Unflushed)
		m.breakDown(nil)
		w.pass(2 * time.Minute)
		require.Equal(t, []uint32{c.Epoch}, m.marks(9))
		require.Zero(t, w.database.row("c").Unflushed)
		require.Empty(t, w.ctl.Snapshot().Warnings)
		require.Equal(t, 1, w.listed("c"))
	})
}

// Where the database was lost nobody knows whose connections are in the zones, but by their addresses.
func TestConnectionsOutliveTheDatabase(t *testing.T) {
	trackedWorld(t, file("a: 80"), func(w *world, m *memory) {
		a := w.database.row("a")
		pol, _, err := w.policy.Load()
		require.NoError(t, err)
		own := tcpTo(a.Zone, a.Epoch, 0, 7)
		own.Dst = pol.Instances[0].Ports[0].Addresses[0].Addr()
		foreign := tcpTo(a.Zone, a.Epoch, 0, 8)
		foreign.Dst = netip.MustParseAddr("203.0.113.254")
		m.mu.Lock()
		m.held.list = []ofswitch.Connection{own, foreign}
		m.mu.Unlock()
		w.stop()
		w.database.edit(func(f *fakeDatabase) {
			row := f.snap.Ports["a"]
			row.Zone, row.Epoch = 0, 0
			f.snap.Revision, f.snap.LastZone, f.snap.Ports = 0, 0, map[string]bridge.Port{"a": row}
		})
		w.start()
		w.inSync()
		require.Equal(t, a.Zone, w.database.row("a").Zone)
		require.Equal(t, []ofswitch.Connection{own}, m.held.list)
	})
}

func TestManyZonesAreLookedAtOnce(t *testing.T) {
	trackedWorld(t, file("z: 1"), func(w *world, m *memory) {
		m.remember(5, 1, 1)
		m.remember(60000, 1, 2)
		var flushed []uint16
		m.flush = func(zone uint16) { flushed = append(flushed, zone) }
		var many []string
		for c := 'a'; c <= 'o'; c++ {
			many = append(many, string(c)+": 80")
		}
		w.policy.set(file(append(many, "z: 1")...))
		w.inSync()
		require.Equal(t, []uint16{5}, flushed, "only what holds something, and is ours")
		require.Equal(t, []uint32{1}, m.marks(60000))
	})
}

// Names of devices are used again: vnet3 is another machine's by tomorrow.
func TestAPortOfTheSameNameForAnotherInstance(t *testing.T) {
	swap := strings.NewReplacer("{name: i-a,", "{name: i-x,", "02:00:00:00:00:01", "02:00:00:00:00:99")
	for name, change := range map[string]struct {
		text    func(string) string
		sameOne bool
	}{
		"another machine": {swap.Replace, false},
		"another name":    {func(s string) string { return strings.ReplaceAll(s, "{name: i-a,", "{name: i-x,") }, true},
		"another card":    {func(s string) string { return strings.ReplaceAll(s, "02:00:00:00:00:01", "02:00:00:00:00:99") }, true},
	} {
		for _, forgets := range []string{"", "the row", "the daemon"} {
			t.Run(name+", forgets "+forgets, func(t *testing.T) {
				trackedWorld(t, file("a: 80", "b: 22"), func(w *world, m *memory) {
					a := w.database.row("a")
					m.remember(a.Zone, a.Epoch, 1, 2)
					next := change.text(file("a: 80", "b: 22"))
					switch forgets {
					case "the row": // libvirt makes it anew
						w.policy.write(next)
						w.database.edit(func(f *fakeDatabase) { f.snap.Ports["a"] = f.numbered(bridge.Port{Name: "a"}) })
						w.ctl.Reload()
					case "the daemon":
						w.stop()
						w.policy.write(next)
						w.start()
					default:
						w.policy.set(next)
					}
					w.inSync()
					require.Equal(t, change.sameOne, w.database.row("a").Zone == a.Zone)
					require.Equal(t, change.sameOne, w.listed("a") == 2)
					require.Equal(t, change.sameOne, len(m.marks(a.Zone)) == 2)
				})
			})
		}
	}
}
