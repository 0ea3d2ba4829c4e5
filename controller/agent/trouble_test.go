package agent_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/flows/openflow"
)

// What goes wrong is logged when it begins and when it ends, however often it is tried again
// meanwhile. The loop and the link to the switch log each for itself, in no order.
func TestTroubleIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, agenttest.File("a: 80"))
		var hook *test.Hook
		w.Log, hook = test.NewNullLogger()
		told := func() (out []string) {
			for _, e := range hook.AllEntries() {
				out = append(out, e.Message)
			}
			hook.Reset()
			return out
		}
		w.Database.Snap.OVSVersion = "3.6.0" // there is nothing to be said of it
		w.Sw.Stop()
		w.Start()
		defer func() { w.Cancel() }()
		w.Pass(5 * time.Second)
		require.Equal(t, []string{"policy loaded"}, told(), "what a start waits for is no trouble yet")
		w.Pass(time.Minute)
		require.Equal(t, []string{"no connection to the switch"}, told())
		w.Sw.Start()
		w.Pass(time.Minute)
		require.ElementsMatch(t, []string{"connected to the switch", "switch programmed"}, told())

		w.Database.Edit(func(f *agenttest.Database) {
			f.Failing = errors.New("constraint violation")
		})
		w.Policy.Set(agenttest.File("a: 80 443"))
		w.Pass(time.Minute)
		require.ElementsMatch(t, []string{"policy loaded", "not in sync"}, told())
		w.Database.Edit(func(f *agenttest.Database) { f.Failing = nil })
		w.Pass(time.Minute)
		require.ElementsMatch(t, []string{"switch programmed", "in sync again"}, told())

		w.Sw.Stop()
		w.Pass(time.Minute)
		require.ElementsMatch(t, []string{"no connection to the switch", "not in sync",
			"no connection to the switch", "not in sync"}, told(),
			"it ended, and cannot be reached")
		w.Sw.Start()
		w.Pass(time.Minute)
		require.ElementsMatch(t, []string{"connected to the switch",
			"the switch has lost its flows; installing them again", "switch programmed",
			"in sync again"}, told())

		invalid := "the policy is not valid; the last valid one stays in force"
		w.Policy.Set(agenttest.File("a: 99999"))
		w.Settle()
		w.Ctl.Reload()
		w.Settle()
		mistake := "policy.yaml:4:52: groups[0].rules[0].ports: is %d; ports are from 1 to 65535"
		require.Equal(t, []string{invalid, fmt.Sprintf(mistake, 99999)}, told())
		w.Policy.Set(agenttest.File("a: 99998"))
		w.Settle()
		require.Equal(t, []string{invalid, fmt.Sprintf(mistake, 99998)}, told(), "another mistake")
		w.Policy.Set(agenttest.File("a: 80 443"))
		w.Settle()
		require.Empty(t, told(), "it is the one in force")

		addForeign(w, 21)
		drift := told()
		require.Len(t, drift, 1+20+1+1)
		require.Equal(t, "somebody else has changed flows of ours; repairing them", drift[0])
		require.Equal(t, "a flow was added by somebody else", drift[1])
		require.Equal(t, []string{"and more were changed by somebody else", "switch programmed"},
			drift[21:])
		addForeign(w, 20)
		require.Equal(t, []string{"a flow was added by somebody else", "switch programmed"},
			told()[20:], "there are no more")
		require.Equal(t, 41, w.Ctl.Snapshot().Counters.DriftRepaired)
		w.Stop()
	})
}

// addForeign has somebody add so many flows to the switch, and waits until they are repaired.
func addForeign(w *agenttest.World, count int) {
	w.Sw.Operate(func(held map[openflow.Key]openflow.Flow) {
		for n := range count {
			f := openflow.Flow{Table: 52, Priority: 999,
				Match:   openflow.ParseMatch(fmt.Sprintf("reg1=0x%x", 100+n)),
				Actions: openflow.ParseActions("drop")}
			held[f.Key()] = f
		}
	})
	w.Settle()
}

// Nothing is read again because of something else.
func TestPolicyIsReadWhenItChanges(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 80", "far-c: 80"), func(w *agenttest.World) {
		status := w.Ctl.Snapshot()
		require.Equal(w.T, 1, status.Counters.Reloads)
		require.Equal(w.T, []int{3, 3}, []int{status.Policy.Groups, status.Policy.Instances})
		w.Database.SetAbsent("a", "No such device")
		w.Database.SetPresent("a")
		w.Sw.Operate(func(map[openflow.Key]openflow.Flow) {})
		w.Pass(10 * time.Second)
		require.Equal(w.T, 1, w.Ctl.Snapshot().Counters.Reloads)
		w.Policy.Set(agenttest.File("a: 80"))
		w.InSync()
		status = w.Ctl.Snapshot()
		require.Equal(w.T, 2, status.Counters.Reloads)
		require.Equal(w.T, []int{1, 1}, []int{status.Policy.Groups, status.Policy.Instances})
	})
}

// What was applied last stays told while nothing is.
func TestWhatWasAppliedStaysTold(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.InSync()
		applied := w.Ctl.Snapshot().Apply
		require.Positive(w.T, applied.Adds)
		w.Pass(time.Second)
		w.Ctl.Reload()
		w.Settle()
		require.Equal(w.T, applied, w.Ctl.Snapshot().Apply)
	})
}
