package flows

import (
	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// The connection tracker puts datagrams together before it looks at them, and all ports share the room for what is not complete. So a
// fragment is judged before it gets there: by the rules of its direction, and, as it may be of an answer, with the fields of its sender and
// its receiver exchanged by those of the other. The rules see of it what they see of a fragment in any case (see [service]). What neither
// admits is dropped: it could only be a part of what is denied when it is whole. What may belong to something admitted is held to a rate.
//
//	table=48, priority=200,udp,nw_frag=first actions=resubmit(,52),push:NXM_OF_IP_SRC[],…,resubmit(,32),…,resubmit(,49)
//	table=49, priority=110,reg0=0x1/0x1,reg1=0x7 actions=meter:196876,resubmit(,50)
//	table=50, priority=100,ip actions=set_field:0/0x1->reg0,set_field:0->reg3,ct_clear,ct(table=51,…)
//
// The flows are about fragments alone: nothing else is looked at longer for them.
func (w *writer) fragments(s stage) {
	for _, k := range fragmentKinds() {
		w.add(s.track, k.priority, k.match, all([]openflow.Action{to(s.rules)}, k.answers(s.opposite), []openflow.Action{to(s.fragments)})...)
	}
	for _, ip := range []ovs.Protocol{ovs.ProtocolIPv4, ovs.ProtocolIPv6} {
		w.add(s.fragments, 100, on(proto(ip), flags(FlagAdmitted)), reassemble(s)...)
	}
	w.add(s.fragments, 50, nil, to(s.verdict)) // where what is not admitted is dropped and counted
}

// outsideFragments holds what comes from outside, for whichever port, to a rate of its own, so that it leaves room for what instances send.
func (w *writer) outsideFragments() {
	m, ok := w.outsideMeter()
	if !ok {
		return
	}
	for _, ip := range []ovs.Protocol{ovs.ProtocolIPv4, ovs.ProtocolIPv6} {
		w.add(tableOutsideFragments, 100, on(proto(ip)), reassemble(ingress)...)
		w.add(tableOutsideFragments, 110, on(proto(ip), flags(FlagFromOutside)), append([]openflow.Action{meter(m.ID)}, reassemble(ingress)...)...)
	}
}

// fragmentsPort holds the fragments that a port sends, and those that are sent to it, to its limit. A port that has a limit of its own, which may
// be none, does not share that of what comes from outside.
func (w *writer) fragmentsPort(s stage, p *port) {
	if p.Trusted {
		return
	}
	kind, shared := meterFragmentsOut, false
	if s.verdict == tableIngressVerdict {
		_, metered := w.outsideMeter()
		kind, shared = meterFragmentsIn, metered && p.Port.Limits.Fragments == 0
	}
	_, own := w.meterOf(p, kind)
	flagged := on(flags(FlagAdmitted), portKey(p.Zone))
	switch {
	case shared:
		w.add(s.fragments, 110, flagged, w.metered(p, kind, to(tableOutsideFragments))...)
	case own:
		for _, ip := range []ovs.Protocol{ovs.ProtocolIPv4, ovs.ProtocolIPv6} {
			w.add(s.fragments, 110, append(on(proto(ip)), flagged...), w.metered(p, kind, reassemble(s)...)...)
		}
	}
}

// reassemble forgets what was said of the fragment and gives it to the connection tracker, which shows the datagram when it is whole.
func reassemble(s stage) []openflow.Action {
	return all([]openflow.Action{setFlags(FlagUndecided), setRule(0)}, track(s.state))
}

// fragmentKind is one kind of fragment, and how it looks as the first packet of the connection that it may answer.
type fragmentKind struct {
	priority uint16
	match    []openflow.OXM
	pairs    [][2]openflow.Field // fields of sender and receiver
	icmp     openflow.Field      // of the type; 0 = it has none
	asks     uint8               // the type that it answers
}

func fragmentKinds() []fragmentKind {
	type pair = [2]openflow.Field
	v4, v6 := pair{openflow.IPv4Src, openflow.IPv4Dst}, pair{openflow.IPv6Src, openflow.IPv6Dst}
	tcp, udp := pair{openflow.TCPSrc, openflow.TCPDst}, pair{openflow.UDPSrc, openflow.UDPDst}
	sctp := pair{openflow.SCTPSrc, openflow.SCTPDst}
	first := func(p ovs.Protocol, pairs ...pair) fragmentKind {
		return fragmentKind{priority: 200, match: on(proto(p), frag(openflow.FirstFragment)), pairs: pairs}
	}
	any := func(p ovs.Protocol, both pair) fragmentKind { // behind the first, or of a protocol without ports
		return fragmentKind{priority: 150, match: on(proto(p), frag(openflow.AnyFragment)), pairs: []pair{both}}
	}
	out := []fragmentKind{
		first(ovs.ProtocolTCPv4, v4, tcp), first(ovs.ProtocolUDPv4, v4, udp), first(protoSCTP, v4, sctp),
		first(ovs.ProtocolTCPv6, v6, tcp), first(ovs.ProtocolUDPv6, v6, udp), first(protoSCTP6, v6, sctp),
		first(ovs.ProtocolICMPv4), first(ovs.ProtocolICMPv6), // other messages answer nothing
		any(ovs.ProtocolIPv4, v4), any(ovs.ProtocolIPv6, v6),
	}
	for _, message := range []struct {
		proto ovs.Protocol
		pair  pair
		field openflow.Field
		of    []policy.ICMPAnswer
	}{
		{ovs.ProtocolICMPv4, v4, openflow.ICMPType, policy.ICMPAnswers(false)},
		{ovs.ProtocolICMPv6, v6, openflow.ICMPv6Type, policy.ICMPAnswers(true)},
	} {
		for _, a := range message.of {
			out = append(out, fragmentKind{210, on(proto(message.proto), frag(openflow.FirstFragment), openflow.Number(message.field, uint64(a.Answer))), []pair{message.pair}, message.field, a.Request})
		}
	}
	return out
}

// answers asks a table about the connection that the fragment may answer, and puts the headers back; nothing if it answers none.
func (k fragmentKind) answers(table TableID) []openflow.Action {
	if len(k.pairs) == 0 {
		return nil
	}
	var exchange, before, after []openflow.Action
	for _, p := range k.pairs {
		exchange = append(exchange, push(p[0]), push(p[1]), pop(p[0]), pop(p[1]))
	}
	if k.icmp != 0 {
		before = []openflow.Action{push(k.icmp), setRule(uint32(k.asks)), move(openflow.Some(RegRule, 0, 7), openflow.All(k.icmp))}
		after = []openflow.Action{pop(k.icmp)}
	}
	return all(exchange, before, []openflow.Action{to(table)}, after, exchange)
}
