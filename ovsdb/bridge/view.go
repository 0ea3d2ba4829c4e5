package bridge

import (
	"fmt"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// view is what concerns one bridge: the rows that can be reached from it, and of the others
// only the names that would be in the way.
type view struct {
	name string // of the bridge
	kind string // type of its datapath
	// UUID of the Open_vSwitch row; "" = the database is not initialised
	root    string
	rootIDs map[string]string          // of that row
	version string                     // of Open vSwitch
	tags    string                     // other_config:vlan-limit; "" = not set
	offload string                     // other_config:hw-offload; "" = not set
	bridge  *vswitch.Bridge            // nil = missing
	ports   map[string]port            // of the bridge, by name
	tables  map[int]*vswitch.FlowTable // of the bridge, by OpenFlow table

	others     []other           // bridges beside it
	foreign    map[string]string // port name → the other bridge that has it
	interfaces map[string]string // interface name → its port, on any bridge
	tableRefs  map[string]int    // UUID of a Flow_Table → references from all bridges
}

// other is another bridge.
type other struct {
	bridge *vswitch.Bridge
	ports  []*vswitch.Port
}

// port is a Port row with its interfaces.
type port struct {
	row        *vswitch.Port
	interfaces []*vswitch.Interface
}

// newView follows the references from the bridge of this name. A reference into the void
// means that the rows are not one state of the database, and is an error.
func newView(rows client.Rows, bridge string) (*view, error) {
	v := &view{
		name: bridge, ports: map[string]port{}, tables: map[int]*vswitch.FlowTable{},
		foreign: map[string]string{}, interfaces: map[string]string{}, tableRefs: map[string]int{},
	}
	for uuid, root := range client.Table[*vswitch.OpenvSwitch](rows, vswitch.OpenvSwitchTable) {
		v.root, v.rootIDs, v.tags = uuid, root.ExternalIDs, root.OtherConfig["vlan-limit"]
		v.offload = root.OtherConfig["hw-offload"]
		if root.OVSVersion != nil {
			v.version = *root.OVSVersion
		}
	}
	for _, row := range client.Table[*vswitch.Bridge](rows, vswitch.BridgeTable) {
		if row.Name == bridge {
			v.bridge, v.kind = row, row.DatapathType
		}
		if err := v.addBridge(rows, row, row.Name == bridge); err != nil {
			return nil, fmt.Errorf("bridge %s: %w", row.Name, err)
		}
	}
	return v, nil
}

// addBridge takes in the ports and flow tables of one bridge.
func (v *view) addBridge(rows client.Rows, bridge *vswitch.Bridge, own bool) error {
	beside := other{bridge: bridge}
	for _, uuid := range bridge.Ports {
		row, ok := client.Row[*vswitch.Port](rows, vswitch.PortTable, uuid)
		if !ok {
			return fmt.Errorf("port %s is not in the cache", uuid)
		}
		p := port{row: row}
		for _, id := range row.Interfaces {
			iface, ok := client.Row[*vswitch.Interface](rows, vswitch.InterfaceTable, id)
			if !ok {
				return fmt.Errorf("port %s: interface %s is not in the cache", row.Name, id)
			}
			p.interfaces = append(p.interfaces, iface)
			v.interfaces[iface.Name] = row.Name
		}
		if own {
			v.ports[row.Name] = p
		} else {
			v.foreign[row.Name] = bridge.Name
			beside.ports = append(beside.ports, row)
		}
	}
	if !own {
		v.others = append(v.others, beside)
	}
	for id, uuid := range bridge.FlowTables {
		row, ok := client.Row[*vswitch.FlowTable](rows, vswitch.FlowTableTable, uuid)
		if !ok {
			return fmt.Errorf("flow table %d is not in the cache", id)
		}
		v.tableRefs[uuid]++
		if own {
			v.tables[id] = row
		}
	}
	return nil
}
