package explain

import (
	"fmt"
	"net/netip"
	"slices"

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

// groupMAC returns the MAC of a multicast or broadcast address, and that of a node for any
// other.
func (x *explainer) groupMAC(a netip.Addr, to node) policy.MAC {
	if a.IsMulticast() || a == policy.BroadcastAddr {
		return x.strangeMAC(a)
	}
	return to.mac
}

// arp returns a body of ARP in a frame to a MAC.
func (s node) arp(op uint16, to policy.MAC, spa, tpa netip.Addr) spec.Packet {
	p := spec.Packet{SrcMAC: s.mac, DstMAC: to, EtherType: policy.EtherARP,
		ARP: spec.ARP{Op: op, SHA: s.mac, SPA: spa, TPA: tpa}}
	if op == policy.ARPReply {
		p.ARP.THA = to
	}
	return p
}

// icmp6 returns a message of ICMPv6. Neighbour discovery has hop limit 255, listener discovery 1.
func (x *explainer) icmp6(from, to node, kind uint8, src, dst netip.Addr,
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
func (x *explainer) udp(from, to node, src, dst netip.Addr, srcPort,
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

// The part of a world that the specification looks at when it decides about one frame.
// [spec.Decide] is plain and walks over all there is; what is here makes it small. Invariant: the
// decision about the frame is the same in the part and in the whole.

// decide asks the specification about a frame at its host.
func (x *explainer) decide(h Hop) spec.Decision { return h.Decide(x.around(h)) }

// nearby returns the part of the world that matters for a frame: the instances that have to do with
// its port, its MACs and its addresses, their groups and the groups that these name. What is not a
// unicast of IP may be for every port of the host, so that all of its instances are in it.
func (x *explainer) nearby(h Hop) spec.World {
	chosen := x.partners(h)
	p := &policy.Policy{Groups: x.groupsOf(chosen)}
	if isForMany(h.Packet) {
		chosen = append(chosen, x.index.local(h.Host)...)
	}
	slices.Sort(chosen)
	for _, n := range slices.Compact(chosen) {
		p.Instances = append(p.Instances, x.Policy.Instances[n])
	}
	return spec.World{Policy: p, Site: x.Site}
}

// isForMany says whether a frame may be for ports that it does not name.
func isForMany(p spec.Packet) bool {
	return !p.IsIP() || p.DstMAC.IsMulticast() || p.IsNeighborDiscovery()
}

// partners returns the instances that a frame names by a port, a MAC or an address.
func (x *explainer) partners(h Hop) []int32 {
	var out []int32
	add := func(list []portAt) {
		for _, at := range list {
			out = append(out, at.instance)
		}
	}
	for _, name := range append([]string{h.Packet.From}, h.needs.ports...) {
		if at, known := x.index.places().ports[name]; known {
			out = append(out, at.instance)
		}
	}
	p := h.Packet
	for _, m := range []policy.MAC{p.SrcMAC, p.DstMAC, p.ARP.SHA, p.ARP.THA, p.ND.SLL, p.ND.TLL} {
		if !m.IsZero() {
			add(x.index.having(m))
		}
	}
	for _, a := range []netip.Addr{p.Src, p.Dst, p.ARP.SPA, p.ARP.TPA, p.ND.Target} {
		add(x.index.using(a))
	}
	return out
}

// groupsOf returns the groups of some instances, and those that their rules name as peers.
func (x *explainer) groupsOf(instances []int32) []*policy.Group {
	var out []*policy.Group
	taken := map[string]bool{}
	take := func(name string) []*policy.Group {
		if taken[name] {
			return nil
		}
		taken[name] = true
		out = append(out, x.index.groups[name]...)
		return x.index.groups[name]
	}
	var own []*policy.Group
	for _, n := range instances {
		for _, name := range x.Policy.Instances[n].Groups {
			own = append(own, take(name)...)
		}
	}
	for _, g := range own {
		for n := range g.Rules {
			for _, p := range g.Rules[n].Peers {
				take(p.Group)
			}
		}
	}
	return out
}
