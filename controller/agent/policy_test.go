package agent_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/flows"
)

// hang has the policy's files be read when the returned function is called, and not before.
func (f *fakePolicy) hang() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slow := make(chan struct{})
	f.slow = slow
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.slow = nil
		close(slow)
	}
}

// Files that cannot be read stop nothing: ports come, flows are repaired, the daemon is alive and says what it waits for. When they can be
// read again, what they say by then is in force.
func TestFilesThatHangStopNothing(t *testing.T) {
	run(t, file("a: 80", "b: 80"), func(w *world) {
		w.database.setAbsent("b", "no such device")
		w.settle()
		require.Equal(t, agent.PortError, w.port("b").State)
		release := w.policy.hang()
		w.policy.set(file("a: 22", "b: 80"))
		w.settle()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.NoError(t, w.ctl.Alive(ctx))
		require.Empty(t, w.ctl.Snapshot().Error, "it may only be slow")
		w.pass(time.Minute)
		require.Contains(t, w.ctl.Snapshot().Error, "are not read yet")
		require.Equal(t, agent.StateDegraded, w.ctl.Snapshot().State)

		w.database.setPresent("b")
		w.settle()
		require.Equal(t, agent.PortApplied, w.port("b").State)
		before, _ := w.sw.holds()
		w.sw.operate(func(held map[flows.Key]flows.Flow) { clear(held) })
		w.settle()
		after, _ := w.sw.holds()
		require.Len(t, after, len(before), "repaired, with new epochs")

		late, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := w.ctl.Settle(late)
		require.Error(t, err, "what is not read is not settled")
		w.pass(time.Hour)
		w.policy.set(file("a: 443", "b: 80"))
		release()
		w.settle()
		w.inSync()
		held, _ := w.sw.holds()
		require.Contains(t, fmt.Sprint(held), "tp_dst=443")
	})
}

// A start that waits for its files says so, and ends when it is told to.
func TestStartWithFilesThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, file("a: 80"))
		release := w.policy.hang()
		w.start()
		w.pass(time.Minute)
		require.Contains(t, w.ctl.Snapshot().Error, "are not read yet")
		require.Equal(t, agent.StateStarting, w.ctl.Snapshot().State)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.NoError(t, w.ctl.Alive(ctx))
		w.stop()
		release()

		release = w.policy.hang()
		w.start()
		w.pass(time.Minute)
		release()
		w.inSync()
		w.stop()
	})
}
