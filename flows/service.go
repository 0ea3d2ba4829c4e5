package flows

import (
	"fmt"
	"strconv"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/policy"
)

// service is one match for what a rule admits, of one family: protocol, and ports or ICMP type and code.
type service struct {
	v6    bool
	match []ovs.Match
}

// services returns the matches for a rule's protocol and ports in one family; none if the protocol is not of that family.
func services(r policy.Rule, v6 bool) []service {
	if r.Protocol == policy.ICMP && v6 || r.Protocol == policy.ICMPv6 && !v6 {
		return nil
	}
	base := protocolMatch(r.Protocol, v6)
	one := func(more ...ovs.Match) service { return service{v6, append(base[:len(base):len(base)], more...)} }
	var out []service
	switch {
	case r.Protocol.HasPorts():
		for _, m := range portMasks(r.Ports) {
			out = append(out, one(tpDstMasked(m)))
		}
	case r.Protocol.HasTypes() && r.ICMPType != policy.AnyICMP:
		typed := one(icmpType(uint8(r.ICMPType)))
		if r.ICMPCode != policy.AnyICMP {
			typed.match = append(typed.match, icmpCode(uint8(r.ICMPCode)))
		}
		out = append(out, typed)
	default:
		return withFragments([]service{one()}, r.Protocol, v6)
	}
	if !v6 {
		out = append(out, one(frag("later")))
	}
	return withFragments(out, r.Protocol, v6)
}

// withFragments adds the fragments of IPv6 behind the first: Open vSwitch shows them as protocol 44 (design.rst, "Fragments"), whatever
// they carry. Where conntrack puts datagrams together before the rules see them, no packet matches it.
func withFragments(out []service, p policy.Protocol, v6 bool) []service {
	if !v6 || p == policy.AnyProtocol {
		return out
	}
	return append(out, service{true, on(proto(ovs.ProtocolIPv6), nwProto(44), frag("later"))})
}

// protocolMatch returns the shorthand, or ip with the number, as Open vSwitch prints it.
func protocolMatch(p policy.Protocol, v6 bool) []ovs.Match {
	pick := func(v4name, v6name ovs.Protocol) []ovs.Match {
		if v6 {
			return on(proto(v6name))
		}
		return on(proto(v4name))
	}
	switch p {
	case policy.AnyProtocol:
		return pick(ovs.ProtocolIPv4, ovs.ProtocolIPv6)
	case policy.TCP:
		return pick(ovs.ProtocolTCPv4, ovs.ProtocolTCPv6)
	case policy.UDP:
		return pick(ovs.ProtocolUDPv4, ovs.ProtocolUDPv6)
	case policy.SCTP:
		return pick(protoSCTP, protoSCTP6)
	case policy.ICMP, policy.ICMPv6:
		return pick(ovs.ProtocolICMPv4, ovs.ProtocolICMPv6)
	}
	return append(pick(ovs.ProtocolIPv4, ovs.ProtocolIPv6), nwProto(uint8(p)))
}

// portMasks covers a range exactly, by the fewest value/mask pairs, in the text of Open vSwitch: 80-443 is 0x50/0xfff0, 0x60/0xffe0 …
// The zero range is covered by none.
func portMasks(r policy.PortRange) []string {
	if r.First == 0 {
		return nil
	}
	var out []string
	for first, last := uint32(r.First), uint32(r.Last); first <= last; {
		size := first & -first // the largest block that starts here
		for first+size-1 > last {
			size >>= 1
		}
		if size == 1 {
			out = append(out, strconv.Itoa(int(first)))
		} else {
			out = append(out, fmt.Sprintf("0x%x/0x%x", first, uint16(-size)))
		}
		first += size
	}
	return out
}
