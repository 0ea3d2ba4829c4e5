package agent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

func TestProgramsThePolicy(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22", "far-c: 1"), func(w *agenttest.World) {
		w.InSync()
		s := w.Ctl.Snapshot()
		require.Len(w.T, s.Ports, 2, "the third is on another host")
		require.Equal(w.T, agent.PortApplied, w.Port("a").State)
		require.Equal(w.T, "3.1.0", s.OVS)
		require.LessOrEqual(w.T, s.Counters.Applies, 2,
			"at most one more before the ports have their numbers")
		require.True(w.T, w.Sw.Prepared.Load())
		require.Equal(w.T, []string{"ipv6_src", "nw_src"}, w.Database.Wanted().Prefixes[52])
		require.Len(w.T, s.Uplinks, 1)
		require.NotEmpty(w.T, s.Uplinks[0].Reason)
	})
}

func TestInvalidPolicyAtTheStartIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, "groups: 1\nbogus: 2\n")
		w.Start()
		err := <-w.Ended
		w.Cancel()
		require.ErrorContains(w.T, err, "bogus")
		require.ErrorContains(w.T, err, "groups")
		require.Empty(w.T, w.Journal.Take())
	})
}

func TestNothingIsWrittenBeforeTheRowsAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, agenttest.File("a: 80"))
		w.Database.Offline = true
		w.Sw.Held[openflow.Key{Table: 40}] = openflow.Flow{Table: 40,
			Actions: openflow.ParseActions("drop"), Cookie: 1}
		w.Start()
		w.Pass(time.Hour)
		require.Empty(w.T, w.Journal.Take())
		require.Equal(w.T, agent.StateStarting, w.Ctl.Snapshot().State)
		require.ErrorContains(w.T, errors.New(w.Ctl.Snapshot().Error), "not connected")
		w.Database.Edit(func(f *agenttest.Database) { f.Offline = false })
		w.InSync()
		w.Stop()
	})
}

func TestNothingIsProgrammedWithoutTheSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, agenttest.File("a: 80"))
		w.Sw.Stop()
		w.Start()
		w.Pass(time.Minute)
		require.Equal(w.T, agent.StateStarting, w.Ctl.Snapshot().State)
		require.Zero(w.T, w.Sw.Applies.Load())
		require.NotZero(w.T, w.Database.Row("a").Epoch,
			"the ports are made before the switch is there")
		w.Sw.Start()
		w.Pass(2 * time.Second)
		w.InSync()
		w.Stop()
	})
}

func TestRestartWithNothingChangedWritesNothing(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22"), func(w *agenttest.World) {
		epoch, revision := w.Database.Row("a").Epoch, w.Database.Revision()
		w.Restart()
		w.InSync()
		w.Pass(5 * time.Minute)
		require.Empty(w.T, w.Journal.Take())
		require.Equal(w.T, epoch, w.Database.Row("a").Epoch)
		require.Equal(w.T, revision, w.Database.Revision())
	})
}

// The switch is listened to only a while after the start; until then nothing may be concluded from
// what it holds.
func TestRestartWhileTheSwitchIsSlowWritesNothing(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.Stop()
		down := w.Sw.Down
		closed := make(chan struct{})
		close(closed)
		w.Sw.Down = closed
		w.Start()
		w.Pass(3 * time.Second)
		w.Sw.Mu.Lock()
		w.Sw.Down = down
		w.Sw.Mu.Unlock()
		w.Pass(3 * time.Second)
		w.InSync()
		require.Empty(w.T, w.Journal.Take())
	})
}

func TestRestartAfterAChangeGivesNewEpochsFirst(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22"), func(w *agenttest.World) {
		old := w.Database.Row("a").Epoch
		w.Stop()
		w.Policy.Write(agenttest.File("a: 80 443", "b: 22"))
		w.Start()
		w.InSync()
		require.Greater(w.T, w.Database.Row("a").Epoch, old)
		require.Greater(w.T, w.Database.Row("b").Epoch, old)
		entries := w.Journal.Take()
		require.Len(w.T, entries, 2)
		require.Contains(w.T, entries[0], "database")
		require.Contains(w.T, entries[1], "bundle")
	})
}

func TestOnlyWhoLosesGetsANewEpoch(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443", "b: 22"), func(w *agenttest.World) {
		a, b := w.Database.Row("a").Epoch, w.Database.Row("b").Epoch
		w.Policy.Set(agenttest.File("a: 80 443", "b: 22 23"))
		w.InSync()
		require.Len(w.T, w.Journal.Take(), 1,
			"gaining needs no epoch: one bundle, nothing written to the database")
		w.Policy.Set(agenttest.File("a: 80", "b: 22 23"))
		w.InSync()
		require.Equal(w.T, a+1, w.Database.Row("a").Epoch)
		require.Equal(w.T, b, w.Database.Row("b").Epoch)
		entries := w.Journal.Take()
		require.Len(w.T, entries, 2)
		require.Contains(w.T, entries[0], "database")
	})
}

func TestCrashBetweenWriteAheadAndBundle(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443", "b: 22"), func(w *agenttest.World) {
		old := w.Database.Row("a").Epoch
		w.Sw.Fail(agenttest.FaultStall)
		w.Policy.Set(agenttest.File("a: 80", "b: 22"))
		w.Settle()
		ahead := w.Database.Row("a").Epoch
		require.Greater(w.T, ahead, old, "written ahead")
		w.Stop()
		w.Sw.Fail()
		w.Start()
		w.InSync()
		require.Greater(w.T, w.Database.Row("a").Epoch, ahead,
			"it cannot be known what the bundle did")
	})
}

func TestLossIsNotProgrammedWhileTheDatabaseCannotTakeIt(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443"), func(w *agenttest.World) {
		w.Database.Edit(func(f *agenttest.Database) {
			f.Failing = errors.New("constraint violation")
		})
		w.Policy.Set(agenttest.File("a: 80"))
		w.Pass(30 * time.Second)
		require.Empty(w.T, w.Journal.Take())
		require.ErrorContains(w.T, errors.New(w.Ctl.Snapshot().Error), "constraint violation")
		require.Equal(w.T, agent.StateDegraded, w.Ctl.Snapshot().State)
		before := w.Database.Revision()
		w.Database.Edit(func(f *agenttest.Database) { f.Failing = nil })
		w.InSync()
		require.Equal(w.T, before+1, w.Database.Revision(), "retries do not use up revisions")
	})
}

func TestRefusedBundleIsRetriedWithBackOff(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.Sw.Fail(agenttest.FaultRefuse)
		applies := w.Sw.Applies.Load()
		w.Policy.Set(agenttest.File("a:"))
		w.Settle()
		held, _ := w.Sw.Holds()
		require.Equal(w.T, agent.StateDegraded, w.Ctl.Snapshot().State)
		require.Contains(w.T, w.Ctl.Snapshot().Error, "OFPFMFC_UNKNOWN")
		require.Contains(w.T, w.Ctl.Snapshot().Error, "table=")
		require.Contains(w.T, w.Ctl.Snapshot().Apply.Error, "OFPFMFC_UNKNOWN")
		require.Equal(w.T, []int{4, 4}, []int{w.Ctl.Snapshot().Apply.Adds,
			w.Ctl.Snapshot().Apply.Deletes})
		require.Equal(w.T, agent.PortPending, w.Port("a").State)
		dumps := w.Sw.Dumps.Load()
		w.Pass(time.Second) // after 100, 300, 700 ms
		require.Equal(w.T, applies+4*3, w.Sw.Applies.Load(),
			"all of it, what needs no room, and what is deleted")
		require.Equal(w.T, dumps, w.Sw.Dumps.Load(), "nothing was changed, so nothing is read back")
		w.Pass(time.Minute)
		require.InDelta(w.T, applies+(4+14)*3, w.Sw.Applies.Load(), 9, "every 5 s at most")
		now, _ := w.Sw.Holds()
		require.ElementsMatch(w.T, held, now)
		w.Sw.Fail()
		w.Pass(5 * time.Second)
		w.InSync()
		require.Empty(w.T, w.Ctl.Snapshot().Apply.Error)
	})
}

func TestRefusedLossDoesNotUseUpRevisions(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443"), func(w *agenttest.World) {
		before := w.Database.Revision()
		w.Sw.Fail(agenttest.FaultRefuse)
		w.Policy.Set(agenttest.File("a: 80"))
		w.Pass(time.Minute)
		require.Equal(w.T, before+1, w.Database.Revision())
		w.Sw.Fail()
		w.Pass(5 * time.Second)
		w.InSync()
		require.Equal(w.T, before+1, w.Database.Revision())
	})
}

func TestBundleWhoseAnswerIsLostIsReadBack(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443"), func(w *agenttest.World) {
		w.Sw.Fail(agenttest.FaultAfter, agenttest.FaultNone)
		w.Policy.Set(agenttest.File("a: 80"))
		w.InSync()
		require.Len(w.T, w.Journal.Take(), 2, "one write, one bundle: it was recognised")
	})
}

func TestBundleThatMayHaveRunCostsANewEpoch(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 81 82"), func(w *agenttest.World) {
		w.Sw.Fail(agenttest.FaultAfter, agenttest.FaultNone)
		w.Policy.Set(agenttest.File("a: 80 81"))
		w.Settle()
		second := w.Database.Row("a").Epoch
		w.Policy.Set(agenttest.File("a: 80"))
		w.InSync()
		require.Greater(w.T, w.Database.Row("a").Epoch, second,
			"a connection to 81 may carry the second epoch")
	})
}

func TestSignalsAreCoalesced(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.Sw.Fail(agenttest.FaultStall, agenttest.FaultNone)
		w.Policy.Set(agenttest.File("a: 80 81"))
		w.Settle()
		ensures, applies := w.Database.Ensures.Load(), w.Sw.Applies.Load()
		for range 1000 {
			w.Policy.Set(agenttest.File("a: 80 82"))
			w.Database.Edit(func(*agenttest.Database) {})
			w.Sw.Operate(func(map[openflow.Key]openflow.Flow) {})
			w.Ctl.Reload()
		}
		w.Pass(2 * time.Minute)
		w.InSync()
		require.LessOrEqual(w.T, w.Database.Ensures.Load()-ensures, int64(10))
		require.Equal(w.T, applies+1, w.Sw.Applies.Load())
	})
}

func TestInvalidReloadKeepsThePolicy(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		held, _ := w.Sw.Holds()
		w.Policy.Set(agenttest.File("a: 80 99999"))
		w.Settle()
		s := w.Ctl.Snapshot()
		require.Equal(w.T, agent.StateDegraded, s.State)
		require.Len(w.T, s.Policy.Errors, 1)
		require.Contains(w.T, s.Policy.Errors[0], "policy.yaml:")
		require.Equal(w.T, 1, s.Counters.ReloadsFailed)
		require.Equal(w.T, agent.PortApplied, w.Port("a").State)
		now, _ := w.Sw.Holds()
		require.ElementsMatch(w.T, held, now)
		require.Empty(w.T, w.Journal.Take())
		// A port that comes back meanwhile is programmed with the policy in force.
		w.Database.SetAbsent("a", "No such device")
		w.Settle()
		w.Database.SetPresent("a")
		w.Settle()
		require.Equal(w.T, agent.PortApplied, w.Port("a").State)
		w.Policy.Set(agenttest.File("a: 80"))
		w.InSync()
	})
}

func TestCommentChangesNothing(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.Policy.Set(agenttest.File("a: 80") + "# a comment\n")
		w.InSync()
		require.Empty(w.T, w.Journal.Take())
	})
}

func TestDriftIsRepaired(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		epoch := w.Database.Row("a").Epoch
		extra := openflow.Flow{Table: 52, Priority: 999,
			Actions: openflow.ParseActions("set_field:0x1/0x1->reg0"), Cookie: 7}
		w.Sw.Operate(func(held map[openflow.Key]openflow.Flow) { held[extra.Key()] = extra })
		w.InSync()
		require.Equal(w.T, 1, w.Ctl.Snapshot().Counters.DriftRepaired)
		require.Greater(w.T, w.Database.Row("a").Epoch, epoch, "what it let in is judged again")

		// Changed without anybody hearing it: found at the next look.
		w.Sw.Mu.Lock()
		for k, f := range w.Sw.Held {
			if f.Table == 53 {
				f.Actions = openflow.ParseActions("resubmit(,60)")
				w.Sw.Held[k] = f
			}
		}
		w.Sw.Mu.Unlock()
		w.Settle()
		w.Pass(61 * time.Second)
		w.InSync()
		require.Greater(w.T, w.Ctl.Snapshot().Counters.DriftRepaired, 1)
	})
}

func TestDriftThatCannotBeRepairedIsTold(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.Sw.Fail(agenttest.FaultRefuse)
		w.Sw.Operate(func(held map[openflow.Key]openflow.Flow) { clear(held) })
		w.Settle()
		require.Equal(w.T, agent.StateDegraded, w.Ctl.Snapshot().State)
		require.Equal(w.T, agent.PortPending, w.Port("a").State)
		require.Zero(w.T, w.Ctl.Snapshot().Counters.DriftRepaired)
		require.Zero(w.T, w.Ctl.Snapshot().Flows)
		w.Sw.Fail()
		w.Pass(5 * time.Second)
		w.InSync()
		require.NotZero(w.T, w.Ctl.Snapshot().Counters.DriftRepaired)
	})
}

func TestRestartedSwitchThatRefusesIsTold(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.Sw.Fail(agenttest.FaultRefuse)
		w.Sw.Stop()
		w.Settle()
		w.Sw.Start()
		w.Pass(2 * time.Second)
		require.Equal(w.T, agent.PortPending, w.Port("a").State,
			"it had been programmed, and is not any more")
		w.Sw.Fail()
		w.Pass(5 * time.Second)
		w.InSync()
	})
}

func TestEmptiedSwitchIsFilledAgain(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		epoch := w.Database.Row("a").Epoch
		w.Sw.Operate(func(held map[openflow.Key]openflow.Flow) { clear(held) })
		w.InSync()
		require.Greater(w.T, w.Database.Row("a").Epoch, epoch,
			"who knows what was there before it was emptied")
	})
}

func TestSwitchRestartReinstalls(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22"), func(w *agenttest.World) {
		epoch := w.Database.Row("a").Epoch
		w.Sw.Stop()
		w.Settle()
		require.Equal(w.T, agent.StateDegraded, w.Ctl.Snapshot().State)
		require.Equal(w.T, agent.PortPending, w.Port("a").State)
		w.Pass(10 * time.Minute)
		w.Sw.Start()
		w.Pass(1100 * time.Millisecond)
		w.InSync()
		require.True(w.T, w.Sw.Prepared.Load())
		require.Equal(w.T, epoch, w.Database.Row("a").Epoch)
		require.Len(w.T, w.Journal.Take(), 1)
	})
}

// The policy loses a permission while the switch is away; the kernel keeps its connections.
func TestLossDuringASwitchRestart(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443", "b: 22"), func(w *agenttest.World) {
		a, b := w.Database.Row("a").Epoch, w.Database.Row("b").Epoch
		w.Sw.Stop()
		w.Settle()
		w.Policy.Set(agenttest.File("a: 80", "b: 22"))
		w.Settle()
		w.Sw.Start()
		w.Pass(2 * time.Second)
		w.InSync()
		require.Greater(w.T, w.Database.Row("a").Epoch, a)
		require.Equal(w.T, b, w.Database.Row("b").Epoch)
	})
}

func TestDatabaseLostKeepsTheFlows(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		held, _ := w.Sw.Holds()
		w.Database.Edit(func(f *agenttest.Database) { f.Offline = true })
		w.Policy.Set(agenttest.File("a: 80 81"))
		w.Pass(time.Minute)
		require.Equal(w.T, agent.StateDegraded, w.Ctl.Snapshot().State)
		now, _ := w.Sw.Holds()
		require.ElementsMatch(w.T, held, now)
		w.Database.Edit(func(f *agenttest.Database) { f.Offline = false })
		w.InSync()
	})
}

func TestCancelLeavesTheFlows(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		held, _ := w.Sw.Holds()
		w.Sw.Fail(agenttest.FaultStall)
		w.Policy.Set(agenttest.File("a: 81"))
		w.Settle()
		w.Stop() // in the middle of a bundle
		now, _ := w.Sw.Holds()
		require.ElementsMatch(w.T, held, now)
		w.Sw.Fail()
		w.Start()
		w.InSync()
	})
}

func TestSettle(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		settle := func(limit time.Duration) (*agent.Snapshot, error) {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			return w.Ctl.Settle(ctx)
		}
		// What the files say now counts, also if nobody has told of the change.
		w.Policy.Write(agenttest.File("a: 80 81"))
		s, err := settle(time.Second)
		require.NoError(w.T, err)
		require.Equal(w.T, agent.StateInSync, s.State)
		w.InSync()
		// Invalid files are an answer, at once.
		w.Policy.Write("groups: 3\n")
		began := time.Now()
		s, err = settle(time.Second)
		require.NoError(w.T, err)
		require.NotEmpty(w.T, s.Policy.Errors)
		require.Zero(w.T, time.Since(began))
		// A port that Open vSwitch has not looked at yet is waited for; one without a device, or
		// that somebody has to repair, is not.
		w.Database.Edit(func(f *agenttest.Database) { f.Absent["b"] = "" })
		w.Policy.Write(agenttest.File("a: 80", "b: 22"))
		s, err = settle(time.Second)
		require.ErrorIs(w.T, err, context.DeadlineExceeded)
		require.Equal(w.T, agent.StatePending, s.State)
		w.Database.SetAbsent("b", "could not open network device b (No such device)")
		s, err = settle(time.Second)
		require.NoError(w.T, err)
		require.Equal(w.T, agent.StateInSync, s.State)
		require.Equal(w.T, agent.PortAbsent, w.Port("b").State)
		require.Contains(w.T, w.Port("b").Reason, "No such device")
		w.Database.SetAbsent("b", "could not open network device b (Operation not permitted)")
		s, err = settle(time.Second)
		require.NoError(w.T, err)
		require.Equal(w.T, agent.StateDegraded, s.State)
		require.Equal(w.T, agent.PortError, w.Port("b").State)
		// A bundle that fails is waited for.
		w.Sw.Fail(agenttest.FaultRefuse)
		w.Policy.Write(agenttest.File("a: 8080", "b: 22"))
		s, err = settle(time.Second)
		require.ErrorIs(w.T, err, context.DeadlineExceeded)
		require.NotEmpty(w.T, s.Error)
		w.Sw.Fail()
		_, err = settle(10 * time.Second)
		require.NoError(w.T, err)
	})
}

func TestProgrammed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, agenttest.File("a: 80"))
		w.Sw.Fail(agenttest.FaultRefuse)
		w.Start()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		programmed := func(s *agent.Snapshot) bool { return s.State != agent.StateStarting }
		_, err := w.Ctl.Hub().Await(ctx, programmed)
		require.ErrorIs(w.T, err, context.DeadlineExceeded)
		w.Sw.Fail()
		_, err = w.Ctl.Hub().Await(context.Background(), programmed)
		require.NoError(w.T, err)
		w.Stop()
	})
}

func TestDatapathTypeIsNoObstacle(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.Database.Edit(func(f *agenttest.Database) { f.Failing = errors.Join(bridge.ErrDatapathType) })
		w.Settle()
		w.InSync()
	})
}
