package flows

import (
	"net/netip"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/policy"
)

// Requests and solicitations go to the owner of the longest network around the target; the odd priorities are for a sender who
// asks about an address of its own (a probe, an announcement), of which the uplinks hear too.
const askPriority = 200

// asks lists the flows for one way of asking: ARP or neighbour solicitation.
func (c *compiler) asks(t TableID, want func(netip.Addr) bool, question func(netip.Prefix) []ovs.Match) {
	for network, owners := range c.owners(want) {
		priority := askPriority + 2*uint16(network.Bits())
		c.add(t, priority, question(network), deliver(owners, nil)...)
		for _, p := range owners {
			c.add(t, priority+1, append(question(network), portKey(p.Zone)), all(deliver(owners, p), c.uplinks)...)
		}
	}
}

// arp delivers ARP (L2-6, L2-7, L2-8):
//
//	table=20, priority=264,arp,arp_tpa=203.0.113.11,arp_op=1 actions=output:4
func (c *compiler) arp() {
	t, arp := tableARP, proto(ovs.ProtocolARP)
	reply, group := arpOp(policy.ARPReply), ovs.DataLinkDestination(groupMACs)
	for _, g := range c.Site.Gateways {
		if g.Is4() {
			c.announce(t, on(arp, dlDst(policy.BroadcastMAC), arpSPA(single(g)), arpTPA(single(g))), c.where((*port).has4))
		}
	}
	c.asks(t, netip.Addr.Is4, func(target netip.Prefix) []ovs.Match { return on(arp, arpTPA(target), arpOp(policy.ARPRequest)) })
	for mac, owners := range c.macs(netip.Addr.Is4) {
		c.add(t, 150, on(arp, dlDst(mac), reply), deliver(owners, nil)...)
	}
	c.add(t, 140, on(arp, reg(regFlags, originTrusted), group, reply), c.uplinks...)
	for _, p := range c.ports {
		for _, u := range p.uses {
			if u.Prefix.Addr().Is4() { // an announcement by broadcast reply
				c.add(t, 140, on(arp, portKey(p.Zone), reg(regFlags, originInstance), dlSrc(u.MAC), group, arpTPA(u.Prefix), reply), c.uplinks...)
			}
		}
	}
	c.add(t, 130, on(arp, group, reply))
	c.add(t, 120, on(arp, reg(regFlags, toUplinks), arpOp(policy.ARPRequest)), c.uplinks...)
	c.add(t, 120, on(arp, reg(regFlags, toUplinks), reply), c.uplinks...)
}

// announce takes what a router says to everybody to ports; from a trusted port it goes to the uplinks too.
func (c *compiler) announce(t TableID, what []ovs.Match, ports []*port) {
	c.add(t, 900, append(on(reg(regFlags, originUplink)), what...), deliver(ports, nil)...)
	c.add(t, 900, append(on(reg(regFlags, originTrusted)), what...), all(deliver(ports, nil), c.uplinks)...)
}

// nd delivers neighbour discovery, as arp does ARP:
//
//	table=21, priority=456,icmp6,icmp_type=135,icmp_code=0,nd_target=2001:db8::11 actions=output:4
func (c *compiler) nd() {
	t := tableND
	kind := func(k uint8) []ovs.Match { return on(proto(ovs.ProtocolICMPv6), icmpType(k)) }
	v6 := c.where((*port).has6)
	everybody := dlDst(policy.AllNodesMAC)
	c.announce(t, append(kind(policy.RouterAdvertisement), everybody), v6)
	for _, g := range c.Site.Gateways {
		if g.Is6() {
			c.announce(t, append(kind(policy.NeighborAdvertisement), icmpCode(0), everybody, ndTarget(single(g))), v6)
		}
	}
	c.asks(t, netip.Addr.Is6, func(target netip.Prefix) []ovs.Match {
		return append(kind(policy.NeighborSolicitation), icmpCode(0), ndTarget(target))
	})
	c.add(t, 150, append(kind(policy.RouterSolicitation), reg(regFlags, toUplinks)), all(deliver(c.where((*port).trusted), nil), c.uplinks)...)
	c.add(t, 150, append(kind(policy.NeighborSolicitation), reg(regFlags, toUplinks)), c.uplinks...)
	c.add(t, 145, kind(policy.NeighborSolicitation))
	for mac, owners := range c.macs(netip.Addr.Is6) {
		c.add(t, 140, on(proto(ovs.ProtocolICMPv6), dlDst(mac)), deliver(owners, nil)...)
	}
	c.add(t, 120, on(proto(ovs.ProtocolICMPv6), reg(regFlags, toUplinks)), c.uplinks...)
}

// dhcp delivers what DHCP clients broadcast (L2-5, L2-7).
func (c *compiler) dhcp() {
	servers := all(deliver(c.where((*port).trusted), nil), c.uplinks)
	c.add(tableDHCP, 100, on(proto(ovs.ProtocolUDPv4)), servers...)
	c.add(tableDHCP, 100, on(proto(ovs.ProtocolUDPv6)), servers...)
}

// destination finds the ports of a unicast frame and puts each, one after the other, under judgement:
//
//	table=40, priority=200,dl_dst=02:00:00:00:00:11 actions=set_field:0x7->reg1,set_field:0x3->reg2,set_field:0/0x1->reg0,resubmit(,41)
func (c *compiler) destination() {
	t, group := tableDestination, ovs.DataLinkDestination(groupMACs)
	c.add(t, 300, on(reg(regFlags, originTrusted), group), c.uplinks...)
	c.add(t, 290, on(group))
	for mac, owners := range c.macs(nil) {
		var as []ovs.Action
		for _, p := range owners {
			as = append(as, set(regPort, hex(uint32(p.Zone))), set(regEpoch, hex(p.Epoch)), set(regFlags, flagUndecided), to(tableDestinationGuard))
		}
		c.add(t, 200, on(dlDst(mac)), as...)
	}
	c.add(t, 100, on(reg(regFlags, toUplinks)), c.uplinks...)
}

// destinationGuard lets a port have what is for an address of its own, and DHCP answers from outside (L2-5, L2-6).
func (c *compiler) destinationGuard() {
	t := tableDestinationGuard
	v4 := on(proto(ovs.ProtocolUDPv4), tpSrc(67), tpDst(68))
	v6 := on(proto(ovs.ProtocolUDPv6), tpSrc(547), tpDst(546))
	whole := on(reg(regFlags, fromOutside), frag("no"))
	if len(c.Site.DHCPServers) == 0 {
		c.add(t, 290, append(v4[:len(v4):len(v4)], whole...), to(tableOutput))
		c.add(t, 290, append(v6[:len(v6):len(v6)], whole...), to(tableOutput))
	}
	for _, server := range c.Site.DHCPServers {
		s := single(server)
		c.add(t, 290, append(on(ipSrc(s)), append(whole, family(s, v4, v6)...)...), to(tableOutput))
	}
	c.add(t, 280, v4)
	c.add(t, 280, v6)
	for _, p := range c.ports {
		if p.Trusted {
			c.add(t, 300, on(portKey(p.Zone)), to(tableOutput))
			continue
		}
		for _, e := range distinct(p.EtherTypes) {
			c.add(t, 200, on(portKey(p.Zone), dlType(e)), to(tableOutput))
		}
		for _, n := range append(p.networks(netip.Addr.Is4), p.networks(netip.Addr.Is6)...) {
			c.add(t, 200, on(proto(ipProto(n)), portKey(p.Zone), ipDst(n)), to(tableIngressTrack))
		}
	}
}

// output sends a packet out of the port under judgement, by number: nothing is ever flooded.
func (c *compiler) output() {
	for _, p := range c.ports {
		c.add(tableOutput, 100, on(portKey(p.Zone)), ovs.Output(int(p.OFPort)))
	}
}
