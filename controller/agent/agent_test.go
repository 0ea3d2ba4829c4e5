package agent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

func TestProgramsThePolicy(t *testing.T) {
	run(t, file("a: 80", "b: 22", "far-c: 1"), func(w *world) {
		w.inSync()
		s := w.ctl.Snapshot()
		require.Len(w.t, s.Ports, 2, "the third is on another host")
		require.Equal(w.t, agent.PortApplied, w.port("a").State)
		require.Equal(w.t, "3.1.0", s.OVS)
		require.LessOrEqual(w.t, s.Counters.Applies, 2, "at most one more before the ports have their numbers")
		require.True(w.t, w.sw.prepared.Load())
		require.Equal(w.t, []string{"ipv6_src", "nw_src"}, w.database.wanted().Prefixes[52])
		require.Len(w.t, s.Uplinks, 1)
		require.NotEmpty(w.t, s.Uplinks[0].Reason)
	})
}

func TestInvalidPolicyAtTheStartIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "groups: 1\nbogus: 2\n")
		w.start()
		err := <-w.ended
		w.cancel()
		require.ErrorContains(w.t, err, "bogus")
		require.ErrorContains(w.t, err, "groups")
		require.Empty(w.t, w.journal.take())
	})
}

func TestNothingIsWrittenBeforeTheRowsAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, file("a: 80"))
		w.database.offline = true
		w.sw.held[flows.Key{Table: 40}] = flows.Flow{Table: 40, Actions: "drop", Cookie: 1}
		w.start()
		w.pass(time.Hour)
		require.Empty(w.t, w.journal.take())
		require.Equal(w.t, agent.StateStarting, w.ctl.Snapshot().State)
		require.ErrorContains(w.t, errors.New(w.ctl.Snapshot().Error), "not connected")
		w.database.edit(func(f *fakeDatabase) { f.offline = false })
		w.inSync()
		w.stop()
	})
}

func TestNothingIsProgrammedWithoutTheSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, file("a: 80"))
		w.sw.stop()
		w.start()
		w.pass(time.Minute)
		require.Equal(w.t, agent.StateStarting, w.ctl.Snapshot().State)
		require.Zero(w.t, w.sw.applies.Load())
		require.NotZero(w.t, w.database.row("a").Epoch, "the ports are made before the switch is there")
		w.sw.start()
		w.pass(2 * time.Second)
		w.inSync()
		w.stop()
	})
}

func TestRestartWithNothingChangedWritesNothing(t *testing.T) {
	run(t, file("a: 80", "b: 22"), func(w *world) {
		epoch, revision := w.database.row("a").Epoch, w.database.revision()
		w.restart()
		w.inSync()
		w.pass(5 * time.Minute)
		require.Empty(w.t, w.journal.take())
		require.Equal(w.t, epoch, w.database.row("a").Epoch)
		require.Equal(w.t, revision, w.database.revision())
	})
}

// The switch is listened to only a while after the start; until then nothing may be concluded from what it holds.
func TestRestartWhileTheSwitchIsSlowWritesNothing(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		w.stop()
		down := w.sw.down
		closed := make(chan struct{})
		close(closed)
		w.sw.down = closed
		w.start()
		w.pass(3 * time.Second)
		w.sw.mu.Lock()
		w.sw.down = down
		w.sw.mu.Unlock()
		w.pass(3 * time.Second)
		w.inSync()
		require.Empty(w.t, w.journal.take())
	})
}

func TestRestartAfterAChangeGivesNewEpochsFirst(t *testing.T) {
	run(t, file("a: 80", "b: 22"), func(w *world) {
		old := w.database.row("a").Epoch
		w.stop()
		w.policy.write(file("a: 80 443", "b: 22"))
		w.start()
		w.inSync()
		require.Greater(w.t, w.database.row("a").Epoch, old)
		require.Greater(w.t, w.database.row("b").Epoch, old)
		entries := w.journal.take()
		require.Len(w.t, entries, 2)
		require.Contains(w.t, entries[0], "database")
		require.Contains(w.t, entries[1], "bundle")
	})
}

func TestOnlyWhoLosesGetsANewEpoch(t *testing.T) {
	run(t, file("a: 80 443", "b: 22"), func(w *world) {
		a, b := w.database.row("a").Epoch, w.database.row("b").Epoch
		w.policy.set(file("a: 80 443", "b: 22 23"))
		w.inSync()
		require.Len(w.t, w.journal.take(), 1, "gaining needs no epoch: one bundle, nothing written to the database")
		w.policy.set(file("a: 80", "b: 22 23"))
		w.inSync()
		require.Equal(w.t, a+1, w.database.row("a").Epoch)
		require.Equal(w.t, b, w.database.row("b").Epoch)
		entries := w.journal.take()
		require.Len(w.t, entries, 2)
		require.Contains(w.t, entries[0], "database")
	})
}

func TestCrashBetweenWriteAheadAndBundle(t *testing.T) {
	run(t, file("a: 80 443", "b: 22"), func(w *world) {
		old := w.database.row("a").Epoch
		w.sw.fail(faultStall)
		w.policy.set(file("a: 80", "b: 22"))
		w.settle()
		ahead := w.database.row("a").Epoch
		require.Greater(w.t, ahead, old, "written ahead")
		w.stop()
		w.sw.fail()
		w.start()
		w.inSync()
		require.Greater(w.t, w.database.row("a").Epoch, ahead, "it cannot be known what the bundle did")
	})
}

func TestLossIsNotProgrammedWhileTheDatabaseCannotTakeIt(t *testing.T) {
	run(t, file("a: 80 443"), func(w *world) {
		w.database.edit(func(f *fakeDatabase) { f.failing = errors.New("constraint violation") })
		w.policy.set(file("a: 80"))
		w.pass(30 * time.Second)
		require.Empty(w.t, w.journal.take())
		require.ErrorContains(w.t, errors.New(w.ctl.Snapshot().Error), "constraint violation")
		require.Equal(w.t, agent.StateDegraded, w.ctl.Snapshot().State)
		before := w.database.revision()
		w.database.edit(func(f *fakeDatabase) { f.failing = nil })
		w.inSync()
		require.Equal(w.t, before+1, w.database.revision(), "retries do not use up revisions")
	})
}

func TestRefusedBundleIsRetriedWithBackOff(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		w.sw.fail(faultRefuse)
		applies := w.sw.applies.Load()
		w.policy.set(file("a:"))
		w.settle()
		held, _ := w.sw.holds()
		require.Equal(w.t, agent.StateDegraded, w.ctl.Snapshot().State)
		require.Contains(w.t, w.ctl.Snapshot().Error, "OFPFMFC_UNKNOWN")
		require.Contains(w.t, w.ctl.Snapshot().Error, "table=")
		require.Contains(w.t, w.ctl.Snapshot().Apply.Error, "OFPFMFC_UNKNOWN")
		require.Equal(w.t, []int{4, 4}, []int{w.ctl.Snapshot().Apply.Adds, w.ctl.Snapshot().Apply.Deletes})
		require.Equal(w.t, agent.PortPending, w.port("a").State)
		dumps := w.sw.dumps.Load()
		w.pass(time.Second) // after 100, 300, 700 ms
		require.Equal(w.t, applies+4*3, w.sw.applies.Load(), "all of it, what needs no room, and what is deleted")
		require.Equal(w.t, dumps, w.sw.dumps.Load(), "nothing was changed, so nothing is read back")
		w.pass(time.Minute)
		require.InDelta(w.t, applies+(4+14)*3, w.sw.applies.Load(), 9, "every 5 s at most")
		now, _ := w.sw.holds()
		require.ElementsMatch(w.t, held, now)
		w.sw.fail()
		w.pass(5 * time.Second)
		w.inSync()
		require.Empty(w.t, w.ctl.Snapshot().Apply.Error)
	})
}

func TestRefusedLossDoesNotUseUpRevisions(t *testing.T) {
	run(t, file("a: 80 443"), func(w *world) {
		before := w.database.revision()
		w.sw.fail(faultRefuse)
		w.policy.set(file("a: 80"))
		w.pass(time.Minute)
		require.Equal(w.t, before+1, w.database.revision())
		w.sw.fail()
		w.pass(5 * time.Second)
		w.inSync()
		require.Equal(w.t, before+1, w.database.revision())
	})
}

func TestBundleWhoseAnswerIsLostIsReadBack(t *testing.T) {
	run(t, file("a: 80 443"), func(w *world) {
		w.sw.fail(faultAfter, faultNone)
		w.policy.set(file("a: 80"))
		w.inSync()
		require.Len(w.t, w.journal.take(), 2, "one write, one bundle: it was recognised")
	})
}

func TestBundleThatMayHaveRunCostsANewEpoch(t *testing.T) {
	run(t, file("a: 80 81 82"), func(w *world) {
		w.sw.fail(faultAfter, faultNone)
		w.policy.set(file("a: 80 81"))
		w.settle()
		second := w.database.row("a").Epoch
		w.policy.set(file("a: 80"))
		w.inSync()
		require.Greater(w.t, w.database.row("a").Epoch, second, "a connection to 81 may carry the second epoch")
	})
}

func TestSignalsAreCoalesced(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		w.sw.fail(faultStall, faultNone)
		w.policy.set(file("a: 80 81"))
		w.settle()
		ensures, applies := w.database.ensures.Load(), w.sw.applies.Load()
		for range 1000 {
			w.policy.set(file("a: 80 82"))
			w.database.edit(func(*fakeDatabase) {})
			w.sw.operate(func(map[flows.Key]flows.Flow) {})
			w.ctl.Reload()
		}
		w.pass(2 * time.Minute)
		w.inSync()
		require.LessOrEqual(w.t, w.database.ensures.Load()-ensures, int64(10))
		require.Equal(w.t, applies+1, w.sw.applies.Load())
	})
}

func TestInvalidReloadKeepsThePolicy(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		held, _ := w.sw.holds()
		w.policy.set(file("a: 80 99999"))
		w.settle()
		s := w.ctl.Snapshot()
		require.Equal(w.t, agent.StateDegraded, s.State)
		require.Len(w.t, s.Policy.Errors, 1)
		require.Contains(w.t, s.Policy.Errors[0], "policy.yaml:")
		require.Equal(w.t, 1, s.Counters.ReloadsFailed)
		require.Equal(w.t, agent.PortApplied, w.port("a").State)
		now, _ := w.sw.holds()
		require.ElementsMatch(w.t, held, now)
		require.Empty(w.t, w.journal.take())
		// A port that comes back meanwhile is programmed with the policy in force.
		w.database.setAbsent("a", "No such device")
		w.settle()
		w.database.setPresent("a")
		w.settle()
		require.Equal(w.t, agent.PortApplied, w.port("a").State)
		w.policy.set(file("a: 80"))
		w.inSync()
	})
}

func TestCommentChangesNothing(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		w.policy.set(file("a: 80") + "# a comment\n")
		w.inSync()
		require.Empty(w.t, w.journal.take())
	})
}

func TestDriftIsRepaired(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		epoch := w.database.row("a").Epoch
		extra := flows.Flow{Table: 52, Priority: 999, Actions: "set_field:0x1/0x1->reg0", Cookie: 7}
		w.sw.operate(func(held map[flows.Key]flows.Flow) { held[extra.Key()] = extra })
		w.inSync()
		require.Equal(w.t, 1, w.ctl.Snapshot().Counters.DriftRepaired)
		require.Greater(w.t, w.database.row("a").Epoch, epoch, "what it let in is judged again")

		// Changed without anybody hearing it: found at the next look.
		w.sw.mu.Lock()
		for k, f := range w.sw.held {
			if f.Table == 53 {
				f.Actions = "resubmit(,60)"
				w.sw.held[k] = f
			}
		}
		w.sw.mu.Unlock()
		w.settle()
		w.pass(61 * time.Second)
		w.inSync()
		require.Greater(w.t, w.ctl.Snapshot().Counters.DriftRepaired, 1)
	})
}

func TestDriftThatCannotBeRepairedIsTold(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		w.sw.fail(faultRefuse)
		w.sw.operate(func(held map[flows.Key]flows.Flow) { clear(held) })
		w.settle()
		require.Equal(w.t, agent.StateDegraded, w.ctl.Snapshot().State)
		require.Equal(w.t, agent.PortPending, w.port("a").State)
		require.Zero(w.t, w.ctl.Snapshot().Counters.DriftRepaired)
		require.Zero(w.t, w.ctl.Snapshot().Flows)
		w.sw.fail()
		w.pass(5 * time.Second)
		w.inSync()
		require.NotZero(w.t, w.ctl.Snapshot().Counters.DriftRepaired)
	})
}

func TestRestartedSwitchThatRefusesIsTold(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		w.sw.fail(faultRefuse)
		w.sw.stop()
		w.settle()
		w.sw.start()
		w.pass(2 * time.Second)
		require.Equal(w.t, agent.PortPending, w.port("a").State, "it had been programmed, and is not any more")
		w.sw.fail()
		w.pass(5 * time.Second)
		w.inSync()
	})
}

func TestEmptiedSwitchIsFilledAgain(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		epoch := w.database.row("a").Epoch
		w.sw.operate(func(held map[flows.Key]flows.Flow) { clear(held) })
		w.inSync()
		require.Greater(w.t, w.database.row("a").Epoch, epoch, "who knows what was there before it was emptied")
	})
}

func TestSwitchRestartReinstalls(t *testing.T) {
	run(t, file("a: 80", "b: 22"), func(w *world) {
		epoch := w.database.row("a").Epoch
		w.sw.stop()
		w.settle()
		require.Equal(w.t, agent.StateDegraded, w.ctl.Snapshot().State)
		require.Equal(w.t, agent.PortPending, w.port("a").State)
		w.pass(10 * time.Minute)
		w.sw.start()
		w.pass(1100 * time.Millisecond)
		w.inSync()
		require.True(w.t, w.sw.prepared.Load())
		require.Equal(w.t, epoch, w.database.row("a").Epoch)
		require.Len(w.t, w.journal.take(), 1)
	})
}

// The policy loses a permission while the switch is away; the kernel keeps its connections.
func TestLossDuringASwitchRestart(t *testing.T) {
	run(t, file("a: 80 443", "b: 22"), func(w *world) {
		a, b := w.database.row("a").Epoch, w.database.row("b").Epoch
		w.sw.stop()
		w.settle()
		w.policy.set(file("a: 80", "b: 22"))
		w.settle()
		w.sw.start()
		w.pass(2 * time.Second)
		w.inSync()
		require.Greater(w.t, w.database.row("a").Epoch, a)
		require.Equal(w.t, b, w.database.row("b").Epoch)
	})
}

func TestDatabaseLostKeepsTheFlows(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		held, _ := w.sw.holds()
		w.database.edit(func(f *fakeDatabase) { f.offline = true })
		w.policy.set(file("a: 80 81"))
		w.pass(time.Minute)
		require.Equal(w.t, agent.StateDegraded, w.ctl.Snapshot().State)
		now, _ := w.sw.holds()
		require.ElementsMatch(w.t, held, now)
		w.database.edit(func(f *fakeDatabase) { f.offline = false })
		w.inSync()
	})
}

func TestCancelLeavesTheFlows(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		held, _ := w.sw.holds()
		w.sw.fail(faultStall)
		w.policy.set(file("a: 81"))
		w.settle()
		w.stop() // in the middle of a bundle
		now, _ := w.sw.holds()
		require.ElementsMatch(w.t, held, now)
		w.sw.fail()
		w.start()
		w.inSync()
	})
}

func TestSettle(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		settle := func(limit time.Duration) (*agent.Snapshot, error) {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			return w.ctl.Settle(ctx)
		}
		// What the files say now counts, also if nobody has told of the change.
		w.policy.write(file("a: 80 81"))
		s, err := settle(time.Second)
		require.NoError(w.t, err)
		require.Equal(w.t, agent.StateInSync, s.State)
		w.inSync()
		// Invalid files are an answer, at once.
		w.policy.write("groups: 3\n")
		began := time.Now()
		s, err = settle(time.Second)
		require.NoError(w.t, err)
		require.NotEmpty(w.t, s.Policy.Errors)
		require.Zero(w.t, time.Since(began))
		// A port that Open vSwitch has not looked at yet is waited for; one that it cannot open is not.
		w.database.edit(func(f *fakeDatabase) { f.absent["b"] = "" })
		w.policy.write(file("a: 80", "b: 22"))
		s, err = settle(time.Second)
		require.ErrorIs(w.t, err, context.DeadlineExceeded)
		require.Equal(w.t, agent.StatePending, s.State)
		w.database.setAbsent("b", "could not open network device b (No such device)")
		s, err = settle(time.Second)
		require.NoError(w.t, err)
		require.Equal(w.t, agent.StateInSync, s.State)
		require.Equal(w.t, agent.PortError, w.port("b").State)
		require.Contains(w.t, w.port("b").Reason, "No such device")
		// A bundle that fails is waited for.
		w.sw.fail(faultRefuse)
		w.policy.write(file("a: 8080", "b: 22"))
		s, err = settle(time.Second)
		require.ErrorIs(w.t, err, context.DeadlineExceeded)
		require.NotEmpty(w.t, s.Error)
		w.sw.fail()
		_, err = settle(10 * time.Second)
		require.NoError(w.t, err)
	})
}

func TestProgrammed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, file("a: 80"))
		w.sw.fail(faultRefuse)
		w.start()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		programmed := func(s *agent.Snapshot) bool { return s.State != agent.StateStarting }
		_, err := w.ctl.Hub().Await(ctx, programmed)
		require.ErrorIs(w.t, err, context.DeadlineExceeded)
		w.sw.fail()
		_, err = w.ctl.Hub().Await(context.Background(), programmed)
		require.NoError(w.t, err)
		w.stop()
	})
}

func TestDatapathTypeIsNoObstacle(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		w.database.edit(func(f *fakeDatabase) { f.failing = errors.Join(bridge.ErrDatapathType) })
		w.settle()
		w.inSync()
	})
}
