package testnet

import (
	"net/netip"

	"github.com/portcullis/portcullis/flows/policy"
)

// ARPRequest is an honest broadcast question of one host for another's IPv4 address.
func (w *Crowd) ARPRequest(from, to string) ARP {
	a := w.Host(from)
	return ARP{Src: a.MAC, Dst: policy.BroadcastMAC, Op: policy.ARPRequest, SHA: a.MAC,
		SPA: a.Address(IPv4), TPA: w.Host(to).Address(IPv4)}
}

// Solicitation is an honest multicast question of one host for another's IPv6 address.
func (w *Crowd) Solicitation(from, to string) ND {
	a, target := w.Host(from), w.Host(to).Address(IPv6)
	group, mac := SolicitedNode(target)
	return ND{Src: a.MAC, Dst: mac, From: a.Address(IPv6), To: group, HopLimit: 255,
		Type: policy.NeighborSolicitation, Target: target, SLL: a.MAC}
}

// Advertisement is an honest answer to one host about another's IPv6 address.
func (w *Crowd) Advertisement(from, to string) ND {
	a, b := w.Host(from), w.Host(to)
	return ND{Src: a.MAC, Dst: b.MAC, From: a.Address(IPv6), To: b.Address(IPv6), HopLimit: 255,
		Type: policy.NeighborAdvertisement, Target: a.Address(IPv6), TLL: a.MAC}
}

// DHCPDiscover is an honest DHCP client's first word.
func (w *Crowd) DHCPDiscover(from string) IP {
	return IP{Src: w.Host(from).MAC, Dst: policy.BroadcastMAC, From: netip.IPv4Unspecified(),
		To:       netip.MustParseAddr("255.255.255.255"),
		Protocol: policy.UDP, SrcPort: 68, DstPort: 67, Body: make([]byte, 244)}
}

// DHCPSolicit is that of DHCPv6.
func (w *Crowd) DHCPSolicit(from string) IP {
	mac := w.Host(from).MAC
	return IP{Src: mac, Dst: policy.DHCPv6MAC, From: mac.LinkLocal(),
		To:       netip.MustParseAddr("ff02::1:2"),
		Protocol: policy.UDP, SrcPort: 546, DstPort: 547, Body: make([]byte, 40)}
}

// DHCPAnswer is what a DHCP server sends.
func (w *Crowd) DHCPAnswer(from, to string, f Family) IP {
	p := w.Opening(from, to, UDP(68), f)
	p.SrcPort, p.Body = 67, make([]byte, 244)
	if f == IPv6 {
		p.SrcPort, p.DstPort = 547, 546
	}
	return p
}
