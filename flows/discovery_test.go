package flows_test

// The story of discovery: what hosts say before any rule is asked. It is told to
// TestMutatedFlowsAreNoticed, because random stories seldom draw a whole conversation of a guest
// that chose its link-local address.

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/flows/spec"
)

// The hosts of the story: two guests, a router at a trusted port, and one beyond the uplink.
var (
	guestMAC, otherMAC = smallMAC(1), smallMAC(2)
	routerMAC          = smallMAC(3)
	oldMAC             = smallMAC(6) // of a guest without IPv6
	beyondMAC          = policy.MAC{2, 9, 9, 9, 9, 9}
	sharedMAC          = policy.MAC{0, 0, 0x5e, 0, 1, 5}
	chosen, beyond     = policytest.LinkLocals[0].Addr(), policytest.LinkLocals[1].Addr()
	guest6, other6     = policytest.Hosts6[0].Addr(), policytest.Hosts6[1].Addr()
	nobody6            = netip.IPv6Unspecified()
	router6            = policytest.Addr("fe80::1")
	chosenRouter       = policytest.Addr("fe80::5:6:7:9")
	solicitedMAC       = policy.MAC{0x33, 0x33, 0xff, 0, 0, 1}
	solicited          = policytest.Addr("ff02::1:ff00:1")
	listenersMAC       = policy.MAC{0x33, 0x33, 0, 0, 0, 0x16}
	listeners          = policytest.Addr("ff02::16")
)

// discoveryStories tells the story with and without listed DHCP servers, with strict sources, and
// while a guest moves to another host.
func discoveryStories(must require.TestingT) []teller {
	open := policytest.Site
	open.Gateways = append(slices.Clone(open.Gateways), chosenRouter)
	listed := open
	listed.DHCPServers = []netip.Addr{policytest.Addr("10.0.0.254"), router6}
	strict := listed
	strict.UplinkSources = policy.StrictSources
	strict.OutsideFragments, strict.Limits.Fragments = 50, 20
	var out []teller
	for _, site := range []policy.Site{open, listed, strict} {
		out = append(out, func() *story { return discoveryStory(must, discoveryPolicy(), site) })
	}
	return append(out, func() *story {
		p := discoveryPolicy()
		p.Instances[0].MigratingTo = "x"
		return discoveryStory(must, p, open)
	})
}

func discoveryStory(must require.TestingT, p *policy.Policy, site policy.Site) *story {
	s := &story{discovery: true}
	sw := newStorySwitch(must, s, boundApart(p, site))
	for _, p := range slices.Concat(guestsWords(), outsidersWords("", beyondMAC, beyond),
		outsidersWords("p3", routerMAC, policytest.LinkLocals[2].Addr())) {
		st, _ := s.send(must, sw, p, s.seen(p, outOfDate))
		s.steps = append(s.steps, st)
		s.nearMisses(must, sw, st)
	}
	return s
}

func discoveryPolicy() *policy.Policy {
	allowed := []policy.AllowedAddress{{Prefix: policytest.Nets("10.0.0.7")[0]},
		{Prefix: policytest.Nets("2001:db8::8")[0]},
		{Prefix: policytest.Nets("2001:db8::9")[0], MAC: sharedMAC}}
	port := func(name string, mac policy.MAC, n int) policy.Port {
		return policy.Port{Name: name, MAC: mac, EtherTypes: []uint16{0x88cc}, Allowed: allowed,
			Addresses: []netip.Prefix{policytest.Hosts4[n], policytest.Hosts6[n]}}
	}
	router := port("p3", routerMAC, 2)
	router.Trusted = true
	p := &policy.Policy{Groups: []*policy.Group{{Name: "g", Rules: []policy.Rule{
		policytest.Rule("ingress icmp", "0.0.0.0/0"),
		policytest.Rule("ingress udp 67-68", "0.0.0.0/0"),
		policytest.Rule("ingress udp 9", "::/0")}}}}
	for n, of := range []policy.Port{port("p1", guestMAC, 0), port("p2", otherMAC, 1), router} {
		p.Instances = append(p.Instances,
			&policy.Instance{Name: "i" + of.Name, Host: "h", Groups: []string{"g"},
				Ports: []policy.Port{of}, At: policy.Position{Line: n + 1}})
	}
	for n, name := range []string{"p4", "p5"} { // whose addresses are side by side
		p.Instances = append(p.Instances,
			&policy.Instance{Name: "elsewhere " + name, Host: "x", Groups: []string{"g"},
				Ports: []policy.Port{port(name, smallMAC(n+4), n+3)}})
	}
	old := policy.Port{Name: "p6", MAC: oldMAC, Addresses: policytest.Nets("10.0.0.6")}
	p.Instances = append(p.Instances, &policy.Instance{Name: "without IPv6", Host: "h",
		Groups: []string{"g"}, Ports: []policy.Port{old}})
	return p
}

// message is an ICMPv6 message with the hop limit that discovery must have.
func message(from string, src, dst policy.MAC, a, b netip.Addr, kind uint8,
	nd spec.ND) spec.Packet {
	return spec.Packet{From: from, FromUplink: from == "", SrcMAC: src, DstMAC: dst,
		EtherType: policy.EtherIPv6, HopLimit: 255,
		Tuple: spec.Tuple{Src: a, Dst: b, Protocol: uint8(policy.ICMPv6), ICMPType: kind}, ND: nd}
}

// listener is a message of multicast listener discovery.
func listener(from string, src policy.MAC, a netip.Addr, kind uint8) spec.Packet {
	p := message(from, src, listenersMAC, a, listeners, kind, spec.ND{})
	p.HopLimit = 1
	return p
}

// datagram is a UDP datagram.
func datagram(from string, src, dst policy.MAC, a, b netip.Addr, ports ...uint16) spec.Packet {
	ether := uint16(policy.EtherIPv4)
	if a.Is6() {
		ether = policy.EtherIPv6
	}
	return spec.Packet{From: from, FromUplink: from == "", SrcMAC: src, DstMAC: dst, EtherType: ether,
		HopLimit: 64,
		Tuple: spec.Tuple{Src: a, Dst: b, Protocol: uint8(policy.UDP), SrcPort: ports[0],
			DstPort: ports[1]}}
}

// asksFor is a question of ARP.
func asksFor(from string, mac policy.MAC, own, target netip.Addr) spec.Packet {
	return spec.Packet{From: from, FromUplink: from == "", SrcMAC: mac, DstMAC: policy.BroadcastMAC,
		EtherType: policy.EtherARP,
		ARP:       spec.ARP{Op: policy.ARPRequest, SHA: mac, SPA: own, TPA: target}}
}

// frame is one of an EtherType that the ports list, or of RARP.
func frame(from string, src, dst policy.MAC, ether uint16) spec.Packet {
	p := spec.Packet{From: from, FromUplink: from == "", SrcMAC: src, DstMAC: dst, EtherType: ether}
	if ether == policy.EtherRARP {
		p.ARP = spec.ARP{Op: 3, SHA: src, SPA: netip.IPv4Unspecified(), TPA: netip.IPv4Unspecified()}
	}
	return p
}

// guestsWords is what a guest says that chose its link-local address.
func guestsWords() []spec.Packet {
	var out []spec.Packet
	sll := spec.ND{SLL: guestMAC}
	for _, src := range []netip.Addr{chosen, guest6, guestMAC.LinkLocal()} {
		asks, tells := sll, spec.ND{Target: src, TLL: guestMAC}
		asks.Target = router6
		probe := spec.ND{Target: src}
		out = append(out,
			message("p1", guestMAC, policy.AllNodesMAC, src, policytest.Addr("ff02::2"),
				policy.RouterSolicitation, spec.ND{}),
			message("p1", guestMAC, solicitedMAC, src, solicited, policy.NeighborSolicitation, asks),
			message("p1", guestMAC, routerMAC, src, router6, policy.NeighborSolicitation, asks),
			message("p1", guestMAC, solicitedMAC, nobody6, solicited, policy.NeighborSolicitation, probe),
			message("p1", guestMAC, solicitedMAC, src, solicited, policy.NeighborSolicitation,
				spec.ND{Target: other6}), // which lacks its option
			message("p1", guestMAC, policy.AllNodesMAC, src, policytest.Addr("ff02::1"),
				policy.NeighborAdvertisement, tells),
			message("p1", guestMAC, otherMAC, src, other6, policy.NeighborAdvertisement, tells),
			message("p1", guestMAC, beyondMAC, src, beyond, policy.NeighborAdvertisement,
				spec.ND{Target: src}),
			listener("p1", guestMAC, src, 143), listener("p1", guestMAC, src, 131),
			datagram("p1", guestMAC, policy.DHCPv6MAC, src, policytest.Addr("ff02::1:2"), 546, 547))
	}
	return append(out,
		message("p1", guestMAC, policy.AllNodesMAC, nobody6, policytest.Addr("ff02::2"),
			policy.RouterSolicitation, spec.ND{}),
		// the address beside the router's, which nobody has
		message("p1", guestMAC, policy.AllNodesMAC, neighbour(router6), policytest.Addr("ff02::2"),
			policy.RouterSolicitation, spec.ND{}),
		message("p1", guestMAC, policy.AllNodesMAC, chosenRouter, policytest.Addr("ff02::2"),
			policy.RouterSolicitation, spec.ND{}),
		message("p1", guestMAC, policy.AllNodesMAC, otherMAC.LinkLocal(), policytest.Addr("ff02::2"),
			policy.RouterSolicitation, spec.ND{}),
		listener("p1", guestMAC, nobody6, 143),
		datagram("p1", guestMAC, policy.BroadcastMAC, netip.IPv4Unspecified(),
			policytest.Addr("255.255.255.255"), 68, 67),
		datagram("p1", guestMAC, routerMAC, policytest.Hosts4[0].Addr(), policytest.Addr("10.0.0.254"),
			68, 67),
		asksFor("p1", guestMAC, netip.IPv4Unspecified(), policytest.Hosts4[0].Addr()),
		asksFor("p1", guestMAC, netip.IPv4Unspecified(), policytest.Addr("10.0.0.7")),
		asksFor("p1", guestMAC, policytest.Hosts4[0].Addr(), policytest.Hosts4[1].Addr()),
		frame("p1", guestMAC, policy.BroadcastMAC, policy.EtherRARP),
		frame("p1", guestMAC, otherMAC, policy.EtherRARP),
		frame("p1", guestMAC, policy.MAC{1, 0x80, 0xc2, 0, 0, 0xe}, 0x88cc),
		frame("p1", guestMAC, otherMAC, 0x88cc))
}

// outsidersWords is what a router, a server or a host says that is beyond the uplink ("" as port)
// or at a trusted port.
func outsidersWords(from string, mac policy.MAC, own netip.Addr) []spec.Packet {
	all, broadcast := policytest.Addr("ff02::1"), policytest.Addr("255.255.255.255")
	asks := spec.ND{Target: guest6, SLL: mac}
	query := listener(from, mac, own, 130)
	query.DstMAC, query.Dst = policy.AllNodesMAC, all
	moved := spec.ND{Target: policytest.Addr("2001:db8::8"), TLL: smallMAC(4)}
	return []spec.Packet{
		message(from, mac, policy.AllNodesMAC, router6, all, policy.RouterAdvertisement, spec.ND{}),
		message(from, mac, guestMAC, router6, chosen, policy.RouterAdvertisement, spec.ND{}),
		message(from, mac, solicitedMAC, own, solicited, policy.NeighborSolicitation, asks),
		message(from, mac, solicitedMAC, own, solicited, policy.NeighborSolicitation,
			spec.ND{Target: moved.Target, SLL: mac}), // an address that several have
		message(from, mac, guestMAC, own, guest6, policy.NeighborSolicitation, asks),
		message(from, mac, guestMAC, own, chosen, policy.NeighborSolicitation,
			spec.ND{Target: chosen, SLL: mac}),
		message(from, mac, sharedMAC, own, chosen, policy.NeighborSolicitation,
			spec.ND{Target: chosen, SLL: mac}),
		message(from, mac, solicitedMAC, nobody6, solicited, policy.NeighborSolicitation,
			spec.ND{Target: own}),
		message(from, mac, guestMAC, own, chosen, policy.NeighborAdvertisement,
			spec.ND{Target: own, TLL: mac}),
		message(from, mac, guestMAC, own, chosen, policy.NeighborAdvertisement, spec.ND{Target: own}),
		message(from, mac, policy.AllNodesMAC, router6, all, policy.NeighborAdvertisement,
			spec.ND{Target: router6, TLL: mac}),
		message(from, smallMAC(4), policy.AllNodesMAC, moved.Target, all, policy.NeighborAdvertisement,
			moved),
		message(from, smallMAC(4), guestMAC, policytest.Hosts6[3].Addr(), guest6,
			policy.NeighborSolicitation, spec.ND{Target: guest6, SLL: smallMAC(4)}),
		message(from, mac, solicitedMAC, policytest.Addr("::1"), solicited,
			policy.NeighborSolicitation, asks),
		message(from, mac, guestMAC, guestMAC.LinkLocal(), guest6, policy.NeighborSolicitation, asks),
		message(from, mac, guestMAC, moved.Target, guest6, policy.NeighborSolicitation, asks),
		message(from, mac, guestMAC, guest6, guest6, policy.NeighborSolicitation, asks),
		message(from, mac, solicitedMAC, own, solicited, policy.NeighborSolicitation,
			spec.ND{Target: guest6}), // which lacks its option
		query, listener(from, mac, own, 143),
		datagram(from, mac, oldMAC, router6, chosen, 547, 546),
		datagram(from, mac, guestMAC, router6, chosenRouter, 547, 546),
		datagram(from, smallMAC(4), guestMAC, policytest.Hosts6[3].Addr(), guest6, 9, 9),
		datagram(from, smallMAC(4), guestMAC, policytest.Hosts6[4].Addr(), guest6, 9, 9),
		datagram(from, smallMAC(4), guestMAC, policytest.Hosts4[3].Addr(), policytest.Hosts4[0].Addr(),
			9, 68),
		asksFor(from, smallMAC(4), policytest.Hosts4[3].Addr(), policytest.Hosts4[0].Addr()),
		asksFor(from, smallMAC(4), policytest.Hosts4[4].Addr(), policytest.Hosts4[0].Addr()),
		datagram(from, mac, guestMAC, router6, chosen, 547, 546),
		datagram(from, mac, guestMAC, router6, guestMAC.LinkLocal(), 547, 546),
		datagram(from, mac, guestMAC, policytest.Addr("10.0.0.254"), policytest.Hosts4[0].Addr(), 67, 68),
		datagram(from, mac, guestMAC, policytest.Addr("10.0.0.254"), broadcast, 67, 68),
		frame(from, mac, policy.BroadcastMAC, policy.EtherRARP),
		frame(from, mac, policy.MAC{1, 0x80, 0xc2, 0, 0, 0xe}, 0x88cc),
		frame(from, mac, guestMAC, 0x88cc),
	}
}

// TestDiscoveryAgreesWithTheSpecification tells the story on the fake switch.
func TestDiscoveryAgreesWithTheSpecification(t *testing.T) {
	packets, received := 0, 0
	for _, tell := range discoveryStories(t) {
		for _, st := range tell().steps {
			packets++
			if st.want.Receivers != "" {
				received++
			}
		}
	}
	t.Logf("%d packets, %d received by somebody", packets, received)
	require.Greater(t, received, packets/10)
}
