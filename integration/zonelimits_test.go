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

// This file has limits of connections beside those that somebody else keeps in the database, which
// Open vSwitch can since 3.3: from the first one on, ovs-vswitchd refuses the command by which the
// limits are set without it. Before 3.3 there are none in the database.

// databaseLimits tells whether the database of this Open vSwitch can have limits, and requires of
// one that cannot that it says so.
func databaseLimits(t *testing.T, w *testnet.World) bool {
	t.Helper()
	out, err := w.Switch.Run("ovs-vsctl", "set-zone-limit", "netdev", "999", "7")
	if err != nil && strings.Contains(out, "unknown command") {
		return false
	}
	require.ErrorContains(t, err, "datapath netdev does not exist", "nobody has made it")
	return true
}

// limitIs waits until the two instances that are limited are so, to so many connections.
func limitIs(t *testing.T, w *testnet.World, limit int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return strings.Count(zonesOf(t, w), fmt.Sprintf("limit=%d,", limit)) == 2
	}, testnet.Slowed(patience), 50*time.Millisecond, "want two limits of %d", limit)
}

// opensAtMost floods the target with connections, and requires that the zone of the flooder
// remembers as many as it may and no more.
func opensAtMost(t *testing.T, w *testnet.World, limit int) {
	t.Helper()
	for range 3 * limit {
		_, err := w.Inject("flooder", w.Opening("flooder", "target", testnet.UDP(9), testnet.IPv4).Frame())
		require.NoError(t, err)
	}
	require.NoError(t, w.AwaitForwarded("target"))
	require.Equal(t, limit, connectionsOf(t, w, "flooder"))
}

// limitsEnd takes the limits out of the policy, and requires that the other's stays.
func limitsEnd(t *testing.T, w *testnet.World) {
	t.Helper()
	require.NoError(t, w.SetPolicy(limitedPolicy("")))
	require.Eventually(t, func() bool { return strings.Count(zonesOf(t, w), "zone=") == 1 },
		testnet.Slowed(patience), 50*time.Millisecond)
	require.Contains(t, zonesOf(t, w), "zone=999,limit=7,")
}

// The limits of ports hold beside others' in the database, which are let alone; they follow the
// policy, are back with ovs-vswitchd before anybody says so again, and go with the policy, those
// included that were set by command before.
func TestZones_LimitsInTheDatabase(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, "connections: 100")
	limitIs(t, w, 100)
	if !databaseLimits(t, w) {
		require.NoError(t, w.SetPolicy(limitedPolicy("connections: 40")))
		limitIs(t, w, 40)
		opensAtMost(t, w, 40)
		return
	}
	vsctl := func(args ...string) string {
		t.Helper()
		out, err := w.Switch.Run("ovs-vsctl", args...)
		require.NoError(t, err)
		return out
	}
	vsctl("--", "--id=@d", "create", "Datapath", "datapath_version=0", "--", "set", "Open_vSwitch",
		".", "datapaths:netdev=@d", "--", "set-zone-limit", "netdev", "999", "7")
	_, err := w.Switch.Appctl("dpctl/ct-set-limits", "zone=998,limit=7")
	require.ErrorContains(t, err, "set via database", "the command is refused from now on")
	limitIs(t, w, 100)
	limitsEnd(t, w) // which were set by command

	require.NoError(t, w.SetPolicy(limitedPolicy("connections: 40")))
	limitIs(t, w, 40)
	opensAtMost(t, w, 40)
	require.Equal(t, 2, strings.Count(vsctl("list-zone-limits", "netdev"), "Limit: 40\n"))
	s, err := w.Status()
	require.NoError(t, err)
	require.NotContains(t, strings.Join(s.Warnings, ";"), "limited")

	require.NoError(t, w.StopDaemon())
	require.NoError(t, w.Switch.RestartVswitchd(func() error { return nil }))
	limitIs(t, w, 40)
	require.NoError(t, w.StartDaemon())
	require.NoError(t, w.AwaitProgrammed())
	limitIs(t, w, 40)

	limitsEnd(t, w)
}
