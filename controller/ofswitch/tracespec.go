package ofswitch

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// This file writes a packet as ofproto/trace takes it.

// The numbers that decide which fields a packet has (IANA).
const (
	ethRARP   = 0x8035
	protoFrag = 44
)

// TraceSpec returns the packet as `ofproto/trace` wants it, with the fields that its kind has, as
// it enters a port with an 802.1Q tag (the 16 bits behind the EtherType, 0 = untagged).
func TraceSpec(inPort uint32, tag uint16, p spec.Packet) string {
	parts := []string{fmt.Sprintf("in_port=%d", inPort), "dl_src=" + p.SrcMAC.String(), "dl_dst=" +
		p.DstMAC.String()}
	if tag != 0 {
		parts = append(parts, fmt.Sprintf("dl_vlan=%d,dl_vlan_pcp=%d", tag&0xfff, tag>>13))
	}
	parts = append(parts, fmt.Sprintf("dl_type=0x%04x", p.EtherType))
	switch p.EtherType {
	case policy.EtherARP, ethRARP:
		return strings.Join(append(parts, arpSpec(p.ARP)...), ",")
	case policy.EtherIPv4:
		parts = append(parts, addrSpec("nw_src", p.Src), addrSpec("nw_dst", p.Dst))
	case policy.EtherIPv6:
		parts = append(parts, addrSpec("ipv6_src", p.Src), addrSpec("ipv6_dst", p.Dst))
	default:
		return strings.Join(parts, ",")
	}
	return strings.Join(append(parts, ipSpec(p)...), ",")
}

func arpSpec(a spec.ARP) []string {
	return []string{fmt.Sprintf("arp_op=%d", a.Op), "arp_sha=" + a.SHA.String(), "arp_tha=" +
		a.THA.String(),
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

func ipSpec(p spec.Packet) []string {
	proto, frag := p.Protocol, "no"
	switch p.Fragment {
	case spec.FirstFragment:
		frag = "first"
	case spec.LaterFragment:
		frag = "later"
		if p.EtherType == policy.EtherIPv6 {
			proto = protoFrag
		}
	}
	parts := []string{fmt.Sprintf("nw_proto=%d,nw_ttl=%d,nw_frag=%s", proto, p.HopLimit, frag)}
	if p.Fragment == spec.LaterFragment {
		return parts
	}
	switch proto := policy.Protocol(p.Protocol); {
	case proto.HasPorts():
		return append(parts, fmt.Sprintf("%s_src=%d,%s_dst=%d", proto, p.SrcPort, proto, p.DstPort))
	case proto == policy.ICMP && p.EtherType == policy.EtherIPv4, proto == policy.ICMPv6 &&
		p.EtherType == policy.EtherIPv6:
		parts = append(parts, fmt.Sprintf("%s_type=%d,%s_code=%d", proto, p.ICMPType, proto,
			p.ICMPCode))
		if proto == policy.ICMPv6 && p.ICMPCode == 0 {
			parts = append(parts, ndSpec(p)...)
		}
	}
	return parts
}

func ndSpec(p spec.Packet) []string {
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
