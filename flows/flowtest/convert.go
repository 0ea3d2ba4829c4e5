package flowtest

import (
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

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
