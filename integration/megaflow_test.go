//go:build integration

package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// What traffic costs the datapath: a scan of closed ports makes few flows there, and once a
// connection is known its packets are carried by flows that look at no port.
func TestDatapathFlowsStayWide(t *testing.T) {
	t.Parallel()
	web := group{name: "web",
		rules: []string{in("tcp 80", "0.0.0.0/0"), in("tcp 8000-8100", "@web"),
			out("tcp 443", "0.0.0.0/0"), in("tcp 22", "198.51.100.0/24")}}
	a, b := vm("a", 11, "web"), vm("b", 12, "web")
	w := newWorld(t, testnet.Spec{Policy: document([]group{web}, a, b), Outside: outside(),
		Daemon: daemon(t)})

	t.Run("a scan of 1,000 closed ports", func(t *testing.T) {
		before := datapathFlows(t, w)
		var frames []testnet.Frame
		for port := range uint16(1000) {
			syn := w.Opening("client", "a", testnet.TCP(20000+port), testnet.IPv4)
			syn.SrcPort = 30000
			frames = append(frames, syn.Frame())
		}
		receivers, err := w.Receivers("client", frames...)
		require.NoError(t, err)
		require.Empty(t, receivers)
		made := len(datapathFlows(t, w)) - len(before)
		t.Logf("%d datapath flows for 1,000 closed ports", made)
		require.Less(t, made, 20)
	})

	t.Run("an established connection", func(t *testing.T) {
		c, err := w.Open("client", "a", testnet.TCP(80), testnet.IPv4)
		require.NoError(t, err)
		for range 20 {
			require.NoError(t, c.Echo(time.Second))
		}
		carried := 0
		for _, f := range datapathFlows(t, w) {
			established := strings.Contains(f, "ct_state(-new") || strings.Contains(f, "+est")
			if established && strings.Contains(f, "ct_mark(") && !strings.Contains(f, "ct_mark(0)") {
				carried++
				require.NotContains(t, f, "tcp(", "it looks at a port")
			}
		}
		t.Logf("%d datapath flows for established connections", carried)
		require.NotZero(t, carried)
	})
}

// What an instance sends meets one flow until its zone is asked, whomever it is for: the datapath
// learns no flow of that stage for each of its peers.
func TestFirstPassIsOfAPort(t *testing.T) {
	t.Parallel()
	peers := []string{"b", "c", "d"}
	web := group{name: "web", rules: []string{in("tcp 8000-8100", "@web"), out("any", "0.0.0.0/0"),
		out("any", "::/0")}}
	sender := vm("a", 11, "web")
	machines := []machine{sender}
	for n, name := range peers {
		machines = append(machines, vm(name, 12+byte(n), "web"))
	}
	w := newWorld(t, testnet.Spec{Policy: document([]group{web}, machines...), Outside: outside(),
		Daemon: daemon(t)})
	for _, family := range []testnet.Family{testnet.IPv4, testnet.IPv6} {
		for _, peer := range peers {
			c, err := w.Open("a", peer, testnet.TCP(8080), family)
			require.NoError(t, err)
			require.NoError(t, c.Echo(time.Second))
		}
	}
	first := map[string]int{}
	for _, f := range datapathFlows(t, w) {
		if !strings.Contains(f, "recirc_id(0)") || !strings.Contains(f, "src="+sender.mac().String()) ||
			!strings.Contains(f, "proto=6") {
			continue
		}
		for _, kind := range []string{"ipv4(", "ipv6("} {
			if strings.Contains(f, kind) {
				first[kind]++
			}
		}
	}
	require.Equal(t, map[string]int{"ipv4(": 1, "ipv6(": 1}, first, strings.Join(datapathFlows(t, w), "\n"))
}

// datapathFlows returns what the datapath holds now, a flow a line.
func datapathFlows(t *testing.T, w *testnet.World) []string {
	t.Helper()
	out, err := w.Switch.Appctl("dpctl/dump-flows")
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(out), "\n")
}
