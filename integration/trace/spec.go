package trace

import (
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
)

// Spec returns the packet as `ofproto/trace` wants it, with the fields that its kind has.
func Spec(p flowtest.Packet) string {
	out := policy.Packet{SrcMAC: p.Src, DstMAC: p.Dst, EtherType: p.EtherType, ARP: policy.ARP(p.ARP), ND: policy.ND(p.ND), HopLimit: p.TTL,
		Tuple: policy.Tuple{Src: p.IPSrc, Dst: p.IPDst, Protocol: p.Proto, SrcPort: p.SrcPort, DstPort: p.DstPort, ICMPType: p.ICMPType, ICMPCode: p.ICMPCode}}
	out.Fragment = map[flowtest.Fragment]policy.Fragment{
		flowtest.FirstFragment: policy.FirstFragment, flowtest.LaterFragment: policy.LaterFragment}[p.Fragment]
	return ofswitch.TraceSpec(p.InPort, p.VLAN, out)
}
