package flows

import (
	"net/netip"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/policy"
)

// classify gives each port's frames their key, epoch and origin:
//
//	table=0, priority=100,in_port=4,vlan_tci=0x0000/0x1fff actions=set_field:0x7->reg1,set_field:0x3->reg2,set_field:0x10/0x30->reg0,resubmit(,10)
func (w *writer) classify() {
	w.add(tableClassify, 200, on(ovs.DataLinkSource(groupMACs))) // L2-1: no group address is a source
	for _, u := range w.uplinks {
		w.enter(u.OFPort, originUplink, tableOutsideGuard)
	}
}

func (w *writer) classifyPort(p *port) {
	as := []ovs.Action{set(regPort, hex(uint32(p.Zone))), set(regEpoch, hex(p.Epoch))}
	if p.Trusted {
		w.enter(p.OFPort, originTrusted, tableOutsideGuard, as...)
	} else {
		w.enter(p.OFPort, originInstance, tableSourceGuard, as...)
	}
}

func (w *writer) enter(number uint32, origin string, next TableID, first ...ovs.Action) {
	w.add(tableClassify, 100, on(ofPort(number), ovs.VLANTCI(untagged, untaggedMask)), append(first, set(regFlags, origin), to(next))...)
}

// sourceGuard lets out only what is the instance's own, whatever its groups say (L2-1 to L2-5, L2-9).
func (w *writer) sourceGuard() {
	t := tableSourceGuard
	// What no instance may ever send. A fragmented answer shows its ports in its first fragment.
	w.add(t, 300, on(proto(ovs.ProtocolUDPv4), tpSrc(67), tpDst(68)))
	w.add(t, 300, on(proto(ovs.ProtocolUDPv6), tpSrc(547), tpDst(546)))
	w.forgedND(t, 290)
	for _, kind := range []uint8{policy.RouterSolicitation, policy.RouterAdvertisement, policy.NeighborSolicitation,
		policy.NeighborAdvertisement, policy.Redirect} {
		w.add(t, 270, on(proto(ovs.ProtocolICMPv6), icmpType(kind))) // what the flows of priority 280 do not let out
	}
}

func (w *writer) sourceGuardPort(p *port) {
	if p.Trusted {
		return
	}
	if p.has4() {
		w.add(tableSourceGuard, 200, on(proto(ovs.ProtocolUDPv4), portKey(p.Zone), dlSrc(p.MAC), dlDst(policy.BroadcastMAC), frag("no"),
			ovs.NetworkSource("0.0.0.0"), ovs.NetworkDestination("255.255.255.255"), tpSrc(68), tpDst(67)), w.metered(p, meterDiscovery, to(tableDispatch))...)
	}
	for _, e := range distinct(p.EtherTypes) {
		w.add(tableSourceGuard, 200, on(portKey(p.Zone), dlSrc(p.MAC), ovs.DataLinkDestination(unicastMACs), dlType(e)), to(tableDestination))
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

// guardIPv4 lets out IP and ARP with one own pair of MAC and address; a probe names it as the target only (RFC 5227, section 1.1).
func (w *writer) guardIPv4(p *port, u policy.Use) {
	key, mac := portKey(p.Zone), dlSrc(u.MAC)
	w.add(tableSourceGuard, 200, on(proto(ovs.ProtocolIPv4), key, mac, ipSrc(u.Prefix)), to(tableDispatch))
	w.add(tableSourceGuard, 200, on(proto(ovs.ProtocolARP), key, mac, arpSHA(u.MAC), arpSPA(u.Prefix)), w.metered(p, meterDiscovery, to(tableARP))...)
	w.add(tableSourceGuard, 200, on(proto(ovs.ProtocolARP), key, mac, arpSHA(u.MAC), arpSPA(single(netip.IPv4Unspecified())),
		arpTPA(u.Prefix), arpOp(policy.ARPRequest)), w.metered(p, meterDiscovery, to(tableARP))...)
}

// guardIPv6 lets out IP and neighbour discovery with one own pair. Link-layer options are the own MAC or absent; hop limit, code and
// "no fragment" are RFC 4861, section 7.1, and RFC 6980.
func (w *writer) guardIPv6(p *port, u policy.Use) {
	key, mac := portKey(p.Zone), dlSrc(u.MAC)
	w.add(tableSourceGuard, 200, on(proto(ovs.ProtocolIPv6), key, mac, ipSrc(u.Prefix)), to(tableDispatch))
	w.add(tableNDGuard, 200, on(proto(ovs.ProtocolICMPv6), key, mac, icmpType(policy.NeighborAdvertisement), icmpCode(0),
		ndTarget(u.Prefix)), to(tableND))
	nd := func(kind uint8, next TableID, more ...ovs.Match) {
		sound := on(proto(ovs.ProtocolICMPv6), key, mac, hopLimit255(), frag("no"), icmpType(kind), icmpCode(0))
		w.add(tableSourceGuard, 280, append(sound, more...), w.metered(p, meterDiscovery, to(next))...)
	}
	nd(policy.RouterSolicitation, tableND, ipSrc(u.Prefix))
	for _, option := range []string{u.MAC.String(), noMAC} {
		nd(policy.NeighborSolicitation, tableND, ipSrc(u.Prefix), ndSLL(option))
		nd(policy.NeighborAdvertisement, tableNDGuard, ipSrc(u.Prefix), ndTLL(option))
	}
	// Duplicate address detection: from nobody, to the solicited-node group, about an own address (RFC 4862, section 5.4.2).
	nd(policy.NeighborSolicitation, tableND, ipSrc(single(netip.IPv6Unspecified())), ovs.IPv6Destination(solicitedNode),
		ndTarget(u.Prefix), ndSLL(noMAC))
}

// forgedND drops solicitations and advertisements that Open vSwitch could not parse: it shows them with an empty target and no options.
func (w *writer) forgedND(t TableID, priority uint16, from ...ovs.Match) {
	for _, kind := range []uint8{policy.NeighborSolicitation, policy.NeighborAdvertisement} {
		forged := on(proto(ovs.ProtocolICMPv6), icmpType(kind), icmpCode(0), ndTarget(single(netip.IPv6Unspecified())))
		w.add(t, priority, append(forged, from...))
	}
}

// outsideGuard drops forged neighbour discovery of an uplink, and with outsideGuardPort all that it sends in the name of a local port
// (L2-8). Trusted ports are not filtered (L2-9).
func (w *writer) outsideGuard() {
	t, uplink := tableOutsideGuard, reg(regFlags, originUplink)
	w.forgedND(t, 250, uplink)
	for _, kind := range []uint8{policy.RouterAdvertisement, policy.NeighborSolicitation, policy.NeighborAdvertisement} {
		w.add(t, 240, on(uplink, proto(ovs.ProtocolICMPv6), hopLimit255(), frag("no"), icmpType(kind), icmpCode(0)), to(tableND))
	}
	for kind := policy.RouterSolicitation; kind <= policy.Redirect; kind++ {
		w.add(t, 230, on(uplink, proto(ovs.ProtocolICMPv6), icmpType(kind)))
		w.add(t, 230, on(reg(regFlags, originTrusted), proto(ovs.ProtocolICMPv6), icmpType(kind)), to(tableND))
	}
	w.add(t, 220, on(reg(regFlags, fromOutside), proto(ovs.ProtocolARP)), to(tableARP))
	w.add(t, 100, on(reg(regFlags, fromOutside)), to(tableDestination))
}

// outsideGuardPort drops what an uplink sends in the name of one port.
func (w *writer) outsideGuardPort(p *port) {
	t, uplink := tableOutsideGuard, reg(regFlags, originUplink)
	w.add(t, 300, on(uplink, dlSrc(p.MAC)))
	w.add(t, 300, on(uplink, proto(ovs.ProtocolARP), arpSHA(p.MAC)))
	own := policy.Port{MAC: p.MAC, Addresses: p.Addresses}
	for _, u := range own.Uses() {
		w.add(t, 300, on(uplink, proto(ipProto(u.Prefix)), ipSrc(u.Prefix)))
		if u.Prefix.Addr().Is4() {
			w.add(t, 300, on(uplink, proto(ovs.ProtocolARP), arpSPA(u.Prefix)))
		} else {
			w.add(t, 300, on(uplink, proto(ovs.ProtocolICMPv6), icmpType(policy.NeighborAdvertisement), icmpCode(0), ndTarget(u.Prefix)))
		}
	}
}

// dispatch sends IP with an own source where it belongs: to the DHCP servers, to the egress rules, or, broadcast and multicast, nowhere.
func (w *writer) dispatch() {
	t := tableDispatch
	v4 := on(proto(ovs.ProtocolUDPv4), frag("no"), tpSrc(68), tpDst(67))
	v6 := on(proto(ovs.ProtocolUDPv6), frag("no"), tpSrc(546), tpDst(547))
	w.add(t, 300, append(on(dlDst(policy.BroadcastMAC), ovs.NetworkDestination("255.255.255.255")), v4...), to(tableDHCP))
	w.add(t, 300, append(on(dlDst(policy.DHCPv6MAC), ovs.IPv6Destination(dhcpv6Servers)), v6...), to(tableDHCP))
	w.add(t, 250, on(ovs.DataLinkDestination(groupMACs)))
	if len(w.site.DHCPServers) == 0 {
		w.add(t, 200, v4, to(tableDestination))
		w.add(t, 200, v6, to(tableDestination))
	}
	for _, server := range w.site.DHCPServers {
		s := single(server)
		w.add(t, 200, append(on(ipDst(s)), family(s, v4, v6)...), to(tableDestination))
	}
	w.add(t, 100, on(proto(ovs.ProtocolIPv4)), to(tableEgressTrack))
	w.add(t, 100, on(proto(ovs.ProtocolIPv6)), to(tableEgressTrack))
}
