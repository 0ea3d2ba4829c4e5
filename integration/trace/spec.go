package trace

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
)

// The numbers that decide which fields a packet has (IANA).
const (
	ethRARP   = 0x8035
	protoFrag = 44
)

// Spec returns the packet as `ofproto/trace` wants it, with the fields that its kind has.
func Spec(p flowtest.Packet) string {
	parts := []string{fmt.Sprintf("in_port=%d", p.InPort), "dl_src=" + p.Src.String(), "dl_dst=" + p.Dst.String()}
	if p.VLAN != 0 {
		parts = append(parts, fmt.Sprintf("dl_vlan=%d,dl_vlan_pcp=%d", p.VLAN&0xfff, p.VLAN>>13))
	}
	parts = append(parts, fmt.Sprintf("dl_type=0x%04x", p.EtherType))
	switch p.EtherType {
	case policy.EtherARP, ethRARP:
		return strings.Join(append(parts, arpSpec(p.ARP)...), ",")
	case policy.EtherIPv4:
		parts = append(parts, addrSpec("nw_src", p.IPSrc), addrSpec("nw_dst", p.IPDst))
	case policy.EtherIPv6:
		parts = append(parts, addrSpec("ipv6_src", p.IPSrc), addrSpec("ipv6_dst", p.IPDst))
	default:
		return strings.Join(parts, ",")
	}
	return strings.Join(append(parts, ipSpec(p)...), ",")
}

func arpSpec(a flowtest.ARP) []string {
	return []string{fmt.Sprintf("arp_op=%d", a.Op), "arp_sha=" + a.SHA.String(), "arp_tha=" + a.THA.String(),
		addrSpec("arp_spa", a.SPA), addrSpec("arp_tpa", a.TPA)}
}

func addrSpec(field string, a netip.Addr) string {
	switch {
	case a.IsValid():
		return field + "=" + a.String()
	case strings.HasPrefix(field, "ipv6"):
		return field + "=::"
	}
	return field + "=0.0.0.0"
}

func ipSpec(p flowtest.Packet) []string {
	proto, frag := p.Proto, "no"
	switch p.Fragment {
	case flowtest.FirstFragment:
		frag = "first"
	case flowtest.LaterFragment:
		frag = "later"
		if p.EtherType == policy.EtherIPv6 {
			proto = protoFrag
		}
	}
	parts := []string{fmt.Sprintf("nw_proto=%d,nw_ttl=%d,nw_frag=%s", proto, p.TTL, frag)}
	if p.Fragment == flowtest.LaterFragment {
		return parts
	}
	switch proto := policy.Protocol(p.Proto); {
	case proto.HasPorts():
		return append(parts, fmt.Sprintf("%s_src=%d,%s_dst=%d", proto, p.SrcPort, proto, p.DstPort))
	case proto == policy.ICMP && p.EtherType == policy.EtherIPv4, proto == policy.ICMPv6 && p.EtherType == policy.EtherIPv6:
		parts = append(parts, fmt.Sprintf("%s_type=%d,%s_code=%d", proto, p.ICMPType, proto, p.ICMPCode))
		if proto == policy.ICMPv6 && p.ICMPCode == 0 {
			parts = append(parts, ndSpec(p)...)
		}
	}
	return parts
}

func ndSpec(p flowtest.Packet) []string {
	if p.ICMPType != policy.NeighborSolicitation && p.ICMPType != policy.NeighborAdvertisement {
		return nil
	}
	var parts []string
	if p.ND.Target.IsValid() {
		parts = append(parts, "nd_target="+p.ND.Target.String())
	}
	if p.ICMPType == policy.NeighborSolicitation && !p.ND.SLL.IsZero() {
		parts = append(parts, "nd_sll="+p.ND.SLL.String())
	}
	if p.ICMPType == policy.NeighborAdvertisement && !p.ND.TLL.IsZero() {
		parts = append(parts, "nd_tll="+p.ND.TLL.String())
	}
	return parts
}
