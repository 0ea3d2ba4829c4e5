package policytest

import (
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// DrawPacket draws a packet: mostly one that is aimed at a rule, else any honest packet of a host,
// half of them bent in a field or two.
func DrawPacket(t *rapid.T, w spec.World) spec.Packet {
	if aim := rapid.IntRange(0, 9).Draw(t, "aim"); aim < 6 {
		if p, ok := DrawAimed(t, w); ok {
			switch aim {
			case 0:
				distort(t, &p)
			case 1: // somebody outside claims to be the sender
				p.From, p.FromUplink, p.SrcMAC = "", true, policy.MAC{2, 9, 9, 9, 9, 9}
			}
			return p
		}
	}
	p := drawAny(t, w)
	drawConntrack(t, &p, w)
	return p
}

// DrawAimed draws a packet that a rule of a port here is about, or nearly; half the time it is the
// reply.
func DrawAimed(t *rapid.T, w spec.World) (spec.Packet, bool) {
	at, r, ok := DrawTarget(t, w)
	if !ok || len(r.Peers) == 0 { // a rule that was spoiled has none
		return spec.Packet{}, false
	}
	peer, address, ok := DrawPeer(t, w, rapid.SampledFrom(r.Peers).Draw(t, "rule's peer"))
	own := only(at.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() == address.Is4() })
	if !ok || len(own) == 0 {
		return spec.Packet{}, false
	}
	tuple := spec.Tuple{Src: address, Dst: rapid.SampledFrom(own).Draw(t, "own").Addr(),
		Protocol: uint8(rapid.SampledFrom(Protocols[1:]).Draw(t, "protocol"))}
	from, to := peer, at
	if r.Direction == policy.Egress {
		from, to, tuple.Src, tuple.Dst = at, peer, tuple.Dst, tuple.Src
	}
	DrawServiceNear(t, &tuple, r)
	p := spec.Packet{EtherType: policy.EtherIPv4, HopLimit: 64, Tuple: tuple,
		Fragment: rapid.SampledFrom([]spec.Fragment{0, 0, 0, 0, 0, 0, spec.FirstFragment,
			spec.LaterFragment}).Draw(t, "fragment")}
	if address.Is6() {
		p.EtherType = policy.EtherIPv6
	}
	side := rapid.SampledFrom([]spec.Side{spec.Unknown, spec.Unknown, spec.OriginalSide,
		spec.ReplySide, spec.ReplySide}).Draw(t, "side")
	if side == spec.ReplySide {
		from, to, p.Tuple = to, from, Answer(tuple)
	}
	p.From, p.FromUplink, p.SrcMAC, p.DstMAC = from.Port, from.Port == "", from.MAC, to.MAC
	p.Conntrack = map[string]spec.Connection{}
	for _, h := range []Host{from, to} {
		if rapid.IntRange(0, 5).Draw(t, "known") > 0 {
			p.Conntrack[h.Port] = spec.Connection{Side: side, Original: tuple}
		}
	}
	return p, true
}

// host is a sender or receiver: a local port, or, with no name, somebody behind the uplink.
type Host struct {
	Port      string
	MAC       policy.MAC
	Addresses []netip.Prefix
}

func hostOf(i *policy.Instance) Host {
	h := Host{MAC: i.Ports[0].MAC, Addresses: i.Ports[0].Addresses}
	if i.IsLocal("h") {
		h.Port = i.Ports[0].Name
	}
	return h
}

// DrawTarget draws a port here and a rule of one of its groups.
func DrawTarget(t *rapid.T, w spec.World) (Host, policy.Rule, bool) {
	type pair struct {
		at   Host
		Rule policy.Rule
	}
	var pairs []pair
	for _, i := range w.Policy.Instances {
		for _, g := range w.Policy.Groups {
			for _, r := range g.Rules {
				if slices.Contains(i.Groups, g.Name) && i.IsLocal("h") && !i.Ports[0].Trusted {
					pairs = append(pairs, pair{hostOf(i), r})
				}
			}
		}
	}
	if len(pairs) == 0 {
		return Host{}, policy.Rule{}, false
	}
	p := rapid.SampledFrom(pairs).Draw(t, "target")
	return p.at, p.Rule, true
}

// DrawPeer draws an address of a rule's peer, or one just outside, and who has it.
func DrawPeer(t *rapid.T, w spec.World, p policy.Peer) (Host, netip.Addr, bool) {
	in := []netip.Prefix{p.CIDR}
	if p.Group != "" {
		in = w.Policy.Members()[p.Group]
	}
	if len(in) == 0 {
		return Host{}, netip.Addr{}, false
	}
	network := rapid.SampledFrom(in).Draw(t, "peer")
	candidates := []netip.Addr{network.Addr().Next(), network.Addr(), network.Addr()}
	for _, a := range slices.Concat(Hosts4, Hosts6, Outside) {
		if network.Contains(a.Addr()) {
			candidates = append(candidates, a.Addr())
		}
	}
	address := rapid.SampledFrom(candidates).Draw(t, "peer address")
	for _, i := range w.Policy.Instances {
		if slices.ContainsFunc(i.Ports[0].Addresses,
			func(own netip.Prefix) bool { return own.Contains(address) }) {
			return hostOf(i), address, true
		}
	}
	return Host{MAC: policy.MAC{2, 9, 9, 9, 9, 9}}, address, true
}

// DrawServiceNear gives a connection the service of a rule, or one just beside it.
func DrawServiceNear(t *rapid.T, tuple *spec.Tuple, r policy.Rule) {
	if r.Protocol != policy.AnyProtocol {
		tuple.Protocol = uint8(r.Protocol)
	}
	var ports policy.PortRange
	if len(r.Ports) > 0 {
		ports = rapid.SampledFrom(r.Ports).Draw(t, "rule's ports")
	}
	near := rapid.SampledFrom([]uint16{ports.First, ports.Last, ports.First, ports.Last,
		ports.First - 1, ports.Last + 1}).Draw(t, "port")
	switch p := policy.Protocol(tuple.Protocol); {
	case p.HasPorts():
		tuple.SrcPort, tuple.DstPort = 4000, near
	case p == policy.ICMP && tuple.Src.Is4(), p == policy.ICMPv6 && tuple.Src.Is6():
		tuple.ICMPType, tuple.ICMPCode = uint8(max(0, r.ICMPType)), uint8(max(0, r.ICMPCode))
		if tuple.ICMPType == 0 || rapid.IntRange(0, 4).Draw(t, "echo") == 0 {
			tuple.ICMPType = family(tuple.Src, 8, 128)
		}
	}
}

func family(a netip.Addr, v4, v6 uint8) uint8 {
	if a.Is4() {
		return v4
	}
	return v6
}

// Answer returns the tuple of the replies.
func Answer(t spec.Tuple) spec.Tuple {
	t.Src, t.Dst, t.SrcPort, t.DstPort = t.Dst, t.Src, t.DstPort, t.SrcPort
	for _, a := range answersOf(t) {
		if a.Request == t.ICMPType {
			t.ICMPType = a.Answer
			return t
		}
	}
	return t
}
