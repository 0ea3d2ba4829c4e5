package flows

import (
	"strings"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/policy"
)

// stage is the half of the pipeline that judges one direction.
type stage struct {
	track, state   TableID
	fragments      TableID
	rules, verdict TableID
	opposite       TableID // the rules of the other direction: replies are judged by what opened their connection
	next           TableID // where what is admitted goes
}

var (
	egress = stage{track: tableEgressTrack, fragments: tableEgressFragments, state: tableEgressState, rules: tableEgressRules, verdict: tableEgressVerdict,
		opposite: tableIngressRules, next: tableDestination}
	ingress = stage{track: tableIngressTrack, fragments: tableIngressFragments, state: tableIngressState, rules: tableIngressRules, verdict: tableIngressVerdict,
		opposite: tableEgressRules, next: tableOutput}
)

// track sends IP through the zone of the port under judgement.
func (w *writer) track() {
	for _, s := range []stage{egress, ingress} {
		w.add(s.track, 100, on(proto(ovs.ProtocolIPv4)), track(s.state)...)
		w.add(s.track, 100, on(proto(ovs.ProtocolIPv6)), track(s.state)...)
		w.fragments(s)
	}
}

// state uses conntrack as a cache of verdicts. A connection carries the epoch of the port in which it was last admitted: while that is
// the port's, no rule is looked at; else whoever opened it is judged anew.
//
//	table=31, priority=200,ct_state=-new-inv+trk,ct_mark=0x3,reg1=0x7 actions=resubmit(,40)
//
// An ICMP error of an out-of-date connection matches nothing and is dropped: its own protocol is not that of the connection, so the
// rules cannot be asked. The next packet of the connection brings it up to date.
func (w *writer) state(s stage) {
	judge := []ovs.Action{to(s.rules), to(s.verdict)}
	w.add(s.state, 300, on(ctState("+inv", "+trk")))
	w.forbidden(s)
	w.add(s.state, 100, on(ctState("+new", "-inv", "+trk")), judge...)
	w.add(s.state, 100, on(ctState("-new", "-rel", "-rpl", "-inv", "+trk")), judge...)
	for _, r := range replies() {
		w.add(s.state, r.priority, on(ctState("-new", "-rel", "+rpl", "-inv", "+trk"), proto(r.proto)), r.judge(s)...)
	}
	// The tracker of the userspace datapath reads no SCTP ports: to it all SCTP between two hosts is one connection. So what the
	// opener sends is judged by the ports of each packet.
	for _, sctp := range []ovs.Protocol{protoSCTP, protoSCTP6} {
		w.add(s.state, 210, on(ctState("-new", "-rel", "-rpl", "-inv", "+trk"), proto(sctp)), judge...)
	}
	for _, ip := range []ovs.Protocol{ovs.ProtocolIPv4, ovs.ProtocolIPv6} {
		w.add(s.verdict, 100, on(proto(ip), reg(regFlags, flagAdmitted)), commit(), to(s.next))
	}
}

// statePort lets pass what the port's rules have admitted in its present epoch, and counts what they refuse.
func (w *writer) statePort(s stage, p *port) {
	if p.Trusted {
		return
	}
	w.add(s.state, 200, on(ctState("-new", "-inv", "+trk"), ctMark(p.Epoch), portKey(p.Zone)), to(s.next))
	w.add(s.verdict, 50, on(portKey(p.Zone)), w.denial(p)...)
	w.meterOpenings(s, p)
	w.fragmentsPort(s, p)
}

// IsShortcut says whether a flow lets pass only what the rules would be asked about without it: the connections of a port's present epoch.
// Only ICMP errors about these are lost where it is missing.
func (f Flow) IsShortcut() bool {
	state := f.Table == uint8(egress.state) || f.Table == uint8(ingress.state)
	return state && strings.Contains(f.Match, "ct_mark=") && strings.Contains(f.Match, "reg1=")
}

// forbidden drops what conntrack put together from fragments and the guards could not see: DHCP answers, and neighbour discovery,
// which is never fragmented (RFC 6980).
func (w *writer) forbidden(s stage) {
	w.add(s.state, 300, on(proto(ovs.ProtocolUDPv4), tpSrc(67), tpDst(68)))
	w.add(s.state, 300, on(proto(ovs.ProtocolUDPv6), tpSrc(547), tpDst(546)))
	for kind := policy.RouterSolicitation; kind <= policy.Redirect; kind++ {
		w.add(s.state, 300, on(proto(ovs.ProtocolICMPv6), icmpType(kind)))
	}
}

// reply is one kind of packet that answers, and the fields that stand for its connection's first packet: where each is in the
// connection, and where the rules look for it.
type reply struct {
	proto    ovs.Protocol
	priority uint16
	fields   [][2]string // conntrack field, header field
}

func replies() []reply {
	v4 := [][2]string{{"NXM_NX_CT_NW_SRC[]", "NXM_OF_IP_SRC[]"}, {"NXM_NX_CT_NW_DST[]", "NXM_OF_IP_DST[]"}}
	v6 := [][2]string{{"NXM_NX_CT_IPV6_SRC[]", "NXM_NX_IPV6_SRC[]"}, {"NXM_NX_CT_IPV6_DST[]", "NXM_NX_IPV6_DST[]"}}
	with := func(addresses [][2]string, service ...string) [][2]string {
		bits := "[]"
		if service[0] == "NXM_OF_ICMP_TYPE[]" || service[0] == "NXM_NX_ICMPV6_TYPE[]" {
			bits = "[0..7]" // ICMP's type and code are kept where others keep ports
		}
		return append(addresses[:2:2], [2]string{"NXM_NX_CT_TP_SRC" + bits, service[0]}, [2]string{"NXM_NX_CT_TP_DST" + bits, service[1]})
	}
	return []reply{
		{ovs.ProtocolTCPv4, 100, with(v4, "NXM_OF_TCP_SRC[]", "NXM_OF_TCP_DST[]")},
		{ovs.ProtocolUDPv4, 100, with(v4, "NXM_OF_UDP_SRC[]", "NXM_OF_UDP_DST[]")},
		{protoSCTP, 100, with(v4, "OXM_OF_SCTP_SRC[]", "OXM_OF_SCTP_DST[]")},
		{ovs.ProtocolICMPv4, 100, with(v4, "NXM_OF_ICMP_TYPE[]", "NXM_OF_ICMP_CODE[]")},
		{ovs.ProtocolIPv4, 90, v4},
		{ovs.ProtocolTCPv6, 100, with(v6, "NXM_OF_TCP_SRC[]", "NXM_OF_TCP_DST[]")},
		{ovs.ProtocolUDPv6, 100, with(v6, "NXM_OF_UDP_SRC[]", "NXM_OF_UDP_DST[]")},
		{protoSCTP6, 100, with(v6, "OXM_OF_SCTP_SRC[]", "OXM_OF_SCTP_DST[]")},
		{ovs.ProtocolICMPv6, 100, with(v6, "NXM_NX_ICMPV6_TYPE[]", "NXM_NX_ICMPV6_CODE[]")},
		{ovs.ProtocolIPv6, 90, v6},
	}
}

// judge shows the rules of the opposite direction the first packet of the connection, puts the headers back and asks for the verdict.
// Nothing is sent in between, so the datapath rewrites nothing.
func (r reply) judge(s stage) []ovs.Action {
	var save, show, restore []ovs.Action
	for _, f := range r.fields {
		save = append(save, push(f[1]))
		show = append(show, move(f[0], f[1]))
		restore = append([]ovs.Action{pop(f[1])}, restore...)
	}
	return all(save, show, []ovs.Action{to(s.opposite)}, restore, []ovs.Action{to(s.verdict)})
}
