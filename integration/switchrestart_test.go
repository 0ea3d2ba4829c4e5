//go:build integration

package integration

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// R-8 at size: 10,000 flows are back after ovs-vswitchd, however long it was away, and until then
// nothing passes. What a start of so many takes is measured by the benchmark.
func TestR8_TenThousandFlowsReturn(t *testing.T) {
	t.Parallel()
	var members []string
	for i := range 10000 {
		members = append(members, fmt.Sprintf("10.%d.%d.0/25", i>>8, i&255))
	}
	many := group{name: "many", external: members}
	g := group{name: "g",
		rules: []string{in("udp 5000-5010", any4), in("tcp 22-30", "@many"), in("tcp 40-50", "@many")}}
	w := newWorld(t, testnet.Spec{Policy: document([]group{many, g}, vm("a", 11, "g"),
		vm("b", 21, "g")), Outside: outside(), Daemon: daemon(t)})
	admitted := map[string]*testnet.Stream{}
	s, err := w.PushFromClient("client", "a", testnet.IPv4, 5000)
	require.NoError(t, err)
	admitted["the client sends"] = s
	flows(t, admitted)
	count := flowCount(t, w)
	require.Greater(t, count, 10000)
	for _, away := range []time.Duration{0, 4 * time.Second} {
		denied := w.Opening("client", "a", testnet.UDP(6000), testnet.IPv4).Frame()
		token, err := w.Inject("client", denied)
		require.NoError(t, err)
		done := make(chan struct{})
		sent := make(chan int)
		go func() { // all the time
			n := 0
			for {
				select {
				case <-done:
					sent <- n
					return
				case <-time.After(time.Millisecond):
					if w.Host("client").Send(denied.Marked(token)) == nil {
						n++
					}
				}
			}
		}()
		// it is away, nothing to wait for
		require.NoError(t, w.Switch.RestartVswitchd(func() error { time.Sleep(away); return nil }))
		up := time.Now()
		require.NoError(t, w.Switch.Until(func(string) bool { return flowCount(t, w) == count }, "true"))
		took := time.Since(up)
		require.NoError(t, w.AwaitProgrammed())
		flows(t, admitted)
		close(done)
		n := <-sent
		require.NoError(t, w.AwaitForwarded("client"))
		require.Empty(t, w.Saw("client", token))
		t.Logf("away for %s: %d flows back %s after ovs-vswitchd; of %d denied packets 0 passed", away,
			count, took.Round(time.Millisecond), n)
	}
}

// flowCount is how many flows the bridge has; 0 while it cannot be asked.
func flowCount(t *testing.T, w *testnet.World) int {
	t.Helper()
	out, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "dump-aggregate", testnet.Bridge)
	m := regexp.MustCompile(`flow_count=(\d+)`).FindStringSubmatch(out)
	if err != nil || m == nil {
		return 0
	}
	var n int
	_, err = fmt.Sscan(m[1], &n)
	require.NoError(t, err)
	return n
}

// What `ovs-ctl restart` does with flow-restore-wait is its business: the flows are installed while
// it is set, and it stays set.
func TestFlowRestoreWaitIsRespected(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	before := programOf(t, w)
	require.NoError(t, w.Switch.StopVswitchd(syscall.SIGTERM))
	vsctl := func(args ...string) string {
		out, err := w.Switch.Run("ovs-vsctl", append([]string{"--no-wait"}, args...)...)
		require.NoError(t, err)
		return strings.TrimSpace(out)
	}
	vsctl("set", "Open_vSwitch", ".", "other_config:flow-restore-wait=true")
	require.NoError(t, w.Switch.StartVswitchd())
	awaitShape(t, w, before)
	require.NoError(t, w.AwaitProgrammed())
	// The userspace datapath keeps nothing over a restart: nothing passes until the wait is ended by
	// whom it belongs to.
	p := w.Opening("client", "a", testnet.UDP(5000), testnet.IPv4)
	token, err := w.Inject("client", p.Frame())
	require.NoError(t, err)
	require.NoError(t, w.SetPolicyOnly(pairPolicy())) // a turn of the loop
	require.Equal(t, `"true"`, vsctl("get", "Open_vSwitch", ".", "other_config:flow-restore-wait"))
	require.Empty(t, w.Saw("client", token))
	vsctl("remove", "Open_vSwitch", ".", "other_config", "flow-restore-wait")
	for _, f := range families {
		require.NoError(t, w.Reaches("client", "a", testnet.TCP(5000), f))
		admits(t, w, "client", "a", testnet.TCP(5001), f, false)
	}
}

// A database that restarts, hangs or is away costs no flow and no packet; what the policy became
// meanwhile is in force when it is back.
func TestDatabaseRestart(t *testing.T) {
	t.Parallel()
	w := pairWorld(t)
	same := pairPolicy(vm("late", 31, "g"))
	streams := everyPair(t, w)
	before := programOf(t, w)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		require.NoError(t, w.Switch.StopDatabase(signal))
		require.NoError(t, w.AwaitLogged("no connection to OVSDB", "\x00"))
		// Without its database ovs-vswitchd forwards, but answers nobody: the streams tell that the flows
		// are there.
		require.NoError(t, w.ReplacePolicy(strings.ReplaceAll(same, "ports: 5000,", "ports: 5001,")))
		for _, s := range streams {
			s.AwaitSent(50)
		}
		require.NoError(t, w.Switch.StartDatabase())
		up := time.Now()
		require.NoError(t, w.AwaitProgrammed())
		t.Logf("in force %s after the database was back", time.Since(up).Round(time.Millisecond))
		require.NotEqual(t, before, programOf(t, w))
		admits(t, w, "client", "a", testnet.TCP(5001), testnet.IPv4, true)
		require.NoError(t, w.SetPolicy(same))
		admits(t, w, "client", "a", testnet.TCP(5001), testnet.IPv4, false)
		awaitShape(t, w, before)
	}
	goOn, err := w.Switch.HangDatabase()
	require.NoError(t, err)
	for _, s := range streams {
		s.AwaitSent(200)
	}
	require.NoError(t, goOn())
	require.NoError(t, w.AwaitProgrammed())
	complete(t, streams)
	logReceived(t, streams)
}

// everyPair is everyStream between client and a, and between two instances of the host.
func everyPair(t *testing.T, w *testnet.World) map[string]*testnet.Stream {
	t.Helper()
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, "client", "a", 5000)
	push(t, w, streams, "b", "a", 5002)
	flows(t, streams)
	return streams
}
