package policytest

import (
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

func drawAny(t *rapid.T, w spec.World) spec.Packet {
	p, own := drawSender(t, w)
	target := policy.MAC{2, 0, 0, 0, 0, byte(rapid.IntRange(1, 7).Draw(t, "to"))}
	p.DstMAC = rapid.SampledFrom([]policy.MAC{target, target, target, policy.BroadcastMAC,
		policy.AllNodesMAC, policy.DHCPv6MAC,
		{0, 0, 0x5e, 0, 1, 5}, {0x33, 0x33, 0xff, 0, 0, 1}}).Draw(t, "destination MAC")
	own = append(own, LinkLocals[rapid.IntRange(0, len(LinkLocals)-1).Draw(t, "link-local")])
	src := rapid.SampledFrom(own).Draw(t, "source").Addr()
	sameFamily := func(d netip.Prefix) bool { return d.Addr().Is4() == src.Is4() }
	dst := rapid.SampledFrom(only(slices.Concat(Hosts4, Hosts6, Hosts4, Hosts6, Outside),
		sameFamily)).Draw(t, "destination").Addr()
	if host := slices.IndexFunc(slices.Concat(Hosts4, Hosts6),
		func(h netip.Prefix) bool { return h.Addr() == dst }); host >= 0 &&
		rapid.IntRange(0, 3).Draw(t, "right MAC") > 0 {
		p.DstMAC = policy.MAC{2, 0, 0, 0, 0, byte(host%len(Hosts4) + 1)}
	}
	drawContent(t, w, &p, ends{target, src, dst})
	for range rapid.IntRange(0, 3).Draw(t, "bends") - 1 {
		distort(t, &p)
	}
	return p
}

// drawSender draws who sends a packet, and the addresses that may be its.
func drawSender(t *rapid.T, w spec.World) (spec.Packet, []netip.Prefix) {
	p := spec.Packet{FromUplink: true, SrcMAC: policy.MAC{2, 9, 9, 9, 9, 9}, HopLimit: 255}
	from := rapid.IntRange(-1, len(w.Policy.Instances)-1).Draw(t, "from")
	if from < 0 {
		return p, Outside
	}
	port := w.Policy.Instances[from].Ports[0]
	p.FromUplink, p.From, p.SrcMAC = !w.Policy.Instances[from].IsLocal("h"), port.Name, port.MAC
	var own []netip.Prefix
	for _, u := range port.Uses() {
		own = append(own, u.Prefix)
	}
	return p, append(own, Outside[0])
}

// ends are whom a packet is between.
type ends struct {
	target   policy.MAC // some instance's
	src, dst netip.Addr
}

// drawContent draws what a packet carries.
func drawContent(t *rapid.T, w spec.World, p *spec.Packet, e ends) {
	target, src, dst := e.target, e.src, e.dst
	switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
	case kind == 0:
		p.EtherType = rapid.SampledFrom([]uint16{0x88b5, 0x88cc}).Draw(t, "ethertype")
	case kind == 1 && rapid.IntRange(0, 3).Draw(t, "RARP") == 0:
		p.EtherType, p.DstMAC = policy.EtherRARP,
			rapid.SampledFrom([]policy.MAC{policy.BroadcastMAC, target}).Draw(t, "RARP to")
		p.ARP = spec.ARP{Op: uint16(rapid.IntRange(2, 4).Draw(t, "op")), SHA: p.SrcMAC,
			SPA: netip.IPv4Unspecified(), TPA: netip.IPv4Unspecified()}
	case kind <= 2 && src.Is4():
		p.EtherType = policy.EtherARP
		p.ARP = spec.ARP{Op: uint16(rapid.IntRange(1, 3).Draw(t, "op")), SHA: p.SrcMAC, SPA: src,
			TPA: rapid.SampledFrom([]netip.Addr{dst, src}).Draw(t, "tpa")}
		drawAnnouncement(t, p, w)
	case kind <= 2 && rapid.IntRange(0, 3).Draw(t, "listener") == 0:
		drawListener(t, p, src)
	case kind <= 2:
		drawND(t, p, src, dst)
		drawAnnouncement(t, p, w)
	default:
		drawIP(t, p, src, dst)
	}
}

func drawND(t *rapid.T, p *spec.Packet, src, dst netip.Addr) {
	p.EtherType = policy.EtherIPv6
	p.Tuple = spec.Tuple{Src: src, Dst: dst, Protocol: 58,
		ICMPType: uint8(rapid.IntRange(133, 137).Draw(t, "nd"))}
	targets := []netip.Addr{dst, src, netip.MustParseAddr("fe80::1"), netip.IPv6Unspecified(),
		LinkLocals[0].Addr(), LinkLocals[1].Addr(),
		LinkLocals[2].Addr(), LinkLocals[3].Addr()}
	p.ND.Target = rapid.SampledFrom(targets).Draw(t, "target")
	if p.ICMPType == policy.NeighborSolicitation && rapid.Bool().Draw(t, "to the group") {
		p.Dst, p.DstMAC = netip.MustParseAddr("ff02::1:ff00:1"), policy.MAC{0x33, 0x33, 0xff, 0, 0, 1}
	}
	if p.ICMPType == policy.RouterSolicitation && rapid.Bool().Draw(t, "from nobody") {
		p.Src = netip.IPv6Unspecified()
	}
	if p.ICMPType == policy.NeighborSolicitation && rapid.Bool().Draw(t, "dad") {
		p.Src, p.Dst, p.ND.Target = netip.IPv6Unspecified(), netip.MustParseAddr("ff02::1:ff00:1"), src
	}
	if p.ICMPType == policy.NeighborAdvertisement && rapid.Bool().Draw(t, "announce") {
		p.DstMAC, p.Dst = policy.AllNodesMAC, netip.MustParseAddr("ff02::1")
		p.ND.Target = rapid.SampledFrom([]netip.Addr{netip.MustParseAddr("fe80::1"), src}).Draw(t,
			"announced")
	}
	macs := []policy.MAC{{}, p.SrcMAC}
	p.ND.SLL, p.ND.TLL = rapid.SampledFrom(macs).Draw(t, "sll"), rapid.SampledFrom(macs).Draw(t, "tll")
	if p.ICMPType != policy.NeighborSolicitation && p.ICMPType != policy.NeighborAdvertisement {
		p.ND = spec.ND{}
	}
}

// drawListener draws multicast listener discovery (RFC 3810): an instance's report or a query.
func drawListener(t *rapid.T, p *spec.Packet, src netip.Addr) {
	p.EtherType, p.HopLimit, p.DstMAC = policy.EtherIPv6, 1, policy.MAC{0x33, 0x33, 0, 0, 0, 0x16}
	p.Tuple = spec.Tuple{Src: src, Dst: netip.MustParseAddr("ff02::16"),
		Protocol: uint8(policy.ICMPv6),
		ICMPType: rapid.SampledFrom([]uint8{130, 131, 132, 143, 144}).Draw(t, "listener type")}
	if rapid.IntRange(0, 3).Draw(t, "from nobody") == 0 {
		p.Src = netip.IPv6Unspecified()
	}
}

// drawAnnouncement turns some ARP and advertisements into what says that an allowed address moved.
func drawAnnouncement(t *rapid.T, p *spec.Packet, w spec.World) {
	var moved []policy.Use
	for _, i := range w.Policy.Instances {
		listed := i.Ports[0].Listed()[len(i.Ports[0].Addresses):]
		for _, u := range listed {
			if u.Prefix.Addr().Is4() == (p.EtherType == policy.EtherARP) {
				moved = append(moved, u)
			}
		}
	}
	if len(moved) == 0 || rapid.IntRange(0, 2).Draw(t, "moves") > 0 {
		return
	}
	u := rapid.SampledFrom(moved).Draw(t, "moved")
	p.SrcMAC, p.DstMAC = u.MAC, policy.BroadcastMAC
	p.ARP.SHA, p.ARP.SPA, p.ARP.TPA = u.MAC, u.Prefix.Addr(), u.Prefix.Addr()
	if p.EtherType == policy.EtherIPv6 {
		p.DstMAC, p.ARP = policy.AllNodesMAC, spec.ARP{}
		p.Tuple = spec.Tuple{Src: u.Prefix.Addr(), Dst: netip.MustParseAddr("ff02::1"),
			Protocol: uint8(policy.ICMPv6),
			ICMPType: policy.NeighborAdvertisement}
		p.ND = spec.ND{Target: u.Prefix.Addr(), TLL: u.MAC}
	}
}

func drawIP(t *rapid.T, p *spec.Packet, src, dst netip.Addr) {
	p.EtherType = policy.EtherIPv4
	if src.Is6() {
		p.EtherType = policy.EtherIPv6
	}
	p.Tuple = spec.Tuple{Src: src, Dst: dst,
		Protocol: uint8(rapid.SampledFrom(Protocols[1:]).Draw(t, "protocol"))}
	p.Fragment = rapid.SampledFrom([]spec.Fragment{0, 0, 0, 0, 0, spec.FirstFragment,
		spec.LaterFragment}).Draw(t, "fragment")
	switch pr := policy.Protocol(p.Protocol); {
	case pr.HasPorts():
		p.SrcPort, p.DstPort = rapid.SampledFrom(Ports).Draw(t, "from port"),
			rapid.SampledFrom(Ports).Draw(t, "to port")
		drawDHCP(t, p)
	case pr == policy.ICMP && src.Is4(), pr == policy.ICMPv6 && src.Is6():
		p.ICMPType, p.ICMPCode = rapid.SampledFrom(icmpTypes).Draw(t, "type"),
			uint8(rapid.IntRange(0, 1).Draw(t, "code"))
	}
}

// drawDHCP turns some UDP into what DHCP clients and servers say.
func drawDHCP(t *rapid.T, p *spec.Packet) {
	kind := rapid.IntRange(0, 5).Draw(t, "dhcp")
	if p.Protocol != uint8(policy.UDP) || kind > 2 {
		return
	}
	client, server := uint16(68), uint16(67)
	if p.Src.Is6() {
		client, server = 546, 547
	}
	p.SrcPort, p.DstPort = client, server
	switch kind {
	case 0:
		p.SrcPort, p.DstPort = server, client
		if answered := rapid.IntRange(0, 3).Draw(t, "answered"); answered == 0 && p.Src.Is4() {
			p.Dst = netip.MustParseAddr("255.255.255.255")
		} else if answered < 2 && p.Src.Is6() {
			p.Dst = rapid.SampledFrom(append(LinkLocals[:4:4],
				netip.PrefixFrom(p.DstMAC.LinkLocal(), 128))).Draw(t, "answered at").Addr()
		}
	case 2:
		p.Dst = netip.MustParseAddr("fe80::1")
		if p.Src.Is4() {
			p.Dst = netip.MustParseAddr("10.0.0.254")
		}
	case 1:
		if p.Dst, p.DstMAC = netip.MustParseAddr("ff02::1:2"), policy.DHCPv6MAC; p.Src.Is4() {
			p.Dst, p.DstMAC = netip.MustParseAddr("255.255.255.255"), policy.BroadcastMAC
			if rapid.Bool().Draw(t, "discover") {
				p.Src = netip.IPv4Unspecified()
			}
		}
	}
}

// distort makes a packet dishonest in one respect.
func distort(t *rapid.T, p *spec.Packet) {
	other := policy.MAC{2, 0, 0, 0, 0, byte(rapid.IntRange(1, 4).Draw(t, "other MAC"))}
	address := rapid.SampledFrom(slices.Concat(Hosts4, Hosts6)).Draw(t, "other address").Addr()
	switch rapid.IntRange(0, 11).Draw(t, "distortion") {
	case 0:
		p.SrcMAC = other
	case 1:
		p.Tagged = true
	case 2:
		p.SrcMAC[0] |= 1
	case 3:
		p.ARP.SHA = changedMAC(p.EtherType == policy.EtherARP || p.EtherType == policy.EtherRARP, other)
	case 4:
		if p.EtherType == policy.EtherARP && address.Is4() {
			p.ARP.SPA = rapid.SampledFrom([]netip.Addr{address, netip.IPv4Unspecified()}).Draw(t, "spa")
		}
	case 5:
		if p.Src.IsValid() && p.Src.Is4() == address.Is4() {
			p.Src = address
		}
	case 6:
		p.HopLimit = 64
	case 7:
		if p.IsNeighborDiscovery() {
			p.ICMPCode, p.ND = 1, spec.ND{}
			p.ND.Target = netip.IPv6Unspecified()
		}
	case 8:
		nd := p.IsNeighborDiscovery() && p.ICMPCode == 0 &&
			(p.ICMPType == policy.NeighborSolicitation || p.ICMPType == policy.NeighborAdvertisement)
		p.ND.SLL, p.ND.TLL = changedMAC(nd, other), changedMAC(nd, other)
	case 10:
		p.Priority = true
	case 11:
		p.HopLimit = 1
	case 9:
		p.DstMAC = policy.MAC{1, 0, 0x5e, 0, 0, 1}
	}
}

func changedMAC(applies bool, m policy.MAC) policy.MAC {
	if applies {
		return m
	}
	return policy.MAC{}
}

// drawConntrack lets the zones of the local ports know the packet, or not.
func drawConntrack(t *rapid.T, p *spec.Packet, w spec.World) {
	p.Conntrack = map[string]spec.Connection{}
	if !p.Src.IsValid() {
		return
	}
	for _, i := range w.Policy.Instances {
		side := rapid.SampledFrom([]spec.Side{spec.Unknown, spec.Unknown, spec.OriginalSide,
			spec.ReplySide, spec.RelatedOriginal,
			spec.RelatedReply, spec.Invalid}).Draw(t, "side")
		c := spec.Connection{Side: side}
		switch side {
		case spec.OriginalSide:
			c.Original = p.Tuple
		case spec.ReplySide:
			c.Original = Reversed(p.Tuple)
		case spec.RelatedOriginal, spec.RelatedReply:
			if p.Protocol != uint8(policy.ICMP) && p.Protocol != uint8(policy.ICMPv6) ||
				p.Fragment != spec.Whole {
				c.Side = spec.Unknown
				break
			}
			c.Original = spec.Tuple{Src: p.Dst, Dst: p.Src, Protocol: uint8(policy.TCP), SrcPort: 4000,
				DstPort: rapid.SampledFrom(Ports).Draw(t, "parent port")}
		}
		p.Conntrack[i.Ports[0].Name] = c
	}
}

// icmpTypes are those of packets: errors, requests, and answers that connection trackers know.
var icmpTypes = []uint8{0, 0, 3, 3, 8, 8, 13, 14, 15, 16, 17, 18, 128, 128, 129, 129, 139, 140}

// Reversed returns the tuple of the first packet, given that of a reply.
func Reversed(t spec.Tuple) spec.Tuple {
	t.Src, t.Dst, t.SrcPort, t.DstPort = t.Dst, t.Src, t.DstPort, t.SrcPort
	for _, a := range answersOf(t) {
		if a.Answer == t.ICMPType {
			t.ICMPType = a.Request
			return t
		}
	}
	return t
}

// answersOf is what a connection's protocol has of requests and answers.
func answersOf(t spec.Tuple) []policy.ICMPAnswer {
	if p := policy.Protocol(t.Protocol); p != policy.ICMP && p != policy.ICMPv6 {
		return nil
	}
	return policy.ICMPAnswers(policy.Protocol(t.Protocol) == policy.ICMPv6)
}
