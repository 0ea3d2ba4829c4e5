//go:build integration

package integration

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/integration/testnet"
)

// tapTotals are the counters as `portcullis top` tells them.
type tapTotals struct {
	at    time.Time
	rules map[string]uint64 // "group: words"
	ports map[string]telemetry.PortCount
	drops map[string]uint64
}

func totalsOf(t *testing.T, w *testnet.World) tapTotals {
	t.Helper()
	out, err := w.Portcullis("top", "-o", "json")
	require.NoError(t, err)
	var counts api.Counts
	require.NoError(t, json.Unmarshal([]byte(out), &counts))
	require.Empty(t, counts.Error)
	totals := tapTotals{counts.At, map[string]uint64{}, map[string]telemetry.PortCount{},
		map[string]uint64{}}
	for _, r := range counts.Rules {
		totals.rules[r.Group+": "+r.Rule] = r.Admitted.Packets
	}
	for _, p := range counts.Ports {
		totals.ports[p.Port] = p
	}
	for _, d := range counts.Dropped {
		totals.drops[d.Table] = d.Count
	}
	return totals
}

// readWithin bounds how long the counters may be old: a reading on a busy machine takes seconds,
// and the daemon rests ten times as long.
const readWithin = time.Minute

// awaitTotals waits until the counters are as they should be: Open vSwitch adds up twice a second,
// and the daemon reads at most once in one. Then it looks once more, because what comes too much
// comes late.
func awaitTotals(t *testing.T, w *testnet.World, ok func(tapTotals) bool) tapTotals {
	t.Helper()
	var got tapTotals
	look := func() bool {
		got = totalsOf(t, w)
		return ok(got)
	}
	require.Eventually(t, look, testnet.Slowed(readWithin), 100*time.Millisecond, "%+v", &got)
	_, err := w.Switch.Appctl("revalidator/wait")
	require.NoError(t, err)
	at := got.at
	require.Eventually(t, func() bool { look(); return got.at.After(at) }, testnet.Slowed(readWithin),
		100*time.Millisecond)
	require.True(t, ok(got), "%+v", got)
	return got
}

// What a rule admits and what a port is denied is counted by rule, port and direction, and survives
// what does not concern it.
func TestCounters(t *testing.T) {
	t.Parallel()
	const web, other, moved = "web: ingress tcp 80 from 0.0.0.0/0",
		"db: ingress tcp 3307 from 0.0.0.0/0", "web: ingress tcp 8080 from 0.0.0.0/0"
	policyOf := func(webPort, dbPort string) string {
		return document([]group{{name: "web", rules: []string{in("tcp "+webPort, any4)}},
			{name: "db", rules: []string{in("tcp "+dbPort, any4)}}},
			vm("a", 11, "web"), vm("b", 21, "db"))
	}
	w := newWorld(t, testnet.Spec{Policy: policyOf("80", "3306"), Outside: outside(),
		Daemon: daemon(t)})
	open := func(port uint16, n int) {
		for range n {
			require.NoError(t, w.Reaches("client", "a", testnet.TCP(port), testnet.IPv4))
		}
	}
	deny := func(from, to string, n int) {
		for range n {
			_, err := w.Inject(from, w.Opening(from, to, testnet.TCP(81), testnet.IPv4).Frame())
			require.NoError(t, err)
		}
		require.NoError(t, w.AwaitForwarded(from))
	}
	// A SYN that is sent again is judged again: a busy machine may make some of that.
	about := func(n, got uint64) bool { return got >= n && got <= n+n/10 }
	denied := func(got tapTotals) [4]uint64 {
		a, b := got.ports["tap-a"], got.ports["tap-b"]
		return [4]uint64{a.Ingress.Denied.Packets, a.Egress.Denied.Packets, b.Ingress.Denied.Packets,
			b.Egress.Denied.Packets}
	}

	open(80, 20)
	deny("client", "a", 30)
	first := awaitTotals(t, w,
		func(got tapTotals) bool {
			return about(20, got.rules[web]) && denied(got) == [4]uint64{30, 0, 0, 0}
		})
	a := first.ports["tap-a"]
	require.Greater(t, a.Ingress.Established.Packets, uint64(2*20),
		"the acknowledgement and the data of each")
	require.Greater(t, a.Egress.Established.Packets, uint64(2*20))
	require.Zero(t, first.ports["tap-b"].Ingress.Established.Packets)

	// Between two instances both judge: the sender's egress is open, the receiver's ingress is not.
	deny("a", "b", 7)
	got := awaitTotals(t, w, func(got tapTotals) bool { return denied(got) == [4]uint64{30, 0, 7, 0} })
	require.Equal(t, first.rules[": egress is open"]+7, got.rules[": egress is open"])

	// A forgery is no matter of the rules, and of no port.
	before := got.drops["source_guard"]
	forged := withSource(w.Opening("a", "b", testnet.TCP(3306), testnet.IPv4).Frame(),
		w.Host("client").MAC)
	for range 5 {
		_, err := w.Inject("a", forged)
		require.NoError(t, err)
	}
	require.NoError(t, w.AwaitForwarded("a"))
	awaitTotals(t, w, func(got tapTotals) bool {
		return got.drops["source_guard"] >= before+5 && denied(got) == [4]uint64{30, 0, 7, 0}
	})

	require.NoError(t, w.SetPolicy(policyOf("80", "3307"))) // somebody else's group
	open(80, 10)
	deny("client", "a", 1)
	got = awaitTotals(t, w,
		func(got tapTotals) bool {
			return about(30, got.rules[web]) && denied(got) == [4]uint64{31, 0, 7, 0}
		})
	require.Contains(t, got.rules, other)
	require.Zero(t, got.rules[other])

	// every counter of the switch begins anew
	require.NoError(t, w.Switch.RestartVswitchd(func() error { return nil }))
	require.NoError(t, w.AwaitProgrammed())
	open(80, 40) // more than before: the flow's own counter never seems to go back
	deny("client", "a", 40)
	got = awaitTotals(t, w,
		func(got tapTotals) bool {
			return about(70, got.rules[web]) && denied(got) == [4]uint64{71, 0, 7, 0}
		})

	// another rule: from zero, under its own name
	require.NoError(t, w.SetPolicy(policyOf("8080", "3307")))
	open(8080, 5)
	got = awaitTotals(t, w, func(got tapTotals) bool { return about(5, got.rules[moved]) })
	require.NotContains(t, got.rules, web)
	require.Equal(t, [4]uint64{71, 0, 7, 0}, denied(got))
	t.Logf("rules %v, denied %v, dropped %v", got.rules, denied(got), got.drops)
}
