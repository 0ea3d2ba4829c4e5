package agent_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

func TestALoopThatIsStuckIsNotAlive(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		alive := func() error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			return w.Ctl.Alive(ctx)
		}
		ensures := w.Database.Ensures.Load()
		require.NoError(w.T, alive())
		require.NoError(w.T, alive())
		w.Settle()
		require.Equal(w.T, ensures, w.Database.Ensures.Load(), "to ask causes no turn")

		released := make(chan struct{})
		w.Database.Edit(func(f *agenttest.Database) {
			f.Rival = func(map[string]bridge.Port) { <-released }
		})
		w.Policy.Set(agenttest.File("a: 80", "b: 80"))
		require.ErrorIs(w.T, alive(), context.DeadlineExceeded)
		close(released)
		require.NoError(w.T, alive())
	})
}

func TestAwaitFollowsTheStatus(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		before := w.Ctl.Snapshot()
		found := make(chan *agent.Snapshot)
		go func() {
			s, _ := w.Ctl.Hub().Await(context.Background(),
				func(s *agent.Snapshot) bool { return len(s.Ports) == 2 })
			found <- s
		}()
		w.Settle()
		w.Policy.Set(agenttest.File("a: 80", "b: 80"))
		require.NotEqual(w.T, before, <-found)

		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := w.Ctl.Hub().Await(ctx, func(*agent.Snapshot) bool { return false })
		require.ErrorIs(w.T, err, context.Canceled)
	})
}
