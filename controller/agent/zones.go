package agent

import (
	"math"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// This file gives zones to ports. newPlan calls it. Invariant: no two ports of a datapath have
// one zone.

// A zone is a port's alone: with one that is shared a denied peer can answer (0003). Zones are the
// datapath's, so that they are never shared with a port of another bridge either. What a zone that
// is used again may still hold: see forget.go.

// zones gives each port a zone. A port keeps that of its row, of the program that the switch runs
// if the row has none any more, or what the database has not taken yet; of several ports with the
// same zone the first by name keeps it, and of several bridges the first. The others get the zones
// that were given out longest ago. Not free are those that a program of ours may still use.
func (p *plan) zones(snap bridge.Snapshot, inUse zonesInUse) {
	taken := map[uint16]bool{}
	keep := func(port *plannedPort, zone uint16) bool {
		if zone == 0 || port.zone != 0 || taken[zone] || snap.Neighbours.Zones[zone].Prior {
			return false
		}
		port.zone, taken[zone] = zone, true
		return true
	}
	for i := range p.ports {
		if row := p.ports[i].row; !p.ports[i].isAnother(row.ForMAC, row.ForInstance) {
			keep(&p.ports[i], row.Zone)
		}
	}
	p.lastZone = snap.LastZone
	for i := range p.ports {
		port := &p.ports[i]
		for _, zone := range inUse.remembered(port) {
			if _, isOthers := snap.Neighbours.Zones[zone]; !isOthers && keep(port, zone) {
				port.isMoved = zone != inUse.running[port.Name].zone
				p.count(zone)
			}
		}
	}
	p.released = others(taken, snap, inUse)
	for _, zone := range p.released {
		taken[zone] = true
	}
	for zone := range snap.Neighbours.Zones {
		taken[zone] = true
	}
	p.newZones(taken)
	if p.moves() {
		// no connection of another bridge's may carry the epoch
		p.revision = max(p.revision, snap.Neighbours.Revision)
	}
}

// newZones gives zones to the ports that have none.
func (p *plan) newZones(taken map[uint16]bool) {
	for i := range p.ports {
		port := &p.ports[i]
		if port.zone != 0 {
			continue
		}
		if port.zone = nextFree(p.lastZone, taken); port.zone == 0 {
			port.refused = "all 65535 conntrack zones are taken"
			continue
		}
		taken[port.zone], port.isMoved = true, true
		p.count(port.zone)
	}
}

// count notes the zone that is given out last. It must be another one than before: see
// [bridge.Desired].
func (p *plan) count(zone uint16) {
	if p.lastZone == zone {
		zone = nextFree(zone, nil)
	}
	p.lastZone = zone
}

// nextFree is the first free zone after a zone, around; 0 = none.
func nextFree(after uint16, taken map[uint16]bool) uint16 {
	zone := after
	for range math.MaxUint16 {
		if zone++; zone == 0 {
			zone = 1
		}
		if !taken[zone] {
			return zone
		}
	}
	return 0
}

// others are the zones of rows and programs of ours that no port keeps and no other bridge has, in
// order.
func others(kept map[uint16]bool, snap bridge.Snapshot, inUse zonesInUse) []uint16 {
	out := slices.Clone(inUse.all)
	for _, row := range snap.Ports {
		out = append(out, row.Zone)
	}
	out = slices.DeleteFunc(out, func(zone uint16) bool {
		_, isOthers := snap.Neighbours.Zones[zone]
		return zone == 0 || kept[zone] || isOthers
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// zonesInUse are the zones of ports beyond the rows.
type zonesInUse struct {
	running map[string]usedZone // by port, in the last program that the switch may run
	all     []uint16            // in all such programs
	given   map[string]uint16   // by port, in this run; the database may not have taken them
}

// usedZone is a zone and whose it is.
type usedZone struct {
	zone          uint16
	mac, instance string
}

func (e *epochs) zonesInUse() zonesInUse {
	out := zonesInUse{running: map[string]usedZone{}, given: map[string]uint16{}}
	for _, a := range e.running {
		for port, given := range a.zoneEpochs {
			out.all = append(out.all, given.zone)
			out.running[port] = usedZone{zone: given.zone}
		}
		for _, i := range a.input.Policy.Instances {
			if !i.IsLocal(a.input.Site.Host) {
				continue // other hosts have ports of the same names
			}
			for _, port := range i.Ports {
				if used, ok := out.running[port.Name]; ok {
					out.running[port.Name] = usedZone{used.zone, port.MAC.String(), i.Name}
				}
			}
		}
	}
	for port, given := range e.issued {
		out.given[port] = given.zone
	}
	return out
}

// remembered are the zones that a port has beyond its row, the best first.
func (u zonesInUse) remembered(port *plannedPort) (out []uint16) {
	if used := u.running[port.Name]; !port.isAnother(used.mac, used.instance) {
		out = append(out, used.zone)
	}
	if zone := u.given[port.Name]; zone != u.running[port.Name].zone {
		out = append(out, zone)
	}
	return out
}

// isAnother says whether the port of this name was another one before: names such as vnet3 are used
// again. One of another MAC address alone, or of another instance's name alone, is the same.
func (p plannedPort) isAnother(mac, instance string) bool {
	return mac+instance != "" && mac != p.MAC.String() && instance != p.instance
}

// zonesEver are the zones of the ports, and those that ports have left.
func (p *plan) zonesEver() []uint16 {
	out := slices.Clone(p.released)
	for _, port := range p.ports {
		out = append(out, port.zone)
	}
	return out
}

// moves says whether a port has got another zone, which may have the limit of another port.
func (p *plan) moves() bool {
	return slices.ContainsFunc(p.ports, func(port plannedPort) bool { return port.isMoved })
}

// since is the first epoch of the port's own in its zone, if others' connections may be there; 0 =
// they are not.
func (p plannedPort) since() uint32 {
	if p.isMoved {
		return p.epoch
	}
	return p.row.Unflushed
}

// owns says whether an address is one that the port may use.
func (p plannedPort) owns(a netip.Addr) bool {
	return slices.ContainsFunc(p.Addresses, func(own netip.Prefix) bool { return own.Contains(a) })
}
