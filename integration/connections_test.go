//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/integration/testnet"
)

// listed asks the daemon for live connections.
func listed(t *testing.T, w *testnet.World, args ...string) api.Connections {
	t.Helper()
	out, err := w.Portcullis("connections", append([]string{"-o", "json"}, args...)...)
	require.NoError(t, err)
	var list api.Connections
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	return list
}

// summary is what a connection is, and what admitted it, in one line.
func summary(c telemetry.Connection) string {
	return fmt.Sprintf("%s %s %s %s:%d current=%t %s: %s", c.Port, c.Direction, c.Protocol, c.Dst,
		c.DstPort, c.Current, c.Group, c.Rule)
}

func summaries(list api.Connections) (out []string) {
	for _, c := range list.Connections {
		out = append(out, summary(c))
	}
	return out
}

func TestConnections(t *testing.T) {
	t.Parallel()
	web := group{name: "web",
		rules: []string{in("tcp 80", "@web"), in("udp 53", "0.0.0.0/0"), in("icmpv6 128", "::/0")}}
	policyOf := func(g group) string {
		return document([]group{g}, vm("web-1", 11, "web"), vm("web-2", 21, "web"))
	}
	w := newWorld(t, testnet.Spec{Policy: policyOf(web), Outside: outside(), Gateways: gateways,
		Daemon: daemon(t)})
	require.Empty(t, listed(t, w).Connections)
	open, err := w.Open("web-1", "web-2", testnet.TCP(80), testnet.IPv4)
	require.NoError(t, err)
	_, err = w.Open("client", "web-2", testnet.UDP(53), testnet.IPv4)
	require.NoError(t, err)
	require.NoError(t, w.Reaches("client", "web-2", testnet.Ping(testnet.IPv6), testnet.IPv6))
	admitted, err := w.Admits("client", "web-2", testnet.TCP(80), testnet.IPv4)
	require.NoError(t, err)
	require.False(t, admitted)

	const isOpen = ": egress is open: no group of the instance has an egress rule"
	both := listed(t, w)
	require.False(t, both.More)
	require.ElementsMatch(t, []string{
		"tap-web-1 egress tcp 203.0.113.21:80 current=true " + isOpen,
		"tap-web-2 ingress tcp 203.0.113.21:80 current=true web: ingress tcp 80 from group web",
		"tap-web-2 ingress udp 203.0.113.21:53 current=true web: ingress udp 53 from 0.0.0.0/0",
		"tap-web-2 ingress icmpv6 2001:db8::21:0 current=true web: ingress icmpv6 type 128 from ::/0",
	}, summaries(both))
	one := listed(t, w, "--instance", "web-1")
	require.Len(t, one.Connections, 1)
	require.Equal(t, "ESTABLISHED", one.Connections[0].State)
	require.Equal(t, open.LocalPort(), one.Connections[0].SrcPort)
	require.Contains(t, listed(t, w, "--port", "tap-web-2").Connections[0].At, "policy.yaml:")
	require.True(t, listed(t, w, "--port", "tap-web-2", "--limit", "2").More)
	table, err := w.Portcullis("connections")
	require.NoError(t, err)
	require.Contains(t, table, "local")
	require.Contains(t, table, "egress is open: no group of the instance has an egress rule; web: ingress tcp 80 from group web")
	require.NotContains(t, table, "JUDGED AGAIN")
	_, err = w.Portcullis("connections", "--port", "tap-web-3")
	require.ErrorContains(t, err, `no port "tap-web-3" on this host`)

	// The plan of that names the connection that would end, at both ends, and the rule; of the
	// others, which stay, nothing is said.
	less := web
	less.rules = web.rules[1:]
	next := filepath.Join(t.TempDir(), "new.yaml")
	require.NoError(t, os.WriteFile(next, []byte(policyOf(less)), 0o600))
	plan, err := w.Portcullis("plan", "--policy", next)
	require.Error(t, err, "exit code 2")
	require.Contains(t, plan, fmt.Sprintf("\ncuts 1 connection now: web-1 203.0.113.11:%d → web-2:80 "+
		"(rule web: ingress tcp 80 from group web, ", open.LocalPort()))
	require.Contains(t, plan, "\n1 access lost, 0 gained, 1 connection cut, ")

	// A rule that goes takes the right to pass with it, not the memory: what it admitted is out of
	// date and its rule is gone.
	web.rules = web.rules[1:]
	require.NoError(t, w.SetPolicy(policyOf(web)))
	require.Contains(t, summaries(listed(t, w)),
		"tap-web-2 ingress tcp 203.0.113.21:80 current=false : a rule that is gone")
}
