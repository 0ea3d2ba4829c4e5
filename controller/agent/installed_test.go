package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/flows/openflow"
)

// slow has a daemon started whose policy takes long to read, does something meanwhile, and tells
// how often the flows were read in all.
func slow(t *testing.T, held []openflow.Flow, meanwhile func(w *agenttest.World)) (looks int) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, agenttest.File("a: 80", "b: 22"))
		for _, f := range held {
			w.Sw.Held[f.Key()] = f
		}
		w.Policy.Slow = make(chan struct{})
		w.Start()
		defer func() { w.Cancel() }()
		synctest.Wait()
		require.True(t, w.Sw.Prepared.Load())
		require.EqualValues(t, 1, w.Sw.Dumps.Load(), "the flows are read")
		require.Empty(t, w.Journal.Take(), "and nothing is written")
		meanwhile(w)
		synctest.Wait()
		close(w.Policy.Slow)
		w.Settle()
		w.InSync()
		looks = int(w.Sw.Dumps.Load())
		w.Stop()
	})
	return looks
}

// What does not depend on the policy is done while that is read.
func TestSwitchIsReadiedWhileThePolicyIsRead(t *testing.T) {
	looks := slow(t, nil, func(*agenttest.World) {})
	require.Equal(t, 1, looks, "what was read then is enough")
}

var stray = openflow.Flow{Table: 60, Priority: 1, Match: openflow.ParseMatch("reg1=0x7"),
	Actions: openflow.ParseActions("output:9"), Cookie: 7}

// What was read meanwhile is not believed when somebody changed the flows after it.
func TestFlowChangedWhileThePolicyIsRead(t *testing.T) {
	looks := slow(t, nil, func(w *agenttest.World) {
		w.Sw.Operate(func(held map[openflow.Key]openflow.Flow) { held[stray.Key()] = stray })
	})
	require.Equal(t, 2, looks)
}

// Nor when the switch is another one since.
func TestSwitchRestartedWhileThePolicyIsRead(t *testing.T) {
	looks := slow(t, []openflow.Flow{stray}, func(w *agenttest.World) {
		w.Sw.Stop()
		synctest.Wait()
		w.Sw.Start()
		w.Pass(time.Second)
	})
	require.Equal(t, 2, looks)
}

// What an earlier run left is recognised in what was read meanwhile.
func TestRestartWithASlowPolicyWritesNothing(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22"), func(w *agenttest.World) {
		w.Stop()
		w.Policy.Slow = make(chan struct{})
		w.Start()
		synctest.Wait()
		close(w.Policy.Slow)
		w.Settle()
		w.InSync()
		require.Empty(w.T, w.Journal.Take())
	})
}

// A switch that was there is looked for again as soon as at first, however often it has gone.
func TestSwitchThatRestartsOftenIsFoundAsSoon(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		for range 20 {
			w.InSync()
			w.Sw.Stop()
			w.Settle()
			w.Sw.Start()
			w.Pass(160 * time.Millisecond)
		}
		w.InSync()
	})
}
