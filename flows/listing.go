package flows

import (
	"net/netip"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// listing is a network that the policy lists for ports, on whatever host, and the unit of the flows
// by which others hold it to their MACs: its announcements, who may choose a link-local address,
// and, where the sources of uplinks are strict, who speaks in its name.
type listing struct {
	written
	network netip.Prefix
	macs    map[policy.MAC]int // how often it is listed, by the MAC
	allowed map[policy.MAC]int // of these, as allowed
}

// list notes what instances list, or, by -1, that they do so no more.
func (x *index) list(instances []*policy.Instance, by int) {
	for _, i := range instances {
		for _, p := range i.Ports {
			for n, u := range p.Listed() {
				if !u.Prefix.IsValid() {
					continue
				}
				isAllowed := n >= len(p.Addresses)
				if isAllowed || policy.IsLinkLocal(u.Prefix) || x.isStrict() {
					x.count(u, isAllowed, by)
				}
			}
		}
	}
}

func (x *index) isStrict() bool { return x.site.UplinkSources == policy.StrictSources }

func (x *index) count(u policy.Use, isAllowed bool, by int) {
	n := u.Prefix.Masked()
	l := getOrCreate(x.listings, n, func() *listing {
		return &listing{network: n, macs: map[policy.MAC]int{}, allowed: map[policy.MAC]int{}}
	})
	add(l.macs, u.MAC, by)
	if isAllowed {
		add(l.allowed, u.MAC, by)
	}
	if len(l.macs) == 0 {
		delete(x.listings, n)
	}
	x.touch(l)
}

// add counts, and forgets what is not there any more.
func add(counts map[policy.MAC]int, m policy.MAC, by int) {
	if counts[m] += by; counts[m] == 0 {
		delete(counts, m)
	}
}

func (l *listing) write(w *writer) {
	if len(l.macs) == 0 {
		return
	}
	if policy.IsLinkLocal(l.network) {
		w.taken(within(l.network))
	}
	for m := range l.allowed {
		w.allowedAnnouncements(m, l.network)
	}
	if w.isStrict() {
		l.strict(w)
	}
}

// allowedAnnouncements takes what says that an allowed address is at a MAC to all ports (L2-8). A
// request within a network is a question, unless the network is the one address.
//
//	table=20, priority=890,arp,dl_dst=ff:ff:ff:ff:ff:ff,arp_spa=203.0.113.200,arp_op=2,arp_sha=02:00:00:00:00:11 actions=resubmit(,23)
func (w *writer) allowedAnnouncements(m policy.MAC, n netip.Prefix) {
	if n.Addr().Is6() {
		w.add(tableND, 890, on(proto(ovs.ProtocolICMPv6), dlDst(policy.AllNodesMAC),
			icmp6Type(policy.NeighborAdvertisement), icmp6Code(0),
			ndTarget(n), ndTLL(m)), to(tableAnnounce))
		return
	}
	arp := on(proto(ovs.ProtocolARP), dlDst(policy.BroadcastMAC), arpSPA(n), arpSHA(m))
	w.add(tableARP, 890, append(arp[:len(arp):len(arp)], arpOp(policy.ARPReply)), to(tableAnnounce))
	if n.IsSingleIP() {
		w.add(tableARP, 890, append(arp, arpTPA(n), arpOp(policy.ARPRequest)), to(tableAnnounce))
	}
}

// strict lets an uplink speak in the name of the network by its MACs only.
func (l *listing) strict(w *writer) {
	uplink, ip := flags(OriginUplink), proto(ipProto(l.network))
	for m := range l.macs {
		w.add(tableOutsideGuard, 150, on(uplink, ip, ipSrc(l.network), dlSrc(m)), to(tableDestination))
		if l.network.Addr().Is4() {
			w.add(tableOutsideGuard, 226, on(uplink, proto(ovs.ProtocolARP), arpSPA(l.network), arpSHA(m)),
				to(tableARP))
			continue
		}
		w.add(tableOutsideND, 260, append(advertises(l.network), ndTLL(m)), to(tableND))
		w.add(tableOutsideND, 240, on(proto(ovs.ProtocolICMPv6), dlSrc(m), ipSrc(l.network)), to(tableND))
	}
	w.add(tableOutsideGuard, 140, on(uplink, ip, ipSrc(l.network)))
	if l.network.Addr().Is4() {
		w.add(tableOutsideGuard, 225, on(uplink, proto(ovs.ProtocolARP), arpSPA(l.network)))
		return
	}
	w.add(tableOutsideND, 250, advertises(l.network))
	w.add(tableOutsideND, 230, on(proto(ovs.ProtocolICMPv6), ipSrc(l.network)))
}

// advertises matches advertisements that say where an address of a network is.
func advertises(n netip.Prefix) []openflow.OXM {
	return on(proto(ovs.ProtocolICMPv6), icmp6Type(policy.NeighborAdvertisement), icmp6Code(0),
		ndTarget(n))
}

// etherType is an EtherType that ports list, and the unit of its multicast from outside.
type etherType struct {
	written
	number uint16
	ports  []*port
}

// write takes multicast of the EtherType from uplinks and trusted ports to the ports that list it.
//
//	table=40, priority=310,reg0=0x20/0x30,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,dl_type=0x88cc actions=output:4
func (e *etherType) write(w *writer) {
	if len(e.ports) == 0 {
		return
	}
	frame := on(dlType(e.number), toGroup())
	w.add(tableDestination, 310, append(frame[:2:2], flags(OriginUplink)), deliver(e.ports, nil)...)
	w.add(tableDestination, 310, append(frame, flags(OriginTrusted)),
		all(deliver(e.ports, nil), w.toUplinks)...)
}
