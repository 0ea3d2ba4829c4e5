package config

import (
	"net/netip"

	"github.com/portcullis/portcullis/flows/policy"
)

// rawInstance is an instance as its file has it.
type rawInstance struct {
	policy.Instance
	at     spot // of the name
	groups []reference
	ports  []rawPort
}

// rawPort is a port as its file has it. What was invalid is left at its zero value.
type rawPort struct {
	policy.Port
	name, mac spot
	addresses []spot // parallel to Addresses
	allowed   []spot // parallel to Allowed
}

// readInstance reads one entry of instances.
func readInstance(n node) (i rawInstance) {
	f, ok := n.fields(instanceKeys...)
	if !ok {
		return i
	}
	i.At = n.spot().pos
	if name, ok := f["name"]; !ok {
		n.errorf("an instance needs a name")
	} else if s, ok := readName(name); ok {
		i.Name, i.at = s, name.spot()
	}
	if host, ok := f["host"]; ok {
		i.Host, _ = readName(host)
	}
	if g, ok := f["groups"]; ok {
		i.groups = readReferences(g)
	}
	if p, ok := f["ports"]; ok {
		entries, _ := p.entries()
		for _, e := range entries {
			i.ports = append(i.ports, (&portReader{node: e}).read())
		}
	}
	for _, g := range i.groups {
		i.Groups = append(i.Groups, g.name)
	}
	for _, p := range i.ports {
		i.Ports = append(i.Ports, p.Port)
	}
	return i
}

// readReferences reads a list of group names.
func readReferences(n node) (out []reference) {
	entries, _ := n.entries()
	seen := once[string]{}
	for _, e := range entries {
		if name, ok := readName(e); ok && seen.first(name, e) {
			out = append(out, reference{name, e.spot()})
		}
	}
	return out
}

// portReader reads one port.
type portReader struct {
	node
	fields fields
	port   rawPort
}

func (r *portReader) read() rawPort {
	var ok bool
	r.fields, ok = r.node.fields(portKeys...)
	if !ok {
		return r.port
	}
	r.port.At = r.spot().pos
	r.identity()
	r.addresses()
	r.allowed()
	if t, ok := r.fields["type"]; ok {
		r.port.Type = readPortType(t)
	}
	if h, ok := r.fields["host_device"]; ok {
		r.hostDevice(h)
	}
	if t, ok := r.fields["trusted"]; ok {
		r.port.Trusted, _ = t.boolean()
	}
	if e, ok := r.fields["ethertypes"]; ok {
		r.port.EtherTypes = readEtherTypes(e)
	}
	if l, ok := r.fields["limits"]; ok {
		r.limits(l)
	}
	if l, ok := r.fields["log_denied"]; ok {
		r.logDenied(l)
	}
	r.mute()
	return r.port
}

func (r *portReader) hostDevice(field node) {
	if r.port.HostDevice, _ = field.boolean(); r.port.HostDevice && r.port.Type == policy.InternalDevice {
		field.errorf("a device that Open vSwitch makes for the port is no other one of the host; leave host_device out, or leave type out")
	}
}

func (r *portReader) logDenied(field node) {
	if r.port.Trusted {
		field.errorf("nothing is denied at a trusted port; leave log_denied out, or set trusted: false")
		return
	}
	yes, ok := field.boolean()
	switch {
	case ok && yes:
		r.port.LogDenied = policy.Yes
	case ok:
		r.port.LogDenied = policy.No
	}
}

// mute warns of a port that can send nothing.
func (r *portReader) mute() {
	listed := false
	for _, key := range []string{"addresses", "allowed_addresses"} {
		if field, ok := r.fields[key]; ok && !field.isEmptyList() {
			listed = true
		}
	}
	if !listed && !r.port.Trusted {
		r.warnf("the port has no addresses, so it can send and receive no IP; list its addresses, or set trusted: true if it is a router")
	}
}

func (r *portReader) identity() {
	if name, ok := r.fields["name"]; !ok {
		r.errorf("a port needs a name: that of its interface on the bridge, such as tap-web-1")
	} else if s, ok := readInterfaceName(name); ok {
		r.port.Name, r.port.name = s, name.spot()
	}
	if mac, ok := r.fields["mac"]; !ok {
		r.errorf("a port needs a mac, such as 02:00:00:00:00:11")
	} else if m, ok := readMAC(mac); ok {
		r.port.MAC, r.port.mac = m, mac.spot()
	}
}

func (r *portReader) addresses() {
	field, ok := r.fields["addresses"]
	if !ok {
		return
	}
	entries, _ := field.entries()
	seen := once[netip.Prefix]{}
	for _, e := range entries {
		if p, ok := readOwnNetwork(e); ok && seen.first(p, e) {
			r.port.Addresses = append(r.port.Addresses, p)
			r.port.addresses = append(r.port.addresses, e.spot())
		}
	}
}

func (r *portReader) allowed() {
	field, ok := r.fields["allowed_addresses"]
	if !ok {
		return
	}
	entries, _ := field.entries()
	seen := once[policy.AllowedAddress]{}
	for _, e := range entries {
		a, ok := readAllowedAddress(e)
		if a.MAC == r.port.MAC {
			a.MAC = policy.MAC{} // the port's own is what the zero MAC means
		}
		if ok && seen.first(a, e) {
			r.port.Allowed = append(r.port.Allowed, a)
			r.port.allowed = append(r.port.allowed, e.spot())
		}
	}
}

// readAllowedAddress reads an address, or a mapping of address and mac.
func readAllowedAddress(n node) (a policy.AllowedAddress, ok bool) {
	if !n.isMapping() {
		a.Prefix, ok = readOwnNetwork(n)
		return a, ok
	}
	f, _ := n.fields(allowedKeys...)
	address, ok := f["address"]
	if !ok {
		n.errorf("needs an address: {address: 192.0.2.1, mac: 00:00:5e:00:01:05}")
	} else {
		a.Prefix, ok = readOwnNetwork(address)
	}
	if mac, hasMAC := f["mac"]; hasMAC {
		var macOK bool
		a.MAC, macOK = readMAC(mac)
		ok = ok && macOK
	}
	return a, ok
}

func readPortType(n node) policy.PortType {
	switch word, isText := n.word(); {
	case isText && policy.PortType(word) == policy.ExistingDevice:
	case isText && policy.PortType(word) == policy.InternalDevice:
		return policy.InternalDevice
	default:
		n.errorf(`must be internal (Open vSwitch makes the device) or "" (it exists already), not %s`, n.kind())
	}
	return policy.ExistingDevice
}

func readEtherTypes(n node) (out []uint16) {
	entries, _ := n.entries()
	seen := once[uint16]{}
	for _, e := range entries {
		if v, ok := readEtherType(e); ok && seen.first(v, e) {
			out = append(out, v)
		}
	}
	return out
}

// minEtherType is the smallest that is no length (IEEE 802.3).
const minEtherType = 0x0600

// refusedEtherTypes are those that the pipeline decides on itself, and why each is not to be listed: among them tags as they were before
// IEEE 802.1ad (0x9100 and its like), and those of backbones (IEEE 802.1ah, 0x88e7).
var refusedEtherTypes = map[uint16]string{
	0x0800: isBuiltIn, 0x0806: isBuiltIn, 0x86dd: isBuiltIn,
	0x8100: isTag, 0x88a8: isTag, 0x88e7: isTag, 0x9100: isTag, 0x9200: isTag, 0x9300: isTag,
	0x8847: isMPLS, 0x8848: isMPLS, 0x894f: isNSH,
}

const (
	isBuiltIn = "is IPv4, ARP or IPv6, which every port has; leave it out"
	isTag     = "is a VLAN tag; tagged frames are never passed"
	isMPLS    = "is MPLS, which could carry any IP packet past the rules; it is never passed"
	isNSH     = "is NSH, which could carry any frame past the rules; it is never passed"
)

// readEtherType reads an Ethernet type, in decimal or as 0x88cc.
func readEtherType(n node) (uint16, bool) {
	v, ok := n.hexNumber()
	if !ok || v < minEtherType || v > 0xffff {
		n.errorf("must be an Ethernet type from 0x0600 to 0xffff, such as 0x88cc, not %s", n.kind())
		return 0, false
	}
	if reason, refused := refusedEtherTypes[uint16(v)]; refused {
		n.errorf("0x%04x %s", v, reason)
		return 0, false
	}
	return uint16(v), true
}
