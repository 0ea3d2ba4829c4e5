// An instance and its ports. Called by reader.go for each entry of instances.

package policyfile

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// instance reads one entry of instances.
func (r *reader) instance(n strictyaml.Node) *policy.Instance {
	i := &policy.Instance{At: n.Location().Pos}
	f, ok := n.HintedFields(instanceHints, instanceKeys...)
	if !ok {
		return i
	}
	if _, ok := f["name"]; !ok {
		n.Errorf("an instance needs a name")
	}
	r.field(f, "name", func(n strictyaml.Node) { i.Name, _ = r.text(n) })
	r.field(f, "host", func(n strictyaml.Node) { i.Host = r.name(n) })
	r.field(f, "migrating_to", func(n strictyaml.Node) { i.MigratingTo = r.name(n) })
	i.Groups = list(r, f, "groups", r.text, r.noteEntry)
	if p, ok := f["ports"]; ok {
		entries, _ := p.EntriesLike(namedEntries)
		for nth, e := range entries {
			i.Ports = append(i.Ports, r.port(e, nth))
		}
	}
	return i
}

// port reads the nth port of an instance.
func (r *reader) port(n strictyaml.Node, nth int) policy.Port {
	defer r.within("ports", nth)()
	p := policy.Port{At: n.Location().Pos}
	before := n.Mistakes()
	f, ok := n.HintedFields(portHints, portKeys...)
	if !ok {
		return p
	}
	r.identity(n, f, &p)
	p.Addresses = list(r, f, "addresses", readOwnNetwork, r.noteEntry)
	p.Allowed = list(r, f, "allowed_addresses", allowedBeside(p.MAC), r.noteAllowed)
	r.field(f, "type", func(n strictyaml.Node) { p.Type = readPortType(n) })
	r.field(f, "host_device", func(n strictyaml.Node) { p.HostDevice, _ = n.Boolean() })
	r.field(f, "trusted", func(n strictyaml.Node) { p.Trusted, _ = n.Boolean() })
	p.EtherTypes = list(r, f, "ethertypes", readEtherType, r.noteEntry)
	r.field(f, "limits", func(n strictyaml.Node) { readLimits(n, &p) })
	r.field(f, "log_denied", func(n strictyaml.Node) { p.LogDenied = readChoice(n) })
	if n.Mistakes() == before {
		r.note(n, "")
	}
	return p
}

func (r *reader) identity(n strictyaml.Node, f strictyaml.Fields, p *policy.Port) {
	_, hasName := f["name"]
	_, hasID := f["iface_id"]
	if !hasName && !hasID {
		n.Errorf("a port needs a name: that of its interface on the bridge, such as tap-web-1")
	}
	r.field(f, "iface_id", func(n strictyaml.Node) { p.IfaceID, _ = r.text(n) })
	r.field(f, "name", func(n strictyaml.Node) {
		s, _ := n.Text()
		p.Name = strings.Clone(s)
	})
	if !hasName {
		p.Name = p.IfaceID
	}
	if _, ok := f["mac"]; !ok {
		n.Errorf("a port needs a mac, such as 02:00:00:00:00:11")
	}
	r.field(f, "mac", func(n strictyaml.Node) { p.MAC, _ = readMAC(n) })
}

// allowedBeside reads an address, or a mapping of address and mac, of a port.
func allowedBeside(own policy.MAC) func(strictyaml.Node) (policy.AllowedAddress, bool) {
	return func(n strictyaml.Node) (a policy.AllowedAddress, ok bool) {
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
			var isMAC bool
			a.MAC, isMAC = readMAC(mac)
			if isMAC && a.MAC.IsZero() {
				mac.Errorf("%s", policy.BadMAC(a.MAC))
			}
			ok = ok && isMAC && !a.MAC.IsZero()
		}
		if a.MAC == own {
			a.MAC = policy.MAC{} // the port's own is what the zero MAC means
		}
		return a, ok
	}
}

// noteAllowed notes an allowed address and its parts.
func (r *reader) noteAllowed(n strictyaml.Node, list string, index int) {
	if r.locations == nil {
		return
	}
	way := fmt.Sprintf("%s[%d]", list, index)
	r.note(n, way)
	for _, key := range allowedKeys {
		inner := n
		if n.IsMapping() {
			inner = n.Field(key)
		}
		r.note(inner, way+"."+key)
	}
}

func readChoice(n strictyaml.Node) policy.Choice {
	switch yes, ok := n.Boolean(); {
	case ok && yes:
		return policy.Yes
	case ok:
		return policy.No
	}
	return policy.Unset
}

func readPortType(n strictyaml.Node) policy.PortType {
	switch word, isText := n.Word(); {
	case isText && policy.PortType(word) == policy.ExistingDevice:
	case isText && policy.PortType(word) == policy.InternalDevice:
		return policy.InternalDevice
	default:
		n.Errorf(
			`must be internal (Open vSwitch makes the device) or "" (it exists already), not %s`,
			n.Kind())
	}
	return policy.ExistingDevice
}

// readEtherType reads an Ethernet type, in decimal or as 0x88cc.
func readEtherType(n strictyaml.Node) (uint16, bool) {
	v, ok := n.HexNumber()
	if !ok || v < policy.MinEtherType || v > 0xffff {
		n.Errorf("must be an Ethernet type from 0x0600 to 0xffff, such as 0x88cc, not %s", n.Kind())
		return 0, false
	}
	return uint16(v), true
}
