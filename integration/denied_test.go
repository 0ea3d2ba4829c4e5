//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// The instances of these tests: web-1 logs what is denied and may ask for nothing but tcp 80, quiet
// does neither log nor differ.
func deniedPolicy(web string) string {
	guarded := group{name: "guarded",
		rules: []string{in("tcp 80", "0.0.0.0/0"), in("tcp 80", "::/0"), in("udp 5000", "0.0.0.0/0"),
			out("tcp 80", "0.0.0.0/0"), out("tcp 80", "::/0")}}
	return document([]group{guarded}, vm("web-1", 11, "guarded").with(web), vm("quiet", 21, "guarded"))
}

func deniedWorld(t *testing.T, web string) *testnet.World {
	t.Helper()
	return newWorld(t, testnet.Spec{Policy: deniedPolicy(web), Outside: outside(), Gateways: gateways,
		Daemon: daemon(t)})
}

// deniedLines are the lines of the daemon's log about denied packets.
func deniedLines(t *testing.T, w *testnet.World) (out []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.Dir, "portcullis.log"))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "msg=denied") {
			out = append(out, line)
		}
	}
	return out
}

// isDenied sends the first packet of a connection, which must arrive nowhere.
func isDenied(t *testing.T, w *testnet.World, from, to string, s testnet.Service,
	f testnet.Family) {
	t.Helper()
	admitted, err := w.Admits(from, to, s, f)
	require.NoError(t, err)
	require.False(t, admitted, "%s to %s, %s", from, to, s)
}

// listens waits until the daemon's monitor of denied packets is there.
func listens(t *testing.T, w *testnet.World) {
	t.Helper()
	isTold(t, w, "client", "web-1", testnet.UDP(9), testnet.IPv4)
}

// isTold sends first packets of connections that are denied, less often than the meter lets
// through, until the log has one more line.
func isTold(t *testing.T, w *testnet.World, from, to string, s testnet.Service, f testnet.Family) {
	t.Helper()
	before := len(deniedLines(t, w))
	require.Eventually(t, func() bool {
		isDenied(t, w, from, to, s, f)
		return len(deniedLines(t, w)) > before
	}, testnet.Slowed(10*time.Second), 150*time.Millisecond, "%s to %s, %s", from, to, s)
}

// lineOf is what a line of the log says of a packet.
func lineOf(direction, from, to string, w *testnet.World, s testnet.Service,
	f testnet.Family) []string {
	words := []string{"direction=" + direction, "protocol=" + s.Protocol.String(), "instance=web-1",
		"port=tap-web-1",
		fmt.Sprintf("reason=\"no %s rule admits it\"", direction)}
	for key, name := range map[string]string{"src": from, "dst": to} {
		address := w.Host(name).Address(f).String()
		if f == testnet.IPv6 {
			address = `"` + address + `"`
		}
		words = append(words, key+"="+address+" ")
	}
	if s.Protocol.HasTypes() {
		return append(words, fmt.Sprintf("icmp_type=%d", s.Type), "icmp_code=0")
	}
	return append(words, fmt.Sprintf("dst_port=%d", s.Port))
}

func TestDeniedIsLogged(t *testing.T) {
	t.Parallel()
	w := deniedWorld(t, "log_denied: true")
	listens(t, w)
	for _, f := range families {
		for _, s := range []testnet.Service{testnet.TCP(22), testnet.UDP(53), testnet.Ping(f)} {
			for direction, ends := range map[string][2]string{"ingress": {"client", "web-1"},
				"egress": {"web-1", "client"}} {
				before := len(deniedLines(t, w))
				isTold(t, w, ends[0], ends[1], s, f)
				isDenied(t, w, ends[0], ends[1], s, f) // again: it was told
				lines := deniedLines(t, w)[before:]
				require.Len(t, lines, 1, "%s %s %s", direction, s, f)
				for _, word := range lineOf(direction, ends[0], ends[1], w, s, f) {
					require.Contains(t, lines[0], word)
				}
			}
		}
	}
	before := len(deniedLines(t, w))
	for _, f := range families {
		require.NoError(t, w.Reaches("client", "web-1", testnet.TCP(80), f))
		require.NoError(t, w.Reaches("web-1", "client", testnet.TCP(80), f))
		isDenied(t, w, "client", "quiet", testnet.TCP(22), f)
		isDenied(t, w, "quiet", "client", testnet.TCP(22), f)
	}
	// behind the others: when it is told, they would be
	isTold(t, w, "client", "web-1", testnet.TCP(24), testnet.IPv4)
	require.Len(t, deniedLines(t, w), before+1)
	require.Contains(t, deniedLines(t, w)[before], "dst_port=24")
}

// Off, on and off again: a change of the log moves no epoch and costs no connection anything; off,
// nothing is asked of the switch.
func TestDeniedLogIsOffUnlessWanted(t *testing.T) {
	t.Parallel()
	w := deniedWorld(t, "log_denied: false")
	require.NotContains(t, programOf(t, w), "CONTROLLER")
	require.NotContains(t, dumpMeters(t, w), "rate=10 ")
	isDenied(t, w, "client", "web-1", testnet.TCP(22), testnet.IPv4)
	stream, err := w.PushFromServer("client", "web-1", testnet.IPv4, 5000)
	require.NoError(t, err)
	first := stream.AwaitSent(10)
	before, err := w.Status()
	require.NoError(t, err)
	require.NoError(t, w.SetPolicy(deniedPolicy("log_denied: true")))
	require.Equal(t, 2, strings.Count(programOf(t, w), "CONTROLLER"))
	listens(t, w)
	require.NoError(t, w.SetPolicy(deniedPolicy("log_denied: false")))
	require.NotContains(t, programOf(t, w), "CONTROLLER")
	after, err := w.Status()
	require.NoError(t, err)
	require.Equal(t, before.Port("tap-web-1").Epoch, after.Port("tap-web-1").Epoch)
	lines := len(deniedLines(t, w))
	isDenied(t, w, "client", "web-1", testnet.TCP(23), testnet.IPv4)
	require.Len(t, deniedLines(t, w), lines)
	last := stream.AwaitSent(first + 100)
	require.True(t, stream.Await(last, testnet.Slowed(5*time.Second)))
	require.Empty(t, stream.Missing(first, last))
}

// A flood of what is denied, each packet of another connection: the log gets what the meter lets
// through, a stream that is admitted loses nothing, and that the daemon is not there changes
// nothing of either.
func TestDeniedFlood(t *testing.T) {
	t.Parallel()
	w := deniedWorld(t, "log_denied: true")
	listens(t, w)
	stream, err := w.PushFromServer("client", "web-1", testnet.IPv4, 5000)
	require.NoError(t, err)
	flood := func() time.Duration {
		began := time.Now()
		first := stream.AwaitSent(1)
		for n := range 5000 {
			require.NoError(t, w.Host("client").Send(w.Opening("client", "web-1",
				testnet.TCP(uint16(1000+n)), testnet.IPv4).Frame()))
		}
		isDenied(t, w, "client", "web-1", testnet.TCP(22), testnet.IPv4)
		last := stream.AwaitSent(first + 100)
		require.True(t, stream.Await(last, testnet.Slowed(5*time.Second)))
		require.Empty(t, stream.Missing(first, last))
		return time.Since(began)
	}
	before := len(deniedLines(t, w))
	took := flood()
	lines := len(deniedLines(t, w)) - before
	t.Logf("5,000 denied packets in %s: %d lines", took.Round(time.Millisecond), lines)
	require.Positive(t, lines)
	require.LessOrEqual(t, float64(lines), 10+10*took.Seconds()+1, "as many as the meter lets through")
	require.NoError(t, w.StopDaemon())
	flood()
	require.NoError(t, w.Reaches("client", "web-1", testnet.TCP(80), testnet.IPv4))
	require.NoError(t, w.StartDaemon())
	require.NoError(t, w.AwaitProgrammed())
	listens(t, w) // a daemon that has just begun remembers nothing of what was told
}
