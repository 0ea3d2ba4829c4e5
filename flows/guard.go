package flows

import (
	"net/netip"
	"slices"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// classify gives each port's frames their key, epoch and origin:
//
//	table=0, priority=100,in_port=4,vlan_tci=0x0000/0x1fff actions=set_field:0x7->reg1,set_field:0x3->reg2,set_field:0x10/0x30->reg0,resubmit(,10)
func (w *writer) classify() {
	w.add(tableClassify, 200, on(fromGroup())) // L2-1: no group address is a source
	for _, tag := range []uint16{0x8100, 0x88a8} {
		w.add(tableClassify, 200, on(dlType(tag))) // behind the one header that Open vSwitch reads
	}
	for _, u := range w.uplinks {
		w.classifyFrom(u.OFPort, OriginUplink, tableOutsideGuard)
		if !w.innerTags { // A header of VLAN 0 carries a priority alone (IEEE 802.1Q, 6.9).
			w.add(tableClassify, 100, on(ofPort(u.OFPort), openflow.Tagged(0)), openflow.PopVLAN{},
				to(tablePriorityTag))
		}
	}
	w.add(tablePriorityTag, 100, on(openflow.Untagged()), setFlags(OriginUplink),
		to(tableOutsideGuard))
}

func (w *writer) classifyPort(p *port) {
	as := []openflow.Action{setPort(p.Zone), setEpoch(p.Epoch)}
	if p.Trusted {
		w.classifyFrom(p.OFPort, OriginTrusted, tableOutsideGuard, as...)
	} else {
		w.classifyFrom(p.OFPort, OriginInstance, tableSourceGuard, as...)
	}
}

func (w *writer) classifyFrom(number uint32, origin Flags, next TableID, first ...openflow.Action) {
	w.add(tableClassify, 100, on(ofPort(number), openflow.Untagged()),
		append(first, setFlags(origin), to(next))...)
}

// sourceGuard lets out only what is the instance's own, whatever its groups say (L2-1 to L2-5,
// L2-9).
func (w *writer) sourceGuard() {
	t := tableSourceGuard
	// What no instance may ever send. A fragmented answer shows its ports in its first fragment.
	w.add(t, 300, on(proto(ovs.ProtocolUDPv4), udpSrc(67), udpDst(68)))
	w.add(t, 300, on(proto(ovs.ProtocolUDPv6), udpSrc(547), udpDst(546)))
	w.forgedND(t, 290)
	w.optionless(t, 285)
	for _, kind := range []uint8{policy.RouterSolicitation, policy.RouterAdvertisement,
		policy.NeighborSolicitation,
		policy.NeighborAdvertisement, policy.Redirect} {
		// what the flows of priority 280 do not let out
		w.add(t, 270, on(proto(ovs.ProtocolICMPv6), icmp6Type(kind)))
	}
}

func (w *writer) sourceGuardPort(p *port) {
	if p.Trusted {
		return
	}
	if p.has4() { // dispatch asks for the very address
		w.add(tableSourceGuard, 200,
			on(proto(ovs.ProtocolUDPv4), portKey(p.Zone), dlSrc(p.MAC), toGroup(),
				frag(openflow.NoFragment),
				ipSrc(single(netip.IPv4Unspecified())), ipDst(single(broadcast4)), udpSrc(68), udpDst(67)),
			w.metered(p, meterDiscovery, to(tableDispatch))...)
	}
	for _, e := range distinct(p.EtherTypes) {
		w.add(tableSourceGuard, 200, on(portKey(p.Zone), dlSrc(p.MAC), toUnicast(), dlType(e)),
			to(tableDestination))
		w.add(tableSourceGuard, 200, on(portKey(p.Zone), dlSrc(p.MAC), toGroup(), dlType(e)),
			to(tableOutward))
	}
	if !slices.Contains(p.EtherTypes, policy.EtherRARP) {
		w.add(tableSourceGuard, 195,
			on(proto(protoRARP), portKey(p.Zone), dlSrc(p.MAC), dlDst(policy.BroadcastMAC),
				arpOp(policy.RARPRequest),
				arpSHA(p.MAC)), w.metered(p, meterDiscovery, to(tableARP))...)
	}
	if p.has6() {
		w.chosenLinkLocal(p)
	}
	for _, u := range p.uses {
		w.meterClients(p, u)
		if u.Prefix.Addr().Is4() {
			w.guardIPv4(p, u)
		} else {
			w.guardIPv6(p, u)
		}
	}
}

// guardIPv4 lets out IP and ARP with one own pair of MAC and address; a probe names it as the
// target only (RFC 5227, section 1.1).
func (w *writer) guardIPv4(p *port, u policy.Use) {
	key, mac := portKey(p.Zone), dlSrc(u.MAC)
	w.add(tableSourceGuard, 200, on(proto(ovs.ProtocolIPv4), key, mac, ipSrc(u.Prefix)),
		to(tableDispatch))
	w.add(tableSourceGuard, 200, on(proto(ovs.ProtocolARP), key, mac, arpSHA(u.MAC), arpSPA(u.Prefix)),
		w.metered(p, meterDiscovery, to(tableARP))...)
	w.add(tableSourceGuard, 200,
		on(proto(ovs.ProtocolARP), key, mac, arpSHA(u.MAC), arpSPA(single(netip.IPv4Unspecified())),
			arpTPA(u.Prefix), arpOp(policy.ARPRequest)), w.metered(p, meterDiscovery, to(tableARP))...)
}

// guardIPv6 lets out IP and neighbour discovery with one own pair. Link-layer options are the own
// MAC or absent; hop limit, code and "no fragment" are RFC 4861, section 7.1, and RFC 6980.
func (w *writer) guardIPv6(p *port, u policy.Use) {
	key, mac := portKey(p.Zone), dlSrc(u.MAC)
	w.add(tableSourceGuard, 200, on(proto(ovs.ProtocolIPv6), key, mac, ipSrc(u.Prefix)),
		to(tableDispatch))
	w.add(tableNDGuard, 200,
		on(proto(ovs.ProtocolICMPv6), key, mac, icmp6Type(policy.NeighborAdvertisement), icmp6Code(0),
			ndTarget(u.Prefix)), to(tableND))
	w.nd(p, u.MAC, 280, policy.RouterSolicitation, tableND, ipSrc(u.Prefix))
	for _, option := range []policy.MAC{u.MAC, noMAC} {
		w.nd(p, u.MAC, 280, policy.NeighborSolicitation, tableND, ipSrc(u.Prefix), ndSLL(option))
		w.nd(p, u.MAC, 280, policy.NeighborAdvertisement, tableNDGuard, ipSrc(u.Prefix), ndTLL(option))
	}
	w.detect(p, u.MAC, 287, u.Prefix, tableND)
	for _, n := range linkLocalPart(u.Prefix) {
		w.reports(p, u.MAC, n, 220, tableListenerGuard)
	}
}

// forgedND drops solicitations and advertisements that Open vSwitch could not parse: it shows them
// with an empty target and no options.
func (w *writer) forgedND(t TableID, priority uint16, from ...openflow.OXM) {
	for _, kind := range []uint8{policy.NeighborSolicitation, policy.NeighborAdvertisement} {
		forged := on(proto(ovs.ProtocolICMPv6), icmp6Type(kind), icmp6Code(0),
			ndTarget(single(netip.IPv6Unspecified())))
		w.add(t, priority, append(forged, from...))
	}
}

// optionless drops solicitations and advertisements that lack the option which their kind must have
// (RFC 4861, sections 4.3 and 4.4): Open vSwitch shows one that it cannot parse as absent.
func (w *writer) optionless(t TableID, priority uint16, from ...openflow.OXM) {
	w.add(t, priority, append(on(proto(ovs.ProtocolICMPv6), ip6Dst(solicitedNode),
		icmp6Type(policy.NeighborSolicitation),
		icmp6Code(0), ndSLL(noMAC)), from...))
	w.add(t, priority, append(on(proto(ovs.ProtocolICMPv6), ip6Dst(groups6),
		icmp6Type(policy.NeighborAdvertisement),
		icmp6Code(0), ndTLL(noMAC)), from...))
}

// outsideGuard drops forged neighbour discovery of an uplink, and with outsideGuardPort all that it
// sends in the name of a local port (L2-8). Trusted ports are not filtered (L2-9).
func (w *writer) outsideGuard() {
	t, uplink, icmp6 := tableOutsideGuard, flags(OriginUplink), proto(ovs.ProtocolICMPv6)
	w.forgedND(t, 250, uplink)
	unspecified := on(uplink, icmp6, ipSrc(single(netip.IPv6Unspecified())),
		icmp6Type(policy.NeighborSolicitation))
	w.add(t, 246, append(unspecified[:4:4], ip6Dst(solicitedNode), hopLimit(255),
		frag(openflow.NoFragment), icmp6Code(0), ndSLL(noMAC)), to(tableOutsideND))
	w.add(t, 245, unspecified)
	w.optionless(t, 245, uplink)
	for _, kind := range []uint8{policy.RouterAdvertisement, policy.NeighborSolicitation,
		policy.NeighborAdvertisement} {
		w.add(t, 240, on(uplink, icmp6, hopLimit(255), frag(openflow.NoFragment), icmp6Type(kind),
			icmp6Code(0)), to(tableOutsideND))
	}
	for kind := policy.RouterSolicitation; kind <= policy.Redirect; kind++ {
		w.add(t, 230, on(uplink, icmp6, icmp6Type(kind)))
		w.add(t, 230, on(flags(OriginTrusted), icmp6, icmp6Type(kind)), to(tableND))
	}
	w.add(t, 220, on(flags(FlagFromOutside), proto(ovs.ProtocolARP)), to(tableARP))
	w.add(t, 100, on(flags(FlagFromOutside)), to(tableDestination))
	w.add(tableOutsideND, 100, on(icmp6), to(tableND))
}

// outsideGuardPort drops what an uplink sends in the name of one port, at layer 2 or in ARP and
// neighbour discovery. IP with its address is what a router sends on. A port that moves may speak
// from another host.
func (w *writer) outsideGuardPort(p *port) {
	if p.isMoving {
		return
	}
	t, uplink := tableOutsideGuard, flags(OriginUplink)
	w.add(t, 300, on(uplink, dlSrc(p.MAC)))
	w.add(t, 300, on(uplink, proto(ovs.ProtocolARP), arpSHA(p.MAC)))
	w.add(tableOutsideND, 300,
		on(proto(ovs.ProtocolICMPv6), icmp6Type(policy.NeighborSolicitation), icmp6Code(0), ndSLL(p.MAC)))
	w.add(tableOutsideND, 300,
		on(proto(ovs.ProtocolICMPv6), icmp6Type(policy.NeighborAdvertisement), icmp6Code(0),
			ndTLL(p.MAC)))
	for _, u := range p.own() {
		if u.Prefix.Addr().Is4() {
			w.add(t, 300, on(uplink, proto(ovs.ProtocolARP), arpSPA(u.Prefix)))
			continue
		}
		w.add(tableOutsideND, 300, on(proto(ovs.ProtocolICMPv6), ipSrc(u.Prefix)))
		w.add(tableOutsideND, 300, advertises(u.Prefix))
	}
}

// dispatch sends IP with an own source where it belongs: to the DHCP servers, to the egress rules,
// or, broadcast and multicast, nowhere. What is for one station is found first: whoever looks
// further asks for a destination, and the datapath then learns a flow for each (see
// TestFirstPassIsOfAPort).
func (w *writer) dispatch() {
	t := tableDispatch
	v4 := on(proto(ovs.ProtocolUDPv4), frag(openflow.NoFragment), udpSrc(68), udpDst(67))
	v6 := on(proto(ovs.ProtocolUDPv6), frag(openflow.NoFragment), udpSrc(546), udpDst(547))
	// a gateway may be a relay
	for _, server := range slices.Concat(w.site.DHCPServers, w.site.Gateways) {
		s := single(server)
		w.add(t, 400, append(on(toUnicast(), ipDst(s)), family(s, v4, v6)...), to(tableDestination))
	}
	w.add(t, 350, on(toUnicast(), proto(ovs.ProtocolIPv4)), to(tableEgressTrack))
	w.add(t, 350, on(toUnicast(), proto(ovs.ProtocolIPv6)), to(tableEgressTrack))
	w.add(t, 300, append(on(dlDst(policy.BroadcastMAC), ipDst(single(broadcast4))), v4...),
		to(tableOutward))
	w.add(t, 300, append(on(dlDst(policy.DHCPv6MAC), ip6Dst(single(dhcpv6Servers))), v6...),
		to(tableOutward))
	w.add(t, 250, on(toGroup()))
}

// nd lets out sound neighbour discovery of one kind: hop limit, code and "no fragment" are RFC
// 4861, section 7.1, and RFC 6980.
func (w *writer) nd(p *port, m policy.MAC, priority uint16, kind uint8, next TableID,
	more ...openflow.OXM) {
	sound := on(proto(ovs.ProtocolICMPv6), portKey(p.Zone), dlSrc(m), hopLimit(255),
		frag(openflow.NoFragment), icmp6Type(kind), icmp6Code(0))
	w.add(tableSourceGuard, priority, append(sound, more...),
		w.metered(p, meterDiscovery, to(next))...)
}

// detect lets out duplicate address detection: from nobody, to the solicited-node group, about an
// address of the port (RFC 4862, section 5.4.2).
func (w *writer) detect(p *port, m policy.MAC, priority uint16, target netip.Prefix, next TableID) {
	w.nd(p, m, priority, policy.NeighborSolicitation, next, ipSrc(single(netip.IPv6Unspecified())),
		ip6Dst(solicitedNode),
		ndTarget(target), ndSLL(noMAC))
}

// reports takes what an instance sends to groups on this link to the guard of listener reports.
func (w *writer) reports(p *port, m policy.MAC, from netip.Prefix, priority uint16, next TableID) {
	w.add(tableSourceGuard, priority,
		on(proto(ovs.ProtocolICMPv6), portKey(p.Zone), dlSrc(m), toGroup(), ipSrc(from),
			hopLimit(1), frag(openflow.NoFragment)), w.metered(p, meterDiscovery, to(next))...)
}

// linkLocalPart returns the link-local addresses of a network: all of it, all that there are, or
// none.
func linkLocalPart(n netip.Prefix) []netip.Prefix {
	switch {
	case policy.IsLinkLocal(n):
		return []netip.Prefix{n}
	case n.Overlaps(policy.LinkLocals):
		return []netip.Prefix{policy.LinkLocals}
	}
	return nil
}

// chosenLinkLocal lets out, of a port with IPv6, what hosts do before they have another address, or
// with one that they choose themselves (RFC 7217): discovery of routers and neighbours, listener
// reports, and DHCPv6. Whether the address may be chosen is looked at in table 11, after those that
// are listed.
func (w *writer) chosenLinkLocal(p *port) {
	nobody, chosen := single(netip.IPv6Unspecified()), policy.LinkLocalNet
	w.nd(p, p.MAC, 280, policy.RouterSolicitation, tableND, ipSrc(nobody))
	w.reports(p, p.MAC, nobody, 220, tableListenerGuard)

	key, icmp6 := portKey(p.Zone), proto(ovs.ProtocolICMPv6)
	w.detect(p, p.MAC, 286, chosen, tableNDGuard)
	for _, kind := range []uint8{policy.RouterSolicitation, policy.NeighborSolicitation,
		policy.NeighborAdvertisement} {
		w.nd(p, p.MAC, 275, kind, tableLinkLocal, ipSrc(chosen))
	}
	w.reports(p, p.MAC, chosen, 190, tableLinkLocal)
	w.add(tableSourceGuard, 190,
		on(proto(ovs.ProtocolUDPv6), key, dlSrc(p.MAC), dlDst(policy.DHCPv6MAC), ipSrc(chosen),
			ip6Dst(single(dhcpv6Servers)), frag(openflow.NoFragment), udpSrc(546), udpDst(547)),
		w.metered(p, meterDiscovery, to(tableLinkLocal))...)

	solicits := on(icmp6, key, icmp6Type(policy.NeighborSolicitation), icmp6Code(0))
	advertises := on(icmp6, key, icmp6Type(policy.NeighborAdvertisement), icmp6Code(0))
	w.add(tableLinkLocal, 200, append(solicits[:4:4], ndSLL(p.MAC)), to(tableOutward))
	w.add(tableLinkLocal, 200, append(advertises[:4:4], ndTLL(p.MAC)), to(tableNDGuard))
	w.add(tableNDGuard, 100, append(solicits, dlSrc(p.MAC), ndTarget(chosen)), to(tableOutward))
	w.add(tableNDGuard, 100, append(advertises, dlSrc(p.MAC), ndTarget(chosen)), to(tableOutward))
}

// linkLocal writes what is the same for all ports: which link-local addresses nobody chooses, and
// where each kind of discovery goes. An option that is absent needs no look at the port.
func (w *writer) linkLocal() {
	icmp6 := proto(ovs.ProtocolICMPv6)
	w.taken(func(f openflow.Field) openflow.OXM {
		return openflow.MaskedAddress(f, MadeOfMAC, MadeOfMACMask)
	})
	w.taken(within(policy.NumberedNet))
	for _, g := range w.site.Gateways {
		if g.IsLinkLocalUnicast() && g.Is6() {
			w.taken(within(single(g)))
		}
	}
	w.add(tableLinkLocal, 200, on(icmp6, icmp6Type(policy.RouterSolicitation), icmp6Code(0)),
		to(tableOutward))
	w.add(tableLinkLocal, 200,
		on(icmp6, icmp6Type(policy.NeighborSolicitation), icmp6Code(0), ndSLL(noMAC)), to(tableOutward))
	w.add(tableLinkLocal, 200,
		on(icmp6, icmp6Type(policy.NeighborAdvertisement), icmp6Code(0), ndTLL(noMAC)), to(tableNDGuard))
	// discovery, which has another hop limit, is above
	w.add(tableLinkLocal, 190, on(icmp6, hopLimit(1)), to(tableListenerGuard))
	w.add(tableLinkLocal, 200, on(proto(ovs.ProtocolUDPv6)), to(tableOutward))
	for _, kind := range []uint8{policy.ListenerReport, policy.ListenerDone, policy.ListenerReportV2} {
		w.add(tableListenerGuard, 100, on(icmp6, icmp6Type(kind), icmp6Code(0)), to(tableND))
	}
}

// taken keeps link-local addresses from being chosen: as the source and the target of discovery,
// and for DHCPv6 answers. What asks for one from outside has no port here, unless one lists it.
func (w *writer) taken(are func(openflow.Field) openflow.OXM) {
	w.add(tableLinkLocal, 300, on(proto(ovs.ProtocolIPv6), are(openflow.IPv6Src)))
	w.add(tableDHCPAnswer, 95, on(proto(ovs.ProtocolUDPv6), are(openflow.IPv6Dst)))
	for _, kind := range []uint8{policy.NeighborSolicitation, policy.NeighborAdvertisement} {
		about := on(proto(ovs.ProtocolICMPv6), icmp6Type(kind), icmp6Code(0), are(openflow.NDTarget))
		w.add(tableNDGuard, 150, about)
		if kind == policy.NeighborSolicitation {
			w.add(tableND, 157, append(about[:4:4], flags(FlagToUplinks)), w.toUplinks...)
			w.add(tableND, 156, about)
		}
	}
}

// within says for taken that a field is an address of a network.
func within(n netip.Prefix) func(openflow.Field) openflow.OXM {
	return func(f openflow.Field) openflow.OXM { return openflow.Network(f, n) }
}
