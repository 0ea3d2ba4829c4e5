package spec

import (
	"net/netip"

	"github.com/portcullis/portcullis/flows/policy"
)

// Packet is one frame as it enters the switch. The zero Packet enters from nowhere and is dropped.
type Packet struct {
	From       string // the local port it enters by, if it comes from one
	FromUplink bool   // it enters by an uplink
	Tagged     bool   // with an 802.1Q or 802.1ad header that names a VLAN, or with more than one
	// Priority: with one header of VLAN 0, which carries a priority alone (IEEE 802.1Q, 6.9), at a
	// switch that reads one header. At one that reads more it is Tagged (decision 0004, point 8).
	Priority bool

	SrcMAC, DstMAC policy.MAC
	EtherType      uint16
	ARP            ARP   // of ARP and RARP
	Tuple                // of IPv4 and IPv6
	HopLimit       uint8 // TTL of IPv4
	Fragment       Fragment
	ND             ND

	// Conntrack says what the connection tracker knows of the packet, by local port: each port has a
	// zone of its own. A port that is missing knows no connection of it.
	Conntrack map[string]Connection
}

// Tuple is what rules look at.
type Tuple struct {
	Src, Dst           netip.Addr
	Protocol           uint8
	SrcPort, DstPort   uint16 // tcp, udp, sctp
	ICMPType, ICMPCode uint8  // icmp, icmpv6
}

// ARP is the body of an ARP packet (RFC 826).
type ARP struct {
	Op       uint16 // 1 request, 2 reply
	SHA, THA policy.MAC
	SPA, TPA netip.Addr
}

// ND is the body of an IPv6 neighbour solicitation or advertisement (RFC 4861). A zero SLL or TLL
// is an absent option.
type ND struct {
	Target   netip.Addr
	SLL, TLL policy.MAC
}

// Fragment says which part of a datagram a packet is.
type Fragment uint8

// A whole datagram, its first fragment (which shows the ports), or one of the others (which does
// not).
const (
	Whole Fragment = iota
	FirstFragment
	LaterFragment
)

// Connection is what one conntrack zone knows of a packet.
type Connection struct {
	Side     Side
	Original Tuple // of the first packet of the connection
}

// Side is the part that a packet has in a connection.
type Side uint8

// The zero Side is a packet of no known connection.
const (
	Unknown         Side = iota
	OriginalSide         // from the one who opened the connection
	ReplySide            // to the one who opened it
	RelatedOriginal      // an ICMP error that travels with the original side
	RelatedReply         // an ICMP error that travels with the replies
	Invalid              // no packet of any connection
)

// IsNeighborDiscovery says whether the packet is one of the five messages of RFC 4861.
func (p Packet) IsNeighborDiscovery() bool {
	return p.EtherType == policy.EtherIPv6 && p.Protocol == uint8(policy.ICMPv6) &&
		p.Fragment != LaterFragment &&
		p.ICMPType >= policy.RouterSolicitation && p.ICMPType <= policy.Redirect
}

// isListenerMessage says whether the packet is a message of multicast listener discovery as these
// are sent: to a group, on this link only (RFC 3810, section 5: hop limit 1).
func (p Packet) isListenerMessage() bool {
	return p.EtherType == policy.EtherIPv6 && p.Protocol == uint8(policy.ICMPv6) &&
		p.Fragment == Whole &&
		p.HopLimit == 1 && p.ICMPCode == 0 && p.DstMAC.IsMulticast() &&
		(p.ICMPType >= policy.ListenerQuery && p.ICMPType <= policy.ListenerDone ||
			p.ICMPType == policy.ListenerReportV2)
}

// IsListenerReport says whether a host tells routers and switches which groups it listens to.
func (p Packet) IsListenerReport() bool {
	return p.isListenerMessage() && p.ICMPType != policy.ListenerQuery
}

// IsListenerQuery says whether a router or switch asks the hosts which groups they listen to. Hosts
// drop what does not come from a link-local address (RFC 3810, section 5.1.14), and so does this.
func (p Packet) IsListenerQuery() bool {
	return p.isListenerMessage() && p.ICMPType == policy.ListenerQuery && p.Src.IsLinkLocalUnicast()
}

func (p Packet) IsIP() bool {
	return p.EtherType == policy.EtherIPv4 || p.EtherType == policy.EtherIPv6
}

func (p Packet) isUDP(v4src, v4dst, v6src, v6dst uint16) bool {
	if p.Protocol != uint8(policy.UDP) || p.Fragment == LaterFragment {
		return false
	}
	return p.EtherType == policy.EtherIPv4 && p.SrcPort == v4src && p.DstPort == v4dst ||
		p.EtherType == policy.EtherIPv6 && p.SrcPort == v6src && p.DstPort == v6dst
}

// fromDHCPClient and fromDHCPServer go by the ports of RFC 2131, section 4.1, and RFC 8415, section
// 7.2. What is excepted from the rules is a whole datagram; what is forbidden is forbidden in
// fragments too.
func (p Packet) FromDHCPClient() bool { return p.Fragment == Whole && p.isUDP(68, 67, 546, 547) }
func (p Packet) FromDHCPServer() bool { return p.isUDP(67, 68, 547, 546) }

// asksDHCPServers says whether a DHCP client speaks to whoever is a server.
func (p Packet) asksDHCPServers() bool {
	return p.FromDHCPClient() &&
		(p.DstMAC == policy.BroadcastMAC && p.Dst == policy.BroadcastAddr ||
			p.DstMAC == policy.DHCPv6MAC && p.Dst == policy.DHCPv6ServersAddr)
}
