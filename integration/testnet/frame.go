package testnet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/portcullis/portcullis/flows/policy"
)

// String says in one line what a frame is.
func (f Frame) String() string {
	p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.NoCopy)
	var parts []string
	for _, l := range p.Layers() {
		if l.LayerType() != gopacket.LayerTypePayload {
			parts = append(parts, gopacket.LayerString(l))
		}
	}
	return strings.Join(parts, " / ")
}

// Tagged returns the frame with an 802.1Q header of a VLAN.
func (f Frame) Tagged(vlan uint16) Frame {
	out := append(Frame(nil), f[:12]...)
	out = binary.BigEndian.AppendUint16(out, uint16(layers.EthernetTypeDot1Q))
	out = binary.BigEndian.AppendUint16(out, vlan)
	return append(out, f[12:]...)
}

// Ether is a frame of any EtherType.
type Ether struct {
	Src, Dst policy.MAC
	Type     uint16
	Payload  []byte
}

// Frame builds it.
func (e Ether) Frame() Frame {
	return build(ethernet(e.Src, e.Dst, layers.EthernetType(e.Type)), gopacket.Payload(e.Payload))
}

// ARP is an ARP packet and the frame around it.
type ARP struct {
	Src, Dst policy.MAC
	Op       uint16
	SHA, THA policy.MAC
	SPA, TPA netip.Addr
}

// Frame builds it.
func (a ARP) Frame() Frame {
	return build(ethernet(a.Src, a.Dst, layers.EthernetTypeARP), &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6,
		ProtAddressSize: 4,
		Operation:       a.Op, SourceHwAddress: a.SHA[:], DstHwAddress: a.THA[:],
		SourceProtAddress: a.SPA.AsSlice(), DstProtAddress: a.TPA.AsSlice(),
	})
}

// ND is a message of IPv6 neighbour discovery. A zero SLL or TLL is an absent option.
type ND struct {
	Src, Dst   policy.MAC
	From, To   netip.Addr
	HopLimit   uint8
	Type, Code uint8
	Target     netip.Addr // of solicitation, advertisement and redirect
	SLL, TLL   policy.MAC
}

// Frame builds it.
func (n ND) Frame() Frame {
	body := make([]byte, 4, 64)
	switch n.Type {
	case policy.NeighborSolicitation, policy.NeighborAdvertisement:
		body = append(body, n.Target.AsSlice()...)
	case policy.RouterAdvertisement: // lifetime 0: nobody's default router
		body = append(body, make([]byte, 8)...)
	case policy.Redirect:
		body = append(append(body, n.Target.AsSlice()...), n.Target.AsSlice()...)
	}
	for option, mac := range []policy.MAC{1: n.SLL, 2: n.TLL} {
		if option > 0 && !mac.IsZero() {
			body = append(append(body, byte(option), 1), mac[:]...)
		}
	}
	return IP{
		Src: n.Src, Dst: n.Dst, From: n.From, To: n.To, TTL: n.HopLimit,
		Protocol: policy.ICMPv6, Type: n.Type, Code: n.Code, Body: body,
	}.Frame()
}

// SolicitedNode returns the multicast address, and its MAC, that a solicitation for an address goes
// to (RFC 4291, section 2.7.1).
func SolicitedNode(a netip.Addr) (netip.Addr, policy.MAC) {
	b := a.As16()
	group := netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14],
		15: b[15]})
	return group, policy.MAC{0x33, 0x33, 0xff, b[13], b[14], b[15]}
}

// IP is an IPv4 or IPv6 datagram and the frame around it.
type IP struct {
	Src, Dst         policy.MAC
	From, To         netip.Addr
	TTL              uint8 // 0 = 64
	Protocol         policy.Protocol
	SrcPort, DstPort uint16 // of TCP, UDP and SCTP
	Flags            TCPFlags
	Type, Code       uint8  // of ICMP and ICMPv6
	Body             []byte // behind the transport header; of ICMP and ICMPv6 behind the checksum
	ID               uint16 // of fragments; 0 = 1
}

// TCPFlags are the flags of a TCP segment. The zero value is an opening segment (SYN).
type TCPFlags int

// The segments that tests forge.
const (
	SYN TCPFlags = iota
	SYNACK
	ACK
)

// Frame builds the datagram in one frame.
func (p IP) Frame() Frame {
	return p.frame(p.transport(), fragment{whole: true})
}

// Fragments builds the datagram in several frames, each with up to size bytes of it; size is a
// multiple of 8.
func (p IP) Fragments(size int) []Frame {
	var out []Frame
	rest := p.transport()
	for offset := 0; offset < len(rest); offset += size {
		end := min(offset+size, len(rest))
		out = append(out, p.frame(rest[offset:end], fragment{offset: offset,
			more: end < len(rest)}))
	}
	return out
}

type fragment struct {
	whole  bool
	offset int // in bytes
	more   bool
}

func (p IP) transport() []byte {
	network := p.network()
	switch p.Protocol {
	case policy.TCP:
		l := &layers.TCP{SrcPort: layers.TCPPort(p.SrcPort), DstPort: layers.TCPPort(p.DstPort),
			Seq: 1, Window: 1024,
			SYN: p.Flags != ACK, ACK: p.Flags != SYN}
		must(l.SetNetworkLayerForChecksum(network))
		return build(l, gopacket.Payload(p.Body))
	case policy.UDP:
		l := &layers.UDP{SrcPort: layers.UDPPort(p.SrcPort), DstPort: layers.UDPPort(p.DstPort)}
		must(l.SetNetworkLayerForChecksum(network))
		return build(l, gopacket.Payload(p.Body))
	case policy.SCTP: // an INIT chunk: its tag and both numbers of streams must not be 0
		init := append([]byte{1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 1},
			initParameter(p.Body)...)
		binary.BigEndian.PutUint16(init[2:], uint16(len(init)))
		return build(&layers.SCTP{SrcPort: layers.SCTPPort(p.SrcPort),
			DstPort: layers.SCTPPort(p.DstPort)}, gopacket.Payload(init))
	case policy.ICMP:
		message := append([]byte{p.Type, p.Code, 0, 0}, p.Body...)
		binary.BigEndian.PutUint16(message[2:], checksum(message))
		return message
	case policy.ICMPv6:
		l := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(p.Type, p.Code)}
		must(l.SetNetworkLayerForChecksum(network))
		return build(l, gopacket.Payload(p.Body))
	}
	return p.Body
}

// network is the header that transport checksums are computed over.
func (p IP) network() gopacket.NetworkLayer {
	if p.From.Is4() {
		return &layers.IPv4{SrcIP: p.From.AsSlice(), DstIP: p.To.AsSlice(),
			Protocol: layers.IPProtocol(p.Protocol)}
	}
	return &layers.IPv6{SrcIP: p.From.AsSlice(), DstIP: p.To.AsSlice(),
		NextHeader: layers.IPProtocol(p.Protocol)}
}

func (p IP) frame(body []byte, part fragment) Frame {
	ttl, id := p.TTL, max(p.ID, 1)
	if ttl == 0 {
		ttl = 64
	}
	if p.From.Is4() {
		ip := &layers.IPv4{Version: 4, TTL: ttl, Id: id, Protocol: layers.IPProtocol(p.Protocol),
			SrcIP: p.From.AsSlice(), DstIP: p.To.AsSlice(), FragOffset: uint16(part.offset / 8)}
		if part.more {
			ip.Flags = layers.IPv4MoreFragments
		}
		return build(ethernet(p.Src, p.Dst, layers.EthernetTypeIPv4), ip, gopacket.Payload(body))
	}
	ip := &layers.IPv6{Version: 6, HopLimit: ttl, NextHeader: layers.IPProtocol(p.Protocol),
		SrcIP: p.From.AsSlice(), DstIP: p.To.AsSlice()}
	if !part.whole {
		offset := uint16(part.offset)
		if part.more {
			offset |= 1
		}
		header := binary.BigEndian.AppendUint16([]byte{byte(p.Protocol), 0}, offset)
		header = binary.BigEndian.AppendUint32(header, uint32(id))
		ip.NextHeader, body = layers.IPProtocolIPv6Fragment, append(header, body...)
	}
	return build(ethernet(p.Src, p.Dst, layers.EthernetTypeIPv6), ip, gopacket.Payload(body))
}

func ethernet(src, dst policy.MAC, t layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: src[:], DstMAC: dst[:], EthernetType: t}
}

// build serializes layers, with lengths and checksums. What it is given comes from this package
// alone.
func build(stack ...gopacket.SerializableLayer) []byte {
	buffer := gopacket.NewSerializeBuffer()
	must(gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true,
		ComputeChecksums: true}, stack...))
	return buffer.Bytes()
}

// must stops the program on a frame that cannot be built: a mistake of a test, not of what is
// tested.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("build a frame: %v", err))
	}
}
