package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

func TestPortWithoutADeviceHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, agenttest.File("a: 80", "b: 22"))
		w.Database.Absent["a"] = "could not open network device a (No such device)"
		w.Start()
		w.InSync()
		require.Equal(w.T, agent.PortAbsent, w.Port("a").State)
		require.Contains(w.T, w.Port("a").Reason, "No such device")
		require.Equal(w.T, "in sync (1 of 1 port in force, 1 absent)", w.Ctl.Snapshot().Summary)
		require.Equal(w.T, agent.PortApplied, w.Port("b").State)
		w.Journal.Take()
		b := w.Database.Row("b").Epoch
		w.Database.SetPresent("a")
		w.InSync()
		require.Equal(w.T, agent.PortApplied, w.Port("a").State)
		require.Len(w.T, w.Journal.Take(), 1, "its epoch was never used: only the bundle")
		require.Equal(w.T, b, w.Database.Row("b").Epoch)
		w.Stop()
	})
}

func TestPortThatComesBackIsJudgedAgain(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443", "b: 22"), func(w *agenttest.World) {
		epoch := w.Database.Row("a").Epoch
		w.Database.SetAbsent("a", "No such device")
		w.InSync()
		w.Policy.Set(agenttest.File("a: 80", "b: 22"))
		w.InSync()
		w.Database.SetPresent("a")
		w.InSync()
		require.Greater(w.T, w.Database.Row("a").Epoch, epoch,
			"the kernel may still know connections of it")
	})
}

func TestNewOFPortIsFollowedInOneBundle(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22"), func(w *agenttest.World) {
		w.Database.Edit(func(f *agenttest.Database) {
			a, b := f.Snap.Ports["a"], f.Snap.Ports["b"]
			a.OFPort, b.OFPort = b.OFPort, a.OFPort
			f.Snap.Ports["a"], f.Snap.Ports["b"] = a, b
		})
		w.InSync()
		require.Len(w.T, w.Journal.Take(), 1)
	})
}

func TestOFPortInUseTwiceHoldsUpNobody(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22"), func(w *agenttest.World) {
		w.Database.Edit(func(f *agenttest.Database) {
			b := f.Snap.Ports["b"]
			b.OFPort = f.Snap.Ports["a"].OFPort
			f.Snap.Ports["b"] = b
		})
		w.Policy.Set(agenttest.File("a: 80 443", "b: 22"))
		w.Settle()
		require.Equal(w.T, agent.StateDegraded, w.Ctl.Snapshot().State)
		require.True(w.T, w.Ctl.Snapshot().Settled(), "nothing is to be waited for")
		require.Equal(w.T, agent.PortApplied, w.Port("a").State)
		require.Equal(w.T, agent.PortError, w.Port("b").State)
		require.Contains(w.T, w.Port("b").Reason, "a has its port number")
		require.Contains(w.T, w.Ctl.Snapshot().Summary,
			"degraded (1 of 2 ports in force): port b: Open vSwitch says that a has its port number")
		w.Database.SetPresent("b")
		w.InSync()
		require.Equal(w.T, agent.PortApplied, w.Port("b").State)
	})
}

func TestUplinkIsFollowed(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.Database.Edit(func(f *agenttest.Database) {
			f.Snap.Ports["eth1"] = bridge.Port{Name: "eth1", OFPort: 77}
		})
		w.InSync()
		require.Equal(w.T, uint32(77), w.Ctl.Snapshot().Uplinks[0].OFPort)
		w.Database.Edit(func(f *agenttest.Database) {
			f.Snap.Ports["eth1"] = bridge.Port{Name: "eth1", Error: "No such device"}
		})
		w.InSync()
		require.Equal(w.T, "No such device", w.Ctl.Snapshot().Uplinks[0].Reason)
	})
}

// A device that is set down passes nothing, though all of its flows are there: it is in force, and
// not waited for, because a machine that is off may leave it so; but it is told.
func TestDeviceThatIsSetDownIsTold(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		set := func(down bool) {
			w.Database.Edit(func(f *agenttest.Database) {
				a := f.Snap.Ports["a"]
				a.Down = down
				f.Snap.Ports["a"] = a
				f.Snap.Ports["eth1"] = bridge.Port{Name: "eth1", OFPort: 77, Down: down}
			})
			w.InSync()
		}
		set(true)
		require.Equal(w.T, agent.PortApplied, w.Port("a").State)
		require.Equal(w.T, "its device is set down, nothing passes: ip link set a up",
			w.Port("a").Reason)
		require.Equal(w.T, "its device is set down, nothing passes: ip link set eth1 up",
			w.Ctl.Snapshot().Uplinks[0].Reason)
		require.True(w.T, w.Ctl.Snapshot().Settled(), "nothing is to be waited for")
		set(false)
		require.Empty(w.T, w.Port("a").Reason)
		require.Empty(w.T, w.Ctl.Snapshot().Uplinks[0].Reason)
	})
}

func TestZoneConflictGoesToTheLaterName(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22", "c: 1"), func(w *agenttest.World) {
		a, b := w.Database.Row("a"), w.Database.Row("b")
		w.Database.Edit(func(f *agenttest.Database) {
			row := f.Snap.Ports["b"]
			row.Zone = a.Zone
			f.Snap.Ports["b"] = row
		})
		w.InSync()
		require.Equal(w.T, a, w.Database.Row("a"))
		require.Equal(w.T, b.Zone, w.Database.Row("b").Zone, "the one that it had")
		require.Greater(w.T, w.Database.Row("b").Epoch, b.Epoch)
	})
}

// A port that somebody else made keeps its row, and with it perhaps an old epoch.
func TestPortThatLeftThePolicyAndCameBack(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443", "b: 22"), func(w *agenttest.World) {
		w.Database.Edit(func(f *agenttest.Database) {
			row := f.Snap.Ports["a"]
			row.Owned = false
			f.Snap.Ports["a"] = row
		})
		w.InSync()
		old := w.Database.Row("a")
		w.Policy.Set(agenttest.File("b: 22"))
		w.InSync()
		require.Equal(w.T, old.Epoch, w.Database.Row("a").Epoch)
		w.Policy.Set(agenttest.File("a: 80", "b: 22"))
		w.InSync()
		require.Greater(w.T, w.Database.Row("a").Epoch, old.Epoch)
	})
}

func TestEpochSetBackByHandIsNotUsed(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443"), func(w *agenttest.World) {
		first := w.Database.Row("a").Epoch
		w.Policy.Set(agenttest.File("a: 80"))
		w.InSync()
		second := w.Database.Row("a").Epoch
		w.Database.Edit(func(f *agenttest.Database) {
			row := f.Snap.Ports["a"]
			row.Epoch = first
			f.Snap.Ports["a"] = row
		})
		w.InSync()
		require.Greater(w.T, w.Database.Row("a").Epoch, second)
	})
}

// An epoch that the database does not hold must not reach the switch: after a crash nobody would
// know of it.
func TestEpochThatTheDatabaseDoesNotHoldIsNotUsed(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443", "b: 22"), func(w *agenttest.World) {
		old := w.Database.Row("a")
		w.Database.Edit(func(f *agenttest.Database) {
			f.Rival = func(rows map[string]bridge.Port) { rows["a"] = old }
		})
		w.Policy.Set(agenttest.File("a: 80", "b: 22"))
		w.Pass(time.Second)
		require.Equal(w.T, agent.PortPending, w.Port("a").State)
		require.Equal(w.T, agent.PortApplied, w.Port("b").State)
		w.Database.Edit(func(f *agenttest.Database) { f.Rival = nil })
		w.InSync()
		require.Greater(w.T, w.Database.Row("a").Epoch, old.Epoch)
	})
}

func TestDatabaseThatLostEverythingStartsAbove(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		old := w.Database.Row("a").Epoch
		w.Stop()
		time.Sleep(time.Hour)
		w.Database = agenttest.NewDatabase(w.Journal)
		w.Start()
		w.InSync()
		require.Greater(w.T, w.Database.Row("a").Epoch, old)
	})
}

func TestPortThatTheDatabaseRefuses(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.Database.Edit(func(f *agenttest.Database) {
			f.Refused["b"] = "it is on bridge br-ex, not on br-int"
		})
		w.Policy.Set(agenttest.File("a: 80", "b: 22"))
		w.InSync()
		require.Equal(w.T, agent.PortError, w.Port("b").State)
		require.Contains(w.T, w.Port("b").Reason, "br-ex")
		revision, ensures := w.Database.Revision(), w.Database.Ensures.Load()
		w.Pass(time.Hour)
		require.Equal(w.T, revision, w.Database.Revision(),
			"asking again and again uses up no revisions")
		require.LessOrEqual(w.T, w.Database.Ensures.Load()-ensures, int64(61))
		w.Database.Edit(func(f *agenttest.Database) { delete(f.Refused, "b") })
		w.InSync()
		require.Equal(w.T, agent.PortApplied, w.Port("b").State)
	})
}

func TestPortWhoseFlowIsRefusedHoldsUpNobody(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.Sw.Refuse("reg1=0x2")
		w.Policy.Set(agenttest.File("a: 80 443", "b: 22"))
		w.Pass(time.Second)
		require.True(w.T, w.Ctl.Snapshot().Settled())
		require.Equal(w.T, agent.StateDegraded, w.Ctl.Snapshot().State)
		require.Equal(w.T, agent.PortApplied, w.Port("a").State)
		require.Equal(w.T, agent.PortError, w.Port("b").State)
		require.Contains(w.T, w.Port("b").Reason, "OFPBMC_BAD_FIELD")
		held, _ := w.Sw.Holds()
		for _, f := range held {
			require.NotContains(w.T, f.Match.String(), "in_port=2,", "nothing enters by it")
		}
		applies := w.Sw.Applies.Load()
		w.Pass(10 * time.Minute)
		require.InDelta(w.T, 10, w.Sw.Applies.Load()-applies, 2,
			"tried again at each regular look, and not in between")
		require.Equal(w.T, agent.PortApplied, w.Port("a").State)
		w.Sw.Refuse("")
		w.Pass(2 * time.Minute)
		w.InSync()
		require.Equal(w.T, agent.PortApplied, w.Port("b").State)
		w.Sw.Refuse("reg1=0x1")
		w.Policy.Set(agenttest.File("a: 80", "b: 22"))
		w.Pass(time.Second)
		require.Equal(w.T, agent.PortApplied, w.Port("a").State,
			"what it has passes, judged by the rules")
		require.Contains(w.T, strings.Join(w.Ctl.Snapshot().Warnings, "\n"), "judged by the rules")
		w.Policy.Set(agenttest.File("a: 80 1", "b: 22"))
		w.Pass(time.Second)
		require.Len(w.T, w.Ctl.Snapshot().Policy.Refused, 1, "and what is new of it is left out")
		w.Sw.Refuse("")
		w.Pass(2 * time.Minute)
		w.InSync()
		require.Empty(w.T, w.Ctl.Snapshot().Warnings)
	})
}

func TestManyPortsHaveManyZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var entries []string
		for c := 'a'; c <= 'z'; c++ {
			entries = append(entries, fmt.Sprintf("%c: 80", c))
		}
		w := agenttest.NewWorld(t, agenttest.File(entries...))
		w.Start()
		w.InSync()
		seen := map[uint16]bool{}
		for _, p := range w.Ctl.Snapshot().Ports {
			require.False(w.T, seen[p.Zone])
			require.NotZero(w.T, p.Zone)
			seen[p.Zone] = true
		}
		w.Policy.Set(agenttest.File())
		w.InSync()
		require.Empty(w.T, w.Ctl.Snapshot().Ports)
		held, _ := w.Sw.Holds()
		require.Len(w.T, held, len(flows.Pipeline())+countAlways(held),
			"what remains is about no port")
		w.Stop()
	})
}

// countAlways counts the flows that every program has beside the misses.
func countAlways(held []openflow.Flow) int {
	n := 0
	for _, f := range held {
		if f.Priority > 0 {
			n++
		}
	}
	return n
}
