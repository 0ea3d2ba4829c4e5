package flows_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"

	"github.com/portcullis/portcullis/flows/policytest"
)

// distortedInEachField returns the packet again and again, each time with one field changed, as
// little as can be.
func distortedInEachField(p spec.Packet, in flows.Input) []spec.Packet {
	var out []spec.Packet
	distorted := func(change func(*spec.Packet)) { out = append(out, distortedBy(p, change)) }
	distorted(func(q *spec.Packet) { q.Tagged = true })
	distorted(func(q *spec.Packet) { q.Priority = true })
	distorted(func(q *spec.Packet) { q.From, q.FromUplink = "", true })
	for _, b := range in.Bindings {
		distorted(func(q *spec.Packet) { q.From, q.FromUplink = b.Port, false })
	}
	distorted(func(q *spec.Packet) { q.SrcMAC[5] ^= 1 })
	distorted(func(q *spec.Packet) {
		q.SrcMAC[5], q.ARP.SHA[5] = q.SrcMAC[5]^1, q.ARP.SHA[5]^byte(isARP(p))
	})
	distorted(func(q *spec.Packet) { q.DstMAC[5] ^= 1 })
	for _, m := range []policy.MAC{smallMAC(1), smallMAC(2), smallMAC(3), {0, 0, 0x5e, 0, 1, 5},
		{2, 9, 9, 9, 9, 9}, policy.BroadcastMAC, policy.AllNodesMAC, policy.DHCPv6MAC} {
		distorted(func(q *spec.Packet) { q.SrcMAC = m })
		distorted(func(q *spec.Packet) { q.DstMAC = m })
	}
	switch p.EtherType {
	case policy.EtherARP, policy.EtherRARP:
		distortARP(distorted)
	case policy.EtherIPv4, policy.EtherIPv6:
		distortIP(p, distorted)
		if p.IsNeighborDiscovery() {
			distortND(distorted)
		}
	default:
		distorted(func(q *spec.Packet) { q.EtherType++ })
	}
	return out
}

// distortedBy returns the packet changed. Its connections are those that it may be part of then.
func distortedBy(p spec.Packet, change func(*spec.Packet)) spec.Packet {
	q := p
	q.Conntrack = maps.Clone(p.Conntrack)
	change(&q)
	for port, known := range q.Conntrack {
		if q.Tuple != p.Tuple || q.Fragment != p.Fragment {
			q.Conntrack[port] = connectionOf(q, known.Side)
		}
	}
	return q
}

// distortedAtEdges returns the packet with each address moved just out of the network by which a
// flow of its path has found it: by the last bit that the flow asks for.
func distortedAtEdges(p spec.Packet, trace []string) []spec.Packet {
	var out []spec.Packet
	done := map[string]bool{}
	for _, line := range trace {
		_, match, _ := strings.Cut(line, "priority=")
		match, _, _ = strings.Cut(match, " ")
		for _, field := range strings.Split(match, ",") {
			name, value, _ := strings.Cut(field, "=")
			if addressOf(&p, name) == nil || !strings.Contains(value, "/") || done[field] {
				continue
			}
			done[field] = true
			out = append(out, distortedBy(p, func(q *spec.Packet) {
				at := addressOf(q, name)
				raw := at.AsSlice()
				if n, bit := lastBit(value); n < len(raw) {
					raw[n] ^= bit
				}
				*at, _ = netip.AddrFromSlice(raw)
			}))
		}
	}
	return out
}

// addressOf returns the address that a field of a flow is about; nil = it is about none that the
// packet has.
func addressOf(p *spec.Packet, field string) *netip.Addr {
	at := map[string]*netip.Addr{"nw_src": &p.Src, "nw_dst": &p.Dst, "ipv6_src": &p.Src,
		"ipv6_dst": &p.Dst, "arp_spa": &p.ARP.SPA, "arp_tpa": &p.ARP.TPA,
		"nd_target": &p.ND.Target}[field]
	if at == nil || !at.IsValid() {
		return nil
	}
	return at
}

func isARP(p spec.Packet) int {
	if p.EtherType == policy.EtherARP || p.EtherType == policy.EtherRARP {
		return 1
	}
	return 0
}

func distortARP(distorted func(func(*spec.Packet))) {
	for op := range uint16(4) {
		distorted(func(q *spec.Packet) { q.ARP.Op = op })
	}
	distorted(func(q *spec.Packet) { q.ARP.SHA[5] ^= 1 })
	distorted(func(q *spec.Packet) { q.ARP.SHA = smallMAC(1) })
	distorted(func(q *spec.Packet) { q.ARP.SPA = neighbour(q.ARP.SPA) })
	distorted(func(q *spec.Packet) { q.ARP.TPA = neighbour(q.ARP.TPA) })
	for _, a := range slices.Concat(policytest.Hosts4,
		policytest.Nets("10.0.0.254", "0.0.0.0", "192.0.2.1")) {
		distorted(func(q *spec.Packet) { q.ARP.SPA = a.Addr() })
		distorted(func(q *spec.Packet) { q.ARP.TPA = a.Addr() })
		distorted(func(q *spec.Packet) { q.ARP.SPA, q.ARP.TPA = a.Addr(), a.Addr() })
		distorted(func(q *spec.Packet) {
			q.ARP.SPA, q.ARP.TPA, q.DstMAC = a.Addr(), a.Addr(), policy.BroadcastMAC
		})
		for flip := range byte(4) { // a probe, with MACs that are right, or nearly
			distorted(func(q *spec.Packet) {
				q.ARP.Op, q.ARP.SPA, q.ARP.TPA = policy.ARPRequest, netip.IPv4Unspecified(), a.Addr()
				q.SrcMAC[5], q.ARP.SHA[5] = q.SrcMAC[5]^flip&1, q.ARP.SHA[5]^flip>>1
			})
		}
	}
}

// neighbour is the address that differs in the last bit.
func neighbour(a netip.Addr) netip.Addr {
	raw := a.AsSlice()
	if len(raw) == 0 {
		return a
	}
	raw[len(raw)-1] ^= 1
	n, _ := netip.AddrFromSlice(raw)
	return n
}

func distortIP(p spec.Packet, distorted func(func(*spec.Packet))) {
	distorted(func(q *spec.Packet) { q.HopLimit-- })
	distorted(func(q *spec.Packet) { q.HopLimit = 1 })
	distorted(func(q *spec.Packet) { q.Src = neighbour(q.Src) })
	distorted(func(q *spec.Packet) { q.Dst = neighbour(q.Dst) })
	for _, a := range slices.Concat(policytest.Hosts4[:3], policytest.Hosts6[:3], policytest.Outside,
		policytest.LinkLocals,
		policytest.Nets("0.0.0.0", "::", "255.255.255.255", "ff02::1:2", "ff02::1:ff00:1")) {
		if a.Addr().Is4() == p.Src.Is4() {
			distorted(func(q *spec.Packet) { q.Src = a.Addr() })
			distorted(func(q *spec.Packet) { q.Dst = a.Addr() })
		}
	}
	for f := range spec.LaterFragment + 1 {
		distorted(func(q *spec.Packet) { q.Fragment = f })
	}
	distortService(p, distorted)
	for _, port := range slices.Sorted(maps.Keys(p.Conntrack)) {
		for side := range spec.Invalid + 1 {
			if side != p.Conntrack[port].Side {
				distorted(func(q *spec.Packet) { q.Conntrack[port] = connectionOf(p, side) })
			}
		}
	}
}

// connectionOf is one that the packet may be part of on that side; only a whole ICMP packet is
// related to one.
func connectionOf(p spec.Packet, side spec.Side) spec.Connection {
	c := spec.Connection{Side: side, Original: p.Tuple}
	switch side {
	case spec.ReplySide:
		c.Original = policytest.Reversed(p.Tuple)
	case spec.RelatedOriginal, spec.RelatedReply:
		if p.Fragment != spec.Whole || p.Protocol != uint8(policy.ICMP) &&
			p.Protocol != uint8(policy.ICMPv6) {
			return spec.Connection{}
		}
		c.Original = spec.Tuple{Src: p.Dst, Dst: p.Src, Protocol: uint8(policy.TCP), SrcPort: 4000,
			DstPort: 80}
	}
	return c
}

func distortService(p spec.Packet, distorted func(func(*spec.Packet))) {
	service := func(protocol policy.Protocol, src, dst uint16, kind, code uint8) {
		distorted(func(q *spec.Packet) {
			q.Protocol, q.SrcPort, q.DstPort, q.ICMPType, q.ICMPCode, q.ND = uint8(protocol), src, dst, kind,
				code, spec.ND{}
		})
	}
	switch protocol := policy.Protocol(p.Protocol); {
	case protocol.HasPorts():
		service(protocol, p.SrcPort^1, p.DstPort, 0, 0)
		service(protocol, p.SrcPort, p.DstPort^1, 0, 0)
		service(protocol, p.SrcPort, p.DstPort+1, 0, 0)
		service(protocol, p.SrcPort, p.DstPort-1, 0, 0)
	case p.IsNeighborDiscovery():
		return
	case protocol.HasTypes():
		for _, kind := range []uint8{p.ICMPType + 1, 8, 128, 3, 0, 14, 16, 18, 129, 140} {
			service(protocol, 0, 0, icmpKind(p, kind), p.ICMPCode)
		}
		service(protocol, 0, 0, icmpKind(p, p.ICMPType), p.ICMPCode^1)
	}
	for _, protocol := range []policy.Protocol{policy.TCP, policy.UDP, policy.SCTP} {
		service(protocol, 67, 68, 0, 0)
		service(protocol, 68, 67, 0, 0)
		service(protocol, 547, 546, 0, 0)
		service(protocol, 546, 547, 0, 0)
	}
	for _, ports := range [][2]uint16{{67, 68}, {66, 68}, {67, 69}, {547, 546}, {546, 546},
		{547, 547}} {
		distorted(func(q *spec.Packet) {
			q.Src, q.Protocol, q.SrcPort, q.DstPort, q.ICMPType, q.ICMPCode,
				q.ND = policytest.Site.Gateways[0], uint8(policy.UDP), ports[0], ports[1], 0, 0, spec.ND{}
			if q.Dst.Is6() {
				q.Src = policytest.Site.Gateways[1]
			}
		})
	}
	service(policy.Protocol(p.Protocol+1), 0, 0, 0, 0)
	service(policy.GRE, 0, 0, 0, 0)
}

// icmpKind is a type that the packet's protocol shows: none where ICMP is of the other family.
func icmpKind(p spec.Packet, kind uint8) uint8 {
	if (p.Protocol == uint8(policy.ICMP)) == p.Src.Is4() &&
		!(kind >= policy.RouterSolicitation && kind <= policy.Redirect) {
		return kind
	}
	return 0
}

func distortND(distorted func(func(*spec.Packet))) {
	for kind := policy.RouterSolicitation; kind <= policy.Redirect; kind++ {
		distorted(func(q *spec.Packet) {
			if q.ICMPType = kind; kind != policy.NeighborSolicitation &&
				kind != policy.NeighborAdvertisement {
				q.ND = spec.ND{}
			} else if !q.ND.Target.IsValid() {
				q.ND.Target = netip.IPv6Unspecified()
			}
		})
	}
	distorted(func(q *spec.Packet) { q.ICMPCode, q.ND = 1, spec.ND{Target: netip.IPv6Unspecified()} })
	targeted := func(change func(*spec.ND)) {
		distorted(func(q *spec.Packet) {
			if q.ICMPCode == 0 &&
				(q.ICMPType == policy.NeighborSolicitation || q.ICMPType == policy.NeighborAdvertisement) {
				change(&q.ND)
			}
		})
	}
	targeted(func(n *spec.ND) { n.SLL[5] ^= 1 })
	targeted(func(n *spec.ND) { n.TLL[5] ^= 1 })
	targeted(func(n *spec.ND) { n.SLL = policy.MAC{} })
	targeted(func(n *spec.ND) { n.TLL = policy.MAC{} })
	for _, a := range slices.Concat(policytest.Hosts6, policytest.LinkLocals,
		policytest.Nets("::", "fe80::1", "2001:db8::8")) {
		targeted(func(n *spec.ND) { n.Target = a.Addr() })
	}
}
