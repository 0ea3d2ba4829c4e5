//go:build integration

package integration

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// TestIdleCost measures what it costs to notice changes where there are 100,000 flows and none:
// PORTCULLIS_IDLE says for how long, and nothing is measured without it.
func TestIdleCost(t *testing.T) {
	idle, err := time.ParseDuration(os.Getenv("PORTCULLIS_IDLE"))
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: PORTCULLIS_IDLE names no duration, such as 5m")
	}
	var members []string
	for i := range 100_000 {
		members = append(members, fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255))
	}
	g := group{name: "g", rules: []string{in("tcp 22-30", "@many"), in("tcp 40-50", "@many")}}
	w := newWorld(t, testnet.Spec{Policy: document([]group{{name: "many", external: members}, g},
		vm("a", 11, "g")), Daemon: daemon(t), Outside: outside()})
	require.Greater(t, flowCount(t, w), 100_000)
	awaitIdle(w)
	before, at := w.CPU(), time.Now()
	time.Sleep(idle) // nothing to wait for: idleness is measured
	after, took := w.CPU(), time.Since(at)
	sum := 0.0
	for _, name := range []string{"portcullis", "ovs-vswitchd"} {
		share := 100 * (after[name] - before[name]).Seconds() / took.Seconds()
		t.Logf("%s: %.2f %% of a core over %s", name, share, took.Round(time.Second))
		sum += share
	}
	t.Logf("memory of the daemon: %d MiB", w.Memory()>>20)
	require.LessOrEqual(t, sum, 1.0,
		"percent of a core, of both, with the commands that the daemon runs")
}

// awaitIdle returns when what the start has caused is over: programming, and the looks that follow
// it.
func awaitIdle(w *testnet.World) {
	const quiet, busy = 10 * time.Second, 100 * time.Millisecond
	for before := w.CPU(); ; {
		time.Sleep(quiet)
		now := w.CPU()
		if now["portcullis"]-before["portcullis"] < busy {
			return
		}
		before = now
	}
}
