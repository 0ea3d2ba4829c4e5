package policy

import (
	"fmt"
	"net/netip"
)

// The groups that hosts speak to on the link (RFC 4291, section 2.7.1; RFC 3810, section 5.2.14).
var (
	allNodes     = netip.MustParseAddr("ff02::1")
	allRouters   = netip.MustParseAddr("ff02::2")
	allMLDv2     = netip.MustParseAddr("ff02::16")
	unspecified6 = netip.IPv6Unspecified()
	// chosenAddress is a link-local address as a host chooses it that does not make it of its MAC (RFC 7217).
	chosenAddress = netip.MustParseAddr("fe80::5c1d:7a3e:9b24:6f08")
)

// solicitedNode is the group in which a host with an address listens for solicitations (RFC 4291, section 2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// groupMAC returns the MAC of a multicast or broadcast address, and that of a station for any other.
func (x *explainer) groupMAC(a netip.Addr, to station) MAC {
	if a.IsMulticast() || a == broadcastAddr {
		return x.strangeMAC(a)
	}
	return to.mac
}

// arp returns a body of ARP in a frame to a MAC.
func (s station) arp(op uint16, to MAC, spa, tpa netip.Addr) Packet {
	p := Packet{SrcMAC: s.mac, DstMAC: to, EtherType: EtherARP, ARP: ARP{Op: op, SHA: s.mac, SPA: spa, TPA: tpa}}
	if op == ARPReply {
		p.ARP.THA = to
	}
	return p
}

// icmp6 returns a message of ICMPv6. Neighbour discovery has hop limit 255, listener discovery 1.
func (x *explainer) icmp6(from, to station, kind uint8, src, dst netip.Addr, body ND) Packet {
	p := Packet{SrcMAC: from.mac, DstMAC: x.groupMAC(dst, to), EtherType: EtherIPv6, HopLimit: 255, ND: body,
		Tuple: Tuple{Src: src, Dst: dst, Protocol: uint8(ICMPv6), ICMPType: kind}}
	if kind < RouterSolicitation || kind > Redirect {
		p.HopLimit = 1
	}
	return p
}

// udp returns a datagram of DHCP.
func (x *explainer) udp(from, to station, src, dst netip.Addr, srcPort, dstPort uint16) Packet {
	p := Packet{SrcMAC: from.mac, DstMAC: x.groupMAC(dst, to), EtherType: EtherIPv4, HopLimit: 64,
		Tuple: Tuple{Src: src, Dst: dst, Protocol: uint8(UDP), SrcPort: srcPort, DstPort: dstPort}}
	if src.Is6() {
		p.EtherType = EtherIPv6
	}
	return p
}

// words says what is in a frame.
func (p Packet) words() string {
	head := p.SrcMAC.String() + " → " + p.DstMAC.String() + ", "
	switch p.EtherType {
	case EtherARP:
		return head + p.ARP.words()
	case EtherIPv4, EtherIPv6:
		return head + p.Src.String() + " → " + p.Dst.String() + ", " + p.serviceWords()
	case EtherRARP:
		return head + "RARP of " + p.ARP.SHA.String()
	}
	return head + fmt.Sprintf("EtherType 0x%04x", p.EtherType)
}

func (a ARP) words() string {
	switch {
	case a.Op == ARPReply:
		return fmt.Sprintf("ARP reply: %s is at %s", a.SPA, a.SHA)
	case a.SPA == a.TPA:
		return fmt.Sprintf("ARP request that announces: %s is at %s", a.SPA, a.SHA)
	}
	return fmt.Sprintf("ARP request: who has %s? tell %s at %s", a.TPA, a.SPA, a.SHA)
}

func (p Packet) serviceWords() string {
	names := map[uint8]string{RouterSolicitation: "router solicitation", RouterAdvertisement: "router advertisement",
		NeighborSolicitation: "neighbour solicitation", NeighborAdvertisement: "neighbour advertisement", ListenerQuery: "MLD query",
		ListenerReport: "MLDv1 report", ListenerDone: "MLDv1 done", ListenerReportV2: "MLDv2 report"}
	switch proto := Protocol(p.Protocol); {
	case proto.HasPorts():
		return fmt.Sprintf("%s %d → %d", proto, p.SrcPort, p.DstPort)
	case proto == ICMPv6 && names[p.ICMPType] != "":
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
