package agent_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

func TestALoopThatIsStuckIsNotAlive(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		alive := func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			return w.ctl.Alive(ctx)
		}
		ensures := w.database.ensures.Load()
		require.NoError(w.t, alive())
		require.NoError(w.t, alive())
		w.settle()
		require.Equal(w.t, ensures, w.database.ensures.Load(), "to ask causes no turn")

		released := make(chan struct{})
		w.database.edit(func(f *fakeDatabase) { f.rival = func(map[string]bridge.Port) { <-released } })
		w.policy.set(file("a: 80", "b: 80"))
		require.ErrorIs(w.t, alive(), context.DeadlineExceeded)
		close(released)
		require.NoError(w.t, alive())
	})
}

func TestAwaitFollowsTheStatus(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		before := w.ctl.Snapshot()
		found := make(chan *agent.Snapshot)
		go func() {
			s, _ := w.ctl.Hub().Await(context.Background(), func(s *agent.Snapshot) bool { return len(s.Ports) == 2 })
			found <- s
		}()
		w.settle()
		w.policy.set(file("a: 80", "b: 80"))
		require.NotEqual(w.t, before, <-found)

		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := w.ctl.Hub().Await(ctx, func(*agent.Snapshot) bool { return false })
		require.ErrorIs(w.t, err, context.Canceled)
	})
}
