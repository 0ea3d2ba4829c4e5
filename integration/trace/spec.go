package trace

import (
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/spec"
)

// Spec returns the packet as `ofproto/trace` wants it, with the fields that its kind has.
func Spec(p flowtest.Packet) string {
	out := spec.Packet{SrcMAC: p.Src, DstMAC: p.Dst, EtherType: p.EtherType, ARP: spec.ARP(p.ARP),
		ND: spec.ND(p.ND), HopLimit: p.TTL,
		Tuple: spec.Tuple{Src: p.IPSrc, Dst: p.IPDst, Protocol: p.Proto, SrcPort: p.SrcPort,
			DstPort: p.DstPort, ICMPType: p.ICMPType, ICMPCode: p.ICMPCode}}
	out.Fragment = map[flowtest.Fragment]spec.Fragment{
		flowtest.FirstFragment: spec.FirstFragment,
		flowtest.LaterFragment: spec.LaterFragment}[p.Fragment]
	return ofswitch.TraceSpec(p.InPort, p.VLAN, out)
}
