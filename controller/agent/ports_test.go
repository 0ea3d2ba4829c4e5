package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

func TestPortWithoutADeviceHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, file("a: 80", "b: 22"))
		w.database.absent["a"] = "could not open network device a (No such device)"
		w.start()
		w.inSync()
		require.Equal(w.t, agent.PortError, w.port("a").State)
		require.Contains(w.t, w.port("a").Reason, "No such device")
		require.Equal(w.t, agent.PortApplied, w.port("b").State)
		w.journal.take()
		b := w.database.row("b").Epoch
		w.database.setPresent("a")
		w.inSync()
		require.Equal(w.t, agent.PortApplied, w.port("a").State)
		require.Len(w.t, w.journal.take(), 1, "its epoch was never used: only the bundle")
		require.Equal(w.t, b, w.database.row("b").Epoch)
		w.stop()
	})
}

func TestPortThatComesBackIsJudgedAgain(t *testing.T) {
	run(t, file("a: 80 443", "b: 22"), func(w *world) {
		epoch := w.database.row("a").Epoch
		w.database.setAbsent("a", "No such device")
		w.inSync()
		w.policy.set(file("a: 80", "b: 22"))
		w.inSync()
		w.database.setPresent("a")
		w.inSync()
		require.Greater(w.t, w.database.row("a").Epoch, epoch, "the kernel may still know connections of it")
	})
}

func TestNewOFPortIsFollowedInOneBundle(t *testing.T) {
	run(t, file("a: 80", "b: 22"), func(w *world) {
		w.database.edit(func(f *fakeDatabase) {
			a, b := f.snap.Ports["a"], f.snap.Ports["b"]
			a.OFPort, b.OFPort = b.OFPort, a.OFPort
			f.snap.Ports["a"], f.snap.Ports["b"] = a, b
		})
		w.inSync()
		require.Len(w.t, w.journal.take(), 1)
	})
}

func TestOFPortInUseTwiceHoldsUpNobody(t *testing.T) {
	run(t, file("a: 80", "b: 22"), func(w *world) {
		w.database.edit(func(f *fakeDatabase) {
			b := f.snap.Ports["b"]
			b.OFPort = f.snap.Ports["a"].OFPort
			f.snap.Ports["b"] = b
		})
		w.policy.set(file("a: 80 443", "b: 22"))
		w.settle()
		require.Equal(w.t, agent.StateInSync, w.ctl.Snapshot().State)
		require.Equal(w.t, agent.PortApplied, w.port("a").State)
		require.Equal(w.t, agent.PortError, w.port("b").State)
		require.Contains(w.t, w.port("b").Reason, "a has its port number")
		w.database.setPresent("b")
		w.inSync()
		require.Equal(w.t, agent.PortApplied, w.port("b").State)
	})
}

func TestUplinkIsFollowed(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		w.database.edit(func(f *fakeDatabase) { f.snap.Ports["eth1"] = bridge.Port{Name: "eth1", OFPort: 77} })
		w.inSync()
		require.Equal(w.t, uint32(77), w.ctl.Snapshot().Uplinks[0].OFPort)
		w.database.edit(func(f *fakeDatabase) { f.snap.Ports["eth1"] = bridge.Port{Name: "eth1", Error: "No such device"} })
		w.inSync()
		require.Equal(w.t, "No such device", w.ctl.Snapshot().Uplinks[0].Reason)
	})
}

func TestZoneConflictGoesToTheLaterName(t *testing.T) {
	run(t, file("a: 80", "b: 22", "c: 1"), func(w *world) {
		a, b := w.database.row("a"), w.database.row("b")
		w.database.edit(func(f *fakeDatabase) {
			row := f.snap.Ports["b"]
			row.Zone = a.Zone
			f.snap.Ports["b"] = row
		})
		w.inSync()
		require.Equal(w.t, a, w.database.row("a"))
		require.Equal(w.t, b.Zone, w.database.row("b").Zone, "the one that it had")
		require.Greater(w.t, w.database.row("b").Epoch, b.Epoch)
	})
}

// A port that somebody else made keeps its row, and with it perhaps an old epoch.
func TestPortThatLeftThePolicyAndCameBack(t *testing.T) {
	run(t, file("a: 80 443", "b: 22"), func(w *world) {
		w.database.edit(func(f *fakeDatabase) {
			row := f.snap.Ports["a"]
			row.Owned = false
			f.snap.Ports["a"] = row
		})
		w.inSync()
		old := w.database.row("a")
		w.policy.set(file("b: 22"))
		w.inSync()
		require.Equal(w.t, old.Epoch, w.database.row("a").Epoch)
		w.policy.set(file("a: 80", "b: 22"))
		w.inSync()
		require.Greater(w.t, w.database.row("a").Epoch, old.Epoch)
	})
}

func TestEpochSetBackByHandIsNotUsed(t *testing.T) {
	run(t, file("a: 80 443"), func(w *world) {
		first := w.database.row("a").Epoch
		w.policy.set(file("a: 80"))
		w.inSync()
		second := w.database.row("a").Epoch
		w.database.edit(func(f *fakeDatabase) {
			row := f.snap.Ports["a"]
			row.Epoch = first
			f.snap.Ports["a"] = row
		})
		w.inSync()
		require.Greater(w.t, w.database.row("a").Epoch, second)
	})
}

// An epoch that the database does not hold must not reach the switch: after a crash nobody would know of it.
func TestEpochThatTheDatabaseDoesNotHoldIsNotUsed(t *testing.T) {
	run(t, file("a: 80 443", "b: 22"), func(w *world) {
		old := w.database.row("a")
		w.database.edit(func(f *fakeDatabase) { f.rival = func(rows map[string]bridge.Port) { rows["a"] = old } })
		w.policy.set(file("a: 80", "b: 22"))
		w.pass(time.Second)
		require.Equal(w.t, agent.PortPending, w.port("a").State)
		require.Equal(w.t, agent.PortApplied, w.port("b").State)
		w.database.edit(func(f *fakeDatabase) { f.rival = nil })
		w.inSync()
		require.Greater(w.t, w.database.row("a").Epoch, old.Epoch)
	})
}

func TestDatabaseThatLostEverythingStartsAbove(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		old := w.database.row("a").Epoch
		w.stop()
		time.Sleep(time.Hour)
		w.database = newFakeDatabase(w.journal)
		w.start()
		w.inSync()
		require.Greater(w.t, w.database.row("a").Epoch, old)
	})
}

func TestPortThatTheDatabaseRefuses(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		w.database.edit(func(f *fakeDatabase) { f.refused["b"] = "it is on bridge br-ex, not on br-int" })
		w.policy.set(file("a: 80", "b: 22"))
		w.inSync()
		require.Equal(w.t, agent.PortError, w.port("b").State)
		require.Contains(w.t, w.port("b").Reason, "br-ex")
		revision, ensures := w.database.revision(), w.database.ensures.Load()
		w.pass(time.Hour)
		require.Equal(w.t, revision, w.database.revision(), "asking again and again uses up no revisions")
		require.LessOrEqual(w.t, w.database.ensures.Load()-ensures, int64(61))
		w.database.edit(func(f *fakeDatabase) { delete(f.refused, "b") })
		w.inSync()
		require.Equal(w.t, agent.PortApplied, w.port("b").State)
	})
}

func TestPortWhoseFlowIsRefusedHoldsUpNobody(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		w.sw.refuse("reg1=0x2")
		w.policy.set(file("a: 80 443", "b: 22"))
		w.pass(time.Second)
		require.Equal(w.t, agent.StateInSync, w.ctl.Snapshot().State)
		require.Equal(w.t, agent.PortApplied, w.port("a").State)
		require.Equal(w.t, agent.PortError, w.port("b").State)
		require.Contains(w.t, w.port("b").Reason, "OFPBMC_BAD_FIELD")
		held, _ := w.sw.holds()
		for _, f := range held {
			require.NotContains(w.t, f.Match, "in_port=2,", "nothing enters by it")
		}
		applies := w.sw.applies.Load()
		w.pass(10 * time.Minute)
		require.InDelta(w.t, 10, w.sw.applies.Load()-applies, 2, "tried again at each regular look, and not in between")
		require.Equal(w.t, agent.PortApplied, w.port("a").State)
		w.sw.refuse("")
		w.pass(2 * time.Minute)
		w.inSync()
		require.Equal(w.t, agent.PortApplied, w.port("b").State)
		w.sw.refuse("reg1=0x1")
		w.policy.set(file("a: 80", "b: 22"))
		w.pass(time.Second)
		require.Equal(w.t, agent.PortApplied, w.port("a").State, "what it has passes, judged by the rules")
		require.Contains(w.t, strings.Join(w.ctl.Snapshot().Warnings, "\n"), "judged by the rules")
		w.policy.set(file("a: 80 1", "b: 22"))
		w.pass(time.Second)
		require.Len(w.t, w.ctl.Snapshot().Policy.Refused, 1, "and what is new of it is left out")
		w.sw.refuse("")
		w.pass(2 * time.Minute)
		w.inSync()
		require.Empty(w.t, w.ctl.Snapshot().Warnings)
	})
}

func TestManyPortsHaveManyZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var entries []string
		for c := 'a'; c <= 'z'; c++ {
			entries = append(entries, fmt.Sprintf("%c: 80", c))
		}
		w := newWorld(t, file(entries...))
		w.start()
		w.inSync()
		seen := map[uint16]bool{}
		for _, p := range w.ctl.Snapshot().Ports {
			require.False(w.t, seen[p.Zone])
			require.NotZero(w.t, p.Zone)
			seen[p.Zone] = true
		}
		w.policy.set(file())
		w.inSync()
		require.Empty(w.t, w.ctl.Snapshot().Ports)
		held, _ := w.sw.holds()
		require.Len(w.t, held, len(flows.Pipeline())+countAlways(held), "what remains is about no port")
		w.stop()
	})
}

// countAlways counts the flows that every program has beside the misses.
func countAlways(held []flows.Flow) int {
	n := 0
	for _, f := range held {
		if f.Priority > 0 {
			n++
		}
	}
	return n
}
