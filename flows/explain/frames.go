package explain

import (
	"fmt"
	"net/netip"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// The groups that hosts speak to on the link (RFC 4291, section 2.7.1; RFC 3810, section 5.2.14).
var (
	allNodes     = netip.MustParseAddr("ff02::1")
	allRouters   = netip.MustParseAddr("ff02::2")
	allMLDv2     = netip.MustParseAddr("ff02::16")
	unspecified6 = netip.IPv6Unspecified()
	// chosenAddress is a link-local address as a host chooses it that does not make it of its MAC (RFC
	// 7217).
	chosenAddress = netip.MustParseAddr("fe80::5c1d:7a3e:9b24:6f08")
)

// solicitedNode is the group in which a host with an address listens for solicitations (RFC 4291,
// section 2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// groupMAC returns the MAC of a multicast or broadcast address, and that of a station for any
// other.
func (x *explainer) groupMAC(a netip.Addr, to station) policy.MAC {
	if a.IsMulticast() || a == policy.BroadcastAddr {
		return x.strangeMAC(a)
	}
	return to.mac
}

// arp returns a body of ARP in a frame to a MAC.
func (s station) arp(op uint16, to policy.MAC, spa, tpa netip.Addr) spec.Packet {
	p := spec.Packet{SrcMAC: s.mac, DstMAC: to, EtherType: policy.EtherARP,
		ARP: spec.ARP{Op: op, SHA: s.mac, SPA: spa, TPA: tpa}}
	if op == policy.ARPReply {
		p.ARP.THA = to
	}
	return p
}

// icmp6 returns a message of ICMPv6. Neighbour discovery has hop limit 255, listener discovery 1.
func (x *explainer) icmp6(from, to station, kind uint8, src, dst netip.Addr,
	body spec.ND) spec.Packet {
	p := spec.Packet{SrcMAC: from.mac, DstMAC: x.groupMAC(dst, to), EtherType: policy.EtherIPv6,
		HopLimit: 255, ND: body,
		Tuple: spec.Tuple{Src: src, Dst: dst, Protocol: uint8(policy.ICMPv6), ICMPType: kind}}
	if kind < policy.RouterSolicitation || kind > policy.Redirect {
		p.HopLimit = 1
	}
	return p
}

// udp returns a datagram of DHCP.
func (x *explainer) udp(from, to station, src, dst netip.Addr, srcPort,
	dstPort uint16) spec.Packet {
	p := spec.Packet{SrcMAC: from.mac, DstMAC: x.groupMAC(dst, to), EtherType: policy.EtherIPv4,
		HopLimit: 64,
		Tuple: spec.Tuple{Src: src, Dst: dst, Protocol: uint8(policy.UDP), SrcPort: srcPort,
			DstPort: dstPort}}
	if src.Is6() {
		p.EtherType = policy.EtherIPv6
	}
	return p
}

// frameWords says what is in a frame.
func frameWords(p spec.Packet) string {
	head := p.SrcMAC.String() + " → " + p.DstMAC.String() + ", "
	switch p.EtherType {
	case policy.EtherARP:
		return head + arpWords(p.ARP)
	case policy.EtherIPv4, policy.EtherIPv6:
		return head + p.Src.String() + " → " + p.Dst.String() + ", " + serviceWords(p)
	case policy.EtherRARP:
		return head + "RARP of " + p.ARP.SHA.String()
	}
	return head + fmt.Sprintf("EtherType 0x%04x", p.EtherType)
}

func arpWords(a spec.ARP) string {
	switch {
	case a.Op == policy.ARPReply:
		return fmt.Sprintf("ARP reply: %s is at %s", a.SPA, a.SHA)
	case a.SPA == a.TPA:
		return fmt.Sprintf("ARP request that announces: %s is at %s", a.SPA, a.SHA)
	}
	return fmt.Sprintf("ARP request: who has %s? tell %s at %s", a.TPA, a.SPA, a.SHA)
}

func serviceWords(p spec.Packet) string {
	names := map[uint8]string{policy.RouterSolicitation: "router solicitation",
		policy.RouterAdvertisement:   "router advertisement",
		policy.NeighborSolicitation:  "neighbour solicitation",
		policy.NeighborAdvertisement: "neighbour advertisement", policy.ListenerQuery: "MLD query",
		policy.ListenerReport: "MLDv1 report", policy.ListenerDone: "MLDv1 done",
		policy.ListenerReportV2: "MLDv2 report"}
	switch proto := policy.Protocol(p.Protocol); {
	case proto.HasPorts():
		return fmt.Sprintf("%s %d → %d", proto, p.SrcPort, p.DstPort)
	case proto == policy.ICMPv6 && names[p.ICMPType] != "":
		text := names[p.ICMPType]
		if p.ND.Target.IsValid() {
			text += " of " + p.ND.Target.String()
		}
		return text
	case proto.HasTypes():
		return fmt.Sprintf("%s type %d code %d", proto, p.ICMPType, p.ICMPCode)
	default:
		return proto.String()
	}
}
