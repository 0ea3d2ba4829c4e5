package flows

import (
	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// service is one match for what a rule admits, of one family: protocol, and ports or ICMP type and
// code.
type service struct {
	v6    bool
	match []openflow.OXM
}

// services returns the matches for a rule's protocol and ports in one family; none if the protocol
// is not of that family.
func services(r policy.Rule, v6 bool) []service {
	if r.Protocol == policy.ICMP && v6 || r.Protocol == policy.ICMPv6 && !v6 {
		return nil
	}
	base := protocolMatch(r.Protocol, v6)
	kind, code := openflow.ICMPType, openflow.ICMPCode
	if v6 {
		kind, code = openflow.ICMPv6Type, openflow.ICMPv6Code
	}
	one := func(more ...openflow.OXM) service {
		return service{v6, append(base[:len(base):len(base)], more...)}
	}
	var out []service
	switch {
	case r.Protocol.HasPorts():
		for _, ports := range policy.UnionOfPorts(r.Ports) {
			for _, m := range portMasks(ports) {
				out = append(out,
					one(openflow.Masked(portField(r.Protocol), uint64(m.first), uint64(m.mask))))
			}
		}
	case r.Protocol.HasTypes() && r.ICMPType != policy.AnyICMP:
		typed := one(openflow.Number(kind, uint64(r.ICMPType)))
		if r.ICMPCode != policy.AnyICMP {
			typed.match = append(typed.match, openflow.Number(code, uint64(r.ICMPCode)))
		}
		out = append(out, typed)
	default:
		return withFragments([]service{one()}, r.Protocol, v6)
	}
	if !v6 {
		out = append(out, one(frag(openflow.LaterFragment)))
	}
	return withFragments(out, r.Protocol, v6)
}

// withFragments adds the fragments of IPv6 behind the first: Open vSwitch shows them as protocol 44
// (design.rst, "Fragments"), whatever they carry. Where conntrack puts datagrams together before
// the rules see them, no packet matches it.
func withFragments(out []service, p policy.Protocol, v6 bool) []service {
	if !v6 || p == policy.AnyProtocol {
		return out
	}
	return append(out, service{true,
		on(proto(ovs.ProtocolIPv6), nwProto(44), frag(openflow.LaterFragment))})
}

// protocolMatch returns the shorthand, or ip with the number, as Open vSwitch prints it.
func protocolMatch(p policy.Protocol, v6 bool) []openflow.OXM {
	pick := func(v4name, v6name ovs.Protocol) []openflow.OXM {
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

// portField is the field of the port that a connection of a protocol is opened to.
func portField(p policy.Protocol) openflow.Field {
	switch p {
	case policy.UDP:
		return openflow.UDPDst
	case policy.SCTP:
		return openflow.SCTPDst
	}
	return openflow.TCPDst
}

// portMask is the ports that are like the first in the bits of the mask.
type portMask struct{ first, mask uint16 }

// portMasks covers a range exactly, by the fewest masks: 80-443 is 0x50/0xfff0, 0x60/0xffe0 … The
// zero range is covered by none.
func portMasks(r policy.PortRange) []portMask {
	if r.First == 0 {
		return nil
	}
	var out []portMask
	for first, last := uint32(r.First), uint32(r.Last); first <= last; {
		size := first & -first // the largest block that starts here
		for first+size-1 > last {
			size >>= 1
		}
		out = append(out, portMask{uint16(first), uint16(-size)})
		first += size
	}
	return out
}

// serviceKey tells services apart: the same match, in the same place.
type serviceKey struct {
	place
	match openflow.Match
}

// sharedService is a match for what rules admit, and the unit of its clause.
type sharedService struct {
	written
	key   serviceKey
	v6    int // the family: 0 or 1
	match []openflow.OXM
	rules map[*rule]bool // that have it
}

func (s *sharedService) write(w *writer) { w.clauses(s) }

// clauses says that the service is that of the rules which have it.
func (s *sharedService) clauses() (clauses, func(place) []openflow.OXM) {
	shared := clauses{}
	for r := range s.rules {
		if r.has(s.v6) && r.encoding.service > 0 {
			shared.add(r, r.encoding.service)
		}
	}
	return shared, func(place) []openflow.OXM { return s.match }
}
