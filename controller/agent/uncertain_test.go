package agent_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/flows/openflow"
)

// A bundle is committed, and ovs-vswitchd ends before it says so. Nobody can read back what it
// held, but the kernel still knows the connections that it admitted. That may happen once, or more
// often than is remembered.
func TestBundleThatIsNeverSeenCostsANewEpoch(t *testing.T) {
	for times := 1; times <= 6; times++ {
		t.Run(fmt.Sprintf("%d times", times), func(t *testing.T) {
			agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
				k := remembering(w)
				w.Sw.Fail(agenttest.FaultVanish)
				before, now := "", "a: 80"
				for n := range times {
					before, now = now, fmt.Sprintf("%s %d", now, 81+n)
					w.Policy.Set(agenttest.File(now))
					w.Settle()
					if n > 0 {
						w.Sw.Start()
						w.Pass(time.Minute)
					}
					require.True(w.T, w.Sw.IsDown())
				}
				epoch := w.Database.Row("a").Epoch
				w.Policy.Set(agenttest.File(before))
				w.Settle()
				w.Sw.Fail()
				w.Sw.Start()
				w.Pass(time.Minute)
				w.InSync()
				require.Empty(w.T, k.wrong)
				require.Greater(w.T, w.Database.Row("a").Epoch, epoch,
					"a connection to %d may carry it", 80+times)
			})
		})
	}
}

// The first bundle of a run is not answered, and before it is read back somebody opens a hole
// beside it.
func TestHoleBesideAnUncertainFirstBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, agenttest.File("a: 80"))
		k := remembering(w)
		w.Sw.OnCommit = func([]openflow.Flow) {
			w.Sw.OnCommit = k.see
			k.open(w.Sw.Held, 1)
		}
		w.Sw.Fail(agenttest.FaultAfter, agenttest.FaultNone)
		w.Start()
		defer func() { w.Cancel() }()
		w.Pass(time.Minute)
		w.InSync()
		require.Empty(t, k.wrong)
		require.Equal(t, 1, w.Ctl.Snapshot().Counters.DriftRepaired)
		w.Stop()
	})
}
