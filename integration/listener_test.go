//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

var (
	allMLDv2        = netip.MustParseAddr("ff02::16")
	allMLDv2MAC     = policy.MAC{0x33, 0x33, 0, 0, 0, 0x16}
	listenerReports = []uint8{policy.ListenerReport, policy.ListenerDone, policy.ListenerReportV2}
)

// report is what an instance says, from an address, of the groups that it listens to.
func report(w *testnet.World, from string, src netip.Addr, kind uint8) testnet.MLD {
	group, mac := testnet.SolicitedNode(w.Host("web-1").Address(testnet.IPv6))
	m := testnet.MLD{Src: w.Host(from).MAC, Dst: mac, From: src, To: group, Type: kind, Group: group}
	switch kind {
	case policy.ListenerReportV2:
		m.Dst, m.To = allMLDv2MAC, allMLDv2
	case policy.ListenerDone:
		m.Dst, m.To = allRoutersMAC, allRouters
	}
	return m
}

// query asks all who listen, from an address.
func query(w *testnet.World, from string, src netip.Addr) testnet.MLD {
	return testnet.MLD{Src: w.Host(from).MAC, Dst: policy.AllNodesMAC, From: src, To: allNodes,
		Type: policy.ListenerQuery}
}

// heard counts the messages of listener discovery of some kinds that a host has captured.
func heard(w *testnet.World, name string, kinds ...uint8) int {
	return seen(w, name, func(f testnet.Frame) bool {
		kind, ok := f.MLDType()
		return ok && slices.Contains(kinds, kind)
	})
}

// L2-7: what an instance says of the groups that it listens to goes to the uplinks and to no
// neighbour; queries come from uplinks and trusted ports only.
func TestL2_7_ListenerDiscovery(t *testing.T) {
	t.Parallel()
	w := layer2World(t)
	own, neighbour := web.mac().LinkLocal(), db.mac().LinkLocal()
	change := func(m testnet.MLD, f func(*testnet.MLD)) testnet.Frame { f(&m); return m.Frame() }
	for _, kind := range listenerReports {
		t.Run(fmt.Sprintf("report %d", kind), func(t *testing.T) {
			honest := report(w, "web-1", own, kind)
			receives(t, w, "web-1", honest.Frame(), testnet.Beyond)
			receives(t, w, "web-1", report(w, "web-1", netip.IPv6Unspecified(), kind).Frame(),
				testnet.Beyond)
			receives(t, w, "server", report(w, "server", server.mac().LinkLocal(), kind).Frame(),
				testnet.Beyond)

			receives(t, w, "web-1", report(w, "web-1", neighbour, kind).Frame())
			receives(t, w, "web-1", report(w, "web-1", w.Host("web-1").Address(testnet.IPv6), kind).Frame())
			receives(t, w, "web-1", withSource(honest.Frame(), db.mac()))
			receives(t, w, "web-1",
				withSource(report(w, "web-1", netip.IPv6Unspecified(), kind).Frame(), db.mac()))
			receives(t, w, "web-1", change(honest, func(m *testnet.MLD) { m.HopLimit = 64 }))
			receives(t, w, "web-1", change(honest, func(m *testnet.MLD) { m.Dst = db.mac() }))
			receives(t, w, "only4", report(w, "only4", only4.mac().LinkLocal(), kind).Frame())
			receives(t, w, "router", report(w, "router", w.Host("router").MAC.LinkLocal(), kind).Frame())
		})
	}
	t.Run("query", func(t *testing.T) {
		outside := query(w, "router", w.Host("router").MAC.LinkLocal())
		receives(t, w, "router", outside.Frame(), having6...)
		receives(t, w, "server", query(w, "server", server.mac().LinkLocal()).Frame(), "web-1", "db-1",
			"only6", "vrrp", "ether-1", "ether-2", testnet.Beyond)

		receives(t, w, "web-1", query(w, "web-1", own).Frame())
		receives(t, w, "web-1", query(w, "web-1", netip.IPv6Unspecified()).Frame())
		receives(t, w, "web-1", change(query(w, "web-1", own), func(m *testnet.MLD) { m.Dst = db.mac() }))
		receives(t, w, "router", query(w, "router", w.Host("router").Address(testnet.IPv6)).Frame())
		receives(t, w, "router", change(outside, func(m *testnet.MLD) { m.HopLimit = 64 }))
		receives(t, w, "router", withSource(outside.Frame(), web.mac()))
	})
}

// snoopedWorld has a host "out" behind a switch that snoops, and waits until that keeps from the
// fabric what nobody there listens to.
func snoopedWorld(t *testing.T, version int) (*testnet.World, *testnet.Snooper) {
	t.Helper()
	w := newWorld(t, testnet.Spec{Policy: document([]group{everything}, web, db, only4),
		Outside: outside(), Gateways: gateways, Daemon: daemon(t)})
	s, err := w.Snoop(version, testnet.Outsider("out", 8, "198.51.100.8", "2001:db8:2::8"))
	require.NoError(t, err)
	require.Eventually(t,
		func() bool { return !passesSnooper(t, w, "out", netip.MustParseAddr("2001:db8::99:9999")) },
		testnet.Slowed(60*time.Second), 100*time.Millisecond, "the switch prunes what nobody listens to")
	return w, s
}

// passesSnooper says whether a host's question for an address gets through the switch before it:
// the router hears all that does.
func passesSnooper(t *testing.T, w *testnet.World, from string, target netip.Addr) bool {
	t.Helper()
	ns := w.Solicitation(from, "router")
	ns.Target = target
	ns.To, ns.Dst = testnet.SolicitedNode(target)
	token, err := w.Inject(from, ns.Frame())
	require.NoError(t, err)
	require.NoError(t, w.AwaitForwarded(from))
	return w.Host("router").Capture.Bears(token)
}

// L2-7: IPv6 lives behind a switch that snoops: it hears who listens, and instances hear its
// questions.
func TestL2_7_BehindASnooper(t *testing.T) {
	t.Parallel()
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			t.Parallel()
			w, s := snoopedWorld(t, version)
			// which is not its own
			_, err := w.Host("only4").Run("ip", "-6", "address", "add", "2001:db8::41/64", "dev", "eth0",
				"nodad")
			require.NoError(t, err)
			for _, h := range []string{"web-1", "db-1"} {
				group, _ := testnet.SolicitedNode(w.Host(h).Address(testnet.IPv6))
				awaitGroup(t, s, group)
				for _, f := range families {
					require.NoError(t, w.Reaches("out", h, testnet.TCP(80), f))
					require.NoError(t, w.Reaches(h, "out", testnet.TCP(80), f))
				}
				require.NotZero(t, heard(w, h, policy.ListenerQuery), "%s is asked", h)
				require.Zero(t, heard(w, h, listenerReports...), "%s hears who listens", h)
			}
			require.NotZero(t, heard(w, "router", listenerReports...))
			groups, err := s.Groups()
			require.NoError(t, err)
			require.NotContains(t, groups, "ff02::1:ff00:41", "what a port without IPv6 listens to")
			require.Zero(t, heard(w, "only4", policy.ListenerQuery), "a port without IPv6 is asked")

			withoutReports(t, w, s)
		})
	}
}

// withoutReports shows that it is the reports: a switch that has forgotten a group hears of it
// again; where no report gets out it does not, and keeps solicitations from the instance.
func withoutReports(t *testing.T, w *testnet.World, s *testnet.Snooper) {
	t.Helper()
	address := w.Host("web-1").Address(testnet.IPv6)
	group, _ := testnet.SolicitedNode(address)
	require.NoError(t, s.Forget(group))
	awaitGroup(t, s, group)
	require.True(t, passesSnooper(t, w, "out", address))

	require.NoError(t, w.StopDaemon()) // it would repair what follows
	_, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", testnet.Bridge,
		"table=16,priority=60000,actions=drop")
	require.NoError(t, err)
	_, err = w.Switch.Appctl("revalidator/wait")
	require.NoError(t, err)
	require.NoError(t, s.Forget(group))
	asked := heard(w, "web-1", policy.ListenerQuery)
	require.Eventually(t, func() bool { return heard(w, "web-1", policy.ListenerQuery) > asked+2 },
		testnet.Slowed(60*time.Second), 20*time.Millisecond)
	require.False(t, passesSnooper(t, w, "out", address))
	require.NoError(t, w.Reaches("out", "web-1", testnet.TCP(80), testnet.IPv4))
}

// awaitGroup waits until the switch has heard that somebody listens to a group.
func awaitGroup(t *testing.T, s *testnet.Snooper, group netip.Addr) {
	t.Helper()
	require.Eventually(t, func() bool {
		groups, err := s.Groups()
		return err == nil && strings.Contains(groups, group.String()+" ")
	}, testnet.Slowed(60*time.Second), 20*time.Millisecond, "somebody listens to %s", group)
}
