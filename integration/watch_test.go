//go:build integration

package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// watches runs `portcullis watch` until it has printed a line, while something is sent again and
// again.
func watches(t *testing.T, w *testnet.World, send func(), args ...string) string {
	t.Helper()
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := w.Portcullis("watch", append([]string{"--count", "1"}, args...)...)
		done <- result{out, err}
	}()
	for pause := time.NewTicker(200 * time.Millisecond); ; {
		send()
		select {
		case got := <-done:
			pause.Stop()
			require.NoError(t, got.err)
			return got.out
		case <-pause.C:
		}
	}
}

// What passes and what does not is seen as it happens, with rule and reason, at ports whose denied
// packets nobody logs; nothing is logged for it, and afterwards the switch holds what it held.
func TestWatch(t *testing.T) {
	t.Parallel()
	w := deniedWorld(t, "")
	before, err := w.Status()
	require.NoError(t, err)
	flows := func() string {
		out, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "--no-stats", "dump-flows",
			testnet.Bridge)
		require.NoError(t, err)
		lines := strings.Split(out, "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	program := flows()
	for _, f := range families {
		line := watches(t, w, func() { isDenied(t, w, "client", "web-1", testnet.TCP(22), f) },
			"--denied", "--to", "web-1")
		require.Regexp(t, `^\d\d:\d\d:\d\d  DENIED    tcp \S+ → web-1 \S+:22  at web-1, ingress: no `+
			`ingress rule admits it\n$`, line)
		line = watches(t, w, func() {
			isDenied(t, w, "client", "web-1", testnet.TCP(22), f)
			require.NoError(t, w.Reaches("client", "web-1", testnet.TCP(80), f))
		}, "--admitted", "--group", "guarded")
		require.Regexp(t, `^\d\d:\d\d:\d\d  admitted  tcp \S+ → web-1 \S+:80  at web-1, guarded: `+
			`ingress tcp 80 from \S+ \(policy.yaml:\d+:\d+\)\n$`, line)
	}
	_, err = w.Portcullis("watch", "--to", "web-9")
	require.ErrorContains(t, err, `"web-9" is no instance, no group`)
	require.Empty(t, deniedLines(t, w))
	require.Eventually(t, func() bool { return flows() == program },
		testnet.Slowed(10*time.Second), 20*time.Millisecond)
	after, err := w.Status()
	require.NoError(t, err)
	require.Equal(t, before.Revision, after.Revision, "nothing was judged again")
	require.Equal(t, before.Port("tap-web-1"), after.Port("tap-web-1"))
	require.False(t, strings.Contains(program, "CONTROLLER"))
}
