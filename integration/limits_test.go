//go:build integration

package integration

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// limitedWorld is an instance that floods and a neighbour, with the same limits, and a target of
// both without.
func limitedWorld(t *testing.T, limits string) *testnet.World {
	t.Helper()
	return newWorld(t, testnet.Spec{Policy: limitedPolicy(limits), Settings: unlimited,
		Outside: outside(), Gateways: gateways, Daemon: daemon(t)})
}

// unlimited are settings of a host on which nothing is limited.
const unlimited = "limits: {" + noLimits + ", outside_fragments_per_second: 0}\n"

// noLimits is what settings or a port say that want none.
const noLimits = "connections: 0, new_connections_per_second: 0, arp_nd_dhcp_per_second: 0, fragments_per_second: 0"

func limitedPolicy(limits string) string {
	flooder, neighbour := vm("flooder", 11, "everything"), vm("neighbour", 21, "everything")
	if limits != "" {
		flooder, neighbour = flooder.with("limits: {"+limits+"}"), neighbour.with("limits: {"+limits+"}")
	}
	return document([]group{everything}, flooder, neighbour, vm("target", 31, "everything"))
}

// limitedRate is the limit of these tests; as many are let through at once beside. neighbourly is
// how often the neighbour sends at most: less.
const (
	limitedRate = 50
	neighbourly = 100 * time.Millisecond
	floodLength = 2 * time.Second // at least, and
	floodFrames = 600
)

// flood sends frames from the flooder, up to 1,000 a second, and at least twice as many as the
// limit lets through, and from the neighbour as many as it may. It returns how many were sent and
// how many arrived, and how long all that took, and asserts that all of the neighbour's did.
func flood(t *testing.T, w *testnet.World, frame func(from string) testnet.Frame) (sent,
	arrived int, took time.Duration) {
	t.Helper()
	var flooded, honest []testnet.Token
	began := time.Now()
	last := began.Add(-neighbourly)
	for time.Since(began) < floodLength ||
		len(flooded) < max(floodFrames, 2*allowed(time.Since(began))) {
		token, err := w.Inject("flooder", frame("flooder"))
		require.NoError(t, err)
		flooded = append(flooded, token)
		if now := time.Now(); now.Sub(last) >= neighbourly {
			last = now
			token, err := w.Inject("neighbour", frame("neighbour"))
			require.NoError(t, err)
			honest = append(honest, token)
		}
		time.Sleep(time.Millisecond)
	}
	// what one asks is received by all but itself
	for _, unlimited := range []string{"target", "client"} {
		require.NoError(t, w.AwaitForwarded(unlimited))
	}
	took = time.Since(began)
	for n, token := range honest {
		require.NotEmpty(t, w.Saw("neighbour", token), "the neighbour's frame %d of %d is lost", n,
			len(honest))
	}
	require.NotEmpty(t, honest)
	for _, token := range flooded {
		if len(w.Saw("flooder", token)) > 0 {
			arrived++
		}
	}
	t.Logf("in %s the flooder sent %d, %d arrived; all %d of the neighbour did",
		took.Round(time.Millisecond), len(flooded), arrived, len(honest))
	return len(flooded), arrived, took
}

// allowed is how many packets the limit lets through in a time, at most.
func allowed(took time.Duration) int { return limitedRate + int(limitedRate*took.Seconds()) }

// isCut asserts that a flood was cut to the limit: by no more, and by no less.
func isCut(t *testing.T, w *testnet.World, frame func(from string) testnet.Frame) {
	t.Helper()
	time.Sleep(2 * time.Second) // what the limit lets through at once is whole again; nothing shows it
	sent, arrived, took := flood(t, w, frame)
	require.Less(t, arrived, sent, "it is a flood")
	require.LessOrEqual(t, arrived, allowed(took)*11/10)
	require.GreaterOrEqual(t, arrived, limitedRate)
}

// discoveries are what is limited beside connections.
func discoveries(w *testnet.World) map[string]func(from string) testnet.Frame {
	return map[string]func(from string) testnet.Frame{
		"ARP":    func(from string) testnet.Frame { return w.ARPRequest(from, "target").Frame() },
		"ND":     func(from string) testnet.Frame { return w.Solicitation(from, "target").Frame() },
		"DHCP":   func(from string) testnet.Frame { return w.DHCPDiscover(from).Frame() },
		"DHCPv6": func(from string) testnet.Frame { return w.DHCPSolicit(from).Frame() },
	}
}

// Limits that are off are nowhere: no meters, no flows that name one, no limits of zones. A flood
// is not cut then.
func TestLimits_Off(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, "")
	require.NotContains(t, programOf(t, w), "meter")
	require.Empty(t, metersOf(t, w))
	require.NotContains(t, zonesOf(t, w), "zone=")
	kinds := discoveries(w)
	kinds["openings"] = func(from string) testnet.Frame {
		return w.Opening(from, "target", testnet.TCP(80), testnet.IPv4).Frame()
	}
	for name, frame := range kinds {
		t.Run(name, func(t *testing.T) {
			sent, arrived, _ := flood(t, w, frame)
			require.Equal(t, sent, arrived)
		})
	}
}

// Whoever says nothing of limits has the defaults; and who says 0 at a port has none.
func TestLimits_Default(t *testing.T) {
	t.Parallel()
	free := vm("target", 31, "everything").with("limits: {" + noLimits + "}")
	w := newWorld(t, testnet.Spec{Policy: document([]group{everything}, vm("flooder", 11, "everything"), vm("neighbour", 21, "everything"), free),
		Outside: outside(), Gateways: gateways, Daemon: daemon(t)})
	s, err := w.Status()
	require.NoError(t, err)
	require.NotContains(t, strings.Join(s.Warnings, ";"), "limited")
	zones := zonesOf(t, w)
	require.Equal(t, 2, strings.Count(zones, "limit=20000,"), zones)
	require.Equal(t, 2, strings.Count(zones, "zone="), "the target has none: %s", zones)
	out := dumpMeters(t, w)
	require.Equal(t, 2, strings.Count(out, "rate=300 burst_size=300"), out)
	require.NoError(t, w.Reaches("neighbour", "target", testnet.TCP(80), testnet.IPv4))
}

// An instance that floods ARP, ND or DHCP is cut to its rate; what its neighbour asks arrives, all
// of it.
func TestLimits_Discovery(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, "arp_nd_dhcp_per_second: 50")
	for name, frame := range discoveries(w) {
		t.Run(name, func(t *testing.T) { isCut(t, w, frame) })
	}
	t.Run("other traffic is not cut", func(t *testing.T) {
		sent, arrived, _ := flood(t, w, func(from string) testnet.Frame {
			return w.Opening(from, "target", testnet.UDP(53), testnet.IPv6).Frame()
		})
		require.Equal(t, sent, arrived)
	})
}

// An instance that opens connections without end is cut to its rate, its open connections go on,
// and its neighbour opens all of its own.
func TestLimits_NewConnections(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, "new_connections_per_second: 50")
	open, err := w.Open("flooder", "target", testnet.TCP(80), testnet.IPv4)
	require.NoError(t, err)
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			isCut(t, w, func(from string) testnet.Frame {
				return w.Opening(from, "target", testnet.TCP(81), f).Frame()
			})
			require.NoError(t, w.Reaches("neighbour", "target", testnet.TCP(80), f))
		})
	}
	require.NoError(t, open.Echo(testnet.Slowed(patience)))
	t.Run("a stream that nobody answers is one connection", func(t *testing.T) {
		one := map[string]testnet.Frame{}
		for _, name := range []string{"flooder", "neighbour"} {
			one[name] = w.Opening(name, "target", testnet.UDP(7777), testnet.IPv4).Frame()
		}
		time.Sleep(2 * time.Second)
		sent, arrived, _ := flood(t, w, func(from string) testnet.Frame { return one[from] })
		require.Equal(t, sent, arrived)
	})
	t.Run("from beyond the uplink", func(t *testing.T) {
		time.Sleep(2 * time.Second)
		var tokens []testnet.Token
		for range 400 {
			token, err := w.Inject("client",
				w.Opening("client", "flooder", testnet.TCP(80), testnet.IPv4).Frame())
			require.NoError(t, err)
			tokens = append(tokens, token)
		}
		require.NoError(t, w.Reaches("client", "neighbour", testnet.TCP(80), testnet.IPv4))
		require.NoError(t, w.AwaitForwarded("target"))
		arrived := 0
		for _, token := range tokens {
			if w.Host("flooder").Capture.Bears(token) {
				arrived++
			}
		}
		require.Less(t, arrived, 300)
		require.GreaterOrEqual(t, arrived, limitedRate)
	})
}

// An instance that opens thousands of connections fills its own zone, to its limit, and nobody
// else's.
func TestLimits_Connections(t *testing.T) {
	t.Parallel()
	const limit = 100
	w := limitedWorld(t, "connections: 100")
	open, err := w.Open("flooder", "target", testnet.TCP(80), testnet.IPv4)
	require.NoError(t, err)
	for range 3000 {
		_, err := w.Inject("flooder",
			w.Opening("flooder", "target", testnet.UDP(7777), testnet.IPv4).Frame())
		require.NoError(t, err)
	}
	require.NoError(t, w.AwaitForwarded("target"))
	require.Equal(t, limit, connectionsOf(t, w, "flooder"))
	require.NoError(t, open.Echo(testnet.Slowed(patience)), "what is open stays open")
	for n := range 20 {
		require.NoError(t, w.Reaches("neighbour", "target", testnet.TCP(80), testnet.IPv4),
			"connection %d", n)
	}
	require.Error(t, w.Reaches("flooder", "target", testnet.TCP(81), testnet.IPv4),
		"none is left for it")

	require.NoError(t, w.SetPolicy(limitedPolicy("")))
	require.NotContains(t, zonesOf(t, w), "zone=")
	require.NoError(t, w.Reaches("flooder", "target", testnet.TCP(81), testnet.IPv4))
}

// Limits of the settings file hold for every port that has none of its own, from the next start on,
// and cost no packet of those who keep to them.
func TestLimits_Settings(t *testing.T) {
	t.Parallel()
	policy := func(limits string) string { // the target would be flooded else, too
		return strings.Replace(limitedPolicy(limits), `"2001:db8::31"]`,
			`"2001:db8::31"], limits: {`+noLimits+"}", 1)
	}
	w := newWorld(t, testnet.Spec{Policy: policy(""),
		Settings: "limits: {connections: 100, arp_nd_dhcp_per_second: 0, fragments_per_second: 0, outside_fragments_per_second: 0}\n", Outside: outside(), Gateways: gateways, Daemon: daemon(t)})
	streams := map[string]*testnet.Stream{}
	push(t, w, streams, "client", "target", 5000)
	push(t, w, streams, "neighbour", "target", 5002)
	flows(t, streams)
	opening := func(from string) testnet.Frame {
		return w.Opening(from, "target", testnet.TCP(81), testnet.IPv4).Frame()
	}
	t.Run("connections", func(t *testing.T) {
		for range 1000 {
			_, err := w.Inject("flooder", opening("flooder"))
			require.NoError(t, err)
		}
		require.NoError(t, w.AwaitForwarded("target"))
		require.Equal(t, 100, connectionsOf(t, w, "flooder"))
		require.NoError(t, w.Reaches("neighbour", "target", testnet.TCP(80), testnet.IPv4))
	})
	start := func(t *testing.T, limits string) {
		require.NoError(t, w.StopDaemon())
		require.NoError(t, w.ChangeSettings(func(text string) string {
			return strings.Replace(text,
				"connections: 100, arp_nd_dhcp_per_second: 0, fragments_per_second: 0", limits, 1)
		}))
		require.NoError(t, w.StartDaemon())
		require.NoError(t, w.AwaitProgrammed())
	}
	t.Run("ARP, ND and DHCP", func(t *testing.T) {
		start(t, "connections: 0, arp_nd_dhcp_per_second: 50")
		for name, frame := range discoveries(w) {
			t.Run(name, func(t *testing.T) { isCut(t, w, frame) })
		}
	})
	t.Run("new connections", func(t *testing.T) {
		start(t, "connections: 0, new_connections_per_second: 50, arp_nd_dhcp_per_second: 0")
		isCut(t, w, opening)
	})
	t.Run("a port's own limit counts more", func(t *testing.T) {
		require.NoError(t, w.SetPolicy(policy(noLimits)))
		sent, arrived, _ := flood(t, w, opening)
		require.Equal(t, sent, arrived)
		require.NoError(t, w.SetPolicy(policy("")))
	})
	t.Run("off again", func(t *testing.T) {
		start(t, noLimits)
		require.Empty(t, metersOf(t, w))
		require.NotContains(t, zonesOf(t, w), "zone=")
	})
	complete(t, streams)
	logReceived(t, streams)
}

// Limits come back when ovs-vswitchd has forgotten them, and when somebody has deleted them.
func TestLimits_ComeBack(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t,
		"connections: 100, new_connections_per_second: 50, arp_nd_dhcp_per_second: 50")
	inForce := func() bool {
		zones, err := w.Switch.Appctl("dpctl/ct-get-limits")
		return err == nil && len(metersOf(t, w)) == 6 && strings.Count(zones, "limit=100,") == 2
	}
	require.True(t, inForce())
	program := programOf(t, w)
	require.Contains(t, program, "meter:")

	require.NoError(t, w.Switch.RestartVswitchd(func() error { return nil }))
	awaitShape(t, w, program)
	require.NoError(t, w.AwaitProgrammed())
	require.Eventually(t, inForce, testnet.Slowed(patience), 50*time.Millisecond)

	// takes flows along
	_, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "del-meter", testnet.Bridge,
		"meter=all")
	require.NoError(t, err)
	awaitShape(t, w, program)
	require.True(t, inForce())
	s, err := w.AwaitStatus(
		func(s testnet.Status) bool { return s.Port("tap-flooder").State == "applied" })
	require.NoError(t, err)
	require.Empty(t, s.Error)

	require.NoError(t, w.StopDaemon())
	require.True(t, inForce(), "they stay, as the flows do")
	require.NoError(t, w.StartDaemon())
	require.NoError(t, w.AwaitProgrammed())
	s, err = w.Status()
	require.NoError(t, err)
	require.Zero(t, s.Apply.Adds+s.Apply.Deletes)

	require.NoError(t, w.SetPolicy(limitedPolicy("")))
	require.Empty(t, metersOf(t, w))
}

// metersOf returns the numbers of the bridge's meters.
func metersOf(t *testing.T, w *testnet.World) []string {
	t.Helper()
	return regexp.MustCompile(`meter=\d+`).FindAllString(dumpMeters(t, w), -1)
}

func dumpMeters(t *testing.T, w *testnet.World) string {
	t.Helper()
	out, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "dump-meters", testnet.Bridge)
	require.NoError(t, err)
	return out
}

func zonesOf(t *testing.T, w *testnet.World) string {
	t.Helper()
	out, err := w.Switch.Appctl("dpctl/ct-get-limits")
	require.NoError(t, err)
	return out
}

// connectionsOf returns how many connections the zone of an instance remembers.
func connectionsOf(t *testing.T, w *testnet.World, name string) int {
	t.Helper()
	s, err := w.Status()
	require.NoError(t, err)
	zone := s.Port("tap-" + name).Zone
	count := regexp.MustCompile(`count=(\d+)`)
	out, err := w.Switch.Appctl("dpctl/dump-conntrack", "zone="+strconv.Itoa(int(zone)))
	require.NoError(t, err)
	limits, err := w.Switch.Appctl("dpctl/ct-get-limits", "zone="+strconv.Itoa(int(zone)))
	require.NoError(t, err)
	t.Logf("zone %d: %v", zone, count.FindString(limits))
	return strings.Count(out, "orig=")
}
