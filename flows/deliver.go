package flows

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// write writes the flows of all stages that are about no port in particular; a miss is a drop.
func (e *static) write(w *writer) {
	for _, t := range Pipeline() {
		w.add(t.ID, 0, nil)
	}
	w.classify()
	w.sourceGuard()
	w.outsideGuard()
	w.dispatch()
	w.arp()
	w.discovery()
	w.linkLocal()
	w.outward()
	w.announce()
	w.track()
	w.outsideFragments()
	w.state(egress)
	w.state(ingress)
	w.destination()
	w.destinationGuard()
}

// Requests and solicitations go to the owner of the longest network around the target; the odd
// priorities are for a sender who asks about an address of its own (a probe, an announcement), of
// which the uplinks hear too.
const requestPriority = 200

// write lists the flows for the one way of asking about a network: ARP or neighbour solicitation.
//
//	table=20, priority=264,arp,arp_tpa=203.0.113.11,arp_op=1 actions=output:4
func (o *addressOwners) write(w *writer) {
	if len(o.ports) == 0 {
		return
	}
	t, question := tableARP, on(proto(ovs.ProtocolARP), arpTPA(o.network), arpOp(policy.ARPRequest))
	if o.network.Addr().Is6() {
		t, question = tableND,
			on(proto(ovs.ProtocolICMPv6), icmp6Type(policy.NeighborSolicitation), icmp6Code(0),
				ndTarget(o.network))
	}
	priority := requestPriority + 2*uint16(o.network.Bits())
	w.addBothWays(t, priority, question, o.ports, deliver(o.ports, nil))
	for _, p := range o.ports {
		w.addAbout(about{port: p}, t, priority+1,
			append(question[:len(question):len(question)], portKey(p.Zone)),
			all(deliver(o.ports, p), w.toUplinks)...)
	}
}

// write takes unicast frames to the ports that use a MAC: answers of ARP, neighbour discovery, and
// all else under the judgement of each port, one after the other.
//
//	table=40, priority=200,dl_dst=02:00:00:00:00:11 actions=set_field:0x7->reg1,set_field:0x3->reg2,set_field:0/0x1->reg0,resubmit(,41)
func (s *macTarget) write(w *writer) {
	var v4, v6 []*port
	var as []openflow.Action
	for _, p := range byZone(s.ports) {
		as = append(as, setPort(p.Zone), setEpoch(p.Epoch), setFlags(FlagUndecided),
			to(tableDestinationGuard))
		if p.macs()[s.mac] && p.has4() {
			v4 = append(v4, p)
		}
		if p.macs()[s.mac] && p.has6() {
			v6 = append(v6, p)
		}
	}
	if len(v4) > 0 {
		w.addBothWays(tableARP, 150, on(proto(ovs.ProtocolARP), dlDst(s.mac),
			arpOp(policy.ARPReply)), v4, deliver(v4, nil))
	}
	if len(v6) > 0 {
		w.addBothWays(tableND, 140, on(proto(ovs.ProtocolICMPv6), dlDst(s.mac)), v6,
			deliver(v6, nil))
		w.add(tableND, 155, append(asksChosen(), dlDst(s.mac)), deliver(v6, nil)...)
	}
	if len(s.ports) > 0 {
		w.addBothWays(tableDestination, 200, on(dlDst(s.mac)), s.ports, as)
	}
	if anyMoves(s.ports) {
		for _, m := range ownMACs(s.ports) { // what is an instance's own reaches no other one
			w.add(tableDestination, 210, on(dlDst(s.mac), dlSrc(m), flags(FlagToUplinks)), as...)
		}
	}
}

// ownMACs are the MACs of ports, in order.
func ownMACs(ports []*port) []policy.MAC {
	var out []policy.MAC
	for _, p := range ports {
		for m := range p.macs() {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b policy.MAC) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(out)
}

// addBothWays adds a flow that delivers to ports. While one of them moves, what does not come from
// the uplinks goes there, too: the port may be on the other host already, or still.
func (w *writer) addBothWays(t TableID, priority uint16, match []openflow.OXM, ports []*port,
	as []openflow.Action) {
	if !anyMoves(ports) {
		w.add(t, priority, match, as...)
		return
	}
	match = match[:len(match):len(match)]
	w.add(t, priority, append(match, flags(OriginUplink)), as...)
	w.add(t, priority, append(match, flags(FlagToUplinks)), all(w.toUplinks, as)...)
}

// arp delivers ARP, with the owners of addresses and the macTargets (L2-6, L2-7, L2-8).
func (w *writer) arp() {
	t, arp := tableARP, proto(ovs.ProtocolARP)
	reply, group := arpOp(policy.ARPReply), toGroup()
	for _, g := range w.site.Gateways {
		if g.Is4() {
			w.add(t, 900, on(arp, flags(FlagFromOutside), dlDst(policy.BroadcastMAC), arpSPA(single(g)),
				arpTPA(single(g))), to(tableAnnounce))
		}
	}
	w.add(t, 140, on(arp, flags(OriginTrusted), group, reply), w.toUplinks...)
	w.add(t, 130, on(arp, group, reply))
	w.add(t, 120, on(arp, flags(FlagToUplinks), arpOp(policy.ARPRequest)), w.toUplinks...)
	w.add(t, 120, on(arp, flags(FlagToUplinks), reply), w.toUplinks...)
	w.add(t, 120, on(proto(protoRARP), flags(FlagToUplinks)), w.toUplinks...)
}

// announcedPort lets the uplinks hear what a port announces of itself by a broadcast answer.
func (w *writer) announcedPort(p *port) {
	for _, u := range p.uses {
		if u.Prefix.Addr().Is4() {
			w.add(tableARP, 140,
				on(proto(ovs.ProtocolARP), portKey(p.Zone), flags(OriginInstance), dlSrc(u.MAC),
					toGroup(), arpTPA(u.Prefix), arpOp(policy.ARPReply)), w.toUplinks...)
		}
	}
}

// discovery delivers neighbour and listener discovery, as arp does ARP.
func (w *writer) discovery() {
	t := tableND
	kind := func(k uint8) []openflow.OXM { return on(proto(ovs.ProtocolICMPv6), icmp6Type(k)) }
	outside, allNodes := flags(FlagFromOutside), dlDst(policy.AllNodesMAC)
	w.add(t, 900, append(kind(policy.RouterAdvertisement), outside, allNodes), to(tableAnnounce))
	for _, g := range w.site.Gateways {
		if g.Is6() {
			w.add(t, 900, append(advertises(single(g)), outside, allNodes), to(tableAnnounce))
		}
	}
	w.add(t, 155, append(asksChosen(), toGroup()), to(tableAnnounce))
	w.add(t, 150, append(kind(policy.RouterSolicitation), flags(FlagToUplinks)), to(tableOutward))
	w.add(t, 150, append(kind(policy.NeighborSolicitation), flags(FlagToUplinks)), w.toUplinks...)
	w.add(t, 145, kind(policy.NeighborSolicitation))
	w.add(t, 120, on(proto(ovs.ProtocolICMPv6), flags(FlagToUplinks)), w.toUplinks...)
}

// asksChosen matches what asks from outside for a link-local address that a host may have chosen.
// Who has it is not known.
func asksChosen() []openflow.OXM {
	return on(proto(ovs.ProtocolICMPv6), flags(FlagFromOutside),
		icmp6Type(policy.NeighborSolicitation), icmp6Code(0),
		ndTarget(policy.LinkLocalNet))
}

// outward delivers what is for servers and routers, whoever they are (L2-5, L2-7).
func (w *writer) outward() {
	w.add(tableOutward, 100, nil, all(deliver(w.filterPorts((*port).trusted), nil), w.toUplinks)...)
}

// announce delivers what all ports of a family must hear; what does not come from an uplink goes to
// the uplinks, too.
func (w *writer) announce() {
	for _, to := range []struct {
		proto ovs.Protocol
		ports []*port
	}{{ovs.ProtocolARP, w.filterPorts((*port).has4)}, {ovs.ProtocolICMPv6, w.filterPorts((*port).has6)}} {
		w.add(tableAnnounce, 200, on(proto(to.proto), flags(FlagToUplinks)),
			all(deliver(to.ports, nil), w.toUplinks)...)
		w.add(tableAnnounce, 100, on(proto(to.proto)), deliver(to.ports, nil)...)
	}
}

// destination sends unicast frames that are for no macTarget here to the uplinks, and all others
// nowhere, but for listener queries.
func (w *writer) destination() {
	t, group := tableDestination, toGroup()
	w.add(t, 320, on(flags(FlagFromOutside), proto(ovs.ProtocolICMPv6), group,
		ipSrc(policy.LinkLocals), hopLimit(1), frag(openflow.NoFragment),
		icmp6Type(policy.ListenerQuery), icmp6Code(0)), to(tableAnnounce))
	w.add(t, 300, on(flags(OriginTrusted), group), w.toUplinks...)
	w.add(t, 290, on(group))
	w.add(t, 100, on(flags(FlagToUplinks)), w.toUplinks...)
}

// destinationGuard lets a port have what is for an address of its own, and DHCP answers from
// outside (L2-5, L2-6).
func (w *writer) destinationGuard() {
	t := tableDestinationGuard
	v4 := on(proto(ovs.ProtocolUDPv4), udpSrc(67), udpDst(68))
	v6 := on(proto(ovs.ProtocolUDPv6), udpSrc(547), udpDst(546))
	whole := on(flags(FlagFromOutside), frag(openflow.NoFragment))
	if len(w.site.DHCPServers) == 0 {
		w.add(t, 290, append(v4[:len(v4):len(v4)], whole...), to(tableDHCPAnswer))
		w.add(t, 290, append(v6[:len(v6):len(v6)], whole...), to(tableDHCPAnswer))
	}
	for _, server := range w.site.DHCPServers {
		s := single(server)
		w.add(t, 290, append(on(ipSrc(s)), append(whole, family(s, v4, v6)...)...), to(tableDHCPAnswer))
	}
	w.add(t, 280, v4)
	w.add(t, 280, v6)
}

func (w *writer) destinationGuardPort(p *port) {
	t := tableDestinationGuard
	if p.Trusted {
		w.add(t, 300, on(portKey(p.Zone)), to(tableOutput))
		return
	}
	for _, e := range distinct(p.EtherTypes) {
		w.add(t, 200, on(portKey(p.Zone), dlType(e)), to(tableOutput))
	}
	for _, n := range p.networks() {
		w.add(t, 200, on(proto(ipProto(n)), portKey(p.Zone), ipDst(n)), to(tableIngressTrack))
	}
	w.dhcpAnswers(p)
}

// dhcpAnswers lets a port have DHCP answers for an address of its own, for all, and for the
// link-local addresses that it may use.
func (w *writer) dhcpAnswers(p *port) {
	answer := func(priority uint16, n netip.Prefix) {
		w.add(tableDHCPAnswer, priority,
			on(proto(family(n, ovs.ProtocolUDPv4, ovs.ProtocolUDPv6)), portKey(p.Zone), ipDst(n)),
			to(tableOutput))
	}
	for _, u := range p.own() {
		answer(100, u.Prefix)
	}
	if p.has4() {
		answer(100, single(netip.AddrFrom4([4]byte{255, 255, 255, 255})))
	}
	if p.has6() {
		answer(100, single(p.MAC.LinkLocal()))
		answer(90, policy.LinkLocalNet)
	}
}

// output sends a packet out of the port under judgement, by number: nothing is ever flooded.
func (w *writer) output(p *port) {
	w.add(tableOutput, 100, on(portKey(p.Zone)), openflow.Output{Port: uint32(p.OFPort)})
}

// Announcement says that an address is at a MAC now: what an instance would say of itself, told by
// the host where the policy moved the address, because neighbours go on to the old MAC until they
// ask again.
type Announcement struct {
	Address netip.Addr
	MAC     policy.MAC
	OFPort  uint32 // of the port that has the address, which is not told; 0 = it is on another host
}

// AnnounceActions are the actions that take an announcement to the local ports of its family, by
// the table that the program has for that, and nowhere else.
func AnnounceActions() openflow.Actions { return openflow.NewActions(to(tableAnnounce)) }

// Frame returns the announcement as an Ethernet frame: a gratuitous ARP request (RFC 5227, section
// 3), or an unsolicited neighbour advertisement that overrides what is known (RFC 4861, section
// 7.2.6).
func (a Announcement) Frame() []byte {
	if a.Address.Is4() {
		return a.arp()
	}
	return a.advertisement()
}

func (a Announcement) arp() []byte {
	const leastFrame = 60 // without the checksum (IEEE 802.3)
	address := a.Address.AsSlice()
	b := ethernet(policy.BroadcastMAC, a.MAC, policy.EtherARP)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, byte(policy.ARPRequest)) // Ethernet, IPv4, their lengths
	b = append(append(b, a.MAC[:]...), address...)
	b = append(append(b, make([]byte, 6)...), address...)
	return append(b, make([]byte, leastFrame-len(b))...)
}

func (a Announcement) advertisement() []byte {
	const override, targetOption, hopLimit = 0x20, 2, 255
	allNodes := netip.MustParseAddr("ff02::1").As16()
	address := a.Address.As16()
	body := []byte{policy.NeighborAdvertisement, 0, 0, 0, override, 0, 0, 0}
	body = append(body, address[:]...)
	body = append(append(body, targetOption, 1), a.MAC[:]...)

	b := ethernet(policy.AllNodesMAC, a.MAC, policy.EtherIPv6)
	b = append(b, 6<<4, 0, 0, 0, 0, byte(len(body)), byte(policy.ICMPv6), hopLimit)
	b = append(append(b, address[:]...), allNodes[:]...)
	binary.BigEndian.PutUint16(body[2:], checksum(address, allNodes, body))
	return append(b, body...)
}

func ethernet(to, from policy.MAC, etherType uint16) []byte {
	return binary.BigEndian.AppendUint16(append(to[:], from[:]...), etherType)
}

// checksum is that of ICMPv6, with its pseudo-header (RFC 4443, section 2.3). The body has an even
// length.
func checksum(src, dst [16]byte, body []byte) uint16 {
	sum := uint32(len(body)) + uint32(policy.ICMPv6)
	for _, part := range [][]byte{src[:], dst[:], body} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
