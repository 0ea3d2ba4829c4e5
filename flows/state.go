package flows

import (
	"net/netip"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// stage is the half of the pipeline that judges one direction.
type stage struct {
	track, state   TableID
	fragments      TableID
	rules, verdict TableID
	// the rules of the other direction: replies are judged by what opened their connection
	opposite TableID
	next     TableID                         // where what is admitted goes
	peer     func(netip.Prefix) openflow.OXM // matches the address of the other side
}

var (
	egress = stage{track: tableEgressTrack, fragments: tableEgressFragments, state: tableEgressState,
		rules: tableEgressRules, verdict: tableEgressVerdict,
		opposite: tableIngressRules, next: tableDestination, peer: ipDst}
	ingress = stage{track: tableIngressTrack, fragments: tableIngressFragments,
		state: tableIngressState, rules: tableIngressRules, verdict: tableIngressVerdict,
		opposite: tableEgressRules, next: tableOutput, peer: ipSrc}
)

// track sends IP through the zone of the port under judgement.
func (w *writer) track() {
	for _, s := range []stage{egress, ingress} {
		w.add(s.track, 100, on(proto(ovs.ProtocolIPv4)), track(s.state)...)
		w.add(s.track, 100, on(proto(ovs.ProtocolIPv6)), track(s.state)...)
		w.fragments(s)
	}
}

// The flags of connections, by short names.
const (
	isNew   = openflow.StateNew
	related = openflow.StateRelated
	invalid = openflow.StateInvalid
	tracked = openflow.StateTracked
)

// state uses conntrack as a cache of verdicts. A connection carries the epoch of the port in which
// it was last admitted: while that is the port's, no rule is looked at; else whoever opened it is
// judged anew.
//
//	table=31, priority=200,ct_state=-new-inv+trk,ct_mark=0x3,reg1=0x7 actions=resubmit(,40)
//
// An ICMP error of an out-of-date connection matches nothing and is dropped: its own protocol is
// not that of the connection, so the rules cannot be asked. The next packet of the connection
// brings it up to date.
func (w *writer) state(s stage) {
	judge := []openflow.Action{to(s.rules), to(s.verdict)}
	w.add(s.state, 300, on(openflow.State(invalid|tracked, 0)))
	w.forbidden(s)
	w.unreadable(s)
	w.add(s.state, 100, on(openflow.State(isNew|tracked, invalid)), judge...)
	w.add(s.state, 100, on(openflow.State(tracked, isNew|related|openflow.StateReply|invalid)),
		judge...)
	for _, r := range replies() {
		w.add(s.state, r.priority,
			on(openflow.State(openflow.StateReply|tracked, isNew|related|invalid), proto(r.proto)),
			r.judge(s)...)
	}
	// The tracker of the userspace datapath reads no SCTP ports: to it all SCTP between two hosts is
	// one connection. So what the opener sends is judged by the ports of each packet.
	for _, sctp := range []ovs.Protocol{protoSCTP, protoSCTP6} {
		w.add(s.state, 210, on(openflow.State(tracked, isNew|related|openflow.StateReply|invalid),
			proto(sctp)), judge...)
	}
	for _, ip := range []ovs.Protocol{ovs.ProtocolIPv4, ovs.ProtocolIPv6} {
		w.add(s.verdict, 100, on(proto(ip), flags(FlagAdmitted)), commit(), to(s.next))
	}
}

// statePort lets pass what the port's rules have admitted in its present epoch, and counts what
// they refuse.
func (w *writer) statePort(s stage, p *port) {
	if p.Trusted {
		return
	}
	w.addAbout(about{verdict: VerdictEstablished, port: p}, s.state, 200,
		on(openflow.State(tracked, isNew|invalid), ctMark(p.Epoch), portKey(p.Zone)), to(s.next))
	w.addAbout(about{verdict: VerdictDenied, port: p}, s.verdict, 50, on(portKey(p.Zone)),
		w.denial(p)...)
	w.meterOpenings(s, p)
	w.fragmentsPort(s, p)
}

// forbidden drops what conntrack put together from fragments and the guards could not see: DHCP
// answers, and neighbour discovery, which is never fragmented (RFC 6980).
func (w *writer) forbidden(s stage) {
	w.add(s.state, 300, on(proto(ovs.ProtocolUDPv4), udpSrc(67), udpDst(68)))
	w.add(s.state, 300, on(proto(ovs.ProtocolUDPv6), udpSrc(547), udpDst(546)))
	for kind := policy.RouterSolicitation; kind <= policy.Redirect; kind++ {
		w.add(s.state, 300, on(proto(ovs.ProtocolICMPv6), icmp6Type(kind)))
	}
}

// unreadable drops datagrams that claim to be longer than their frame. Of these ovs-vswitchd reads
// neither addresses nor protocol (it shows 0), but the kernel does, and it is told to do with all
// that look alike to the kernel what was decided of nothing: with the frames of others, and past
// the guards. Where the peer's address is matched as a whole, that is what its sender alone sends.
func (w *writer) unreadable(s stage) {
	for _, a := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		w.add(s.state, 300, on(proto(ipProto(single(a))), nwProto(0), s.peer(single(a))))
	}
}

// reply is one kind of packet that answers, and the fields that stand for its connection's first
// packet: where each is in the connection, and where the rules look for it.
type reply struct {
	proto    ovs.Protocol
	priority uint16
	fields   [][2]openflow.Bits // of the connection, and where the rules look for them
}

func replies() []reply {
	all := openflow.All
	v4 := [][2]openflow.Bits{
		{all(openflow.CTIPv4Src), all(openflow.IPv4Src)},
		{all(openflow.CTIPv4Dst), all(openflow.IPv4Dst)}}
	v6 := [][2]openflow.Bits{
		{all(openflow.CTIPv6Src), all(openflow.IPv6Src)},
		{all(openflow.CTIPv6Dst), all(openflow.IPv6Dst)}}
	// ICMP's type and code are kept where others keep ports, and are shorter.
	with := func(addresses [][2]openflow.Bits, src, dst openflow.Field) [][2]openflow.Bits {
		last := all(src).Count - 1
		return append(addresses[:2:2],
			[2]openflow.Bits{openflow.Some(openflow.CTPortSrc, 0, last), all(src)},
			[2]openflow.Bits{openflow.Some(openflow.CTPortDst, 0, last), all(dst)})
	}
	return []reply{
		{ovs.ProtocolTCPv4, 100, with(v4, openflow.TCPSrc, openflow.TCPDst)},
		{ovs.ProtocolUDPv4, 100, with(v4, openflow.UDPSrc, openflow.UDPDst)},
		{protoSCTP, 100, with(v4, openflow.SCTPSrc, openflow.SCTPDst)},
		{ovs.ProtocolICMPv4, 100, with(v4, openflow.ICMPType, openflow.ICMPCode)},
		{ovs.ProtocolIPv4, 90, v4},
		{ovs.ProtocolTCPv6, 100, with(v6, openflow.TCPSrc, openflow.TCPDst)},
		{ovs.ProtocolUDPv6, 100, with(v6, openflow.UDPSrc, openflow.UDPDst)},
		{protoSCTP6, 100, with(v6, openflow.SCTPSrc, openflow.SCTPDst)},
		{ovs.ProtocolICMPv6, 100, with(v6, openflow.ICMPv6Type, openflow.ICMPv6Code)},
		{ovs.ProtocolIPv6, 90, v6},
	}
}

// judge shows the rules of the opposite direction the first packet of the connection, puts the
// headers back and asks for the verdict. Nothing is sent in between, so the datapath rewrites
// nothing.
func (r reply) judge(s stage) []openflow.Action {
	var save, show, restore []openflow.Action
	for _, f := range r.fields {
		save = append(save, push(f[1].Field))
		show = append(show, move(f[0], f[1]))
		restore = append([]openflow.Action{pop(f[1].Field)}, restore...)
	}
	return all(save, show, []openflow.Action{to(s.opposite)}, restore,
		[]openflow.Action{to(s.verdict)})
}

// The connection tracker puts datagrams together before it looks at them, and all ports share the
// room for what is not complete. So a fragment is judged before it gets there: by the rules of its
// direction, and, as it may be of an answer, with the fields of its sender and its receiver
// exchanged by those of the other. The rules see of it what they see of a fragment in any case (see
// [service]). What neither admits is dropped: it could only be a part of what is denied when it is
// whole. What may belong to something admitted is held to a rate.
//
//	table=48, priority=200,udp,nw_frag=first actions=resubmit(,52),push:NXM_OF_IP_SRC[],…,resubmit(,32),…,resubmit(,49)
//	table=49, priority=110,reg0=0x1/0x1,reg1=0x7 actions=meter:196876,resubmit(,50)
//	table=50, priority=100,ip actions=set_field:0/0x1->reg0,set_field:0->reg3,ct_clear,ct(table=51,…)
//
// The flows are about fragments alone: nothing else is looked at longer for them.
func (w *writer) fragments(s stage) {
	for _, k := range fragmentKinds() {
		w.add(s.track, k.priority, k.match,
			all([]openflow.Action{to(s.rules)}, k.answers(s.opposite),
				[]openflow.Action{to(s.fragments)})...)
	}
	for _, ip := range []ovs.Protocol{ovs.ProtocolIPv4, ovs.ProtocolIPv6} {
		w.add(s.fragments, 100, on(proto(ip), flags(FlagAdmitted)), reassemble(s)...)
	}
	w.add(s.fragments, 50, nil, to(s.verdict)) // where what is not admitted is dropped and counted
}

// outsideFragments holds what comes from outside, for whichever port, to a rate of its own, so that
// it leaves room for what instances send.
func (w *writer) outsideFragments() {
	m, ok := w.outsideMeter()
	if !ok {
		return
	}
	for _, ip := range []ovs.Protocol{ovs.ProtocolIPv4, ovs.ProtocolIPv6} {
		w.add(tableOutsideFragments, 100, on(proto(ip)), reassemble(ingress)...)
		w.add(tableOutsideFragments, 110, on(proto(ip), flags(FlagFromOutside)),
			append([]openflow.Action{meter(m.ID)}, reassemble(ingress)...)...)
	}
}

// fragmentsPort holds the fragments that a port sends, and those that are sent to it, to its limit.
// A port that has a limit of its own, which may be none, does not share that of what comes from
// outside.
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
			w.add(s.fragments, 110, append(on(proto(ip)), flagged...),
				w.metered(p, kind, reassemble(s)...)...)
		}
	}
}

// reassemble forgets what was said of the fragment and gives it to the connection tracker, which
// shows the datagram when it is whole.
func reassemble(s stage) []openflow.Action {
	return all([]openflow.Action{setFlags(FlagUndecided), setRule(0)}, track(s.state))
}

// fragmentKind is one kind of fragment, and how it looks as the first packet of the connection that
// it may answer.
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
		return fragmentKind{priority: 200, match: on(proto(p), frag(openflow.FirstFragment)),
			pairs: pairs}
	}
	// behind the first, or of a protocol without ports
	any := func(p ovs.Protocol, both pair) fragmentKind {
		return fragmentKind{priority: 150, match: on(proto(p), frag(openflow.AnyFragment)),
			pairs: []pair{both}}
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
			out = append(out, fragmentKind{210,
				on(proto(message.proto), frag(openflow.FirstFragment),
					openflow.Number(message.field, uint64(a.Answer))), []pair{message.pair}, message.field,
				a.Request})
		}
	}
	return out
}

// answers asks a table about the connection that the fragment may answer, and puts the headers
// back; nothing if it answers none.
func (k fragmentKind) answers(table TableID) []openflow.Action {
	if len(k.pairs) == 0 {
		return nil
	}
	var exchange, before, after []openflow.Action
	for _, p := range k.pairs {
		exchange = append(exchange, push(p[0]), push(p[1]), pop(p[0]), pop(p[1]))
	}
	if k.icmp != 0 {
		before = []openflow.Action{push(k.icmp), setRule(uint32(k.asks)),
			move(openflow.Some(RegRule, 0, 7), openflow.All(k.icmp))}
		after = []openflow.Action{pop(k.icmp)}
	}
	return all(exchange, before, []openflow.Action{to(table)}, after, exchange)
}
