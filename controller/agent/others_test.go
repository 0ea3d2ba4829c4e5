package agent_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// others has somebody else add the devices that are called tap….
func others(w *agenttest.World) {
	w.Others = func(device string) bool { return strings.HasPrefix(device, "tap") }
}

// guest is a policy of a port that somebody else plugs in, beside one that nobody does.
func guest(place string) string {
	return `groups: []
instances:
  - {name: vm, ` + place + `, ports: [{name: tap1, mac: 02:00:00:00:00:0a, addresses: [192.0.2.10]}]}
  - {name: i-b, host: hv1, ports: [{name: b, mac: 02:00:00:00:00:02, addresses: [192.0.2.2]}]}
`
}

// Who plugs a device in makes its row: whatever the order, none is made before, and none is put
// back.
func TestARowIsMadeByWhoPlugsTheDeviceIn(t *testing.T) {
	agenttest.RunWith(t, guest("host: hv1"), others, func(w *agenttest.World) {
		require.Equal(t, agent.PortAbsent, w.Port("tap1").State)
		require.Contains(t, w.Port("tap1").Reason, "nobody has added the device tap1 to the bridge")
		require.Equal(t, agent.StateInSync, w.Ctl.Snapshot().State)
		for range 3 {
			require.NotContains(t, rowNames(w), "tap1")
			bind(w, "tap1", "")
			require.Equal(t, agent.PortApplied, w.Port("tap1").State, w.Port("tap1").Reason)
			require.Equal(t, w.Database.Row("tap1").OFPort, binding(w, "tap1"))
			unbind(w, "tap1")
			require.Equal(t, agent.PortAbsent, w.Port("tap1").State)
			require.Zero(t, binding(w, "tap1"))
		}
		require.Contains(t, rowNames(w), "b", "a device that nobody else adds")
		unbind(w, "b")
		require.Contains(t, rowNames(w), "b")
	})
}

// A row that is in the way goes when its device has gone, and not before.
func TestARowOfBeforeMakesWay(t *testing.T) {
	agenttest.RunWith(t, guest("host: hv1"), others, func(w *agenttest.World) {
		w.Database.Edit(func(f *agenttest.Database) {
			f.Snap.Ports["tap1"] = f.Numbered(bridge.Port{Name: "tap1", Owned: true})
		})
		w.Settle()
		require.Equal(t, agent.PortApplied, w.Port("tap1").State, "it is in use")
		w.Database.SetAbsent("tap1", "could not open network device tap1 (No such device)")
		w.Settle()
		require.NotContains(t, rowNames(w), "tap1")
		require.Equal(t, agent.PortAbsent, w.Port("tap1").State)
	})
}

// While an instance moves, a device that is not there yet, or not any more, is no trouble.
func TestADeviceThatOthersPlugMayBeElsewhere(t *testing.T) {
	for place, state := range map[string]agent.PortState{
		"host: hv1, migrating_to: hv2": agent.PortElsewhere,
		"host: hv2, migrating_to: hv1": agent.PortStandby,
		"host: hv1":                    agent.PortAbsent,
	} {
		agenttest.RunWith(t, guest(place), others, func(w *agenttest.World) {
			require.Equal(t, state, w.Port("tap1").State, place)
			require.Equal(t, agent.StateInSync, w.Ctl.Snapshot().State)
		})
	}
}

// rowNames are the rows of the bridge.
func rowNames(w *agenttest.World) []string {
	snap, err := w.Database.Snapshot()
	require.NoError(w.T, err)
	return slices.Collect(maps.Keys(snap.Ports))
}
