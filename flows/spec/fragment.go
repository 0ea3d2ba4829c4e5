package spec

import (
	"github.com/portcullis/portcullis/flows/policy"
)

// mayBelong says whether a fragment may be a part of what the rules of a port admit: of what is
// sent in direction d, or of an answer to what was opened in the other. Only its own headers are
// looked at, because what is no whole datagram is of no connection yet.
func (w World) mayBelong(at *local, d policy.Direction, p Packet) bool {
	if w.admits(at, d, p.Tuple, p.Fragment).Admitted {
		return true
	}
	first, ok := p.answered()
	return ok && w.admits(at, d.Opposite(), first, p.Fragment).Admitted
}

// answered returns the first packet of the connection that a fragment may be an answer of.
func (p Packet) answered() (Tuple, bool) {
	t := p.Tuple
	t.Src, t.Dst, t.SrcPort, t.DstPort = t.Dst, t.Src, t.DstPort, t.SrcPort
	icmp := t.Src.Is4() && t.Protocol == uint8(policy.ICMP) || t.Src.Is6() &&
		t.Protocol == uint8(policy.ICMPv6)
	if !icmp || p.Fragment == LaterFragment {
		return t, true
	}
	for _, a := range policy.ICMPAnswers(t.Src.Is6()) {
		if t.ICMPType == a.Answer {
			t.ICMPType = a.Request
			return t, true
		}
	}
	return t, false
}

// protocolOfFragments is the number that a later fragment of IPv6 shows instead of its protocol.
const protocolOfFragments = 44

// shownProtocol is the protocol that the packet's own headers show.
func (p Packet) shownProtocol() uint8 {
	if p.Fragment == LaterFragment && p.EtherType == policy.EtherIPv6 {
		return protocolOfFragments
	}
	return p.Protocol
}
