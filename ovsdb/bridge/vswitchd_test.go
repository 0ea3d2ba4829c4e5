package bridge

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/sandbox"
)

// simulated is a private Open vSwitch whose devices are simulated.
func simulated(t *testing.T) *sandbox.OVS {
	t.Helper()
	return sandbox.Start(t, sandbox.Options{Datapath: sandbox.Dummy})
}

func TestOFPortsFollowTheSwitch(t *testing.T) {
	o := simulated(t)
	c := connected(t, o)
	broken := desiredPort("tap2")
	broken.Type = "nosuchtype"
	require.NoError(t, ensure(t, c, Desired{Revision: 1,
		Ports: []DesiredPort{desiredPort("tap1"), broken}}))
	s := await(t, c, func(s Snapshot) bool {
		return s.Ports["br-int"].OFPort == localOFPort && s.Ports["tap1"].OFPort != 0 &&
			s.Ports["tap2"].Error != ""
	})
	require.Empty(t, s.Ports["tap1"].Error)
	require.Zero(t, s.Ports["tap2"].OFPort)
	require.Contains(t, s.Ports["tap2"].Error, "tap2")
	require.Equal(t, "-1", get(o, "Interface", "tap2", "ofport"))

	require.NoError(t, ensure(t, c, Desired{Revision: 1,
		Ports: []DesiredPort{desiredPort("tap1"), desiredPort("tap2")}}))
	s = await(t, c, func(s Snapshot) bool { return s.Ports["tap2"].OFPort != 0 })
	require.Empty(t, s.Ports["tap2"].Error, "mended")

	o.Vsctl("set", "Interface", "tap1", "ofport_request=100")
	await(t, c, func(s Snapshot) bool { return s.Ports["tap1"].OFPort == 100 })
	o.Vsctl("del-port", "tap1", "--", "add-port", "br-int", "tap1", "--", "set", "Interface",
		"tap1", "type=dummy", "ofport_request=200")
	s = await(t, c, func(s Snapshot) bool { return s.Ports["tap1"].OFPort == 200 })
	require.False(t, s.Ports["tap1"].Owned, "another row of the same name")
	require.Zero(t, s.Ports["tap1"].Zone, "which has not been given a zone")
}

func TestPortsWaitForASwitchThatIsDown(t *testing.T) {
	o := simulated(t)
	c := connected(t, o)
	require.NoError(t, ensure(t, c, Desired{Revision: 1}))
	o.StopVswitchd()
	require.NoError(t, ensure(t, c, Desired{Revision: 2,
		Ports: []DesiredPort{desiredPort("tap1")}}))
	s, err := c.Snapshot()
	require.NoError(t, err)
	require.Zero(t, s.Ports["tap1"].OFPort)
	require.Empty(t, s.Ports["tap1"].Error)
	o.StartVswitchd()
	await(t, c, func(s Snapshot) bool { return s.Ports["tap1"].OFPort != 0 })
}

func TestEnsureKeepsTheFlows(t *testing.T) {
	o := simulated(t)
	c := connected(t, o)
	require.NoError(t, ensure(t, c, Desired{Revision: 1,
		Prefixes: map[uint8][]string{30: {"ip_src"}}}))
	o.Sync()
	o.Ofctl("add-flow", "br-int", "table=30,priority=7,ip,nw_src=10.0.0.0/8,actions=drop")
	require.NoError(t, ensure(t, c, Desired{Revision: 2, Ports: []DesiredPort{desiredPort("tap1")},
		Prefixes: map[uint8][]string{30: {"ip_src", "ipv6_src"}, 31: {"ip_dst"}}}))
	o.Sync()
	require.Contains(t, o.Ofctl("dump-flows", "br-int"), "priority=7")
	// The twin: a fail_mode that must be changed costs the flows.
	o.Vsctl("set", "Bridge", "br-int", "fail_mode=standalone")
	await(t, c, func(s Snapshot) bool { return s.FailMode == "standalone" })
	require.NoError(t, ensure(t, c, Desired{Revision: 2}))
	o.Sync()
	require.NotContains(t, o.Ofctl("dump-flows", "br-int"), "priority=7")
}
