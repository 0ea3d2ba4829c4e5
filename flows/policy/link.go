package policy

import (
	"net/netip"
	"slices"
)

// origin is where a frame comes from.
type origin uint8

const (
	fromNowhere origin = iota
	fromInstance
	fromUplink
	fromTrusted
)

// local is a port of an instance of this host.
type local struct {
	Instance *Instance
	Port     *Port
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

// guard returns why the frame must not enter, "" if it may. Nothing here depends on groups (L2-1 to L2-5, L2-8, L2-9).
func (a arrival) guard(p Packet) string {
	switch {
	case a.kind == fromNowhere:
		return "enters from nowhere"
	case p.Tagged:
		return "tagged frame"
	case p.SrcMAC.IsMulticast():
		return "group address as source MAC"
	case a.kind == fromUplink:
		return a.guardUplink(p)
	case a.kind == fromInstance:
		return a.port.guard(p)
	}
	return ""
}

// guardUplink refuses frames that claim to be one of our own ports. Allowed addresses are not among those that are protected:
// another host's instance may hold them now.
func (a arrival) guardUplink(p Packet) string {
	if p.IsNeighborDiscovery() && (!p.soundND() || p.ICMPType == Redirect || p.ICMPType == RouterSolicitation) {
		return "unsound neighbour discovery"
	}
	for _, l := range a.locals {
		switch own := l.Port; {
		case p.SrcMAC == own.MAC:
			return "source MAC of a local port"
		case p.EtherType == EtherARP && (p.ARP.SHA == own.MAC || own.has(p.ARP.SPA)):
			return "ARP claims a local address"
		case p.isIP() && own.has(p.Src):
			return "source address of a local port"
		case p.IsNeighborDiscovery() && p.ICMPType == NeighborAdvertisement && own.has(p.ND.Target):
			return "ND claims a local address"
		}
	}
	return ""
}

// has says whether an address is the port's own: not one of the allowed ones.
func (p *Port) has(a netip.Addr) bool {
	own := Port{MAC: p.MAC, Addresses: p.Addresses}
	return slices.ContainsFunc(own.Uses(), func(u Use) bool { return u.Prefix.Contains(a) })
}

// uses says whether the port may use an address with a MAC.
func (l *local) uses(m MAC, a netip.Addr) bool {
	return slices.ContainsFunc(l.Port.Uses(), func(u Use) bool { return u.MAC == m && u.Prefix.Contains(a) })
}

// has4 and has6 say whether the port has any address of a family.
func (p *Port) has4() bool {
	return slices.ContainsFunc(p.Uses(), func(u Use) bool { return u.Prefix.Addr().Is4() })
}
func (p *Port) has6() bool {
	return slices.ContainsFunc(p.Uses(), func(u Use) bool { return u.Prefix.Addr().Is6() })
}

// guard returns why a frame must not leave an instance's port.
func (l *local) guard(p Packet) string {
	switch {
	case p.EtherType == EtherARP:
		probe := p.ARP.Op == ARPRequest && p.ARP.SPA == netip.IPv4Unspecified() && l.uses(p.SrcMAC, p.ARP.TPA)
		if p.ARP.SHA != p.SrcMAC || !probe && !l.uses(p.SrcMAC, p.ARP.SPA) {
			return "forged ARP sender"
		}
	case p.isIP() && p.fromDHCPServer():
		return "DHCP server answer"
	case p.IsNeighborDiscovery():
		return l.guardND(p)
	case p.isIP():
		discover := p.EtherType == EtherIPv4 && p.fromDHCPClient() && p.SrcMAC == l.Port.MAC && l.Port.has4() &&
			p.Src == netip.IPv4Unspecified() && p.Dst == broadcastAddr && p.DstMAC == BroadcastMAC
		if !discover && !l.uses(p.SrcMAC, p.Src) {
			return "forged source"
		}
	case p.SrcMAC != l.Port.MAC || !slices.Contains(l.Port.EtherTypes, p.EtherType):
		return "EtherType not allowed, or forged source MAC"
	}
	return ""
}

// soundND: RFC 4861, sections 6.1 and 7.1, and RFC 6980: hop limit 255, code 0, never a fragment, and a target that was understood.
func (p Packet) soundND() bool {
	targeted := p.ICMPType == NeighborSolicitation || p.ICMPType == NeighborAdvertisement
	return p.HopLimit == 255 && p.ICMPCode == 0 && p.Fragment == Whole && (!targeted || p.ND.Target != netip.IPv6Unspecified())
}

func (l *local) guardND(p Packet) string {
	own := func(m MAC) bool { return m.IsZero() || m == p.SrcMAC }
	ok := false
	switch p.ICMPType {
	case RouterSolicitation:
		ok = l.uses(p.SrcMAC, p.Src)
	case NeighborSolicitation:
		detect := p.Src == netip.IPv6Unspecified() && p.ND.SLL.IsZero() && solicitedNodeNet.Contains(p.Dst) && l.uses(p.SrcMAC, p.ND.Target)
		ok = detect || own(p.ND.SLL) && l.uses(p.SrcMAC, p.Src)
	case NeighborAdvertisement:
		ok = own(p.ND.TLL) && l.uses(p.SrcMAC, p.Src) && l.uses(p.SrcMAC, p.ND.Target)
	}
	if !ok || !p.soundND() {
		return "forged neighbour discovery"
	}
	return ""
}
