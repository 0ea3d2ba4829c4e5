package agent_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A thousand policies, each in a bundle of its own, end with what the last one compiles to; zones are used again and again.
func TestThousandChangesLeaveNothing(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	run(t, file("a: 80"), func(w *world) {
		for range 1000 {
			var entries []string
			for c := 'a'; c <= 'h'; c++ {
				if dice.IntN(2) == 0 {
					entries = append(entries, fmt.Sprintf("%c: %d %d", c, 1+dice.IntN(9), 11+dice.IntN(99)))
				}
			}
			w.policy.set(file(entries...))
			w.pass(time.Second)
		}
		w.inSync()
		zones := map[uint16]bool{}
		for _, p := range w.ctl.Snapshot().Ports {
			zones[p.Zone] = true
		}
		require.Len(w.t, zones, len(w.ctl.Snapshot().Ports))
		require.Greater(w.t, w.ctl.Snapshot().Counters.Applies, 950)
	})
}
