package flowtest_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
)

// teller asks the zone in reg1 (1, or 2 for packets of port 2) about every packet and says what it
// heard by the port it outputs to.
const teller = `0 5 ip,in_port=2 => set_field:0x2->reg1,resubmit(,1)
	0 4 ip => set_field:0x1->reg1,resubmit(,1)
	0 5 ipv6 => set_field:0x1->reg1,resubmit(,1)
	1 5 ip => ct(table=2,zone=NXM_NX_REG1[0..15])
	1 5 ipv6 => ct(table=2,zone=NXM_NX_REG1[0..15])
	2 9 ct_state=+inv+trk => output:90
	2 9 ct_state=+new-est-rel-rpl-inv+trk => output:10
	2 9 ct_state=-new+est-rel-rpl-inv+trk => output:20
	2 9 ct_state=-new+est-rel+rpl-inv+trk => output:21
	2 9 ct_state=-new-est+rel-rpl-inv+trk => output:30
	2 9 ct_state=-new-est+rel+rpl-inv+trk => output:31`

// The ports of teller.
const (
	saysNew          = 10
	saysEst          = 20
	saysReply        = 21
	saysRelated      = 30
	saysRelatedReply = 31
	saysInvalid      = 90
)

// committer is teller with a commit of every packet that is not invalid; the mark is the value in
// reg2.
const committer = teller + `
	2 10 ct_state=-inv+trk,ip => ct(commit,zone=NXM_NX_REG1[0..15],exec(move:NXM_NX_REG2[]->NXM_NX_CT_MARK[],move:NXM_NX_REG1[]->NXM_NX_CT_LABEL[0..31]))
	2 10 ct_state=-inv+trk,ipv6 => ct(commit,zone=NXM_NX_REG1[0..15])`

// say forwards a packet that teller lets out of exactly one port.
func say(t testing.TB, sw *flowtest.Switch, p flowtest.Packet) uint32 {
	t.Helper()
	r := forward(t, sw, p)
	require.Len(t, r.Outputs, 1, "%s", strings.Join(r.Trace, "\n"))
	return r.Outputs[0]
}

// commit lets the zone remember a packet and goes back to teller.
func commit(t testing.TB, sw *flowtest.Switch, p flowtest.Packet) []flowtest.Connection {
	t.Helper()
	require.NoError(t, sw.Replace(program(t, committer)))
	r := forward(t, sw, p)
	require.NoError(t, sw.Replace(program(t, teller)))
	return r.Commits
}

func icmp(in uint32, src, dst netip.Addr, typ, code uint8, id uint16) flowtest.Packet {
	p := ip(in, 1, src, dst, 0, 0)
	if src.Is6() {
		p.Proto = 58
	}
	p.ICMPType, p.ICMPCode, p.ICMPID = typ, code, id
	return p
}

func TestStates(t *testing.T) {
	sw := newSwitch(t, teller)
	out, back := udp(1, hostA, hostB, 1000, 53), udp(1, hostB, hostA, 53, 1000)
	require.EqualValues(t, saysNew, say(t, sw, out))
	require.EqualValues(t, saysNew, say(t, sw, out), "looking commits nothing")
	require.EqualValues(t, saysNew, say(t, sw, back))
	require.Empty(t, sw.Connections())

	commit(t, sw, out)
	require.EqualValues(t, saysNew, say(t, sw, out), "C8: one-way stays new")
	require.EqualValues(t, saysNew, say(t, sw, out))
	require.EqualValues(t, saysReply, say(t, sw, back))
	require.EqualValues(t, saysEst, say(t, sw, out))
	require.EqualValues(t, saysNew, say(t, sw, udp(1, hostA, hostB, 1001, 53)),
		"another port is another connection")
	require.EqualValues(t, saysNew, say(t, sw, tcp(1, hostA, hostB, 1000, 53)), "another protocol too")

	sw.FlushZone(2)
	require.EqualValues(t, saysEst, say(t, sw, out))
	sw.FlushZone(1)
	require.EqualValues(t, saysNew, say(t, sw, out))
	require.Empty(t, sw.Connections())
}

func TestZonesAreApart(t *testing.T) {
	sw := newSwitch(t, teller)
	commit(t, sw, udp(1, hostA, hostB, 1000, 53))
	require.EqualValues(t, saysNew, say(t, sw, udp(2, hostB, hostA, 53, 1000)),
		"C2: zone 2 knows nothing of it")
	require.EqualValues(t, saysReply, say(t, sw, udp(1, hostB, hostA, 53, 1000)),
		"C1: zone 1 takes it for an answer")
	commit(t, sw, udp(2, hostA, hostB, 7, 7))
	require.Len(t, sw.Connections(), 2)
	sw.FlushAll()
	require.Empty(t, sw.Connections())
}

func TestMarkFollowsTheConnection(t *testing.T) {
	const marker = `0 5 ip => ct(table=1)
		1 9 ct_mark=0x3/0x3,ip => output:3
		1 8 ct_state=+new+trk,ip,in_port=1 => ct(commit,exec(set_field:0x1/0x1->ct_mark,set_field:0x70->ct_label)),ct(table=2)
		1 8 ct_state=+rpl+trk,ip,in_port=2 => ct(commit,exec(set_field:0x2/0x2->ct_mark)),resubmit(,2)
		2 9 ct_state=+trk,ct_mark=0x1,ct_label=0x70/0xf0 => output:4
		2 8 ct_state=-trk,ct_mark=0 => output:5`
	sw := newSwitch(t, marker)
	out := udp(1, hostA, hostB, 1, 2)
	r := forward(t, sw, out)
	require.Equal(t, []uint32{4}, r.Outputs, "the mark of a committed one-way packet is the entry's")
	require.Equal(t, []flowtest.Connection{{Src: hostA, Dst: hostB, Proto: 17, SrcPort: 1, DstPort: 2,
		Mark: 1, Rule: 0x70}}, r.Commits)
	r = forward(t, sw, udp(2, hostB, hostA, 2, 1))
	require.Equal(t, []uint32{5}, r.Outputs, "after ct(commit) the packet is untracked")
	require.Equal(t, []flowtest.Connection{{Src: hostA, Dst: hostB, Proto: 17, SrcPort: 1, DstPort: 2,
		Mark: 3, Rule: 0x70, Replied: true}}, sw.Connections(),
		"C5: a commit from the reply side writes its bits and leaves tuple and label")
	require.Equal(t, []uint32{3}, forward(t, sw, out).Outputs)
}

// C4: the answers of a connection whose rule went run on until something looks at the mark.
func TestRevocationWithoutMark(t *testing.T) {
	const stateful = `0 5 ip => ct(table=1)
		1 9 ct_state=+est+trk,ip => output:9
		1 8 ct_state=+new+trk,udp,tp_dst=53 => ct(commit),output:9`
	sw := newSwitch(t, stateful)
	require.Equal(t, []uint32{9}, forward(t, sw, udp(1, hostA, hostB, 1000, 53)).Outputs)
	require.NoError(t, sw.Replace(program(t, strings.Replace(stateful, "tp_dst=53", "tp_dst=54", 1))))
	require.Empty(t, forward(t, sw, udp(1, hostA, hostB, 1000, 53)).Outputs)
	require.Equal(t, []uint32{9}, forward(t, sw, udp(2, hostB, hostA, 53, 1000)).Outputs)
	require.Equal(t, []uint32{9}, forward(t, sw, udp(1, hostA, hostB, 1000, 53)).Outputs,
		"and it is established again")
}

// C1 to C3: where the egress stage of a sender commits in a zone that the receiver's stages use
// too, a denied receiver can answer.
func TestSharedZone(t *testing.T) {
	const early = `0 9 ip,in_port=1 => ct(commit),output:2
		0 8 ip,in_port=2 => ct(table=1)
		1 9 ct_state=+est+trk,ip => output:1`
	answer := udp(2, hostB, hostA, 53, 1000)
	for name, c := range map[string]struct {
		flows string
		want  []uint32
	}{
		"C1 one zone":      {early, []uint32{1}},
		"C2 two zones":     {strings.Replace(early, "ct(table=1)", "ct(table=1,zone=2)", 1), nil},
		"C3 a late commit": {strings.Replace(early, "ct(commit),", "", 1), nil},
	} {
		sw := newSwitch(t, c.flows)
		forward(t, sw, udp(1, hostA, hostB, 1000, 53))
		require.Equal(t, c.want, forward(t, sw, answer).Outputs, name)
	}
}

func TestICMP(t *testing.T) {
	six := [2]netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")}
	for _, c := range []struct {
		a, b           netip.Addr
		request, reply uint8
	}{{hostA, hostB, 8, 0}, {hostA, hostB, 13, 14}, {six[0], six[1], 128, 129}} {
		sw := newSwitch(t, teller)
		require.EqualValues(t, saysInvalid, say(t, sw, icmp(1, c.b, c.a, c.reply, 0, 5)),
			"a reply begins nothing")
		made := commit(t, sw, icmp(1, c.a, c.b, c.request, 0, 5))
		require.Equal(t, uint16(c.request), made[0].SrcPort, "ct_tp_src is the type")
		require.EqualValues(t, saysInvalid, say(t, sw, icmp(1, c.b, c.a, c.reply, 0, 6)),
			"another identifier")
		require.EqualValues(t, saysReply, say(t, sw, icmp(1, c.b, c.a, c.reply, 0, 5)))
		require.EqualValues(t, saysEst, say(t, sw, icmp(1, c.a, c.b, c.request, 0, 5)))
		require.EqualValues(t, saysNew, say(t, sw, icmp(1, c.b, c.a, c.request, 0, 5)),
			"a request the other way is its own connection")
	}
	sw := newSwitch(t, teller)
	for _, typ := range []uint8{133, 134, 135, 136, 137, 130, 143} {
		require.EqualValues(t, saysInvalid, say(t, sw, icmp(1, six[0], six[1], typ, 0, 0)),
			"ND and MLD are not tracked")
	}
	require.EqualValues(t, saysInvalid, say(t, sw, icmp(1, hostA, hostB, 9, 0, 0)))
}

func TestRelated(t *testing.T) {
	router := netip.MustParseAddr("10.0.0.9")
	out := udp(1, hostA, hostB, 1000, 53)
	about := func(inner flowtest.Packet, from, to netip.Addr) flowtest.Packet {
		p := icmp(1, from, to, 3, 3, 0)
		p.Inner = &inner
		return p
	}
	sw := newSwitch(t, teller)
	require.EqualValues(t, saysInvalid, say(t, sw, about(out, hostB, hostA)),
		"no connection, no relation")
	commit(t, sw, out)
	require.EqualValues(t, saysRelatedReply, say(t, sw, about(out, hostB, hostA)),
		"it travels against the packet that it quotes")
	require.EqualValues(t, saysRelatedReply, say(t, sw, about(out, router, hostA)),
		"from a router on the way")
	require.EqualValues(t, saysRelated,
		say(t, sw, about(udp(1, hostB, hostA, 53, 1000), hostA, hostB)))
	require.EqualValues(t, saysInvalid, say(t, sw, about(out, router, hostB)),
		"not to the sender of the quoted packet")
	require.EqualValues(t, saysInvalid,
		say(t, sw, about(udp(1, hostA, hostB, 1000, 54), hostB, hostA)))
	bad := about(out, hostB, hostA)
	bad.Malformed = true
	require.EqualValues(t, saysInvalid, say(t, sw, bad))
	alien := out
	alien.EtherType = 0x86dd
	require.EqualValues(t, saysInvalid, say(t, sw, about(alien, hostB, hostA)))
	quoteless := icmp(1, hostB, hostA, 3, 3, 0)
	require.EqualValues(t, saysInvalid, say(t, sw, quoteless))
	require.EqualValues(t, saysNew, say(t, sw, out), "an error is no reply")

	const mover = `0 5 ip => ct(table=1)
		1 5 ct_state=-inv+trk,ip => move:NXM_NX_CT_TP_DST[]->NXM_NX_REG1[0..15],resubmit(,2)
		2 5 reg1=0x35 => output:2
		2 4 reg1=0 => output:3`
	require.NoError(t, sw.Replace(program(t, mover)))
	sw.FlushAll()
	require.Equal(t, []uint32{2}, forward(t, sw, out).Outputs)
	require.NoError(t, sw.Replace(program(t, "0 5 ip => ct(commit)")))
	forward(t, sw, out)
	require.NoError(t, sw.Replace(program(t, mover)))
	require.Equal(t, []uint32{2}, forward(t, sw, about(out, hostB, hostA)).Outputs)
	require.Equal(t, []uint32{3},
		forward(t, sw, about(udp(1, hostB, hostA, 53, 1000), hostA, hostB)).Outputs,
		"a move takes the state of an error along the connection for no valid one")

	const parent = `0 5 ip => ct(table=1)
		1 9 ct_state=+rel+trk,ct_mark=0x5,ct_nw_src=10.0.0.1,ct_nw_proto=17,ct_tp_dst=53,icmp => output:3
		1 8 ct_state=+new+trk,ip => ct(commit,exec(set_field:0x5->ct_mark))`
	sw = newSwitch(t, parent)
	forward(t, sw, out)
	require.Equal(t, []uint32{3}, forward(t, sw, about(out, router, hostA)).Outputs,
		"mark and tuple are the connection's")
}

func TestWhatBeginsNoConnection(t *testing.T) {
	sw := newSwitch(t, teller)
	for flags, want := range map[uint8]uint32{0: saysNew, flowtest.SYN: saysNew, flowtest.ACK: saysNew,
		flowtest.SYN | flowtest.ACK: saysInvalid,
		flowtest.RST:                saysInvalid, flowtest.SYN | flowtest.FIN: saysInvalid} {
		p := tcp(1, hostA, hostB, 1, 2)
		p.TCPFlags = flags
		require.Equal(t, want, say(t, sw, p), flags)
	}
	bad := udp(1, hostA, hostB, 1, 2)
	bad.Malformed = true
	require.EqualValues(t, saysInvalid, say(t, sw, bad))
	require.Empty(t, forward(t, newSwitch(t, "0 5 ip => ct(commit)"), bad).Commits,
		"an invalid packet is not committed")
	for _, strange := range []flowtest.Packet{ip(1, 58, hostA, hostB, 0, 0),
		ip(1, 1, netip.IPv6Unspecified(), netip.IPv6Unspecified(), 0, 0)} {
		require.EqualValues(t, saysInvalid, say(t, sw, strange), "the ICMP of the other family")
	}
	for _, proto := range []uint8{47, 50, 132} {
		require.EqualValues(t, saysNew, say(t, sw, ip(1, proto, hostA, hostB, 0, 0)))
		commit(t, sw, ip(1, proto, hostA, hostB, 0, 0))
		require.EqualValues(t, saysReply, say(t, sw, ip(1, proto, hostB, hostA, 0, 0)))
	}
}

func TestCommitWritesOnlyItsBits(t *testing.T) {
	const again = `0 6 udp,nw_ttl=64 => ct(commit,exec(set_field:0xff->ct_mark,set_field:0xff00000000000000ff->ct_label))
		0 5 udp => ct(commit,table=1,exec(set_field:0x10/0xf0->ct_mark,move:NXM_NX_REG1[]->NXM_NX_CT_LABEL[64..95]))
		1 5 ct_mark=0x1f,ct_label=0xff => output:2`
	sw := newSwitch(t, again)
	p := udp(1, hostA, hostB, 1, 2)
	require.Empty(t, forward(t, sw, p).Outputs)
	p.TTL = 63
	require.Equal(t, []uint32{2}, forward(t, sw, p).Outputs,
		"the copy behind a commit knows what was committed")
	require.EqualValues(t, 0x1f, sw.Connections()[0].Mark)
	sw = newSwitch(t, "0 5 ip => ct(commit,table=1,exec(set_field:0x3->ct_mark))\n1 5 ct_state=+new+trk,ct_mark=0x3 => output:2")
	require.Equal(t, []uint32{2}, forward(t, sw, p).Outputs, "also of a connection that it began")
}

func TestForkAndOriginal(t *testing.T) {
	sw := newSwitch(t, `0 5 ip => set_field:0x7->reg3,ct(table=1,zone=9),set_field:0x8->reg3,resubmit(,1)
		1 5 ct_state=+new+trk,ct_zone=9,ip,reg3=0x7 => set_field:0x9->reg3,output:2,ct_clear,resubmit(,2)
		1 5 ct_state=-trk,ct_zone=0,reg3=0x8 => output:3
		2 5 ct_state=-trk,ct_zone=0,reg3=0x9 => output:4`)
	require.Equal(t, []uint32{2, 4, 3}, forward(t, sw, udp(1, hostA, hostB, 1, 2)).Outputs,
		"the copy knows its state and the registers of the fork; the original is untracked")
}

func TestFragments(t *testing.T) {
	const ports = `0 9 udp,nw_frag=later => output:3
		0 8 udp,tp_dst=53 => output:2
		0 7 udp,tp_dst=0 => output:4
		0 9 ipv6,nw_frag=later,nw_proto=44 => output:5
		0 8 udp6,nw_frag=first,tp_dst=53 => output:6
		0 7 ip,nw_frag=no => output:7`
	for _, c := range []struct {
		kind flowtest.Fragment
		six  bool
		want uint32
	}{{flowtest.Whole, false, 2}, {flowtest.FirstFragment, false, 2},
		{flowtest.LaterFragment, false, 3},
		{flowtest.FirstFragment, true, 6}, {flowtest.LaterFragment, true, 5}} {
		p := udp(1, hostA, hostB, 1, 53)
		if c.six {
			p = udp(1, netip.MustParseAddr("::1"), netip.MustParseAddr("::2"), 1, 53)
		}
		p.Fragment = c.kind
		// ipv6 matches stand in the order of Open vSwitch: nw_proto before nw_frag.
		fs := strings.Replace(ports, "nw_frag=later,nw_proto=44", "nw_proto=44,nw_frag=later", 1)
		require.Equal(t, []uint32{c.want}, forward(t, newSwitch(t, fs), p).Outputs, "%+v", c)
	}
	// The tracker judges a fragment as part of its datagram.
	sw := newSwitch(t, teller)
	commit(t, sw, udp(1, hostA, hostB, 1000, 53))
	p := udp(1, hostB, hostA, 53, 1000)
	p.Fragment = flowtest.LaterFragment
	require.EqualValues(t, saysReply, say(t, sw, p))
}

// Where ports of SCTP are read, only the ends of a connection are of it; where they are not, all
// SCTP between its hosts is.
func TestPortsOfSCTP(t *testing.T) {
	sctp := func(src, dst netip.Addr, from, to uint16) flowtest.Packet {
		p := udp(1, src, dst, from, to)
		p.Proto = uint8(policy.SCTP)
		return p
	}
	for tracker, want := range map[flowtest.Tracker]struct {
		other      uint32
		port, many int
	}{flowtest.ReadsSCTPPorts: {saysNew, 5000, 2}, flowtest.IgnoresSCTPPorts: {saysReply, 0, 1}} {
		sw := newSwitch(t, teller)
		sw.SetTracker(tracker)
		made := commit(t, sw, sctp(hostA, hostB, 1000, 5000))
		require.Len(t, made, 1)
		require.EqualValues(t, want.port, made[0].DstPort)
		require.EqualValues(t, want.other, say(t, sw, sctp(hostB, hostA, 5001, 1000)), "%d", tracker)
		require.EqualValues(t, saysReply, say(t, sw, sctp(hostB, hostA, 5000, 1000)), "%d", tracker)
		commit(t, sw, sctp(hostA, hostB, 1001, 5000))
		require.Len(t, sw.Connections(), want.many)
	}
}

func TestContradictoryPackets(t *testing.T) {
	for want, p := range map[string]flowtest.Packet{
		"in port 0":               {},
		"bit 0x1000":              {InPort: 1, VLAN: 5},
		"ARP with fields of IP":   {InPort: 1, EtherType: 0x0806, Proto: 6},
		"IP with fields of ARP":   {InPort: 1, EtherType: 0x0800, ARP: flowtest.ARP{Op: 1}},
		"0x88cc with fields of":   {InPort: 1, EtherType: 0x88cc, Proto: 6},
		"of the wrong family":     {InPort: 1, EtherType: 0x86dd, IPSrc: hostA},
		"10.0.0.2 is of the wron": {InPort: 1, EtherType: 0x86dd, IPDst: hostB},
	} {
		_, err := newSwitch(t, "0 5 * => output:2").Forward(p)
		require.ErrorContains(t, err, want)
	}
}

func TestTrackingARewrittenPacketIsRefused(t *testing.T) {
	sw := newSwitch(t, "0 5 ip => push:NXM_NX_REG1[],pop:NXM_OF_IP_SRC[],ct(commit)")
	_, err := sw.Forward(udp(1, hostA, hostB, 1, 2))
	require.ErrorContains(t, err, "rewritten")
}
