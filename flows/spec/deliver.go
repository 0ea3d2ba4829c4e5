package spec

import (
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
)

// to collects who receives a frame: local ports other than the sender, and the uplinks unless it
// came from there.
func (a arrival) to(reason string, uplink bool, receivers ...local) Decision {
	d := Decision{Reason: reason, Uplink: uplink && a.kind != fromUplink}
	for _, l := range receivers {
		if a.port == nil || a.port.Port != l.Port {
			d.Ports = append(d.Ports, l.Port.Name)
		}
	}
	slices.Sort(d.Ports)
	return d
}

func (a arrival) filterLocals(keep func(*policy.Port) bool) []local {
	return slices.DeleteFunc(slices.Clone(a.locals), func(l local) bool { return !keep(l.Port) })
}

// byMAC returns the ports that a unicast frame is for.
func (a arrival) byMAC(m policy.MAC) []local {
	return a.filterLocals(func(p *policy.Port) bool {
		return p.MAC == m || slices.ContainsFunc(p.Uses(), func(u policy.Use) bool { return u.MAC == m })
	})
}

// owners returns the ports that an address belongs to: those with the longest network around it.
func (a arrival) owners(addr netip.Addr) []local {
	bits := func(p *policy.Port) (n int) {
		for _, u := range p.Uses() {
			if u.Prefix.Contains(addr) {
				n = max(n, u.Prefix.Bits())
			}
		}
		return n
	}
	longest := 1
	for _, l := range a.locals {
		longest = max(longest, bits(l.Port))
	}
	return a.filterLocals(func(p *policy.Port) bool { return bits(p) == longest })
}

// orMoved says whether a frame to ports goes to the uplinks, too: there are none of them here, or
// one moves and may be on the other host.
func orMoved(owners []local) bool {
	return len(owners) == 0 ||
		slices.ContainsFunc(owners, func(l local) bool { return l.Instance.IsMoving() })
}

// fromOneOf says whether a frame has the MAC of one of those that it is for: what is an instance's
// own reaches no other one beyond this host.
func fromOneOf(owners []local, src policy.MAC) bool {
	return slices.ContainsFunc(owners, func(l local) bool {
		return l.Port.MAC == src || answersTo(l.Port, src)
	})
}

// deliverRequest delivers an ARP request or a solicitation to whom the target belongs, else to the
// uplinks. About an address of the sender's own (probe, announcement) the uplinks hear too.
func (a arrival) deliverRequest(target netip.Addr) Decision {
	owners := a.owners(target)
	own := a.port != nil &&
		slices.ContainsFunc(owners, func(l local) bool { return l.Port == a.port.Port })
	return a.to("asks for "+target.String(), own || orMoved(owners), owners...)
}

func (a arrival) toServers(reason string) Decision {
	return a.to(reason, true, a.filterLocals(func(p *policy.Port) bool { return p.Trusted })...)
}

// fromOutside: what routers announce is believed from there only.
func (a arrival) fromOutside() bool { return a.kind == fromUplink || a.kind == fromTrusted }

func (a arrival) deliverARP(p Packet) Decision {
	announced := p.ARP.SPA == p.ARP.TPA && p.DstMAC == policy.BroadcastMAC
	switch {
	case announced && a.fromOutside() && slices.Contains(a.Site.Gateways, p.ARP.SPA):
		return a.to("gateway announcement", true, a.filterLocals((*policy.Port).HasIPv4)...)
	case a.announcesAllowed(p):
		return a.to("announcement of an allowed address", true, a.filterLocals((*policy.Port).HasIPv4)...)
	case p.ARP.Op == policy.ARPRequest:
		return a.deliverRequest(p.ARP.TPA)
	case p.ARP.Op != policy.ARPReply:
		return Decision{Reason: "unknown ARP operation"}
	case p.DstMAC.IsMulticast():
		own := a.kind == fromTrusted || a.port != nil && a.port.uses(p.SrcMAC, p.ARP.TPA)
		return a.to("broadcast ARP reply", own)
	}
	owners := a.filterLocals(func(port *policy.Port) bool {
		return port.HasIPv4() && answersTo(port, p.DstMAC)
	})
	return a.to("ARP reply", orMoved(owners), owners...)
}

func answersTo(p *policy.Port, m policy.MAC) bool {
	return slices.ContainsFunc(p.Uses(), func(u policy.Use) bool { return u.MAC == m })
}

func (a arrival) deliverND(p Packet) Decision {
	announced := a.fromOutside() && p.DstMAC == policy.AllNodesMAC
	switch {
	case p.ICMPType == policy.RouterSolicitation:
		return a.toServers("router solicitation")
	case a.kind == fromInstance && a.isOfChosen(p):
		return a.toServers("discovery with a link-local address that is not listed")
	case p.ICMPType == policy.NeighborSolicitation:
		return a.solicit(p)
	case a.announcesAllowed(p):
		return a.to("announcement of an allowed address", true, a.filterLocals((*policy.Port).HasIPv6)...)
	case announced && p.ICMPType == policy.RouterAdvertisement,
		announced && p.ICMPType == policy.NeighborAdvertisement &&
			slices.Contains(a.Site.Gateways, p.ND.Target):
		return a.to("router announcement", true, a.filterLocals((*policy.Port).HasIPv6)...)
	}
	owners := a.filterLocals(func(port *policy.Port) bool {
		return port.HasIPv6() && answersTo(port, p.DstMAC)
	})
	return a.to("neighbour advertisement", orMoved(owners), owners...)
}

// announcesAllowed says whether a frame tells everybody that an allowed address is at a MAC which
// the policy lists for it: neighbours must hear that it moved. A network is announced by answers
// alone, because a request for another address of it is a question.
func (a arrival) announcesAllowed(p Packet) bool {
	claimed, mac, single := p.ARP.SPA, p.ARP.SHA, p.ARP.Op == policy.ARPRequest
	switch {
	case p.EtherType == policy.EtherARP && p.DstMAC == policy.BroadcastMAC &&
		(p.ARP.Op == policy.ARPReply || p.ARP.Op == policy.ARPRequest && p.ARP.SPA == p.ARP.TPA):
	case p.DstMAC == policy.AllNodesMAC && p.IsNeighborDiscovery() &&
		p.ICMPType == policy.NeighborAdvertisement &&
		p.ICMPCode == 0:
		claimed, mac, single = p.ND.Target, p.ND.TLL, false
	default:
		return false
	}
	return a.anyListed(func(u policy.Use, isAllowed bool) bool {
		return isAllowed && u.MAC == mac && u.Prefix.Contains(claimed) &&
			(u.Prefix.IsSingleIP() || !single)
	})
}

// isOfChosen says whether an instance's solicitation or advertisement is about a link-local address
// of its own that is not listed. Nobody on this host hears of that but trusted ports.
func (a arrival) isOfChosen(p Packet) bool {
	uses := func(x netip.Addr) bool { return a.port.uses(p.SrcMAC, x) }
	switch {
	case p.ICMPType == policy.NeighborAdvertisement:
		return !uses(p.ND.Target)
	case p.Src == netip.IPv6Unspecified():
		return !uses(p.ND.Target)
	}
	return p.ICMPType == policy.NeighborSolicitation && !uses(p.Src)
}

// solicit is deliverRequest, but for link-local addresses that hosts choose and nobody lists: who
// has one is not known, so what asks for it from outside goes to whom the frame is for.
func (a arrival) solicit(p Packet) Decision {
	if !a.fromOutside() || len(a.owners(p.ND.Target)) > 0 || !a.isFree(p.ND.Target) {
		return a.deliverRequest(p.ND.Target)
	}
	if p.DstMAC.IsMulticast() {
		return a.to("asks for a link-local address that is not listed", true,
			a.filterLocals((*policy.Port).HasIPv6)...)
	}
	to := a.filterLocals(func(port *policy.Port) bool { return port.HasIPv6() && answersTo(port, p.DstMAC) })
	return a.to("asks for a link-local address that is not listed", len(to) == 0, to...)
}

// deliverMulticast: listener discovery goes between instances and what is beyond the uplinks,
// listed EtherTypes between the ports that list them and uplinks and trusted ports, and where a
// hypervisor's machine is, to the uplinks. A trusted port may send any to the network. Nothing else
// (L2-7, L2-9).
func (a arrival) deliverMulticast(p Packet) Decision {
	lists := func(port *policy.Port) bool { return slices.Contains(port.EtherTypes, p.EtherType) }
	switch {
	case a.fromOutside() && p.IsListenerQuery():
		return a.to("listener query", true, a.filterLocals((*policy.Port).HasIPv6)...)
	case a.fromOutside():
		return a.to("broadcast or multicast: to ports that list its EtherType only",
			a.kind == fromTrusted, a.filterLocals(lists)...)
	case lists(a.port.Port):
		return a.toServers("multicast of a listed EtherType")
	case p.EtherType == policy.EtherRARP:
		return a.to("says where its MAC is", true)
	case p.IsListenerReport() && (p.Src.IsLinkLocalUnicast() || p.Src == netip.IPv6Unspecified()):
		return a.to("listener report", true)
	}
	return a.to("broadcast or multicast", false)
}

// deliver takes a unicast frame to the ports of its destination MAC, if they may have it, else to
// the uplinks (L2-6).
func (a arrival) deliver(p Packet) Decision {
	owners := a.byMAC(p.DstMAC)
	if len(owners) == 0 {
		return a.to("not on this host", true)
	}
	d := Decision{Reason: "not for the owner of the MAC",
		Uplink: orMoved(owners) && a.kind != fromUplink && !fromOneOf(owners, p.SrcMAC)}
	for _, l := range owners {
		if a.port != nil && a.port.Port == l.Port {
			continue
		}
		admitted := l.Port.Trusted || a.isAnswer(p, l.Port) ||
			slices.Contains(l.Port.EtherTypes, p.EtherType)
		if !admitted && p.IsIP() && !p.FromDHCPServer() &&
			slices.ContainsFunc(l.Port.Uses(), func(u policy.Use) bool { return u.Prefix.Contains(p.Dst) }) {
			d.Ingress = a.judge(&l, policy.Ingress, p)
			admitted, d.Reason = d.Ingress.Admitted, "ingress: "+d.Ingress.Reason
		}
		if admitted {
			d.Ports = append(d.Ports, l.Port.Name)
			d.Reason = "delivered"
		}
	}
	slices.Sort(d.Ports)
	return d
}

// isServer says whether the settings let an address be a DHCP server.
func (w World) isServer(a netip.Addr) bool {
	return len(w.Site.DHCPServers) == 0 || slices.Contains(w.Site.DHCPServers, a)
}

// isRenewal says whether a DHCP client speaks to a listed server, or to a gateway, which may be a
// relay: no rule is asked (L2-5). What goes to anybody else is judged by the rules.
func (w World) isRenewal(p Packet) bool {
	return p.FromDHCPClient() &&
		(slices.Contains(w.Site.DHCPServers, p.Dst) || slices.Contains(w.Site.Gateways, p.Dst))
}

// isAnswer says whether this is a DHCP answer that may reach a port without any rule (L2-5): one
// from outside, to an address of its own, to everybody, or to a link-local one.
func (a arrival) isAnswer(p Packet, to *policy.Port) bool {
	own := to.Owns(p.Dst) || to.HasIPv4() && p.Dst == policy.BroadcastAddr ||
		to.HasIPv6() && p.Dst == to.MAC.LinkLocal() || a.mayChoose(to, to.MAC, p.Dst)
	return own && a.fromOutside() && p.FromDHCPServer() && p.Fragment == Whole && a.isServer(p.Src)
}
