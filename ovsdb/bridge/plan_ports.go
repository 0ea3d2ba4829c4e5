package bridge

import (
	"fmt"
	"maps"
	"slices"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// port plans one desired port: adopted where it stands, made where nothing is in the way.
func (p *planner) port(want DesiredPort) error {
	have, exists := p.view.ports[want.Name]
	owner, taken := p.view.interfaces[want.Name]
	other, foreign := p.view.foreign[want.Name]
	switch {
	case want.Zone == 0:
		return &PortError{want.Name, "it has no conntrack zone"}
	case foreign:
		return &PortError{want.Name, fmt.Sprintf("it is on bridge %s, not on %s", other,
			p.opts.Bridge)}
	case exists && len(have.interfaces) != 1:
		return &PortError{want.Name, fmt.Sprintf("it has %d interfaces: a bond cannot be filtered",
			len(have.interfaces))}
	case exists && have.interfaces[0].Name != want.Name:
		return &PortError{want.Name, fmt.Sprintf("its interface is %s", have.interfaces[0].Name)}
	case exists:
		if err := p.reserve(parseZone(have.row.ExternalIDs), want.Zone); err != nil {
			return err
		}
		p.adoptPort(have, want)
	case want.OnlyAdopt:
		// it went a moment ago
	case taken:
		return &PortError{want.Name, fmt.Sprintf("an interface of this name belongs to port %s",
			owner)}
	case p.view.bridge == nil && want.Name == p.opts.Bridge:
		return &PortError{want.Name, "it is the bridge's own port, which is being made"}
	default:
		if err := p.reserve(0, want.Zone); err != nil {
			return err
		}
		p.makePort(want)
	}
	return nil
}

// makePort inserts a port of our own.
func (p *planner) makePort(want DesiredPort) {
	about := "make port " + want.Name
	ids := newIDChange()
	shareInterfaceIDs(ids, nil, want)
	iface := libovsdb.Row{"name": want.Name, "type": want.Type, "external_ids": stringMap(ids.add)}
	if mac := internalMAC(want); mac != "" {
		iface["mac"] = mac
	}
	keys := map[string]string{KeyOwner: OwnerValue, KeyZone: decimal(uint32(want.Zone)),
		KeyEpoch: decimal(want.Epoch), KeyFor: want.whose()}
	if want.Unflushed != 0 {
		keys[KeyUnflushed] = decimal(want.Unflushed)
	}
	p.newPorts = append(p.newPorts, p.Insert(about, vswitch.PortTable, libovsdb.Row{
		"name": want.Name, "interfaces": p.Insert(about, vswitch.InterfaceTable, iface),
		"external_ids": stringMap(keys),
	}))
}

// adoptPort brings an existing port up to date. Only of a port that is ours the device itself
// is changed.
func (p *planner) adoptPort(have port, want DesiredPort) {
	about, iface := "change port "+want.Name, have.interfaces[0]
	ids := newIDChange()
	ids.set(have.row.ExternalIDs, KeyZone, decimal(uint32(want.Zone)))
	ids.set(have.row.ExternalIDs, KeyEpoch, decimal(want.Epoch))
	ids.set(have.row.ExternalIDs, KeyFor, want.whose())
	if want.Unflushed == 0 {
		ids.remove(have.row.ExternalIDs, KeyUnflushed)
	} else {
		ids.set(have.row.ExternalIDs, KeyUnflushed, decimal(want.Unflushed))
	}
	p.Mutate(about, vswitch.PortTable, have.row.UUID, ids.mutations("external_ids"))

	ids = newIDChange()
	shareInterfaceIDs(ids, iface.ExternalIDs, want)
	p.Mutate(about, vswitch.InterfaceTable, iface.UUID, ids.mutations("external_ids"))

	if !ownedByUs(have.row.ExternalIDs) {
		return
	}
	row := libovsdb.Row{}
	if canonicalType(iface.Type) != canonicalType(want.Type) {
		row["type"] = want.Type
	}
	if mac := internalMAC(want); mac != "" && (iface.MAC == nil || *iface.MAC != mac) {
		row["mac"] = mac
	}
	if isDeaf(iface) {
		row["ofport_request"] = p.freeNumber()
	}
	p.Update(about, vswitch.InterfaceTable, iface.UUID, row)
}

// isDeaf says that an interface must be opened anew, and that nobody has asked for it yet. The
// userspace datapath goes on to listen to the device that is gone, also when another one of its
// name has come. It opens an interface anew when another number is requested for it.
func isDeaf(iface *vswitch.Interface) bool {
	number, told := ofport(iface)
	return number != 0 && told != "" && (iface.OfportRequest == nil ||
		*iface.OfportRequest == int(number))
}

// firstRequest is the first number that Open vSwitch gives to no port by itself.
const firstRequest = 0x8000

// freeNumber is a port number that nobody on the bridge has or requests: above all that were
// requested, because one that another port had a moment ago could carry packets of that port
// (0011).
func (p *planner) freeNumber() int {
	taken := map[int]bool{}
	for _, port := range p.view.ports {
		for _, iface := range port.interfaces {
			for _, number := range []*int{iface.Ofport, iface.OfportRequest} {
				if number != nil && *number <= maxOFPort {
					taken[*number] = true
					p.requested = max(p.requested, *number)
				}
			}
		}
	}
	n := max(firstRequest, p.requested+1)
	if n > maxOFPort {
		for n = firstRequest; taken[n]; {
			n++
		}
	}
	p.requested = n
	return n
}

// leftovers deletes our own ports that are no longer desired and takes our keys off the
// others. The bridge's own port is part of the bridge and stays.
func (p *planner) leftovers() {
	desired := make(map[string]struct{}, len(p.desired.Ports))
	for _, want := range p.desired.Ports {
		desired[want.Name] = struct{}{}
	}
	for _, name := range slices.Sorted(maps.Keys(p.view.ports)) {
		if _, wanted := desired[name]; wanted {
			continue
		}
		have := p.view.ports[name]
		if ownedByUs(have.row.ExternalIDs) && name != p.opts.Bridge {
			p.oldPorts = append(p.oldPorts, libovsdb.UUID{GoUUID: have.row.UUID})
			continue
		}
		p.release(have)
	}
}

// release takes our keys off a port that somebody else made.
func (p *planner) release(have port) {
	about := "release port " + have.row.Name
	ids := newIDChange()
	for _, key := range []string{KeyZone, KeyEpoch, KeyUnflushed, KeyFor} {
		ids.remove(have.row.ExternalIDs, key)
	}
	p.Mutate(about, vswitch.PortTable, have.row.UUID, ids.mutations("external_ids"))
	for _, iface := range have.interfaces {
		ids := newIDChange()
		for _, key := range []string{keyIfaceID, keyAttachedMAC, keyVMID} {
			ids.share(iface.ExternalIDs, key, "")
		}
		p.Mutate(about, vswitch.InterfaceTable, iface.UUID, ids.mutations("external_ids"))
	}
}

// whose is the value of KeyFor.
func (d DesiredPort) whose() string { return d.MAC + " " + d.Instance }

// shareInterfaceIDs writes the keys by which others know the instance behind an interface.
func shareInterfaceIDs(ids idChange, have map[string]string, want DesiredPort) {
	ids.share(have, keyIfaceID, want.Name)
	ids.share(have, keyAttachedMAC, want.MAC)
	ids.share(have, keyVMID, want.Instance)
}

// internalMAC is the address of a device that Open vSwitch makes for us: with a random one it
// could not send a frame.
func internalMAC(want DesiredPort) string {
	if want.Type != "internal" {
		return ""
	}
	return want.MAC
}
