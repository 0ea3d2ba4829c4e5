//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// statusOf is the status of a daemon.
func statusOf(t *testing.T, portcullis func(string, ...string) (string, error)) (s api.Status) {
	t.Helper()
	out, err := portcullis("status", "--wait", "-o", "json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(out), &s))
	return s
}

// zoneOf is the zone of a port in a status.
func zoneOf(t *testing.T, s api.Status, port string) uint16 {
	t.Helper()
	for _, p := range s.Ports {
		if p.Name == port {
			require.NotZero(t, p.Zone)
			return p.Zone
		}
	}
	t.Fatalf("no port %s in %+v", port, s.Ports)
	return 0
}

// datagram is from one host to another, as an honest sender builds it.
func datagram(w *testnet.World, from, to string, srcPort, dstPort uint16) testnet.IP {
	a, b := w.Host(from), w.Host(to)
	return testnet.IP{Src: a.MAC, Dst: b.MAC, From: a.Address(testnet.IPv4),
		To: b.Address(testnet.IPv4), Protocol: policy.UDP, SrcPort: srcPort, DstPort: dstPort}
}

// answersDenied has one host ask another that denies it, and that one answer; neither may arrive.
// Then it asks one that admits it.
func answersDenied(t *testing.T, w *testnet.World, from, denied, admitted string) {
	t.Helper()
	// as every host beyond hears what leaves
	receives(t, w, from, datagram(w, from, denied, 4000, 5000).Frame(), testnet.Beyond)
	receives(t, w, denied, datagram(w, denied, from, 5000, 4000).Frame())
	require.NoError(t, w.Reaches(from, admitted, testnet.UDP(5000), testnet.IPv4))
}

// Two bridges of one datapath share no zone, also where their epochs are the same: else a peer that
// is denied, and whose own egress is denied, could answer, because the connection that the other
// bridge remembers would be its own.
func TestTwoBridges(t *testing.T) {
	t.Parallel()
	shut := group{name: "shut", rules: []string{out("tcp 9", any4)}}
	open := group{name: "open", rules: []string{in("udp 5000-5001", any4)}}
	const limited = "limits: {connections: 700, new_connections_per_second: 50}"
	w := newWorld(t, testnet.Spec{Policy: document(nil, vm("a", 11).with(limited), vm("a2", 12)),
		Outside: outside(), Daemon: daemon(t)})
	first := statusOf(t, w.Portcullis)
	_, err := w.Switch.Run("ovs-vsctl", "add-br", "br-two", "--", "set", "Bridge", "br-two",
		fmt.Sprintf("datapath_type=%q", testnet.ChosenDatapath()),
		// so that the next epoch is that of br-int
		"fail_mode=secure", fmt.Sprintf("external_ids:portcullis-revision=%d", first.Revision-1))
	require.NoError(t, err)
	second, err := w.AddBridge("br-two",
		document([]group{shut, open}, vm("b", 21, "shut").with(limited), vm("b2", 22, "open")))
	require.NoError(t, err)
	answersDenied(t, w, "a", "b", "b2")

	zones := func() map[string]uint16 {
		first, other := statusOf(t, w.Portcullis), statusOf(t, second.Portcullis)
		out := map[string]uint16{"a": zoneOf(t, first, "tap-a"), "a2": zoneOf(t, first, "tap-a2"),
			"b": zoneOf(t, other, "tap-b"), "b2": zoneOf(t, other, "tap-b2")}
		seen := map[uint16]string{}
		for name, zone := range out {
			require.NotContains(t, seen, zone, "%s and %s share it", name, seen[zone])
			seen[zone] = name
		}
		return out
	}
	before := zones()
	limits := zonesOf(t, w)
	require.Contains(t, limits, fmt.Sprintf("zone=%d,limit=700", before["a"]))
	require.Contains(t, limits, fmt.Sprintf("zone=%d,limit=700", before["b"]))
	require.Equal(t, 2, strings.Count(limits, "limit=700"))

	// Meters have the same numbers on both bridges, and are not the same. At this rate the meter has
	// room again long before the next question.
	for i := range 600 {
		_, err := w.Inject("a", datagram(w, "a", "b2", uint16(6000+i), 7000).Frame())
		require.NoError(t, err)
	}
	require.NoError(t, w.AwaitForwarded("a2"))
	require.Greater(t, dropped(t, w, testnet.Bridge), 30)
	require.Zero(t, dropped(t, w, "br-two"))

	// An older release gave both bridges the same zones. One gives way, and what is admitted goes on.
	stream, err := w.PushFromClient("client", "b2", testnet.IPv4, 5001)
	require.NoError(t, err)
	require.True(t, stream.Await(20, testnet.Slowed(20*time.Second)))
	require.NoError(t, second.StopDaemon())
	_, err = w.Switch.Run("ovs-vsctl", "set", "Port", "tap-b",
		fmt.Sprintf("external_ids:portcullis-zone=%d", before["a"]), "--",
		"set", "Port", "tap-b2", fmt.Sprintf("external_ids:portcullis-zone=%d", before["a2"]))
	require.NoError(t, err)
	require.NoError(t, second.StartDaemon())
	after := zones()
	require.Equal(t, before["a"], after["a"], "the first bridge by name keeps it")
	require.NotEqual(t, before["b2"], after["a2"])
	require.True(t, stream.Await(stream.Sent()+20, testnet.Slowed(20*time.Second)))
	require.NoError(t, stream.Close())
	answersDenied(t, w, "a", "b", "b2")
}

// dropped counts the packets that the meters of a bridge dropped.
func dropped(t *testing.T, w *testnet.World, bridge string) (n int) {
	t.Helper()
	out, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "meter-stats", bridge)
	require.NoError(t, err)
	for _, line := range strings.Split(out, "\n") {
		if _, rest, ok := strings.Cut(line, "0: packet_count:"); ok {
			count, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
			n += count
		}
	}
	return n
}

// warnsOfConnections says whether the status tells of connections that could not be forgotten.
func warnsOfConnections(t *testing.T, w *testnet.World) bool {
	t.Helper()
	return strings.Contains(strings.Join(statusOf(t, w.Portcullis).Warnings, "\n"),
		"are still remembered")
}

// The next instance in a zone is shown nothing of the last one's connections, which do not count
// against its limit either, also where the switch cannot be made to forget them in time; and who
// stays keeps its own.
func TestZoneOfADeletedInstance(t *testing.T) {
	t.Parallel()
	for _, flushFails := range []bool{false, true} {
		t.Run(fmt.Sprintf("flush fails: %t", flushFails), func(t *testing.T) {
			t.Parallel()
			web := group{name: "web",
				rules: []string{in("tcp 80", any4), in("udp 5000-5010", any4), in("udp 5000-5010", any6)}}
			old, stays, next := vm("old", 11, "web"), vm("stays", 21, "web"),
				vm("next", 31, "web").with("limits: {connections: 5}")
			w := newWorld(t, testnet.Spec{Policy: document([]group{web}, old, stays), Outside: outside(),
				Daemon: daemon(t)})
			require.NoError(t, w.StopDaemon())
			require.NoError(t, w.StartDaemonByProxy())
			require.NoError(t, w.AwaitProgrammed())
			streams := map[string]*testnet.Stream{}
			push(t, w, streams, "client", "stays", 5001)
			flows(t, streams)
			_, err := w.Open("client", "old", testnet.TCP(80), testnet.IPv4)
			require.NoError(t, err)
			require.Len(t, listed(t, w, "--instance", "old").Connections, 1)
			zone := zoneOf(t, statusOf(t, w.Portcullis), "tap-old")
			forget := func() {}
			if flushFails {
				forget = w.Remember()
			}

			// before the change, whose write to the database has the daemon know it when it is waited for
			_, err = w.Switch.Run("ovs-vsctl", "set", "Open_vSwitch", ".",
				fmt.Sprintf("external_ids:portcullis-last-zone=%d", zone-1))
			require.NoError(t, err)
			require.NoError(t, w.SetPolicyOnly(document([]group{web}, stays)))
			held := func() string {
				out, err := w.Switch.Appctl("dpctl/dump-conntrack", fmt.Sprintf("zone=%d", zone))
				require.NoError(t, err)
				return out
			}
			require.Equal(t, flushFails, strings.Contains(held(), "dport=80"), held())
			require.NoError(t, w.ReplacePolicy(document([]group{web}, stays, next)))
			require.NoError(t, w.Plug("next"))
			root, err := w.Switch.Run("ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids")
			require.NoError(t, err)
			require.Equal(t, zone, zoneOf(t, statusOf(t, w.Portcullis), "tap-next"), root)
			require.Empty(t, listed(t, w, "--instance", "next").Connections)
			require.Equal(t, flushFails, warnsOfConnections(t, w))
			own, err := w.Open("client", "next", testnet.TCP(80), testnet.IPv4)
			require.NoError(t, err)
			require.Len(t, listed(t, w, "--instance", "next").Connections, 1)

			if flushFails {
				require.NoError(t, w.KillDaemon())
				require.NoError(t, w.StartDaemon())
				require.NoError(t, w.AwaitProgrammed())
				require.Len(t, listed(t, w, "--instance", "next").Connections, 1)
				forget()
				require.NoError(t, w.AwaitProgrammed()) // each look at the policy is one at the zones, too
				require.NoError(t, w.AwaitProgrammed())
				row, err := w.Switch.Run("ovs-vsctl", "get", "Port", "tap-next", "external_ids")
				require.NoError(t, err)
				require.NotContains(t, row, "unflushed")
				require.False(t, warnsOfConnections(t, w))
			}
			require.NotContains(t, held(), "203.0.113.11", "of the old one nothing is left")
			require.Contains(t, zonesOf(t, w), fmt.Sprintf("zone=%d,limit=5,count=1", zone))
			require.NoError(t, own.Echo(testnet.Slowed(20*time.Second)), "its own connection goes on")
			complete(t, streams)
		})
	}
}
