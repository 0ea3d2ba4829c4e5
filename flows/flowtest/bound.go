package flowtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// What the specification has, as the fake switch meets it: inputs, packets, and who receives one.
// Tests of the compiler and of the specification call it.

// Bound puts every local port on the switch, in the order of the policy, and the uplink behind
// them.
func Bound(p *policy.Policy, site policy.Site) flows.Input {
	in := flows.Input{Policy: p, Site: site}
	n := uint32(0)
	for _, i := range p.Instances {
		for _, port := range i.Ports {
			if i.IsLocal(site.Host) {
				n++
				in.Bindings = append(in.Bindings,
					flows.Binding{Port: port.Name, OFPort: n, Zone: uint16(n), Epoch: 1})
			}
		}
	}
	in.Uplinks = []flows.Uplink{{Name: "eth1", OFPort: n + 1}}
	return in
}

// ReceiversOf names who gets a packet by a decision: local ports and the uplink, sorted.
func ReceiversOf(d spec.Decision) string {
	names := slices.Clone(d.Ports)
	if d.Uplink {
		names = append(names, "eth1")
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// Receivers names who is behind the outputs of a switch of the input, sorted.
func Receivers(in flows.Input, outputs []uint32) string {
	names := map[uint32]string{}
	for _, b := range in.Bindings {
		names[b.OFPort] = b.Port
	}
	for _, u := range in.Uplinks {
		names[u.OFPort] = u.Name
	}
	var got []string
	for _, o := range outputs {
		name, ok := names[o]
		if !ok {
			name = fmt.Sprintf("unknown port %d", o)
		}
		got = append(got, name)
	}
	slices.Sort(got)
	return strings.Join(got, " ")
}

// FromPolicy returns the packet of the specification as it meets the switch of the input: its port
// by number, and for the zone of every local port what [spec.Packet.Conntrack] says, or a packet of
// no known connection. The connections carry mark 0, which is no epoch, so that the rules judge
// them; a test of the fast path sets Known[zone].Mark to the port's epoch.
func FromPolicy(p spec.Packet, in flows.Input) Packet {
	out := Packet{Src: p.SrcMAC, Dst: p.DstMAC, EtherType: p.EtherType, ARP: ARP(p.ARP),
		Known: map[uint16]Known{}}
	switch {
	case p.Tagged:
		out.VLAN = vlanPresent | 1
	case p.Priority:
		out.VLAN = vlanPresent | 3<<13
	}
	if p.FromUplink && len(in.Uplinks) > 0 {
		out.InPort = in.Uplinks[0].OFPort
	}
	for _, b := range in.Bindings {
		if b.Port == p.From {
			out.InPort = b.OFPort
		}
		c := p.Conntrack[b.Port]
		out.Known[b.Zone] = Known{Side: c.Side, Original: c.Original}
	}
	if p.EtherType != policy.EtherIPv4 && p.EtherType != policy.EtherIPv6 {
		return out
	}
	out.IPSrc, out.IPDst, out.Proto, out.TTL = p.Src, p.Dst, p.Protocol, p.HopLimit
	out.SrcPort, out.DstPort, out.ICMPType, out.ICMPCode = p.SrcPort, p.DstPort, p.ICMPType, p.ICMPCode
	out.ND = ND(p.ND)
	out.Fragment = map[spec.Fragment]Fragment{
		spec.FirstFragment: FirstFragment, spec.LaterFragment: LaterFragment}[p.Fragment]
	return out
}
