package ovsdb

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnsureMakesTheBridgeAndItsPorts(t *testing.T) {
	o := database(t)
	c := connected(t, o)
	d := Desired{
		Revision: 5,
		Ports:    []DesiredPort{desiredPort("tap1"), {Name: "int1", Type: "internal", MAC: "02:00:00:00:00:02", Instance: "vm", Zone: 8, Epoch: 4}},
		Prefixes: map[uint8][]string{30: {"ipv6_src", "ip_src"}},
	}
	require.NoError(t, ensure(t, c, d))
	s, err := c.Snapshot()
	require.NoError(t, err)
	require.True(t, s.Bridge)
	require.Equal(t, "secure", s.FailMode)
	require.Equal(t, uint32(5), s.Revision)
	require.NotEmpty(t, s.OVSVersion)
	require.Equal(t, map[string]Port{
		"br-int": {Name: "br-int", Type: "internal"},
		"tap1":   {Name: "tap1", Type: "dummy", Zone: 7, Epoch: 3, Owned: true, Instance: "vm-tap1", MAC: "02:00:00:00:00:01"},
		"int1":   {Name: "int1", Type: "internal", Zone: 8, Epoch: 4, Owned: true, Instance: "vm", MAC: "02:00:00:00:00:02"},
	}, s.Ports)
	require.Equal(t, "dummy", get(o, "Bridge", "br-int", "datapath_type"))
	require.Equal(t, "[OpenFlow13, OpenFlow14, OpenFlow15]", get(o, "Bridge", "br-int", "protocols"))
	require.Equal(t, `"02:00:00:00:00:02"`, get(o, "Interface", "int1", "mac"))
	require.Equal(t, `[]`, get(o, "Interface", "tap1", "mac"))
	require.Equal(t, "[ip_src, ipv6_src]", get(o, "Flow_Table", get(o, "Bridge", "br-int", "flow_tables:30"), "prefixes"))

	require.Equal(t, uint64(1), sent(c))
	require.NoError(t, ensure(t, c, d))
	require.Equal(t, uint64(1), sent(c), "nothing differs: no transaction")
}
