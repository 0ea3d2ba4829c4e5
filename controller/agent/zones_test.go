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
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// memory is a switch's memory of connections, which may refuse to forget.
type memory struct {
	mu     sync.Mutex
	held   agenttest.Conntrack
	broken error // what comes of flushing
	flush  func(zone uint16)
}

func (m *memory) Connections(ctx context.Context, zone uint16,
	take func(ofswitch.Connection) bool) error {
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
		m.held.List = append(m.held.List, agenttest.TCPTo(zone, mark, 0, port))
	}
}

// marks are the marks of what a zone holds.
func (m *memory) marks(zone uint16) (out []uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.held.List {
		if c.Zone == zone {
			out = append(out, c.Mark)
		}
	}
	return out
}

// trackedWorld is run with a switch that remembers.
func trackedWorld(t *testing.T, text string, test func(w *agenttest.World, m *memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, m := agenttest.NewWorld(t, text), &memory{}
		w.Conntrack = m
		w.Start()
		defer func() { w.Cancel() }()
		w.Settle()
		test(w, m)
		w.Stop()
	})
}

func listed(w *agenttest.World, port string) int {
	w.T.Helper()
	list, err := telemetry.ListConnections(w.T.Context(), w.Conntrack, w.Ctl.Snapshot(),
		telemetry.ConnectionsQuery{Port: port})
	require.NoError(w.T, err)
	return len(list.Connections)
}

func TestZonesAreUsedAgainAsLateAsPossible(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22"), func(w *agenttest.World) {
		old := w.Database.Row("a")
		w.Policy.Set(agenttest.File("b: 22", "c: 443"))
		w.InSync()
		require.Zero(w.T, w.Database.Row("a"))
		require.Equal(w.T, uint16(3), w.Database.Row("c").Zone)
		w.Restart()
		w.Policy.Set(agenttest.File("b: 22", "d: 443"))
		w.InSync()
		require.Equal(w.T, uint16(4), w.Database.Row("d").Zone,
			"the database remembers, not the daemon")
		w.NextZone(65535)
		w.Policy.Set(agenttest.File("b: 22", "d: 443", "e: 1", "f: 1", "g: 1"))
		w.InSync()
		require.Equal(w.T, []uint16{65535, 1, 3}, []uint16{w.Database.Row("e").Zone,
			w.Database.Row("f").Zone, w.Database.Row("g").Zone}, "around, and never 0")
		require.Greater(w.T, w.Database.Row("f").Epoch, old.Epoch)
	})
}

func TestZonesOfOthersAreLeftAlone(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22"), func(w *agenttest.World) {
		a, b := w.Database.Row("a"), w.Database.Row("b")
		w.Database.Edit(func(f *agenttest.Database) {
			f.Snap.Neighbours = bridge.Neighbours{Revision: a.Epoch + 100,
				Zones: map[uint16]bridge.ZoneClaim{
					a.Zone: {By: "port x of bridge br-a", Prior: true},
					b.Zone: {By: "port y of bridge br-z"}, 3: {By: "OVN", Prior: true}, 4: {}}}
		})
		w.InSync()
		require.Equal(w.T, b, w.Database.Row("b"), "the other bridge gives way")
		require.Equal(w.T, uint16(5), w.Database.Row("a").Zone)
		require.Greater(w.T, w.Database.Row("a").Epoch, a.Epoch+100,
			"no epoch that the other bridge may have used")
		w.Restart()
		require.Equal(w.T, uint16(5), w.Database.Row("a").Zone)
	})
}

func TestNumbersOfOthersAreBelievedWithinBounds(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		a := w.Database.Row("a")
		w.Database.Edit(func(f *agenttest.Database) {
			row := f.Snap.Ports["a"]
			row.Unflushed = math.MaxUint32
			f.Snap.Ports["a"] = row
			f.Snap.Neighbours = bridge.Neighbours{Revision: math.MaxUint32,
				Zones: map[uint16]bridge.ZoneClaim{a.Zone: {Prior: true}}}
		})
		w.InSync()
		require.NotEqual(t, a.Zone, w.Database.Row("a").Zone)
		require.Equal(t, a.Epoch+1, w.Database.Row("a").Epoch)
		require.LessOrEqual(t, w.Database.Row("a").Unflushed, w.Database.Row("a").Epoch)
	})
}

func TestAZoneIsEmptyBeforeAnotherPortHasIt(t *testing.T) {
	trackedWorld(t, agenttest.File("a: 80", "b: 22"), func(w *agenttest.World, m *memory) {
		a, b := w.Database.Row("a"), w.Database.Row("b")
		m.remember(a.Zone, a.Epoch, 1, 2)
		m.remember(b.Zone, b.Epoch, 3)
		m.remember(9, 1, 4) // left by an earlier run
		require.Equal(t, 2, listed(w, "a"))
		w.Policy.Set(agenttest.File("b: 22"))
		w.InSync()
		require.Empty(t, m.marks(a.Zone), "when the port has left")
		w.NextZone(9)
		m.flush = func(uint16) {
			held, _ := w.Sw.Holds()
			for _, f := range held {
				require.NotContains(t, f.Match.String(), "reg1=0x9",
					"before the port's flows are there")
			}
		}
		w.Policy.Set(agenttest.File("b: 22", "c: 443"))
		w.InSync()
		require.Equal(t, uint16(9), w.Database.Row("c").Zone)
		require.Empty(t, m.marks(9), "and before the next has come")
		require.Zero(t, w.Database.Row("c").Unflushed)
		require.Equal(t, []uint32{b.Epoch}, m.marks(b.Zone),
			"that of a port that stays is never emptied")
		w.Restart()
		w.Database.SetAbsent("b", "No such device")
		w.InSync()
		w.Database.SetPresent("b")
		w.InSync()
		require.Equal(t, []uint32{b.Epoch}, m.marks(b.Zone))
	})
}

// A zone that cannot be emptied is used all the same, nobody is shown what is in it, and it is
// tried again, also by the next daemon; what the port has opened itself meanwhile stays.
func TestAZoneThatCannotBeEmptied(t *testing.T) {
	trackedWorld(t, agenttest.File("b: 22"), func(w *agenttest.World, m *memory) {
		m.remember(9, 1, 1, 2)
		m.breakDown(errors.New("ovs-vswitchd is deaf"))
		w.NextZone(9)
		w.Policy.Set(agenttest.File("b: 22", "c: 443"))
		w.InSync()
		c := w.Database.Row("c")
		require.Equal(t, uint16(9), c.Zone)
		require.Equal(t, c.Epoch, c.Unflushed)
		require.Equal(t, agent.PortApplied, w.Port("c").State)
		require.Len(t, w.Ctl.Snapshot().Warnings, 1)
		require.Contains(t, w.Ctl.Snapshot().Warnings[0], "deaf")
		require.Zero(t, listed(w, "c"))
		m.remember(9, c.Epoch, 3)
		require.Equal(t, 1, listed(w, "c"))

		w.Restart()
		require.Equal(t, 1, listed(w, "c"))
		require.Equal(t, c.Epoch, w.Database.Row("c").Unflushed)
		m.breakDown(nil)
		w.Pass(2 * time.Minute)
		require.Equal(t, []uint32{c.Epoch}, m.marks(9))
		require.Zero(t, w.Database.Row("c").Unflushed)
		require.Empty(t, w.Ctl.Snapshot().Warnings)
		require.Equal(t, 1, listed(w, "c"))
	})
}

// Where the database was lost nobody knows whose connections are in the zones, but by their
// addresses.
func TestConnectionsOutliveTheDatabase(t *testing.T) {
	trackedWorld(t, agenttest.File("a: 80"), func(w *agenttest.World, m *memory) {
		a := w.Database.Row("a")
		pol, _, err := w.Policy.Load()
		require.NoError(t, err)
		own := agenttest.TCPTo(a.Zone, a.Epoch, 0, 7)
		own.Dst = pol.Instances[0].Ports[0].Addresses[0].Addr()
		foreign := agenttest.TCPTo(a.Zone, a.Epoch, 0, 8)
		foreign.Dst = netip.MustParseAddr("203.0.113.254")
		m.mu.Lock()
		m.held.List = []ofswitch.Connection{own, foreign}
		m.mu.Unlock()
		w.Stop()
		w.Database.Edit(func(f *agenttest.Database) {
			row := f.Snap.Ports["a"]
			row.Zone, row.Epoch = 0, 0
			f.Snap.Revision, f.Snap.LastZone, f.Snap.Ports = 0, 0, map[string]bridge.Port{"a": row}
		})
		w.Start()
		w.InSync()
		require.Equal(t, a.Zone, w.Database.Row("a").Zone)
		require.Equal(t, []ofswitch.Connection{own}, m.held.List)
	})
}

func TestManyZonesAreLookedAtOnce(t *testing.T) {
	trackedWorld(t, agenttest.File("z: 1"), func(w *agenttest.World, m *memory) {
		m.remember(5, 1, 1)
		m.remember(60000, 1, 2)
		var flushed []uint16
		m.flush = func(zone uint16) { flushed = append(flushed, zone) }
		var many []string
		for c := 'a'; c <= 'o'; c++ {
			many = append(many, string(c)+": 80")
		}
		w.Policy.Set(agenttest.File(append(many, "z: 1")...))
		w.InSync()
		require.Equal(t, []uint16{5}, flushed, "only what holds something, and is ours")
		require.Equal(t, []uint32{1}, m.marks(60000))
	})
}

// Names of devices are used again: vnet3 is another machine's by tomorrow.
func TestAPortOfTheSameNameForAnotherInstance(t *testing.T) {
	swap := strings.NewReplacer("{name: i-a,", "{name: i-x,", "02:00:00:00:00:01",
		"02:00:00:00:00:99")
	for name, change := range map[string]struct {
		text    func(string) string
		sameOne bool
	}{
		"another machine": {swap.Replace, false},
		"another name": {func(s string) string {
			return strings.ReplaceAll(s, "{name: i-a,", "{name: i-x,")
		}, true},
		"another card": {func(s string) string {
			return strings.ReplaceAll(s, "02:00:00:00:00:01", "02:00:00:00:00:99")
		}, true},
	} {
		for _, forgets := range []string{"", "the row", "the daemon"} {
			t.Run(name+", forgets "+forgets, func(t *testing.T) {
				trackedWorld(t, agenttest.File("a: 80", "b: 22"), func(w *agenttest.World,
					m *memory) {
					a := w.Database.Row("a")
					m.remember(a.Zone, a.Epoch, 1, 2)
					next := change.text(agenttest.File("a: 80", "b: 22"))
					switch forgets {
					case "the row": // libvirt makes it anew
						w.Policy.Write(next)
						w.Database.Edit(func(f *agenttest.Database) {
							f.Snap.Ports["a"] = f.Numbered(bridge.Port{Name: "a"})
						})
						w.Ctl.Reload()
					case "the daemon":
						w.Stop()
						w.Policy.Write(next)
						w.Start()
					default:
						w.Policy.Set(next)
					}
					w.InSync()
					require.Equal(t, change.sameOne, w.Database.Row("a").Zone == a.Zone)
					require.Equal(t, change.sameOne, listed(w, "a") == 2)
					require.Equal(t, change.sameOne, len(m.marks(a.Zone)) == 2)
				})
			})
		}
	}
}

// Every host has a vnet0: what runs elsewhere by the name of a port is not what ran here.
func TestAPortOfTheSameNameOnAnotherHost(t *testing.T) {
	text := strings.NewReplacer("{name: i-a,", "{name: i-a, host: hv1,", "ports: [{name: b,",
		"ports: [{name: a,").Replace(agenttest.File("a: 80", "far-b: 22"))
	trackedWorld(t, text, func(w *agenttest.World, m *memory) {
		a := w.Database.Row("a")
		m.remember(a.Zone, a.Epoch, 1, 2)
		w.Database.Edit(func(f *agenttest.Database) {
			f.Snap.Ports["a"] = f.Numbered(bridge.Port{Name: "a"})
		})
		w.Ctl.Reload()
		w.InSync()
		require.Equal(t, a.Zone, w.Database.Row("a").Zone)
		require.Equal(t, 2, listed(w, "a"))
	})
}
