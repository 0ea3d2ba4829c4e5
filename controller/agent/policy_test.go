package agent_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/flows/openflow"
)

// hang has the policy's files be read when the returned function is called, and not before.
func hang(f *agenttest.Policy) (release func()) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	slow := make(chan struct{})
	f.Slow = slow
	return func() {
		f.Mu.Lock()
		defer f.Mu.Unlock()
		f.Slow = nil
		close(slow)
	}
}

// Files that cannot be read stop nothing: ports come, flows are repaired, the daemon is alive and
// says what it waits for. When they can be read again, what they say by then is in force.
func TestFilesThatHangStopNothing(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 80"), func(w *agenttest.World) {
		w.Database.SetAbsent("b", "no such device")
		w.Settle()
		require.Equal(t, agent.PortError, w.Port("b").State)
		release := hang(w.Policy)
		w.Policy.Set(agenttest.File("a: 22", "b: 80"))
		w.Settle()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.NoError(t, w.Ctl.Alive(ctx))
		require.Empty(t, w.Ctl.Snapshot().Error, "it may only be slow")
		w.Pass(time.Minute)
		require.Contains(t, w.Ctl.Snapshot().Error, "are not read yet")
		require.Equal(t, agent.StateDegraded, w.Ctl.Snapshot().State)

		w.Database.SetPresent("b")
		w.Settle()
		require.Equal(t, agent.PortApplied, w.Port("b").State)
		before, _ := w.Sw.Holds()
		w.Sw.Operate(func(held map[openflow.Key]openflow.Flow) { clear(held) })
		w.Settle()
		after, _ := w.Sw.Holds()
		require.Len(t, after, len(before), "repaired, with new epochs")

		late, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := w.Ctl.Settle(late)
		require.Error(t, err, "what is not read is not settled")
		w.Pass(time.Hour)
		w.Policy.Set(agenttest.File("a: 443", "b: 80"))
		release()
		w.Settle()
		w.InSync()
		held, _ := w.Sw.Holds()
		require.Contains(t, fmt.Sprint(held), "tp_dst=443")
	})
}

// A start that waits for its files says so, and ends when it is told to.
func TestStartWithFilesThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, agenttest.File("a: 80"))
		release := hang(w.Policy)
		w.Start()
		w.Pass(time.Minute)
		require.Contains(t, w.Ctl.Snapshot().Error, "are not read yet")
		require.Equal(t, agent.StateStarting, w.Ctl.Snapshot().State)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.NoError(t, w.Ctl.Alive(ctx))
		w.Stop()
		release()

		release = hang(w.Policy)
		w.Start()
		w.Pass(time.Minute)
		release()
		w.InSync()
		w.Stop()
	})
}

// The time of the last good reading stays over bad ones, and moves with the next good one, also
// where that says nothing new.
func TestValidAtIsTheLastGoodReading(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		w.Settle()
		good := w.Ctl.Snapshot().ValidAt
		require.False(t, good.IsZero())
		w.Policy.Set("groups: [{name: a, rules: [{direction: sideways}]}]")
		w.Settle()
		w.Pass(time.Minute)
		require.NotEmpty(t, w.Ctl.Snapshot().Policy.Errors)
		require.Equal(t, good, w.Ctl.Snapshot().ValidAt)
		w.Policy.Set(agenttest.File("a: 80"))
		w.Settle()
		require.Empty(t, w.Ctl.Snapshot().Policy.Errors)
		require.Equal(t, time.Minute, w.Ctl.Snapshot().ValidAt.Sub(good).Round(time.Minute))
	})
}

// Whoever waits until the files are in force is not answered while a file that went away still
// counts: what it admitted would be said to be gone, and was not.
func TestSettleWaitsUntilAllIsRead(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443"), func(w *agenttest.World) {
		w.Policy.Mu.Lock()
		w.Policy.Partial = true
		w.Policy.Mu.Unlock()
		settled := make(chan *agent.Snapshot, 1)
		go func() {
			s, err := w.Ctl.Settle(context.Background())
			assert.NoError(t, err)
			settled <- s
		}()
		w.Settle()
		require.Empty(t, settled)
		w.Policy.Mu.Lock()
		w.Policy.Partial = false
		w.Policy.Mu.Unlock()
		w.Policy.Set(agenttest.File("a: 80"))
		s := <-settled
		require.Equal(t, w.Policy.Digest(), s.Policy.Digest)
		w.InSync()
	})
}
