package bridge

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/ovn-org/libovsdb/model"
	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// ids is external_ids, for short.
type ids = map[string]string

// fixture builds the rows of a database with the bridges br-int (secure, all protocols,
// revision 4, kernel datapath) and br-ex.
type fixture struct {
	rows   rows
	bridge *vswitch.Bridge
	other  *vswitch.Bridge
}

// rows are rows by table and UUID.
type rows struct {
	roots      map[string]*vswitch.OpenvSwitch
	bridges    map[string]*vswitch.Bridge
	ports      map[string]*vswitch.Port
	interfaces map[string]*vswitch.Interface
	flowTables map[string]*vswitch.FlowTable
}

// all are the rows as a Client shows them.
func (r rows) all() client.Rows {
	return client.Rows{vswitch.OpenvSwitchTable: table(r.roots),
		vswitch.BridgeTable: table(r.bridges),
		vswitch.PortTable:   table(r.ports), vswitch.InterfaceTable: table(r.interfaces),
		vswitch.FlowTableTable: table(r.flowTables)}
}

func table[T model.Model](rows map[string]T) map[string]model.Model {
	out := map[string]model.Model{}
	for uuid, row := range rows {
		out[uuid] = row
	}
	return out
}

func newFixture() *fixture {
	secure := "secure"
	f := &fixture{
		bridge: &vswitch.Bridge{
			UUID: "B1", Name: "br-int", FailMode: &secure,
			Protocols:   []string{"OpenFlow13", "OpenFlow14", "OpenFlow15"},
			ExternalIDs: ids{KeyRevision: "4", "bridge-id": "theirs"}, FlowTables: map[int]string{},
		},
		other: &vswitch.Bridge{UUID: "B2", Name: "br-ex", FlowTables: map[int]string{}},
	}
	f.rows = rows{
		roots: map[string]*vswitch.OpenvSwitch{"R": {UUID: "R",
			Bridges: []string{"B1", "B2"}}},
		bridges:    map[string]*vswitch.Bridge{"B1": f.bridge, "B2": f.other},
		ports:      map[string]*vswitch.Port{},
		interfaces: map[string]*vswitch.Interface{},
		flowTables: map[string]*vswitch.FlowTable{},
	}
	f.port(f.bridge, "br-int", nil, nil)
	return f
}

// port adds a port with one interface of the same name; their UUIDs are P-name and I-name.
func (f *fixture) port(bridge *vswitch.Bridge, name string, portIDs,
	ifaceIDs ids) *vswitch.Interface {
	iface := &vswitch.Interface{UUID: "I-" + name, Name: name, ExternalIDs: ifaceIDs}
	f.rows.interfaces[iface.UUID] = iface
	f.rows.ports["P-"+name] = &vswitch.Port{UUID: "P-" + name, Name: name,
		Interfaces: []string{iface.UUID}, ExternalIDs: portIDs}
	bridge.Ports = append(bridge.Ports, "P-"+name)
	return iface
}

// ours adds a port as Portcullis makes it from desiredPort.
func (f *fixture) ours(name string) *vswitch.Interface {
	want := desiredPort(name)
	change := newIDChange()
	shareInterfaceIDs(change, nil, want)
	iface := f.port(f.bridge, name, ids{KeyOwner: OwnerValue, KeyZone: "7", KeyEpoch: "3",
		KeyFor: want.whose()}, change.add)
	iface.Type = want.Type
	return iface
}

func (f *fixture) plan(t *testing.T, d Desired) ([]client.Operation, error) {
	t.Helper()
	v, err := newView(f.rows.all(), "br-int")
	require.NoError(t, err)
	ops, err := plan(v, Options{Bridge: "br-int"}, d)
	onlyOurColumns(t, ops)
	return ops, err
}

// onlyOurColumns holds that no operation of any plan overwrites a column that others write too.
func onlyOurColumns(t *testing.T, ops []client.Operation) {
	t.Helper()
	for _, o := range ops {
		require.NotEmpty(t, o.About)
		require.NotEqual(t, libovsdb.OperationDelete, o.Op.Op,
			"rows go when nothing refers to them")
		if o.Op.Op == libovsdb.OperationUpdate {
			for column := range o.Op.Row {
				require.Contains(t, []string{"fail_mode", "type", "mac", "ofport_request",
					"prefixes"}, column)
			}
		}
	}
}

// text is the operations as the server reads them, one per line, maps in any order made one.
func text(t *testing.T, ops []client.Operation) []string {
	t.Helper()
	var out []string
	for _, o := range ops {
		raw, err := json.Marshal(canonical(o.Op))
		require.NoError(t, err)
		out = append(out, string(raw))
	}
	return out
}

// canonical gives the maps of an operation string form, which has an order.
func canonical(op libovsdb.Operation) libovsdb.Operation {
	ordered := func(value any) any {
		if m, ok := value.(libovsdb.OvsMap); ok {
			plain := map[string]any{}
			for k, v := range m.GoMap {
				key, _ := json.Marshal(k)
				plain[string(key)] = v
			}
			return plain
		}
		return value
	}
	mutations := slices.Clone(op.Mutations)
	for i := range mutations {
		mutations[i].Value = ordered(mutations[i].Value)
	}
	op.Mutations = mutations
	row := libovsdb.Row{}
	for column, value := range op.Row {
		row[column] = ordered(value)
	}
	op.Row = row
	return op
}

// guardLine is what every change of an existing bridge begins with.
const guardLine = `{"op":"wait","table":"Bridge","rows":[{"name":"br-int"}],"columns":["name"],"timeout":0,"where":[["_uuid","==",["named-uuid","B1"]]],"until":"=="}`

func TestPlanOfWhatIsThereIsEmpty(t *testing.T) {
	f := newFixture()
	f.ours("tap1")
	f.rows.flowTables["T1"] = &vswitch.FlowTable{UUID: "T1", Prefixes: []string{"b", "a"}}
	f.bridge.FlowTables[30] = "T1"
	ops, err := f.plan(t, Desired{Revision: 4, Ports: []DesiredPort{desiredPort("tap1")},
		Prefixes: map[uint8][]string{30: {"a", "b"}}})
	require.NoError(t, err)
	require.Empty(t, ops)
}

func TestPlanChangesByKey(t *testing.T) {
	f := newFixture()
	f.ours("tap1")
	want := desiredPort("tap1")
	want.Epoch = 9
	ops, err := f.plan(t, Desired{Revision: 9, Ports: []DesiredPort{want}})
	require.NoError(t, err)
	require.Equal(t, []string{
		guardLine,
		`{"op":"mutate","table":"Port","mutations":[["external_ids","delete",{"\"portcullis-epoch\"":"3"}],["external_ids","insert",{"\"portcullis-epoch\"":"9"}]],"where":[["_uuid","==",["named-uuid","P-tap1"]]]}`,
		`{"op":"mutate","table":"Bridge","mutations":[["external_ids","delete",{"\"portcullis-revision\"":"4"}],["external_ids","insert",{"\"portcullis-revision\"":"9"}]],"where":[["_uuid","==",["named-uuid","B1"]]]}`,
	}, text(t, ops))
}

func TestPlanMakesTheMissingBridge(t *testing.T) {
	f := newFixture()
	delete(f.rows.bridges, "B1")
	ops, err := f.plan(t, Desired{Revision: 2, Ports: []DesiredPort{desiredPort("tap1")},
		Prefixes: map[uint8][]string{3: {"ip_src"}}})
	require.NoError(t, err)
	lines := text(t, ops)
	require.Len(t, lines, 8)
	require.Contains(t, lines[2], `"op":"wait","table":"Open_vSwitch"`, "the zone is guarded")
	require.Contains(t, lines[6], `"fail_mode":"secure"`)
	require.Contains(t, lines[6], `"flow_tables":{"3":["named-uuid","row3"]}`)
	require.Contains(t, lines[6], `"ports":["set",[["named-uuid","row5"],["named-uuid","row1"]]]`)
	require.Equal(t,
		`{"op":"mutate","table":"Open_vSwitch","mutations":[["bridges","insert",["named-uuid","row6"]]],"where":[["_uuid","==",["named-uuid","R"]]]}`, lines[7])
}

func TestPlanSetsFailModeOnlyWhereItDiffers(t *testing.T) {
	secure, standalone := "secure", "standalone"
	for _, c := range []struct {
		have *string
		want int
	}{{&secure, 0}, {&standalone, 2}, {nil, 2}} {
		f := newFixture()
		f.bridge.FailMode = c.have
		ops, err := f.plan(t, Desired{Revision: 4})
		require.NoError(t, err)
		require.Len(t, ops, c.want)
		if c.want > 0 {
			require.Equal(t, libovsdb.Row{"fail_mode": "secure"}, ops[1].Op.Row)
		}
	}
}

func TestPlanAddsMissingProtocols(t *testing.T) {
	require.Empty(t, missingProtocols(nil), "no entry means every version")
	require.Empty(t, missingProtocols([]string{"OpenFlow15", "OpenFlow14", "OpenFlow13",
		"OpenFlow10"}))
	require.Equal(t, []any{"OpenFlow14"}, missingProtocols([]string{"OpenFlow13", "OpenFlow15"}))
	require.Equal(t, wantedProtocols(), missingProtocols([]string{"OpenFlow10"}))
	f := newFixture()
	f.bridge.Protocols = []string{"OpenFlow10", "OpenFlow15"}
	ops, err := f.plan(t, Desired{Revision: 4})
	require.NoError(t, err)
	require.Contains(t, text(t, ops)[1],
		`["protocols","insert",["set",["OpenFlow13","OpenFlow14"]]]`)
}

func TestPlanNeverLowersTheRevision(t *testing.T) {
	for _, c := range []struct {
		have  string
		stale bool
	}{{"5", true}, {"4294967295", true}, {"4", false}, {"3", false}, {"", false}, {"05", false},
		{"99999999999", false}, {"x9", false}} {
		f := newFixture()
		f.bridge.ExternalIDs[KeyRevision] = c.have
		ops, err := f.plan(t, Desired{Revision: 4, Ports: []DesiredPort{desiredPort("tap1")}})
		require.Equal(t, c.stale, errors.Is(err, ErrStaleRevision), "%q: %v", c.have, err)
		require.Equal(t, c.stale, len(ops) == 0, "%q", c.have)
	}
}

// A revision that nobody can have counted to gives way, but only that very one: another was written
// by somebody who may know better.
func TestPlanLowersARevisionThatIsNotBelieved(t *testing.T) {
	for have, stale := range map[string]bool{"4294967295": false, "4294967294": true, "5": true,
		"3": false} {
		f := newFixture()
		f.bridge.ExternalIDs[KeyRevision] = have
		ops, err := f.plan(t, Desired{Revision: 4, Unbelieved: 4294967295,
			Ports: []DesiredPort{desiredPort("tap1")}})
		require.Equal(t, stale, errors.Is(err, ErrStaleRevision), "%s: %v", have, err)
		require.Equal(t, stale, len(ops) == 0, have)
	}
}

func TestPlanRefusesOnePortAndDoesTheOthers(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(*fixture)
		port    DesiredPort
		reason  string
	}{
		"on another bridge": {func(f *fixture) { f.port(f.other, "tap1", nil, nil) },
			desiredPort("tap1"), "it is on bridge br-ex, not on br-int"},
		"bond": {func(f *fixture) { f.bond("tap1") }, desiredPort("tap1"),
			"it has 2 interfaces: a bond cannot be filtered"},
		"interface of other name": {func(f *fixture) {
			f.port(f.bridge, "tap1", nil, nil).Name = "eth9"
		}, desiredPort("tap1"), "its interface is eth9"},
		"interface of a bond": {func(f *fixture) { f.bond("bond0") }, desiredPort("bond0-b"),
			"an interface of this name belongs to port bond0"},
		"no zone": {func(*fixture) {}, DesiredPort{Name: "tap1"}, "it has no conntrack zone"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			c.arrange(f)
			ops, err := f.plan(t, Desired{Revision: 4, Ports: []DesiredPort{c.port,
				desiredPort("tap2")}})
			var refused *PortError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, PortError{Port: c.port.Name, Reason: c.reason}, *refused)
			var made []any
			for _, o := range ops {
				if o.Op.Op == libovsdb.OperationInsert && o.Op.Table == vswitch.PortTable {
					made = append(made, o.Op.Row["name"])
				}
			}
			require.Equal(t, []any{"tap2"}, made)
		})
	}
}

// bond adds a port with a second interface.
func (f *fixture) bond(name string) {
	f.port(f.bridge, name, nil, nil)
	f.rows.interfaces["I2"] = &vswitch.Interface{UUID: "I2", Name: name + "-b"}
	f.rows.ports["P-"+name].Interfaces = append(f.rows.ports["P-"+name].Interfaces, "I2")
}

func TestPlanRefusesTheWholeRequest(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(*fixture)
		desired Desired
		want    string
	}{
		"twice": {func(*fixture) {}, Desired{Revision: 4,
			Ports: []DesiredPort{desiredPort("a"), desiredPort("a")}}, "port a is desired twice"},
		"table": {func(*fixture) {}, Desired{Revision: 4,
			Prefixes: map[uint8][]string{255: nil}}, "prefixes of table 255: the highest is 254"},
		"uninitialised": {func(f *fixture) { f.rows = rows{} }, Desired{Revision: 4},
			"the database is not initialised: it has no Open_vSwitch row"},
		"name taken": {func(f *fixture) {
			delete(f.rows.bridges, "B1")
			f.port(f.other, "br-int", nil, nil)
		}, Desired{Revision: 4},
			"bridge br-int cannot be made: bridge br-ex has a port of this name"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			c.arrange(f)
			ops, err := f.plan(t, c.desired)
			require.EqualError(t, err, c.want)
			require.Empty(t, ops)
		})
	}
}

func TestPlanNeverTouchesOthersPorts(t *testing.T) {
	f := newFixture()
	f.port(f.bridge, "eth1", ids{"uplink": "yes"}, ids{"attached-mac": "02:00:00:00:00:99"})
	f.port(f.bridge, "tap9", ids{KeyOwner: "somebody"}, nil)
	f.port(f.other, "tap8", ids{KeyOwner: OwnerValue, KeyZone: "5"}, nil)
	ops, err := f.plan(t, Desired{Revision: 4})
	require.NoError(t, err)
	require.Empty(t, ops)
}

func TestPlanDeletesOwnedAndReleasesAdopted(t *testing.T) {
	f := newFixture()
	f.ours("mine")
	f.port(f.bridge, "theirs", ids{KeyZone: "5", KeyEpoch: "1", "x": "y"},
		ids{"attached-mac": "A", "vm-id": "V", "portcullis-vm-id": "V",
			"portcullis-attached-mac": "B"})
	ops, err := f.plan(t, Desired{Revision: 4})
	require.NoError(t, err)
	require.Equal(t, []string{
		guardLine,
		`{"op":"mutate","table":"Port","mutations":[["external_ids","delete",{"\"portcullis-epoch\"":"1","\"portcullis-zone\"":"5"}]],"where":[["_uuid","==",["named-uuid","P-theirs"]]]}`,
		`{"op":"mutate","table":"Interface","mutations":[["external_ids","delete",{"\"portcullis-attached-mac\"":"B","\"portcullis-vm-id\"":"V","\"vm-id\"":"V"}]],"where":[["_uuid","==",["named-uuid","I-theirs"]]]}`,
		`{"op":"mutate","table":"Bridge","mutations":[["ports","delete",["named-uuid","P-mine"]]],"where":[["_uuid","==",["named-uuid","B1"]]]}`,
	}, text(t, ops))
}

func TestPlanChangesTheDeviceOfOwnPortsOnly(t *testing.T) {
	want := DesiredPort{Name: "tap1", Type: "internal", MAC: "02:00:00:00:00:05", Zone: 7, Epoch: 3}
	f := newFixture()
	f.ours("tap1")
	ops, err := f.plan(t, Desired{Revision: 4, Ports: []DesiredPort{want}})
	require.NoError(t, err)
	require.Equal(t, libovsdb.Row{"type": "internal", "mac": "02:00:00:00:00:05"},
		ops[len(ops)-1].Op.Row)

	f = newFixture()
	f.port(f.bridge, "tap1", nil, nil)
	ops, err = f.plan(t, Desired{Revision: 4, Ports: []DesiredPort{want}})
	require.NoError(t, err)
	for _, o := range ops {
		require.NotEqual(t, libovsdb.OperationUpdate, o.Op.Op)
	}
}

func TestPlanReplacesASharedFlowTable(t *testing.T) {
	f := newFixture()
	f.rows.flowTables["T1"] = &vswitch.FlowTable{UUID: "T1", Prefixes: []string{"tun_id"}}
	f.bridge.FlowTables[30] = "T1"
	d := Desired{Revision: 4, Prefixes: map[uint8][]string{30: {"ip_src"}}}
	ops, err := f.plan(t, d)
	require.NoError(t, err)
	require.Equal(t,
		`{"op":"update","table":"Flow_Table","row":{"prefixes":"ip_src"},"where":[["_uuid","==",["named-uuid","T1"]]]}`, text(t, ops)[1])

	f.other.FlowTables[30] = "T1"
	ops, err = f.plan(t, d)
	require.NoError(t, err)
	require.Equal(t, []string{
		guardLine,
		`{"op":"insert","table":"Flow_Table","row":{"prefixes":"ip_src"},"uuid-name":"row0"}`,
		`{"op":"mutate","table":"Bridge","mutations":[["flow_tables","delete",30],["flow_tables","insert",{"30":["named-uuid","row0"]}]],"where":[["_uuid","==",["named-uuid","B1"]]]}`,
	}, text(t, ops))
}

func TestPlanReportsTheDatapathTypeAndGoesOn(t *testing.T) {
	f := newFixture()
	f.bridge.DatapathType = "netdev"
	ops, err := f.plan(t, Desired{Revision: 5})
	require.ErrorIs(t, err, ErrDatapathType)
	require.EqualError(t, err,
		"bridge br-int: the bridge has another datapath type: netdev, not system")
	require.Len(t, ops, 2)
	f.bridge.DatapathType = "system"
	_, err = f.plan(t, Desired{Revision: 5})
	require.NoError(t, err)
}

func TestPlanDoesNotDependOnOrder(t *testing.T) {
	f := newFixture()
	f.ours("c")
	f.ours("d")
	d := Desired{Revision: 6, Ports: []DesiredPort{desiredPort("a"), desiredPort("b"),
		desiredPort("e")}, Prefixes: map[uint8][]string{3: {"x"}, 2: {"y"}, 9: nil}}
	first, err := f.plan(t, d)
	require.NoError(t, err)
	want := text(t, first)
	for range 20 {
		slices.Reverse(d.Ports)
		again, err := f.plan(t, d)
		require.NoError(t, err)
		require.Equal(t, want, text(t, again))
	}
}

// Of a port of ours whose device is gone the interface is opened anew, once each time; of somebody
// else's nothing is changed.
func TestPlanOpensAnewWhatIsDeaf(t *testing.T) {
	number := func(n int) *int { return &n }
	d := Desired{Revision: 4, Ports: []DesiredPort{desiredPort("tap1"), desiredPort("tap2")}}
	requests := func(f *fixture) (out []any) {
		ops, err := f.plan(t, d)
		require.NoError(t, err)
		for _, o := range ops {
			if n, ok := o.Op.Row["ofport_request"]; ok {
				out = append(out, n)
			}
		}
		return out
	}
	f := newFixture()
	one, two := f.ours("tap1"), f.ours("tap2")
	one.Ofport, one.Ifindex, two.Ofport, two.Ifindex = number(1), number(7), number(2), number(8)
	require.Empty(t, requests(f), "their devices are there")
	one.Ifindex, two.Ifindex = number(0), number(0)
	require.Equal(t, []any{0x8000, 0x8001}, requests(f))
	one.OfportRequest, two.OfportRequest = number(0x8000), number(0x8001)
	require.Empty(t, requests(f), "it has been asked for")
	one.Ofport, two.Ofport = number(-1), nil
	require.Empty(t, requests(f), "Open vSwitch has seen that the devices are gone")
	one.Ofport, two.Ofport, two.Ifindex = number(0x8000), number(0x8001), number(9)
	require.Equal(t, []any{0x8002}, requests(f), "the first came back and is gone again")
	one.OfportRequest, one.Ofport = number(maxOFPort), number(maxOFPort)
	require.Equal(t, []any{0x8000}, requests(f), "numbers come round")
	f.rows.ports["P-tap1"].ExternalIDs = ids{}
	require.Empty(t, requests(f), "somebody else's")
}
