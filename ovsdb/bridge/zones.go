package bridge

import (
	"cmp"
	"strings"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// Conntrack zones are the datapath's, which all bridges of one type share. So a zone is given out
// only if no row of any of them names it, and only by a transaction that fails if somebody else has
// given out one since these rows were read: all of them count in the row of Open_vSwitch.

// ZoneClaim says who else on the bridge's datapath uses a zone.
type ZoneClaim struct {
	// By is who, in words.
	By string
	// Prior says that they keep it if a port of this bridge has it, too. Of two bridges of
	// Portcullis the first by name does.
	Prior bool
}

// Neighbours is what the other bridges on the bridge's datapath use.
type Neighbours struct {
	// Zones are the conntrack zones that are not free, and whose they are.
	Zones map[uint16]ZoneClaim
	// Revision is the highest policy revision of the other bridges: their epochs are not higher.
	Revision uint32
}

// ovnZone begins the keys by which OVN's ovn-controller keeps the zones that it gave out, on its
// bridge.
const ovnZone = "ct-zone-"

// datapathOf is the type of a datapath by its one name.
func datapathOf(kind string) string { return cmp.Or(kind, "system") }

// neighbours collects what is used beside the bridge.
func (v *view) neighbours() Neighbours {
	n := Neighbours{Zones: map[uint16]ZoneClaim{}}
	for _, other := range v.others {
		if datapathOf(other.bridge.DatapathType) != datapathOf(v.kind) {
			continue
		}
		n.Revision = max(n.Revision, parseRevision(other.bridge.ExternalIDs))
		for _, row := range other.ports {
			if zone := parseZone(row.ExternalIDs); zone != 0 {
				n.add(zone, ZoneClaim{By: "port " + row.Name + " of bridge " + other.bridge.Name,
					Prior: other.bridge.Name < v.name})
			}
		}
		n.addOVN(other.bridge)
	}
	if v.bridge != nil {
		n.addOVN(v.bridge)
	}
	return n
}

// addOVN adds the zones that OVN uses on a bridge. It never looks at ours, so it does not give way.
func (n Neighbours) addOVN(b *vswitch.Bridge) {
	for key, value := range b.ExternalIDs {
		if zone := uint16(parseDecimal(value, 16)); zone != 0 && strings.HasPrefix(key, ovnZone) {
			n.add(zone, ZoneClaim{By: "OVN on bridge " + b.Name, Prior: true})
		}
	}
}

// add notes a claim; of two the prior one, and of equal ones the first by name.
func (n Neighbours) add(zone uint16, c ZoneClaim) {
	have, ok := n.Zones[zone]
	if !ok || c.Prior && !have.Prior || c.Prior == have.Prior && c.By < have.By {
		n.Zones[zone] = c
	}
}

// reserve notes that a port has a zone, which must be free if it did not have it before.
func (p *planner) reserve(have, want uint16) error {
	if have == want {
		return nil
	}
	if p.claims == nil {
		p.claims = p.view.neighbours().Zones
	}
	if _, taken := p.claims[want]; taken {
		return ErrZonesTaken
	}
	p.takes = true
	return nil
}

// countZones has the transaction fail if somebody has given out zones since the rows were read, and
// has others' fail for ours.
func (p *planner) countZones() {
	atOnce := 0
	p.Operations = append(p.Operations, client.Operation{About: "give out conntrack zones",
		Refused: ErrZonesTaken, Op: libovsdb.Operation{
			Op: libovsdb.OperationWait, Table: vswitch.OpenvSwitchTable, Where: client.ByUUID(p.view.root),
			Columns: []string{"external_ids"},
			Rows:    []libovsdb.Row{{"external_ids": stringMap(p.view.rootIDs)}},
			Until:   string(libovsdb.WaitConditionEqual), Timeout: &atOnce,
		}})
	ids := newIDChange()
	if p.desired.LastZone != 0 {
		ids.set(p.view.rootIDs, KeyLastZone, decimal(uint32(p.desired.LastZone)))
	}
	p.Mutate("give out conntrack zones", vswitch.OpenvSwitchTable, p.view.root,
		ids.mutations("external_ids"))
}
