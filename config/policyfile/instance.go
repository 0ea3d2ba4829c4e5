package policyfile

import (
	"net/netip"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// rawInstance is an instance as its file has it.
type rawInstance struct {
	policy.Instance
	at     strictyaml.Spot // of the name
	groups []reference
	ports  []rawPort
}

// rawPort is a port as its file has it. What was invalid is left at its zero value.
type rawPort struct {
	policy.Port
	name, mac strictyaml.Spot
	addresses []strictyaml.Spot // parallel to Addresses
	allowed   []strictyaml.Spot // parallel to Allowed
}

// readInstance reads one entry of instances.
func readInstance(n strictyaml.Node) (i rawInstance) {
	f, ok := n.Fields(instanceKeys...)
	if !ok {
		return i
	}
	i.At = n.Spot().Pos
	if name, ok := f["name"]; !ok {
		n.Errorf("an instance needs a name")
	} else if s, ok := readName(name); ok {
		i.Name, i.at = s, name.Spot()
	}
	if host, ok := f["host"]; ok {
		i.Host, _ = readName(host)
	}
	if g, ok := f["groups"]; ok {
		i.groups = readReferences(g)
	}
	if p, ok := f["ports"]; ok {
		entries, _ := p.Entries()
		for _, e := range entries {
			i.ports = append(i.ports, (&portReader{Node: e}).read())
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
func readReferences(n strictyaml.Node) (out []reference) {
	entries, _ := n.Entries()
	seen := once[string]{}
	for _, e := range entries {
		if name, ok := readName(e); ok && seen.first(name, e) {
			out = append(out, reference{name, e.Spot()})
		}
	}
	return out
}

// portReader reads one port.
type portReader struct {
	strictyaml.Node
	fields strictyaml.Fields
	port   rawPort
}

func (r *portReader) read() rawPort {
	var ok bool
	r.fields, ok = r.Node.Fields(portKeys...)
	if !ok {
		return r.port
	}
	r.port.At = r.Spot().Pos
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
		r.port.Trusted, _ = t.Boolean()
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

func (r *portReader) hostDevice(field strictyaml.Node) {
	if r.port.HostDevice, _ = field.Boolean(); r.port.HostDevice && r.port.Type == policy.InternalDevice {
		field.Errorf("a device that Open vSwitch makes for the port is no other one of the host; leave host_device out, or leave type out")
	}
}

func (r *portReader) logDenied(field strictyaml.Node) {
	if r.port.Trusted {
		field.Errorf("nothing is denied at a trusted port; leave log_denied out, or set trusted: false")
		return
	}
	yes, ok := field.Boolean()
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
		if field, ok := r.fields[key]; ok && !field.IsEmptyList() {
			listed = true
		}
	}
	if !listed && !r.port.Trusted {
		r.Warnf("the port has no addresses, so it can send and receive no IP; list its addresses, or set trusted: true if it is a router")
	}
}

func (r *portReader) identity() {
	if name, ok := r.fields["name"]; !ok {
		r.Errorf("a port needs a name: that of its interface on the bridge, such as tap-web-1")
	} else if s, ok := readInterfaceName(name); ok {
		r.port.Name, r.port.name = s, name.Spot()
	}
	if mac, ok := r.fields["mac"]; !ok {
		r.Errorf("a port needs a mac, such as 02:00:00:00:00:11")
	} else if m, ok := readMAC(mac); ok {
		r.port.MAC, r.port.mac = m, mac.Spot()
	}
}

func (r *portReader) addresses() {
	field, ok := r.fields["addresses"]
	if !ok {
		return
	}
	entries, _ := field.Entries()
	seen := once[netip.Prefix]{}
	for _, e := range entries {
		if p, ok := readOwnNetwork(e); ok && seen.first(p, e) {
			r.port.Addresses = append(r.port.Addresses, p)
			r.port.addresses = append(r.port.addresses, e.Spot())
		}
	}
}

func (r *portReader) allowed() {
	field, ok := r.fields["allowed_addresses"]
	if !ok {
		return
	}
	entries, _ := field.Entries()
	seen := once[policy.AllowedAddress]{}
	for _, e := range entries {
		a, ok := readAllowedAddress(e)
		if a.MAC == r.port.MAC {
			a.MAC = policy.MAC{} // the port's own is what the zero MAC means
		}
		if ok && seen.first(a, e) {
			r.port.Allowed = append(r.port.Allowed, a)
			r.port.allowed = append(r.port.allowed, e.Spot())
		}
	}
}

// readAllowedAddress reads an address, or a mapping of address and mac.
func readAllowedAddress(n strictyaml.Node) (a policy.AllowedAddress, ok bool) {
	if !n.IsMapping() {
		a.Prefix, ok = readOwnNetwork(n)
		return a, ok
	}
	f, _ := n.Fields(allowedKeys...)
	address, ok := f["address"]
	if !ok {
		n.Errorf("needs an address: {address: 192.0.2.1, mac: 00:00:5e:00:01:05}")
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

func readPortType(n strictyaml.Node) policy.PortType {
	switch word, isText := n.Word(); {
	case isText && policy.PortType(word) == policy.ExistingDevice:
	case isText && policy.PortType(word) == policy.InternalDevice:
		return policy.InternalDevice
	default:
		n.Errorf(`must be internal (Open vSwitch makes the device) or "" (it exists already), not %s`, n.Kind())
	}
	return policy.ExistingDevice
}

func readEtherTypes(n strictyaml.Node) (out []uint16) {
	entries, _ := n.Entries()
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
func readEtherType(n strictyaml.Node) (uint16, bool) {
	v, ok := n.HexNumber()
	if !ok || v < minEtherType || v > 0xffff {
		n.Errorf("must be an Ethernet type from 0x0600 to 0xffff, such as 0x88cc, not %s", n.Kind())
		return 0, false
	}
	if reason, refused := refusedEtherTypes[uint16(v)]; refused {
		n.Errorf("0x%04x %s", v, reason)
		return 0, false
	}
	return uint16(v), true
}
