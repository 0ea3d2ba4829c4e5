package agent_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
)

// A bundle is committed, and ovs-vswitchd ends before it says so. Nobody can read back what it held, but the kernel still knows the
// connections that it admitted. That may happen once, or more often than is remembered.
func TestBundleThatIsNeverSeenCostsANewEpoch(t *testing.T) {
	for times := 1; times <= 6; times++ {
		t.Run(fmt.Sprintf("%d times", times), func(t *testing.T) {
			run(t, file("a: 80"), func(w *world) {
				k := remembering(w)
				w.sw.fail(faultVanish)
				before, now := "", "a: 80"
				for n := range times {
					before, now = now, fmt.Sprintf("%s %d", now, 81+n)
					w.policy.set(file(now))
					w.settle()
					if n > 0 {
						w.sw.start()
						w.pass(time.Minute)
					}
					require.True(w.t, w.sw.isDown())
				}
				epoch := w.database.row("a").Epoch
				w.policy.set(file(before))
				w.settle()
				w.sw.fail()
				w.sw.start()
				w.pass(time.Minute)
				w.inSync()
				require.Empty(w.t, k.wrong)
				require.Greater(w.t, w.database.row("a").Epoch, epoch, "a connection to %d may carry it", 80+times)
			})
		})
	}
}

// The first bundle of a run is not answered, and before it is read back somebody opens a hole beside it.
func TestHoleBesideAnUncertainFirstBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, file("a: 80"))
		k := remembering(w)
		w.sw.onCommit = func([]flows.Flow) {
			w.sw.onCommit = k.see
			k.open(w.sw.held, 1)
		}
		w.sw.fail(faultAfter, faultNone)
		w.start()
		defer func() { w.cancel() }()
		w.pass(time.Minute)
		w.inSync()
		require.Empty(t, k.wrong)
		require.Equal(t, 1, w.ctl.Snapshot().Counters.DriftRepaired)
		w.stop()
	})
}
