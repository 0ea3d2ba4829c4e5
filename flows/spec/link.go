package spec

import (
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
)

// origin is where a frame comes from.
type origin uint8

const (
	fromNowhere origin = iota
	fromInstance
	fromUplink
	fromTrusted
)

// solicitedNodeNet has the groups that neighbours are asked at (RFC 4291, section 2.7.1).
var solicitedNodeNet = netip.MustParsePrefix("ff02::1:ff00:0/104")

// local is a port of an instance of this host.
type local struct {
	Instance *policy.Instance
	Port     *policy.Port
}

// arrival is a frame's way in: where it comes from, and who else is on this host.
type arrival struct {
	World
	kind   origin
	port   *local // the sender, unless it is an uplink
	locals []local
}

func (w World) arrival(p Packet) arrival {
	a := arrival{World: w}
	for _, inst := range w.Policy.Instances {
		if !inst.IsLocal(w.Site.Host) {
			continue
		}
		for j := range inst.Ports {
			l := local{inst, &inst.Ports[j]}
			a.locals = append(a.locals, l)
			if !p.FromUplink && l.Port.Name == p.From {
				a.port, a.kind = &l, fromInstance
				if l.Port.Trusted {
					a.kind = fromTrusted
				}
			}
		}
	}
	if p.FromUplink {
		a.kind = fromUplink
	}
	return a
}

// guard returns why the frame must not enter, "" if it may. Nothing here depends on groups (L2-1 to
// L2-5, L2-8, L2-9).
func (a arrival) guard(p Packet) string {
	switch {
	case a.kind == fromNowhere:
		return "enters from nowhere"
	case p.Tagged, p.Priority && a.kind != fromUplink:
		return "tagged frame"
	case p.SrcMAC.IsMulticast():
		return "group address as source MAC"
	case a.kind == fromUplink:
		return a.guardUplink(p)
	case a.kind == fromInstance:
		return a.guardInstance(p)
	}
	return ""
}

// guardUplink refuses frames that claim to be one of our own ports, at layer 2 or in ARP and
// neighbour discovery. IP with the source address of a local port is what a router sends on.
// Allowed addresses are not among those that are protected: another host's instance may hold them.
func (a arrival) guardUplink(p Packet) string {
	nd := p.IsNeighborDiscovery()
	if nd && (!p.soundND() || p.ICMPType == policy.Redirect ||
		p.ICMPType == policy.RouterSolicitation) {
		return "unsound neighbour discovery"
	}
	for _, l := range a.locals {
		switch own := l.Port; {
		case l.Instance.IsMoving(): // it may speak from the other host
		case p.SrcMAC == own.MAC:
			return "source MAC of a local port"
		case p.EtherType == policy.EtherARP && (p.ARP.SHA == own.MAC || own.Owns(p.ARP.SPA)):
			return "ARP claims a local address"
		case nd && own.Owns(p.Src), p.ICMPType == policy.NeighborSolicitation && nd &&
			p.ND.SLL == own.MAC:
			return "ND claims a local address"
		case nd && p.ICMPType == policy.NeighborAdvertisement &&
			(p.ND.TLL == own.MAC || own.Owns(p.ND.Target)):
			return "ND claims a local address"
		}
	}
	if a.Site.UplinkSources == policy.StrictSources {
		return a.guardSources(p)
	}
	return ""
}

// guardSources holds each address of the policy's instances to the MACs that the policy lists for
// it: that of the sender of ARP, of the target of an advertisement, and else of IP.
func (w World) guardSources(p Packet) string {
	claimed, mac := p.Src, p.SrcMAC
	switch {
	case p.EtherType == policy.EtherARP:
		claimed, mac = p.ARP.SPA, p.ARP.SHA
	case p.IsNeighborDiscovery() && p.ICMPType == policy.NeighborAdvertisement && w.lists(p.ND.Target):
		claimed, mac = p.ND.Target, p.ND.TLL
	case !p.IsIP():
		return ""
	}
	if w.lists(claimed) && !w.listsFor(mac, claimed) {
		return "strict uplink sources: an instance's address without its MAC"
	}
	return ""
}

// lists says whether the policy gives an address to any instance, as its own or as allowed.
func (w World) lists(a netip.Addr) bool {
	return w.anyListed(func(u policy.Use, _ bool) bool { return u.Prefix.Contains(a) })
}

// listsFor says whether the policy gives an address to an instance together with a MAC.
func (w World) listsFor(m policy.MAC, a netip.Addr) bool {
	return w.anyListed(func(u policy.Use, _ bool) bool { return u.MAC == m && u.Prefix.Contains(a) })
}

// anyListed says whether any pair of MAC and network that the policy lists, of all hosts, is as
// asked for; it is told which of them are allowed addresses.
func (w World) anyListed(is func(u policy.Use, isAllowed bool) bool) bool {
	for _, i := range w.Policy.Instances {
		for _, p := range i.Ports {
			for n, u := range p.Listed() {
				if is(u, n >= len(p.Addresses)) {
					return true
				}
			}
		}
	}
	return false
}

// mayChoose says whether a port may use a link-local address that nobody lists, for what hosts do
// with it on the link.
func (w World) mayChoose(p *policy.Port, m policy.MAC, a netip.Addr) bool {
	return m == p.MAC && p.HasIPv6() && w.isFree(a)
}

// isFree says whether a link-local address is of the kind that hosts choose, and nobody's.
func (w World) isFree(a netip.Addr) bool {
	if !policy.IsChosenLinkLocal(a) || slices.Contains(w.Site.Gateways, a) {
		return false
	}
	return !w.anyListed(func(u policy.Use, _ bool) bool {
		return policy.IsLinkLocal(u.Prefix) && u.Prefix.Contains(a)
	})
}

// uses says whether the port may use an address with a MAC.
func (l *local) uses(m policy.MAC, a netip.Addr) bool {
	return slices.ContainsFunc(l.Port.Uses(),
		func(u policy.Use) bool { return u.MAC == m && u.Prefix.Contains(a) })
}

// guardInstance returns why a frame must not leave an instance's port.
func (a arrival) guardInstance(p Packet) string {
	l := a.port
	switch {
	case p.EtherType == policy.EtherARP:
		probe := p.ARP.Op == policy.ARPRequest && p.ARP.SPA == netip.IPv4Unspecified() &&
			l.uses(p.SrcMAC, p.ARP.TPA)
		if p.ARP.SHA != p.SrcMAC || !probe && !l.uses(p.SrcMAC, p.ARP.SPA) {
			return "forged ARP sender"
		}
	case p.IsIP() && p.FromDHCPServer():
		return "DHCP server answer"
	case p.IsNeighborDiscovery():
		return a.guardND(p)
	case p.IsIP():
		if !l.uses(p.SrcMAC, p.Src) && !a.speaksUnlisted(p) {
			return "forged source"
		}
	case p.SrcMAC != l.Port.MAC || !slices.Contains(l.Port.EtherTypes, p.EtherType) &&
		!p.announcesMAC():
		return "EtherType not allowed, or forged source MAC"
	}
	return ""
}

// announcesMAC says whether the frame is the RARP by which a hypervisor tells switches where the
// machine is now. It says no address.
func (p Packet) announcesMAC() bool {
	return p.EtherType == policy.EtherRARP && p.ARP.Op == policy.RARPRequest &&
		p.DstMAC == policy.BroadcastMAC && p.ARP.SHA == p.SrcMAC
}

// speaksUnlisted says whether a packet with a source that is not listed may leave all the same: a
// DHCP client has no address yet, and IPv6 gives itself link-local ones.
func (a arrival) speaksUnlisted(p Packet) bool {
	own := a.port.Port
	switch {
	case p.EtherType == policy.EtherIPv4:
		return p.asksDHCPServers() && p.SrcMAC == own.MAC && own.HasIPv4() &&
			p.Src == netip.IPv4Unspecified()
	case p.IsListenerReport() && p.Src == netip.IPv6Unspecified():
		return p.SrcMAC == own.MAC && own.HasIPv6()
	}
	return (p.IsListenerReport() || p.asksDHCPServers()) && a.mayChoose(own, p.SrcMAC, p.Src)
}

// soundND: RFC 4861, sections 6.1 and 7.1, and RFC 6980: hop limit 255, code 0, never a fragment, a
// target that was understood, and the options without which hosts drop a message: Open vSwitch
// shows an option that it cannot parse as an absent one.
func (p Packet) soundND() bool {
	if p.HopLimit != 255 || p.ICMPCode != 0 || p.Fragment != Whole {
		return false
	}
	toGroup := solicitedNodeNet.Contains(p.Dst)
	switch p.ICMPType {
	case policy.NeighborSolicitation:
		detects := p.Src == netip.IPv6Unspecified()
		return p.ND.Target != netip.IPv6Unspecified() &&
			(detects && toGroup && p.ND.SLL.IsZero() || !detects && (!toGroup || !p.ND.SLL.IsZero()))
	case policy.NeighborAdvertisement:
		return p.ND.Target != netip.IPv6Unspecified() && (!p.Dst.IsMulticast() || !p.ND.TLL.IsZero())
	}
	return true
}

func (a arrival) guardND(p Packet) string {
	l, own := a.port, func(m policy.MAC) bool { return m.IsZero() || m == p.SrcMAC }
	has := func(x netip.Addr) bool { return l.uses(p.SrcMAC, x) || a.mayChoose(l.Port, p.SrcMAC, x) }
	ok, unspecified := false, p.Src == netip.IPv6Unspecified()
	switch p.ICMPType {
	case policy.RouterSolicitation:
		ok = has(p.Src) || unspecified && p.SrcMAC == l.Port.MAC && l.Port.HasIPv6()
	case policy.NeighborSolicitation:
		ok = unspecified && has(p.ND.Target) || own(p.ND.SLL) && has(p.Src)
	case policy.NeighborAdvertisement:
		ok = own(p.ND.TLL) && has(p.Src) && has(p.ND.Target)
	}
	if !ok || !p.soundND() {
		return "forged neighbour discovery"
	}
	return ""
}
