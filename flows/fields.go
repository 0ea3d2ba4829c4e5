package flows

import (
	"net/netip"
	"slices"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// The matches of the pipeline, by short names, so that stages read as plain lists.

// Group addresses, and others with a meaning of their own.
var (
	groupBit = policy.MAC{0x01}
	noMAC    policy.MAC

	dhcpv6Servers = netip.MustParseAddr("ff02::1:2")
	solicitedNode = netip.MustParsePrefix("ff02::1:ff00:0/104")
	groups6       = netip.MustParsePrefix("ff00::/8")
	broadcast4    = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	// MadeOfMAC are the link-local addresses that are made of a MAC (RFC 4291, appendix A).
	MadeOfMAC     = netip.MustParseAddr("fe80::ff:fe00:0")
	MadeOfMACMask = netip.MustParseAddr("ffff:ffff:ffff:ffff:0:ff:ff00:0")
)

// The protocols that go-openvswitch has no name for.
const (
	protoSCTP  = ovs.Protocol("sctp")
	protoSCTP6 = ovs.Protocol("sctp6")
	protoRARP  = ovs.Protocol("rarp")
)

// on is a list of matches, as it reads best where flows are listed.
func on(ms ...openflow.OXM) []openflow.OXM { return ms }

func proto(p ovs.Protocol) openflow.OXM { return openflow.Protocol(p) }
func dlType(t uint16) openflow.OXM      { return openflow.Number(openflow.EtherType, uint64(t)) }
func nwProto(n uint8) openflow.OXM      { return openflow.Number(openflow.IPProto, uint64(n)) }
func conjID(id ruleID) openflow.OXM     { return openflow.Number(openflow.ConjID, uint64(id)) }
func ofPort(n uint32) openflow.OXM      { return openflow.Number(openflow.InPort, uint64(n)) }
func dlSrc(m policy.MAC) openflow.OXM   { return openflow.MAC(openflow.EthSrc, m) }
func dlDst(m policy.MAC) openflow.OXM   { return openflow.MAC(openflow.EthDst, m) }

func fromGroup() openflow.OXM { return openflow.MaskedMAC(openflow.EthSrc, groupBit, groupBit) }
func toGroup() openflow.OXM   { return openflow.MaskedMAC(openflow.EthDst, groupBit, groupBit) }
func toUnicast() openflow.OXM { return openflow.MaskedMAC(openflow.EthDst, noMAC, groupBit) }

func arpOp(op uint16) openflow.OXM       { return openflow.Number(openflow.ARPOp, uint64(op)) }
func arpSHA(m policy.MAC) openflow.OXM   { return openflow.MAC(openflow.ARPSHA, m) }
func arpSPA(p netip.Prefix) openflow.OXM { return openflow.Network(openflow.ARPSPA, p) }
func arpTPA(p netip.Prefix) openflow.OXM { return openflow.Network(openflow.ARPTPA, p) }
func ip6Dst(p netip.Prefix) openflow.OXM { return openflow.Network(openflow.IPv6Dst, p) }
func icmp6Type(t uint8) openflow.OXM {
	return openflow.Number(openflow.ICMPv6Type, uint64(t))
}
func icmp6Code(c uint8) openflow.OXM {
	return openflow.Number(openflow.ICMPv6Code, uint64(c))
}
func ndTarget(p netip.Prefix) openflow.OXM { return openflow.Network(openflow.NDTarget, p) }
func ndSLL(m policy.MAC) openflow.OXM      { return openflow.MAC(openflow.NDSLL, m) }
func ndTLL(m policy.MAC) openflow.OXM      { return openflow.MAC(openflow.NDTLL, m) }
func udpSrc(port uint16) openflow.OXM      { return openflow.Number(openflow.UDPSrc, uint64(port)) }
func udpDst(port uint16) openflow.OXM      { return openflow.Number(openflow.UDPDst, uint64(port)) }
func hopLimit(n uint8) openflow.OXM        { return openflow.Number(openflow.TTL, uint64(n)) }

func frag(k openflow.FragmentKind) openflow.OXM { return openflow.IsFragment(k) }

func ipSrc(p netip.Prefix) openflow.OXM {
	return openflow.Network(family(p, openflow.IPv4Src, openflow.IPv6Src), p)
}

func ipDst(p netip.Prefix) openflow.OXM {
	return openflow.Network(family(p, openflow.IPv4Dst, openflow.IPv6Dst), p)
}

func ipProto(p netip.Prefix) ovs.Protocol {
	return family(p, ovs.ProtocolIPv4, ovs.ProtocolIPv6)
}

func family[T any](p netip.Prefix, v4, v6 T) T {
	if p.Addr().Is4() {
		return v4
	}
	return v6
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// The actions of the pipeline, by short names, so that stages read as plain lists.

func to(t TableID) openflow.Action                { return openflow.Resubmit{Table: uint8(t)} }
func push(f openflow.Field) openflow.Action       { return openflow.Push{Bits: openflow.All(f)} }
func pop(f openflow.Field) openflow.Action        { return openflow.Pop{Bits: openflow.All(f)} }
func move(from, to openflow.Bits) openflow.Action { return openflow.Move{From: from, To: to} }

// meter drops what is above the rate of a meter. Open vSwitch takes it as the first action only.
func meter(id uint32) openflow.Action { return openflow.Meter{ID: id} }

// all joins lists of actions.
func all(lists ...[]openflow.Action) []openflow.Action { return slices.Concat(lists...) }

// track sends the packet through the zone of the port under judgement and on to a table. Whatever
// zone it was in before is left.
func track(t TableID) []openflow.Action {
	return []openflow.Action{openflow.ClearTrack{}, openflow.Track{Table: uint8(t), Zone: zoneBits()}}
}

// commit remembers the connection in the zone of the port under judgement, with the epoch and the
// rule that admitted it.
func commit() openflow.Action {
	return openflow.Track{Commit: true, Table: openflow.NoTable, Zone: zoneBits(),
		Exec: openflow.NewActions(
			move(openflow.All(RegEpoch), openflow.All(markEpoch)),
			move(openflow.All(RegRule), openflow.Some(labelRule, 0, 31)))}
}
