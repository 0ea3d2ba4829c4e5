package agent_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
)

// What goes wrong is logged when it begins and when it ends, however often it is tried again meanwhile. The loop and the link to the
// switch log each for itself, in no order.
func TestTroubleIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, file("a: 80"))
		var hook *test.Hook
		w.log, hook = test.NewNullLogger()
		told := func() (out []string) {
			for _, e := range hook.AllEntries() {
				out = append(out, e.Message)
			}
			hook.Reset()
			return out
		}
		w.database.snap.OVSVersion = "3.6.0" // there is nothing to be said of it
		w.sw.stop()
		w.start()
		defer func() { w.cancel() }()
		w.pass(time.Minute)
		require.ElementsMatch(t, []string{"policy loaded", "no connection to the switch"}, told(), "what a start waits for is no trouble yet")
		w.sw.start()
		w.pass(time.Minute)
		require.ElementsMatch(t, []string{"connected to the switch", "switch programmed"}, told())

		w.database.edit(func(f *fakeDatabase) { f.failing = errors.New("constraint violation") })
		w.policy.set(file("a: 80 443"))
		w.pass(time.Minute)
		require.ElementsMatch(t, []string{"policy loaded", "not in sync"}, told())
		w.database.edit(func(f *fakeDatabase) { f.failing = nil })
		w.pass(time.Minute)
		require.ElementsMatch(t, []string{"switch programmed", "in sync again"}, told())

		w.sw.stop()
		w.pass(time.Minute)
		require.ElementsMatch(t, []string{"no connection to the switch", "not in sync", "no connection to the switch", "not in sync"}, told(), "it ended, and cannot be reached")
		w.sw.start()
		w.pass(time.Minute)
		require.ElementsMatch(t, []string{"connected to the switch", "the switch has lost its flows; installing them again", "switch programmed", "in sync again"}, told())

		invalid := "the policy is not valid; the last valid one stays in force"
		w.policy.set(file("a: 99999"))
		w.settle()
		w.ctl.Reload()
		w.settle()
		require.ElementsMatch(t, []string{invalid}, told())
		w.policy.set(file("a: 99998"))
		w.settle()
		require.ElementsMatch(t, []string{invalid}, told(), "another mistake")
		w.policy.set(file("a: 80 443"))
		w.settle()
		require.Empty(t, told(), "it is the one in force")

		w.sw.operate(func(held map[flows.Key]flows.Flow) {
			for n := range 25 {
				f := flows.Flow{Table: 52, Priority: 999, Match: fmt.Sprintf("reg1=0x%x", 100+n), Actions: "drop"}
				held[f.Key()] = f
			}
		})
		w.settle()
		drift := told()
		require.Len(t, drift, 1+20+1+1)
		require.Equal(t, "somebody else has changed flows of ours; repairing them", drift[0])
		require.Equal(t, "a flow was added by somebody else", drift[1])
		require.Equal(t, []string{"and more were changed by somebody else", "switch programmed"}, drift[21:])
		require.Equal(t, 25, w.ctl.Snapshot().Counters.DriftRepaired)
		w.stop()
	})
}

// Nothing is read again because of something else.
func TestPolicyIsReadWhenItChanges(t *testing.T) {
	run(t, file("a: 80", "b: 80", "far-c: 80"), func(w *world) {
		status := w.ctl.Snapshot()
		require.Equal(w.t, 1, status.Counters.Reloads)
		require.Equal(w.t, []int{3, 3}, []int{status.Policy.Groups, status.Policy.Instances})
		w.database.setAbsent("a", "No such device")
		w.database.setPresent("a")
		w.sw.operate(func(map[flows.Key]flows.Flow) {})
		w.pass(10 * time.Second)
		require.Equal(w.t, 1, w.ctl.Snapshot().Counters.Reloads)
		w.policy.set(file("a: 80"))
		w.inSync()
		status = w.ctl.Snapshot()
		require.Equal(w.t, 2, status.Counters.Reloads)
		require.Equal(w.t, []int{1, 1}, []int{status.Policy.Groups, status.Policy.Instances})
	})
}
