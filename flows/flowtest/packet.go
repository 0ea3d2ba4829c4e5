package flowtest

import (
	"fmt"
	"net/netip"

	"github.com/portcullis/portcullis/flows/policy"
)

// Fragment is the kind of an IP fragment.
type Fragment uint8

// The zero Fragment is a whole packet. As with `ovs-ofctl set-frags nx-match` a first fragment
// shows its ports and a later one shows ports 0.
const (
	Whole Fragment = iota
	FirstFragment
	LaterFragment
)

// The TCP flags that the connection tracker asks for (RFC 9293, section 3.1).
const (
	FIN uint8 = 0x01
	SYN uint8 = 0x02
	RST uint8 = 0x04
	ACK uint8 = 0x10
)

// ARP is the payload of an ARP frame (RFC 826) of Ethernet and IPv4.
type ARP struct {
	Op       uint16
	SHA, THA policy.MAC
	SPA, TPA netip.Addr
}

// ND is the payload of a neighbour solicitation or advertisement (RFC 4861, section 4). A zero MAC
// is an absent option.
type ND struct {
	Target   netip.Addr
	SLL, TLL policy.MAC
}

// Packet is one frame on its way into the switch. Fields that its kind does not have stay zero.
type Packet struct {
	InPort   uint32 // OpenFlow number
	Src, Dst policy.MAC
	// tag control information with the bit 0x1000 set, as Open vSwitch holds it; 0 = untagged
	VLAN      uint16
	EtherType uint16
	ARP       ARP

	IPSrc, IPDst netip.Addr // of the family of EtherType; a zero Addr is all zeros
	Proto        uint8      // of the datagram, also of a later IPv6 fragment, whose nw_proto is 44
	TTL          uint8
	Fragment     Fragment

	SrcPort, DstPort uint16 // of the datagram, also of a later fragment, which does not show them
	// 0 = not said: taken as a packet that may begin or continue a connection
	TCPFlags           uint8
	ICMPType, ICMPCode uint8
	ICMPID             uint16 // identifier of an echo or other query
	ND                 ND
	// what an ICMP error quotes: its addresses, protocol, ports or ICMP identifier
	Inner     *Packet
	Malformed bool // a bad checksum or length: the connection tracker finds it invalid

	// Known makes zones say something of this packet, instead of what they saw of earlier ones.
	// Commits are then reported, not kept.
	Known map[uint16]Known
}

// headers returns what flows see of the packet, or an error where the packet contradicts itself.
func (p *Packet) headers() (headers, error) {
	var h headers
	h[slotInPort] = number(p.InPort)
	h[slotEthSrc], h[slotEthDst] = macValue(p.Src), macValue(p.Dst)
	h[slotVLAN], h[slotEthType] = number(p.VLAN), number(p.EtherType)
	if p.InPort == 0 || p.InPort > maxPort {
		return h, fmt.Errorf("in port %d", p.InPort)
	}
	if p.VLAN != 0 && p.VLAN&vlanPresent == 0 {
		return h, fmt.Errorf("VLAN tag %#04x lacks bit 0x1000", p.VLAN)
	}
	switch p.EtherType {
	case ethARP, ethRARP:
		return h, p.arpHeaders(&h)
	case ethIPv4, ethIPv6:
		return h, p.ipHeaders(&h)
	}
	if p.IPSrc.IsValid() || p.IPDst.IsValid() || p.Proto != 0 || p.ARP != (ARP{}) {
		return h, fmt.Errorf("ethertype %#04x with fields of IP or ARP", p.EtherType)
	}
	return h, nil
}

func (p *Packet) arpHeaders(h *headers) error {
	if p.IPSrc.IsValid() || p.IPDst.IsValid() || p.Proto != 0 {
		return fmt.Errorf("ARP with fields of IP")
	}
	if p.ARP.Op <= 0xff { // Open vSwitch reads greater ones as 0
		h[slotProto] = number(p.ARP.Op)
	}
	h[slotSHA], h[slotTHA] = macValue(p.ARP.SHA), macValue(p.ARP.THA)
	return putAddrs(h, slotSrc4, slotDst4, p.ARP.SPA, p.ARP.TPA)
}

func (p *Packet) ipHeaders(h *headers) error {
	if p.ARP != (ARP{}) {
		return fmt.Errorf("IP with fields of ARP")
	}
	h[slotTTL], h[slotProto] = number(p.TTL), number(p.Proto)
	src, dst := slotSrc4, slotDst4
	if p.EtherType == ethIPv6 {
		src, dst = slotSrc6, slotDst6
	}
	switch p.Fragment {
	case FirstFragment:
		h[slotFrag] = number(fragAny)
	case LaterFragment:
		h[slotFrag] = number(fragAny | fragLater)
		if p.EtherType == ethIPv6 {
			h[slotProto] = number(protoFrag)
		}
	}
	if p.Fragment != LaterFragment {
		p.transportHeaders(h)
	}
	return putAddrs(h, src, dst, p.IPSrc, p.IPDst)
}

func (p *Packet) transportHeaders(h *headers) {
	switch {
	case p.hasPorts():
		h[slotTPSrc], h[slotTPDst] = number(p.SrcPort), number(p.DstPort)
	case p.isICMP():
		h[slotTPSrc], h[slotTPDst] = number(p.ICMPType), number(p.ICMPCode)
		if p.Proto == protoICMPv6 && (p.ICMPType == ndSolicit || p.ICMPType == ndAdvertise) &&
			p.ICMPCode == 0 {
			h[slotSHA], h[slotTHA] = macValue(p.ND.SLL), macValue(p.ND.TLL)
			if p.ND.Target.IsValid() {
				h[slotNDTarget] = addrValue(p.ND.Target)
			}
		}
	}
}

func (p *Packet) hasPorts() bool {
	return p.Proto == protoTCP || p.Proto == protoUDP || p.Proto == protoSCTP
}

// isICMP says whether the packet is the ICMP of its family.
func (p *Packet) isICMP() bool {
	return p.EtherType == ethIPv4 && p.Proto == protoICMP || p.EtherType == ethIPv6 &&
		p.Proto == protoICMPv6
}

func putAddrs(h *headers, src, dst slot, from, to netip.Addr) error {
	for _, a := range []struct {
		slot slot
		addr netip.Addr
	}{{src, from}, {dst, to}} {
		if !a.addr.IsValid() {
			continue
		}
		if a.addr.Is4() != (width(a.slot) == 32) {
			return fmt.Errorf("address %s is of the wrong family", a.addr)
		}
		h[a.slot] = addrValue(a.addr)
	}
	return nil
}
