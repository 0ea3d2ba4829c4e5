package flows

import (
	"net/netip"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/policy"
)

// classify gives each port's frames their key, epoch and origin:
//
//	table=0, priority=100,in_port=4,vlan_tci=0x0000/0x1fff actions=set_field:0x7->reg1,set_field:0x3->reg2,set_field:0x10/0x30->reg0,resubmit(,10)
func (c *compiler) classify() {
	c.add(tableClassify, 200, on(ovs.DataLinkSource(groupMACs))) // L2-1: no group address is a source
	enter := func(number uint32, origin string, next TableID, first ...ovs.Action) {
		c.add(tableClassify, 100, on(ofPort(number), ovs.VLANTCI(untagged, untaggedMask)),
			append(first, set(regFlags, origin), to(next))...)
	}
	for _, u := range c.Uplinks {
		enter(u.OFPort, originUplink, tableOutsideGuard)
	}
	for _, p := range c.ports {
		as := []ovs.Action{set(regPort, hex(uint32(p.Zone))), set(regEpoch, hex(p.Epoch))}
		if p.Trusted {
			enter(p.OFPort, originTrusted, tableOutsideGuard, as...)
		} else {
			enter(p.OFPort, originInstance, tableSourceGuard, as...)
		}
	}
}

// sourceGuard lets out only what is the instance's own, whatever its groups say (L2-1 to L2-5, L2-9).
func (c *compiler) sourceGuard() {
	t := tableSourceGuard
	// What no instance may ever send. A fragmented answer shows its ports in its first fragment.
	c.add(t, 300, on(proto(ovs.ProtocolUDPv4), tpSrc(67), tpDst(68)))
	c.add(t, 300, on(proto(ovs.ProtocolUDPv6), tpSrc(547), tpDst(546)))
	c.forgedND(t, 290)
	for _, kind := range []uint8{policy.RouterSolicitation, policy.RouterAdvertisement, policy.NeighborSolicitation,
		policy.NeighborAdvertisement, policy.Redirect} {
		c.add(t, 270, on(proto(ovs.ProtocolICMPv6), icmpType(kind))) // what the flows of priority 280 do not let out
	}
	for _, p := range c.ports {
		if p.Trusted {
			continue
		}
		if p.has4() {
			c.add(t, 200, on(proto(ovs.ProtocolUDPv4), portKey(p.Zone), dlSrc(p.MAC), dlDst(policy.BroadcastMAC), frag("no"),
				ovs.NetworkSource("0.0.0.0"), ovs.NetworkDestination("255.255.255.255"), tpSrc(68), tpDst(67)), c.metered(p, meterDiscovery, to(tableDispatch))...)
		}
		for _, e := range distinct(p.EtherTypes) {
			c.add(t, 200, on(portKey(p.Zone), dlSrc(p.MAC), ovs.DataLinkDestination(unicastMACs), dlType(e)), to(tableDestination))
		}
		for _, u := range p.uses {
			c.meterClients(p, u)
			if u.Prefix.Addr().Is4() {
				c.guardIPv4(p, u)
			} else {
				c.guardIPv6(p, u)
			}
		}
	}
}

// guardIPv4 lets out IP and ARP with one own pair of MAC and address; a probe names it as the target only (RFC 5227, section 1.1).
func (c *compiler) guardIPv4(p port, u policy.Use) {
	key, mac := portKey(p.Zone), dlSrc(u.MAC)
	c.add(tableSourceGuard, 200, on(proto(ovs.ProtocolIPv4), key, mac, ipSrc(u.Prefix)), to(tableDispatch))
	c.add(tableSourceGuard, 200, on(proto(ovs.ProtocolARP), key, mac, arpSHA(u.MAC), arpSPA(u.Prefix)), c.metered(p, meterDiscovery, to(tableARP))...)
	c.add(tableSourceGuard, 200, on(proto(ovs.ProtocolARP), key, mac, arpSHA(u.MAC), arpSPA(single(netip.IPv4Unspecified())),
		arpTPA(u.Prefix), arpOp(policy.ARPRequest)), c.metered(p, meterDiscovery, to(tableARP))...)
}

// guardIPv6 lets out IP and neighbour discovery with one own pair. Link-layer options are the own MAC or absent; hop limit, code and
// "no fragment" are RFC 4861, section 7.1, and RFC 6980.
func (c *compiler) guardIPv6(p port, u policy.Use) {
	key, mac := portKey(p.Zone), dlSrc(u.MAC)
	c.add(tableSourceGuard, 200, on(proto(ovs.ProtocolIPv6), key, mac, ipSrc(u.Prefix)), to(tableDispatch))
	c.add(tableNDGuard, 200, on(proto(ovs.ProtocolICMPv6), key, mac, icmpType(policy.NeighborAdvertisement), icmpCode(0),
		ndTarget(u.Prefix)), to(tableND))
	nd := func(kind uint8, next TableID, more ...ovs.Match) {
		sound := on(proto(ovs.ProtocolICMPv6), key, mac, hopLimit255(), frag("no"), icmpType(kind), icmpCode(0))
		c.add(tableSourceGuard, 280, append(sound, more...), c.metered(p, meterDiscovery, to(next))...)
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
func (c *compiler) forgedND(t TableID, priority uint16) {
	for _, kind := range []uint8{policy.NeighborSolicitation, policy.NeighborAdvertisement} {
		c.add(t, priority, on(proto(ovs.ProtocolICMPv6), icmpType(kind), icmpCode(0), ndTarget(single(netip.IPv6Unspecified()))))
	}
}

// outsideGuard drops what an uplink sends in the name of a local port (L2-8). Trusted ports are not filtered (L2-9).
func (c *compiler) outsideGuard() {
	t, uplink := tableOutsideGuard, reg(regFlags, originUplink)
	for _, p := range c.ports {
		c.add(t, 300, on(uplink, dlSrc(p.MAC)))
		c.add(t, 300, on(uplink, proto(ovs.ProtocolARP), arpSHA(p.MAC)))
		own := policy.Port{MAC: p.MAC, Addresses: p.Addresses}
		for _, u := range own.Uses() {
			c.add(t, 300, on(uplink, proto(ipProto(u.Prefix)), ipSrc(u.Prefix)))
			if u.Prefix.Addr().Is4() {
				c.add(t, 300, on(uplink, proto(ovs.ProtocolARP), arpSPA(u.Prefix)))
			} else {
				c.add(t, 300, on(uplink, proto(ovs.ProtocolICMPv6), icmpType(policy.NeighborAdvertisement), icmpCode(0), ndTarget(u.Prefix)))
			}
		}
	}
	for _, kind := range []uint8{policy.NeighborSolicitation, policy.NeighborAdvertisement} {
		c.add(t, 250, on(uplink, proto(ovs.ProtocolICMPv6), icmpType(kind), icmpCode(0), ndTarget(single(netip.IPv6Unspecified()))))
	}
	for _, kind := range []uint8{policy.RouterAdvertisement, policy.NeighborSolicitation, policy.NeighborAdvertisement} {
		c.add(t, 240, on(uplink, proto(ovs.ProtocolICMPv6), hopLimit255(), frag("no"), icmpType(kind), icmpCode(0)), to(tableND))
	}
	for kind := policy.RouterSolicitation; kind <= policy.Redirect; kind++ {
		c.add(t, 230, on(uplink, proto(ovs.ProtocolICMPv6), icmpType(kind)))
		c.add(t, 230, on(reg(regFlags, originTrusted), proto(ovs.ProtocolICMPv6), icmpType(kind)), to(tableND))
	}
	c.add(t, 220, on(reg(regFlags, fromOutside), proto(ovs.ProtocolARP)), to(tableARP))
	c.add(t, 100, on(reg(regFlags, fromOutside)), to(tableDestination))
}

// dispatch sends IP with an own source where it belongs: to the DHCP servers, to the egress rules, or, broadcast and multicast, nowhere.
func (c *compiler) dispatch() {
	t := tableDispatch
	v4 := on(proto(ovs.ProtocolUDPv4), frag("no"), tpSrc(68), tpDst(67))
	v6 := on(proto(ovs.ProtocolUDPv6), frag("no"), tpSrc(546), tpDst(547))
	c.add(t, 300, append(on(dlDst(policy.BroadcastMAC), ovs.NetworkDestination("255.255.255.255")), v4...), to(tableDHCP))
	c.add(t, 300, append(on(dlDst(policy.DHCPv6MAC), ovs.IPv6Destination(dhcpv6Servers)), v6...), to(tableDHCP))
	c.add(t, 250, on(ovs.DataLinkDestination(groupMACs)))
	if len(c.Site.DHCPServers) == 0 {
		c.add(t, 200, v4, to(tableDestination))
		c.add(t, 200, v6, to(tableDestination))
	}
	for _, server := range c.Site.DHCPServers {
		s := single(server)
		c.add(t, 200, append(on(ipDst(s)), family(s, v4, v6)...), to(tableDestination))
	}
	c.add(t, 100, on(proto(ovs.ProtocolIPv4)), to(tableEgressTrack))
	c.add(t, 100, on(proto(ovs.ProtocolIPv6)), to(tableEgressTrack))
}
