//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// Flows of our tables that somebody adds, deletes or alters are as they were without a cause, told
// with their text and counted; those of other tables are nobody's business; and whoever is not
// meant loses nothing. How soon they are is measured by the benchmark.
func TestDrift(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	streams := everyPair(t, w)
	const other = "table=200,priority=7,ip,nw_src=192.0.2.1,actions=drop"
	ofctl := func(t *testing.T, args ...string) {
		_, err := w.Switch.Run("ovs-ofctl", append([]string{"-O", "OpenFlow15"}, args...)...)
		require.NoError(t, err)
	}
	ofctl(t, "add-flow", testnet.Bridge, other)
	before := programOf(t, w)
	guard := lineWith(t, before, "table=41", "nw_dst=203.0.113.11 ")
	cookie := strings.Split(strings.Split(guard, "cookie=")[1], ",")[0]
	match := strings.Fields(strings.Split(guard, "table=41, ")[1])[0]
	for _, c := range []struct {
		name, told string
		times      int
		args       []string
	}{
		{"added", "was added", 1,
			[]string{"add-flow", testnet.Bridge,
				"table=52,priority=60000,udp,nw_src=192.0.2.77,actions=set_field:0x1/0x1->reg0"}},
		{"added in our name", "was added", 1,
			[]string{"add-flow", testnet.Bridge,
				"table=52,cookie=" + cookie +
					",priority=60000,udp,nw_src=192.0.2.78,actions=set_field:0x1/0x1->reg0"}},
		{"deleted", "was deleted", 1,
			[]string{"del-flows", testnet.Bridge, "table=41,cookie=" + cookie + "/-1"}},
		{"altered", "was altered", 1,
			[]string{"mod-flows", "--strict", testnet.Bridge,
				"table=41,cookie=" + cookie + "/-1," + match + ",actions=drop"}},
		{"altered again and again", "was altered", 10,
			[]string{"mod-flows", "--strict", testnet.Bridge,
				"table=41,cookie=" + cookie + "/-1," + match + ",actions=drop"}},
		{"given a timeout", "idle_timeout=77", 1,
			[]string{"add-flow", testnet.Bridge,
				"table=41,cookie=" + cookie + ",idle_timeout=77," + match + ",actions=" + strings.Split(guard,
					"actions=")[1]}},
		{"all deleted", "and more were changed", 1,
			[]string{"del-flows", testnet.Bridge,
				fmt.Sprintf("cookie=0x%x000000000000/0xffff000000000000", 0x5043)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			was, err := w.Status()
			require.NoError(t, err)
			for range c.times {
				ofctl(t, c.args...)
				at := time.Now()
				awaitShape(t, w, before)
				t.Logf("repaired within %s", time.Since(at).Round(time.Millisecond))
			}
			now, err := w.AwaitStatus(func(s testnet.Status) bool {
				return s.State == "in sync" && s.Counters.DriftRepaired > was.Counters.DriftRepaired
			})
			require.NoError(t, err)
			t.Logf("%d flows counted", now.Counters.DriftRepaired-was.Counters.DriftRepaired)
			require.NoError(t, w.AwaitLogged(c.told, "\x00"))
			require.NoError(t, w.Reaches("client", "a", testnet.TCP(5000), testnet.IPv4))
			admits(t, w, "client", "a", testnet.TCP(5001), testnet.IPv4, false)
		})
		if c.name == "added in our name" { // until here nobody's flows were missing
			complete(t, streams)
			logReceived(t, streams)
		}
	}
	require.Contains(t, programOf(t, w), "table=200, priority=7,ip,nw_src=192.0.2.1 actions=drop")
	flows(t, streams)
}

// lineWith returns the first line that has all the parts.
func lineWith(t *testing.T, text string, parts ...string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		found := true
		for _, p := range parts {
			found = found && strings.Contains(line, p)
		}
		if found {
			return strings.TrimSpace(line)
		}
	}
	require.Fail(t, "no line", "with %q in\n%s", parts, text)
	return ""
}
