package bridge

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ovsdb/vswitch"
)

// Snapshot is one consistent state of the bridge in the database. It is a value of the
// caller's; nothing changes it later.
type Snapshot struct {
	// Bridge says whether the bridge exists.
	Bridge bool
	// FailMode is the bridge's fail_mode: "secure", "standalone" or "" (which means standalone).
	FailMode string
	// Revision is the policy revision the bridge holds; 0 = none, or not a number.
	Revision uint32
	// OVSVersion is the version of Open vSwitch as its start scripts recorded it; "" = unknown.
	OVSVersion string
	// InnerTags says that Open vSwitch may read VLAN headers behind the first:
	// other_config:vlan-limit of Open_vSwitch is set, and not 1 (ovs-vswitchd.conf.db(5)).
	InnerTags bool
	// Offload says that Open vSwitch hands flows to hardware, or to the kernel's tc:
	// other_config:hw-offload of Open_vSwitch is true.
	Offload bool
	// LastZone is the conntrack zone that was given out last on any bridge; 0 = none, or not a
	// number.
	LastZone uint16
	// Neighbours are the other bridges on the same datapath.
	Neighbours Neighbours
	// Ports are all ports of the bridge by name: instances, uplinks, its own internal port.
	Ports map[string]Port
}

// Port is one port of the bridge.
type Port struct {
	// Name is the name of the Port row.
	Name string
	// OFPort is the OpenFlow port number; 0 = none yet, or Open vSwitch could not open the device.
	OFPort uint32
	// Error says why OFPort is 0, as far as Open vSwitch knows, or that the device behind OFPort is
	// gone; "" otherwise.
	Error string
	// Absent says that there is no device of this name: Error is Open vSwitch's word for that. Only
	// a device that somebody else makes can be absent.
	Absent bool
	// Down says that the device is there and set down, so that it passes nothing whatever the flows
	// say. Only a device that somebody else makes is told of.
	Down bool
	// Zone is the conntrack zone recorded for the port; 0 = none.
	Zone uint16
	// Unflushed says that the zone may hold connections of the port that had it before, and the
	// first epoch that is this port's own; 0 = it does not.
	Unflushed uint32
	// ForMAC and ForInstance say for whom the zone was recorded; "" = unknown.
	ForMAC, ForInstance string
	// Epoch is the epoch recorded for the port; 0 = none.
	Epoch uint32
	// Owned says that Portcullis made the port.
	Owned bool
	// Type is the interface's type; "" = an existing device, "internal" = made by Open vSwitch.
	Type string
	// Instance is the interface's vm-id; "" = none.
	Instance string
	// IfaceID is the interface's iface-id, if somebody else wrote it; "" = none.
	IfaceID string
	// MAC is the interface's attached-mac; "" = none.
	MAC string
}

// maxOFPort is the highest number of a port that is no reserved one (OFPP_MAX of OpenFlow 1.0,
// which Open vSwitch keeps); localOFPort is the bridge's own port.
const (
	maxOFPort   = 0xfeff
	localOFPort = 0xfffe
)

func newSnapshot(v *view) Snapshot {
	s := Snapshot{OVSVersion: v.version, InnerTags: v.tags != "" && v.tags != "1",
		Offload: v.offload == "true", Ports: map[string]Port{}, LastZone: uint16(parseDecimal(v.rootIDs[KeyLastZone], 16)),
		Neighbours: v.neighbours()}
	if v.bridge == nil {
		return s
	}
	s.Bridge = true
	if v.bridge.FailMode != nil {
		s.FailMode = *v.bridge.FailMode
	}
	s.Revision = parseRevision(v.bridge.ExternalIDs)
	for name, p := range v.ports {
		s.Ports[name] = newPort(p)
	}
	return s
}

func newPort(p port) Port {
	ids := p.row.ExternalIDs
	out := Port{Name: p.row.Name, Zone: parseZone(ids), Epoch: parseEpoch(ids),
		Unflushed: parseUnflushed(ids), Owned: ownedByUs(ids)}
	out.ForMAC, out.ForInstance, _ = strings.Cut(ids[KeyFor], " ")
	if len(p.interfaces) != 1 {
		out.Error = fmt.Sprintf("the port has %d interfaces", len(p.interfaces))
		return out
	}
	iface := p.interfaces[0]
	out.Type = canonicalType(iface.Type)
	out.Instance = iface.ExternalIDs[keyVMID]
	out.MAC = iface.ExternalIDs[keyAttachedMAC]
	out.IfaceID = ofOthers(iface.ExternalIDs, keyIfaceID)
	out.OFPort, out.Error = ofport(iface)
	out.Absent = out.Type == "" && isAbsent(iface)
	out.Down = out.Type == "" && isDown(iface)
	return out
}

// ofport is the interface's number, or 0 and the reason.
func ofport(iface *vswitch.Interface) (uint32, string) {
	reason := ""
	if iface.Error != nil {
		reason = *iface.Error
	}
	switch {
	case iface.Ofport == nil:
		return 0, reason
	case *iface.Ofport >= 1 && *iface.Ofport <= maxOFPort, *iface.Ofport == localOFPort:
		return uint32(*iface.Ofport), gone(iface)
	case reason == "":
		return 0, fmt.Sprintf("Open vSwitch gave the port number %d", *iface.Ofport)
	default:
		return 0, reason
	}
}

// gone says that the device of an interface with a number is not there any more. Open vSwitch keeps
// the number and reports no error: it takes a device of the same name for the same one when it
// comes back. Interfaces that never were devices of the system (tunnels, patch ports, simulated
// ones) have no index either, but an address.
func gone(iface *vswitch.Interface) string {
	if iface.Ifindex != nil && *iface.Ifindex == 0 && iface.MACInUse == nil {
		return fmt.Sprintf("the device %s is gone", iface.Name)
	}
	return ""
}

// noDevice is how Open vSwitch ends its word on a device that the system does not have (ENODEV).
const noDevice = "(No such device)"

// isAbsent says that the device of an interface is not there: it never was, or it is gone.
func isAbsent(iface *vswitch.Interface) bool {
	number, told := ofport(iface)
	if number != 0 {
		return told != ""
	}
	return strings.HasSuffix(strings.TrimSpace(told), noDevice)
}

// isDown says that the device of an interface is there and set down. Open vSwitch sets no such device
// up, and its userspace datapath may set one down: it reads the flags of a device that it takes in,
// or lets go of, and writes them back with one more or less, also if the device was set up meanwhile.
func isDown(iface *vswitch.Interface) bool {
	number, told := ofport(iface)
	return number != 0 && told == "" && iface.AdminState != nil &&
		*iface.AdminState == "down"
}

// canonicalType is an Interface type with the two spellings of an existing device made one.
func canonicalType(t string) string {
	if t == "system" {
		return ""
	}
	return t
}
