package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
)

// slow has a daemon started whose policy takes long to read, does something meanwhile, and tells how often the flows were read in all.
func slow(t *testing.T, held []flows.Flow, meanwhile func(w *world)) (looks int) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, file("a: 80", "b: 22"))
		for _, f := range held {
			w.sw.held[f.Key()] = f
		}
		w.policy.slow = make(chan struct{})
		w.start()
		defer func() { w.cancel() }()
		synctest.Wait()
		require.True(t, w.sw.prepared.Load())
		require.EqualValues(t, 1, w.sw.dumps.Load(), "the flows are read")
		require.Empty(t, w.journal.take(), "and nothing is written")
		meanwhile(w)
		synctest.Wait()
		close(w.policy.slow)
		w.settle()
		w.inSync()
		looks = int(w.sw.dumps.Load())
		w.stop()
	})
	return looks
}

// What does not depend on the policy is done while that is read.
func TestSwitchIsReadiedWhileThePolicyIsRead(t *testing.T) {
	looks := slow(t, nil, func(*world) {})
	require.Equal(t, 1, looks, "what was read then is enough")
}

var stray = flows.Flow{Table: 60, Priority: 1, Match: "reg1=0x7", Actions: "output:9", Cookie: 7}

// What was read meanwhile is not believed when somebody changed the flows after it.
func TestFlowChangedWhileThePolicyIsRead(t *testing.T) {
	looks := slow(t, nil, func(w *world) {
		w.sw.operate(func(held map[flows.Key]flows.Flow) { held[stray.Key()] = stray })
	})
	require.Equal(t, 2, looks)
}

// Nor when the switch is another one since.
func TestSwitchRestartedWhileThePolicyIsRead(t *testing.T) {
	looks := slow(t, []flows.Flow{stray}, func(w *world) {
		w.sw.stop()
		synctest.Wait()
		w.sw.start()
		w.pass(time.Second)
	})
	require.Equal(t, 2, looks)
}

// What an earlier run left is recognised in what was read meanwhile.
func TestRestartWithASlowPolicyWritesNothing(t *testing.T) {
	run(t, file("a: 80", "b: 22"), func(w *world) {
		w.stop()
		w.policy.slow = make(chan struct{})
		w.start()
		synctest.Wait()
		close(w.policy.slow)
		w.settle()
		w.inSync()
		require.Empty(w.t, w.journal.take())
	})
}
