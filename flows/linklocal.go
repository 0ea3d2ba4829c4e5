package flows

import (
	"net/netip"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// nd lets out sound neighbour discovery of one kind: hop limit, code and "no fragment" are RFC 4861,
// section 7.1, and RFC 6980.
func (w *writer) nd(p *port, m policy.MAC, priority uint16, kind uint8, next TableID, more ...openflow.OXM) {
	sound := on(proto(ovs.ProtocolICMPv6), portKey(p.Zone), dlSrc(m), hopLimit(255), frag(openflow.NoFragment), icmp6Type(kind), icmp6Code(0))
	w.add(tableSourceGuard, priority, append(sound, more...), w.metered(p, meterDiscovery, to(next))...)
}

// detect lets out duplicate address detection: from nobody, to the solicited-node group, about an address
// of the port (RFC 4862, section 5.4.2).
func (w *writer) detect(p *port, m policy.MAC, priority uint16, target netip.Prefix, next TableID) {
	w.nd(p, m, priority, policy.NeighborSolicitation, next, ipSrc(single(netip.IPv6Unspecified())), ip6Dst(solicitedNode),
		ndTarget(target), ndSLL(noMAC))
}

// reports takes what an instance sends to groups on this link to the guard of listener reports.
func (w *writer) reports(p *port, m policy.MAC, from netip.Prefix, priority uint16, next TableID) {
	w.add(tableSourceGuard, priority, on(proto(ovs.ProtocolICMPv6), portKey(p.Zone), dlSrc(m), toGroup(), ipSrc(from),
		hopLimit(1), frag(openflow.NoFragment)), w.metered(p, meterDiscovery, to(next))...)
}

// linkLocalPart returns the link-local addresses of a network: all of it, all that there are, or none.
func linkLocalPart(n netip.Prefix) []netip.Prefix {
	switch {
	case policy.IsLinkLocal(n):
		return []netip.Prefix{n}
	case n.Overlaps(policy.LinkLocals):
		return []netip.Prefix{policy.LinkLocals}
	}
	return nil
}

// chosenLinkLocal lets out, of a port with IPv6, what hosts do before they have another address, or with
// one that they choose themselves (RFC 7217): discovery of routers and neighbours, listener reports, and
// DHCPv6. Whether the address may be chosen is looked at in table 11, after those that are listed.
func (w *writer) chosenLinkLocal(p *port) {
	nobody, chosen := single(netip.IPv6Unspecified()), policy.LinkLocalNet
	w.nd(p, p.MAC, 280, policy.RouterSolicitation, tableND, ipSrc(nobody))
	w.reports(p, p.MAC, nobody, 220, tableListenerGuard)

	key, icmp6 := portKey(p.Zone), proto(ovs.ProtocolICMPv6)
	w.detect(p, p.MAC, 286, chosen, tableNDGuard)
	for _, kind := range []uint8{policy.RouterSolicitation, policy.NeighborSolicitation, policy.NeighborAdvertisement} {
		w.nd(p, p.MAC, 275, kind, tableLinkLocal, ipSrc(chosen))
	}
	w.reports(p, p.MAC, chosen, 190, tableLinkLocal)
	w.add(tableSourceGuard, 190, on(proto(ovs.ProtocolUDPv6), key, dlSrc(p.MAC), dlDst(policy.DHCPv6MAC), ipSrc(chosen),
		ip6Dst(single(dhcpv6Servers)), frag(openflow.NoFragment), udpSrc(546), udpDst(547)), w.metered(p, meterDiscovery, to(tableLinkLocal))...)

	solicits := on(icmp6, key, icmp6Type(policy.NeighborSolicitation), icmp6Code(0))
	advertises := on(icmp6, key, icmp6Type(policy.NeighborAdvertisement), icmp6Code(0))
	w.add(tableLinkLocal, 200, append(solicits[:4:4], ndSLL(p.MAC)), to(tableOutward))
	w.add(tableLinkLocal, 200, append(advertises[:4:4], ndTLL(p.MAC)), to(tableNDGuard))
	w.add(tableNDGuard, 100, append(solicits, dlSrc(p.MAC), ndTarget(chosen)), to(tableOutward))
	w.add(tableNDGuard, 100, append(advertises, dlSrc(p.MAC), ndTarget(chosen)), to(tableOutward))
}

// linkLocal writes what is the same for all ports: which link-local addresses nobody chooses, and where
// each kind of discovery goes. An option that is absent needs no look at the port.
func (w *writer) linkLocal() {
	icmp6 := proto(ovs.ProtocolICMPv6)
	w.taken(func(f openflow.Field) openflow.OXM { return openflow.MaskedAddress(f, MadeOfMAC, MadeOfMACMask) })
	w.taken(within(policy.NumberedNet))
	for _, g := range w.site.Gateways {
		if g.IsLinkLocalUnicast() && g.Is6() {
			w.taken(within(single(g)))
		}
	}
	w.add(tableLinkLocal, 200, on(icmp6, icmp6Type(policy.RouterSolicitation), icmp6Code(0)), to(tableOutward))
	w.add(tableLinkLocal, 200, on(icmp6, icmp6Type(policy.NeighborSolicitation), icmp6Code(0), ndSLL(noMAC)), to(tableOutward))
	w.add(tableLinkLocal, 200, on(icmp6, icmp6Type(policy.NeighborAdvertisement), icmp6Code(0), ndTLL(noMAC)), to(tableNDGuard))
	w.add(tableLinkLocal, 200, on(icmp6, hopLimit(1)), to(tableListenerGuard))
	w.add(tableLinkLocal, 200, on(proto(ovs.ProtocolUDPv6)), to(tableOutward))
	for _, kind := range []uint8{policy.ListenerReport, policy.ListenerDone, policy.ListenerReportV2} {
		w.add(tableListenerGuard, 100, on(icmp6, icmp6Type(kind), icmp6Code(0)), to(tableND))
	}
}

// taken keeps link-local addresses from being chosen: as the source and the target of discovery, and for
// DHCPv6 answers. What asks for one from outside has no port here, unless one lists it.
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
