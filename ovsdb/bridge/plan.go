package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// Desired is what the database shall hold for the bridge.
type Desired struct {
	// Revision is the policy revision; never less than the one the database holds, unless that is
	// Unbelieved.
	Revision uint32
	// Unbelieved is a revision that nobody can have counted to: if the database holds this very
	// one, the revision may go back. 0 = none.
	Unbelieved uint32
	// LastZone is the zone that was given out last. It must be another one than the database holds
	// if a port gets a zone.
	LastZone uint16
	// Ports are the local ports, each name once. Owned ports that are missing here are deleted.
	Ports []DesiredPort
	// Prefixes are the fields whose prefixes the switch tracks, by OpenFlow table (0..254), as
	// Flow_Table.prefixes. Tables that are missing here are left alone.
	Prefixes map[uint8][]string
}

// DesiredPort is one port to be made or adopted.
type DesiredPort struct {
	// Name is the name of the port and of its only interface.
	Name string
	// Type is "" for an existing device, "internal" for one that Open vSwitch makes. The type
	// of an adopted port is not changed.
	Type string
	// Instance becomes vm-id and MAC becomes attached-mac, unless somebody else wrote these.
	// An internal port that Portcullis makes has this MAC.
	Instance, MAC string
	// Zone is the conntrack zone, 1..65535.
	Zone uint16
	// Epoch is the port's epoch.
	Epoch uint32
	// Unflushed is kept as it is: see [Port].
	Unflushed uint32
	// OnlyAdopt says that somebody else makes the port: where there is none, none is made.
	OnlyAdopt bool
}

// maxFlowTable is the highest OpenFlow table a Flow_Table can be attached to.
const maxFlowTable = 254

// planner collects the operations of one transaction; the changes of the Bridge row are
// gathered in row form or mutation form and come last.
type planner struct {
	view    *view
	opts    Options
	desired Desired

	client.Operations
	errs      []error
	newPorts  []any                // references to enter in Bridge.ports
	oldPorts  []any                // references to take out of Bridge.ports
	newTables map[any]any          // OpenFlow table → reference, to enter in Bridge.flow_tables
	oldTables []any                // OpenFlow tables to take out of Bridge.flow_tables first
	claims    map[uint16]ZoneClaim // of others, when it is known
	takes     bool                 // a port gets a zone that it did not have
	requested int                  // the highest port number that freeNumber knows of
}

// plan computes the operations of the one transaction that turns what is there into what is
// desired; none if nothing differs. The same arguments give the same operations.
//
// The error has two kinds. If it comes with no operations and is ErrStaleRevision, ErrZonesTaken or
// about the request itself, nothing may be done. Otherwise it joins what could not be planned
// (*PortError, ErrDatapathType), and the operations do the rest.
func plan(v *view, opts Options, d Desired) ([]client.Operation, error) {
	p := &planner{view: v, opts: opts, desired: d, newTables: map[any]any{}}
	if err := p.check(); err != nil {
		return nil, err
	}
	for _, want := range sortedPorts(d.Ports) {
		err := p.port(want)
		if errors.Is(err, ErrZonesTaken) {
			return nil, err
		}
		if err != nil {
			p.errs = append(p.errs, err)
		}
	}
	if p.takes {
		p.countZones()
	}
	p.leftovers()
	p.flowTables()
	if v.bridge == nil {
		p.makeBridge()
	} else {
		p.changeBridge()
	}
	return p.Operations, errors.Join(p.errs...)
}

// check refuses what must change nothing.
func (p *planner) check() error {
	if p.view.root == "" {
		return errors.New("the database is not initialised: it has no Open_vSwitch row")
	}
	if p.view.bridge == nil {
		if other, ok := p.view.foreign[p.opts.Bridge]; ok {
			return fmt.Errorf("bridge %s cannot be made: bridge %s has a port of this name",
				p.opts.Bridge, other)
		}
	} else if have := parseRevision(p.view.bridge.ExternalIDs); have > p.desired.Revision &&
		have != p.desired.Unbelieved {
		return fmt.Errorf("bridge %s: %w: %d, not %d", p.opts.Bridge, ErrStaleRevision, have,
			p.desired.Revision)
	}
	seen := map[string]struct{}{}
	for _, want := range p.desired.Ports {
		if _, twice := seen[want.Name]; twice {
			return fmt.Errorf("port %s is desired twice", want.Name)
		}
		seen[want.Name] = struct{}{}
	}
	for id := range p.desired.Prefixes {
		if id > maxFlowTable {
			return fmt.Errorf("prefixes of table %d: the highest is %d", id, maxFlowTable)
		}
	}
	return nil
}

// makeBridge inserts the bridge with its own internal port and enters it in Open_vSwitch.
func (p *planner) makeBridge() {
	about := "make bridge " + p.opts.Bridge
	local := p.Insert(about, vswitch.InterfaceTable,
		libovsdb.Row{"name": p.opts.Bridge, "type": "internal"})
	port := p.Insert(about, vswitch.PortTable, libovsdb.Row{"name": p.opts.Bridge,
		"interfaces": local})
	row := libovsdb.Row{
		"name": p.opts.Bridge, "fail_mode": "secure", "datapath_type": p.opts.DatapathType,
		"protocols":    libovsdb.OvsSet{GoSet: wantedProtocols()},
		"ports":        libovsdb.OvsSet{GoSet: append([]any{port}, p.newPorts...)},
		"external_ids": stringMap(p.bridgeIDs(nil).add),
	}
	if len(p.newTables) > 0 {
		row["flow_tables"] = libovsdb.OvsMap{GoMap: p.newTables}
	}
	bridge := p.Insert(about, vswitch.BridgeTable, row)
	p.Mutate(about, vswitch.OpenvSwitchTable, p.view.root, []libovsdb.Mutation{
		*libovsdb.NewMutation("bridges", libovsdb.MutateOperationInsert,
			libovsdb.OvsSet{GoSet: []any{bridge}}),
	})
}

// changeBridge mutates the existing Bridge row, and guards the transaction with its existence:
// without it new ports would vanish silently, as nothing refers to them.
func (p *planner) changeBridge() {
	bridge, about := p.view.bridge, "change bridge "+p.opts.Bridge
	have, want := cmp.Or(bridge.DatapathType, "system"), cmp.Or(p.opts.DatapathType, "system")
	if have != want {
		p.errs = append(p.errs, fmt.Errorf("bridge %s: %w: %s, not %s", p.opts.Bridge,
			ErrDatapathType, have, want))
	}
	// Setting fail_mode clears the flow tables, even to the value it has: only if it differs.
	if bridge.FailMode == nil || *bridge.FailMode != "secure" {
		p.Update(about, vswitch.BridgeTable, bridge.UUID, libovsdb.Row{"fail_mode": "secure"})
	}
	mutations := p.bridgeIDs(bridge.ExternalIDs).mutations("external_ids")
	mutations = appendSet(mutations, "protocols", libovsdb.MutateOperationInsert,
		missingProtocols(bridge.Protocols))
	mutations = appendSet(mutations, "ports", libovsdb.MutateOperationDelete, p.oldPorts)
	mutations = appendSet(mutations, "ports", libovsdb.MutateOperationInsert, p.newPorts)
	mutations = appendSet(mutations, "flow_tables", libovsdb.MutateOperationDelete, p.oldTables)
	if len(p.newTables) > 0 {
		mutations = append(mutations, *libovsdb.NewMutation("flow_tables",
			libovsdb.MutateOperationInsert,
			libovsdb.OvsMap{GoMap: p.newTables}))
	}
	p.Mutate(about, vswitch.BridgeTable, bridge.UUID, mutations)
	if len(p.Operations) > 0 {
		p.Operations = slices.Insert(p.Operations, 0, p.guard())
	}
}

// bridgeIDs are the changes of the bridge's own keys.
func (p *planner) bridgeIDs(have map[string]string) idChange {
	ids := newIDChange()
	ids.set(have, KeyRevision, decimal(p.desired.Revision))
	if p.opts.Daemon != "" {
		ids.set(have, KeyDaemon, p.opts.Daemon)
	}
	return ids
}

// guard fails the transaction at once when the bridge has gone.
func (p *planner) guard() client.Operation {
	atOnce := 0
	return client.Operation{About: "find bridge " + p.opts.Bridge, Op: libovsdb.Operation{
		Op: libovsdb.OperationWait, Table: vswitch.BridgeTable, Where: client.ByUUID(p.view.bridge.UUID),
		Columns: []string{"name"}, Rows: []libovsdb.Row{{"name": p.opts.Bridge}},
		Until: string(libovsdb.WaitConditionEqual), Timeout: &atOnce,
	}}
}

// flowTables makes every wanted table track exactly the wanted prefixes. A row that also
// serves another table or bridge is replaced rather than changed.
func (p *planner) flowTables() {
	for _, id := range slices.Sorted(maps.Keys(p.desired.Prefixes)) {
		about := fmt.Sprintf("set prefixes of table %d", id)
		row := libovsdb.Row{"prefixes": client.Set(p.desired.Prefixes[id])}
		have := p.view.tables[int(id)]
		switch {
		case have != nil && sameSet(have.Prefixes, p.desired.Prefixes[id]):
		case have != nil && p.view.tableRefs[have.UUID] == 1:
			p.Update(about, vswitch.FlowTableTable, have.UUID, row)
		default:
			if have != nil {
				p.oldTables = append(p.oldTables, int(id))
			}
			p.newTables[int(id)] = p.Insert(about, vswitch.FlowTableTable, row)
		}
	}
}

func wantedProtocols() []any { return []any{"OpenFlow13", "OpenFlow14", "OpenFlow15"} }

// missingProtocols are the wanted protocols the bridge does not speak. No entry at all means
// that it speaks every version (ovs-vswitchd.conf.db(5)).
func missingProtocols(have []string) []any {
	if len(have) == 0 {
		return nil
	}
	return slices.DeleteFunc(wantedProtocols(), func(protocol any) bool {
		return slices.Contains(have, protocol.(string))
	})
}

func sortedPorts(ports []DesiredPort) []DesiredPort {
	byName := func(a, b DesiredPort) int { return cmp.Compare(a.Name, b.Name) }
	return slices.SortedFunc(slices.Values(ports), byName)
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Compact(slices.Sorted(slices.Values(a))),
		slices.Compact(slices.Sorted(slices.Values(b))))
}

// appendSet adds a mutation by a set of elements, if there are any.
func appendSet(to []libovsdb.Mutation, column string, how libovsdb.Mutator,
	elements []any) []libovsdb.Mutation {
	if len(elements) == 0 {
		return to
	}
	return append(to, *libovsdb.NewMutation(column, how, libovsdb.OvsSet{GoSet: elements}))
}
