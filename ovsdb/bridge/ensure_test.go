package bridge

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/ovsdb/client"
)

func TestEnsureMakesTheBridgeAndItsPorts(t *testing.T) {
	o := database(t)
	c := connected(t, o)
	d := Desired{
		Revision: 5,
		Ports: []DesiredPort{desiredPort("tap1"), {Name: "int1", Type: "internal",
			MAC: "02:00:00:00:00:02", Instance: "vm", Zone: 8, Epoch: 4}},
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
		"tap1": {Name: "tap1", Type: "dummy", Zone: 7, Epoch: 3, ForMAC: "02:00:00:00:00:01",
			ForInstance: "vm-tap1", Owned: true, Instance: "vm-tap1", MAC: "02:00:00:00:00:01"},
		"int1": {Name: "int1", Type: "internal", Zone: 8, Epoch: 4, ForMAC: "02:00:00:00:00:02",
			ForInstance: "vm", Owned: true, Instance: "vm", MAC: "02:00:00:00:00:02"},
	}, s.Ports)
	require.Equal(t, "dummy", get(o, "Bridge", "br-int", "datapath_type"))
	require.Equal(t, "[OpenFlow13, OpenFlow14, OpenFlow15]",
		get(o, "Bridge", "br-int", "protocols"))
	require.Equal(t, `"02:00:00:00:00:02"`, get(o, "Interface", "int1", "mac"))
	require.Equal(t, `[]`, get(o, "Interface", "tap1", "mac"))
	require.Equal(t, "[ip_src, ipv6_src]", get(o, "Flow_Table",
		get(o, "Bridge", "br-int", "flow_tables:30"), "prefixes"))

	require.Equal(t, uint64(1), c.Sent())
	require.NoError(t, ensure(t, c, d))
	require.Equal(t, uint64(1), c.Sent(), "nothing differs: no transaction")
}

func TestEnsureAdoptsAndReleasesWhatOthersMade(t *testing.T) {
	o := database(t)
	o.Vsctl("add-br", "br-int", "--", "add-port", "br-int", "tap1", "--",
		"set", "Port", "tap1", "external_ids:theirs=1", "--",
		"set", "Interface", "tap1", `external_ids:attached-mac="52:54:00:00:00:01"`,
		"external_ids:iface-status=active", "--",
		"add-port", "br-int", "eth1", "--", "set", "Bridge", "br-int", "fail_mode=standalone",
		"external_ids:bridge-id=x",
		"protocols=OpenFlow10", "datapath_type=dummy")
	uplink := o.Vsctl("list", "Port", "eth1") + o.Vsctl("list", "Interface", "eth1")
	c := connected(t, o)
	require.NoError(t, ensure(t, c, Desired{Revision: 1,
		Ports: []DesiredPort{desiredPort("tap1")}}))
	require.Equal(t,
		"{portcullis-epoch=\"3\", portcullis-for=\"02:00:00:00:00:01 vm-tap1\", portcullis-zone=\"7\", theirs=\"1\"}", get(o, "Port", "tap1", "external_ids"))
	require.Equal(t,
		`{attached-mac="52:54:00:00:00:01", iface-id=tap1, iface-status=active, portcullis-iface-id=tap1, portcullis-vm-id=vm-tap1, vm-id=vm-tap1}`,
		get(o, "Interface", "tap1", "external_ids"))
	require.Equal(t, `""`, get(o, "Interface", "tap1", "type"),
		"the device of another is not changed")
	require.Equal(t, "secure", get(o, "Bridge", "br-int", "fail_mode"))
	require.Equal(t, "[OpenFlow10, OpenFlow13, OpenFlow14, OpenFlow15]",
		get(o, "Bridge", "br-int", "protocols"))
	require.Equal(t, "{bridge-id=x, portcullis-revision=\"1\"}",
		get(o, "Bridge", "br-int", "external_ids"))
	s, err := c.Snapshot()
	require.NoError(t, err)
	require.False(t, s.Ports["tap1"].Owned)
	require.Equal(t, "52:54:00:00:00:01", s.Ports["tap1"].MAC)

	require.NoError(t, ensure(t, c, Desired{Revision: 1}))
	require.Equal(t, `{theirs="1"}`, get(o, "Port", "tap1", "external_ids"))
	require.Equal(t, `{attached-mac="52:54:00:00:00:01", iface-status=active}`,
		get(o, "Interface", "tap1", "external_ids"))
	require.Equal(t, uplink, o.Vsctl("list", "Port", "eth1")+o.Vsctl("list", "Interface", "eth1"))
}

func TestEnsureDeletesOnlyOwnPorts(t *testing.T) {
	o := database(t)
	c := connected(t, o)
	require.NoError(t, ensure(t, c, Desired{Revision: 1,
		Ports: []DesiredPort{desiredPort("tap1"), desiredPort("tap2")}}))
	o.Vsctl("add-port", "br-int", "eth1")
	require.NoError(t, ensure(t, c, Desired{Revision: 2,
		Ports: []DesiredPort{desiredPort("tap2")}}))
	require.Equal(t, "eth1\ntap2\n", o.Vsctl("list-ports", "br-int"))
	require.NoError(t, ensure(t, c, Desired{Revision: 3}))
	require.Equal(t, "eth1\n", o.Vsctl("list-ports", "br-int"))
	require.NotContains(t, o.Vsctl("--columns=name", "list", "Interface"), "tap",
		"no row is left behind")
}

func TestEnsureLeavesPortsOfAnotherBridgeAlone(t *testing.T) {
	o := database(t)
	o.Vsctl("add-br", "br-ex", "--", "add-port", "br-ex", "tap1", "--",
		"set", "Port", "tap1", "external_ids:portcullis-owner=portcullis",
		"external_ids:portcullis-zone=9", "--",
		"add-bond", "br-ex", "bond0", "eth1", "eth2")
	before := o.Vsctl("list", "Port", "tap1")
	c := connected(t, o)
	err := ensure(t, c, Desired{Revision: 1, Ports: []DesiredPort{desiredPort("tap1"),
		desiredPort("tap2"), desiredPort("eth2")}})
	require.EqualError(t, err,
		"port eth2: an interface of this name belongs to port bond0\nport tap1: it is on bridge br-ex, not on br-int")
	s, err := c.Snapshot()
	require.NoError(t, err)
	require.NotContains(t, s.Ports, "tap1")
	require.Contains(t, s.Ports, "tap2", "the others are done")
	require.Equal(t, before, o.Vsctl("list", "Port", "tap1"))
	require.NoError(t, ensure(t, c, Desired{Revision: 1}))
	require.Equal(t, before, o.Vsctl("list", "Port", "tap1"))
}

func TestEnsureNeverLowersTheRevision(t *testing.T) {
	o := database(t)
	c := connected(t, o)
	require.NoError(t, ensure(t, c, Desired{Revision: 9}))
	before := o.Vsctl("list", "Bridge", "br-int")
	err := ensure(t, c, Desired{Revision: 8, Ports: []DesiredPort{desiredPort("tap1")}})
	require.ErrorIs(t, err, ErrStaleRevision)
	require.EqualError(t, err,
		"bridge br-int: the database holds a newer policy revision: 9, not 8")
	require.Equal(t, before, o.Vsctl("list", "Bridge", "br-int"))
	require.Equal(t, uint64(1), c.Sent())
	require.NoError(t, ensure(t, c, Desired{Revision: 9}))
}

func TestUnreadableNumbersCountAsNone(t *testing.T) {
	o := database(t)
	c := connected(t, o)
	d := Desired{Revision: 1, Ports: []DesiredPort{desiredPort("tap1")}}
	require.NoError(t, ensure(t, c, d))
	o.Vsctl("set", "Bridge", "br-int", "external_ids:portcullis-revision=99999999999", "--",
		"set", "Port", "tap1", "external_ids:portcullis-zone=70000",
		"external_ids:portcullis-epoch=three")
	s := await(t, c, func(s Snapshot) bool { return s.Ports["tap1"].Zone == 0 })
	require.Zero(t, s.Revision)
	require.Zero(t, s.Ports["tap1"].Epoch)
	require.NoError(t, ensure(t, c, d))
	s, err := c.Snapshot()
	require.NoError(t, err)
	require.Equal(t, uint32(1), s.Revision)
	require.Equal(t, uint16(7), s.Ports["tap1"].Zone)
	require.Equal(t, uint32(3), s.Ports["tap1"].Epoch)
}

// planned is the transaction that Ensure would send now.
func planned(t *testing.T, c *Client, d Desired) (ops []client.Operation) {
	t.Helper()
	require.NoError(t, c.Read(func(rows client.Rows) (err error) {
		v, err := c.view(rows)
		require.NoError(t, err)
		ops, err = plan(v, c.opts, d)
		return err
	}))
	require.NotEmpty(t, ops)
	return ops
}

// send sends operations, whatever the rows are by now.
func send(ctx context.Context, c *Client, ops []client.Operation) error {
	return c.Update(ctx, func(client.Rows) ([]client.Operation, error) {
		now := ops
		ops = nil
		return now, nil
	})
}

func TestTransactionRespectsWritersInBetween(t *testing.T) {
	o := database(t)
	c := connected(t, o)
	o.Vsctl("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=dummy", "--",
		"add-port", "br-int", "tap1")
	await(t, c, func(s Snapshot) bool { return s.Bridge })
	require.NoError(t, ensure(t, c, Desired{Revision: 1}))

	d := Desired{Revision: 2, Ports: []DesiredPort{desiredPort("tap1")}}
	ops := planned(t, c, d)
	o.Vsctl("set", "Interface", "tap1", `external_ids:attached-mac="52:54:00:00:00:01"`, "--",
		"set", "Bridge", "br-int", "external_ids:portcullis-revision=9", "--", "add-port", "br-int",
		"tap2")
	require.NoError(t, send(t.Context(), c, ops))
	require.Equal(t, `"52:54:00:00:00:01"`, get(o, "Interface", "tap1",
		"external_ids:attached-mac"))
	require.Equal(t, `"9"`, get(o, "Bridge", "br-int", "external_ids:portcullis-revision"))
	require.Equal(t, "tap1\ntap2\n", o.Vsctl("list-ports", "br-int"))
	require.ErrorIs(t, ensure(t, c, d), ErrStaleRevision)
	require.NoError(t, ensure(t, c, Desired{Revision: 9, Ports: d.Ports}))
	require.Equal(t, `"52:54:00:00:00:01"`, get(o, "Interface", "tap1",
		"external_ids:attached-mac"))
	require.NotContains(t, get(o, "Interface", "tap1", "external_ids"), "portcullis-attached-mac")
}

func TestTransactionFailsWithoutItsBridge(t *testing.T) {
	o := database(t)
	c := connected(t, o)
	require.NoError(t, ensure(t, c, Desired{Revision: 1}))
	ops := planned(t, c, Desired{Revision: 1, Ports: []DesiredPort{desiredPort("tap1")}})
	o.Vsctl("del-br", "br-int")
	require.ErrorContains(t, send(t.Context(), c, ops), "find bridge br-int: timed out")
}

func TestRefusedTransactionsNameWhatTheyAreAbout(t *testing.T) {
	o := database(t)
	c := connected(t, o)
	require.NoError(t, ensure(t, c, Desired{Revision: 1}))
	err := ensure(t, c, Desired{Revision: 2, Ports: []DesiredPort{desiredPort("tap1")},
		Prefixes: map[uint8][]string{30: {"a", "b", "c", "d", "e"}}})
	require.ErrorContains(t, err, "bridge br-int: set prefixes of table 30: ")
	require.Equal(t, "", o.Vsctl("list-ports", "br-int"), "all or nothing")
	require.Equal(t, `"1"`, get(o, "Bridge", "br-int", "external_ids:portcullis-revision"))

	ops := planned(t, c, Desired{Revision: 2, Ports: []DesiredPort{desiredPort("tap1")}})
	o.Vsctl("add-port", "br-int", "tap1")
	require.ErrorContains(t, send(t.Context(), c, ops), "commit: constraint violation: ")
	require.NoError(t, ensure(t, c, Desired{Revision: 2,
		Ports: []DesiredPort{desiredPort("tap1")}}), "adopted at the next attempt")
}

func TestEnsureReportsTheDatapathTypeAndDoesTheRest(t *testing.T) {
	o := database(t)
	o.Vsctl("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev")
	c := connected(t, o)
	require.ErrorIs(t, ensure(t, c, Desired{Revision: 1,
		Ports: []DesiredPort{desiredPort("tap1")}}), ErrDatapathType)
	require.Equal(t, "netdev", get(o, "Bridge", "br-int", "datapath_type"))
	require.Equal(t, "tap1\n", o.Vsctl("list-ports", "br-int"))
}

func TestFlowTablesFollow(t *testing.T) {
	o := database(t)
	o.Vsctl("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=dummy", "--",
		"--id=@t", "create", "Flow_Table", "prefixes=tun_id", "flow_limit=7", "--", "set", "Bridge",
		"br-int", "flow_tables:3=@t", "flow_tables:4=@t")
	c := connected(t, o)
	prefixes := func(id string) string {
		return get(o, "Flow_Table", get(o, "Bridge", "br-int", "flow_tables:"+id), "prefixes")
	}
	require.NoError(t, ensure(t, c, Desired{Revision: 1,
		Prefixes: map[uint8][]string{3: {"ip_src"}, 5: {"ipv6_dst", "ip_dst"}}}))
	require.Equal(t, "[ip_src]", prefixes("3"))
	require.Equal(t, "[tun_id]", prefixes("4"), "shared before, not ours to change")
	require.Equal(t, "[ip_dst, ipv6_dst]", prefixes("5"))
	require.NoError(t, ensure(t, c, Desired{Revision: 1,
		Prefixes: map[uint8][]string{4: {"ip_src"}, 5: {}}}))
	require.Equal(t, "[ip_src]", prefixes("4"))
	require.Equal(t, "7", get(o, "Flow_Table", get(o, "Bridge", "br-int", "flow_tables:4"),
		"flow_limit"))
	require.Equal(t, "[]", prefixes("5"))
	require.Equal(t, "[ip_src]", prefixes("3"), "no longer mentioned: left alone")
}
