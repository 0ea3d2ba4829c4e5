package agent_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
)

// A thousand policies, each in a bundle of its own, end with what the last one compiles to; zones
// are used again and again.
func TestThousandChangesLeaveNothing(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		for range 1000 {
			var entries []string
			for c := 'a'; c <= 'h'; c++ {
				if dice.IntN(2) == 0 {
					entries = append(entries, fmt.Sprintf("%c: %d %d", c, 1+dice.IntN(9),
						11+dice.IntN(99)))
				}
			}
			w.Policy.Set(agenttest.File(entries...))
			w.Pass(time.Second)
		}
		w.InSync()
		zones := map[uint16]bool{}
		for _, p := range w.Ctl.Snapshot().Ports {
			zones[p.Zone] = true
		}
		require.Len(w.T, zones, len(w.Ctl.Snapshot().Ports))
		require.Greater(w.T, w.Ctl.Snapshot().Counters.Applies, 950)
	})
}
