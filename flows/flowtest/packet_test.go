package flowtest_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// Each packet matches its line, and none of the lines that differ from it in one field.
func TestWhatMatchesSee(t *testing.T) {
	arp := flowtest.Packet{InPort: 1, Src: policy.MAC{2, 1}, Dst: policy.MAC{2, 2}, EtherType: 0x0806,
		ARP: flowtest.ARP{Op: 1, SHA: policy.MAC{2, 3}, THA: policy.MAC{2, 4}, SPA: hostA, TPA: hostB}}
	strange := arp
	strange.ARP.Op = 257
	target := netip.MustParseAddr("2001:db8::1")
	solicit := flowtest.Packet{InPort: 1, EtherType: 0x86dd, IPSrc: target,
		IPDst: netip.MustParseAddr("ff02::1"), Proto: 58, TTL: 255, ICMPType: 135,
		ND: flowtest.ND{Target: target, SLL: policy.MAC{2, 3}}}
	advert, coded, later := solicit, solicit, solicit
	advert.ICMPType, advert.ND = 136, flowtest.ND{Target: target, TLL: policy.MAC{2, 4}}
	coded.ICMPCode = 1
	later.Fragment = flowtest.LaterFragment
	web, webLater := tcp(1, hostA, hostB, 1000, 80), tcp(1, hostA, hostB, 1000, 80)
	web.VLAN = 0x1005
	webLater.Fragment = flowtest.LaterFragment
	for _, c := range []struct {
		p     flowtest.Packet
		match string
		not   []string
	}{
		{arp, "arp,dl_src=02:01:00:00:00:00,dl_dst=02:02:00:00:00:00,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_op=1,arp_sha=02:03:00:00:00:00,arp_tha=02:04:00:00:00:00",
			[]string{"arp,arp_spa=10.0.0.2", "arp,arp_tpa=10.0.0.1", "arp,arp_op=2",
				"arp,arp_sha=02:04:00:00:00:00", "arp,arp_tha=02:03:00:00:00:00", "ip", "rarp",
				"dl_src=02:02:00:00:00:00", "dl_dst=02:01:00:00:00:00",
				"dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "in_port=2"}},
		{strange, "arp,arp_op=0", []string{"arp,arp_op=1"}},
		{solicit, "icmp6,ipv6_src=2001:db8::/64,ipv6_dst=ff02::1,nw_ttl=255,icmp_type=135,icmp_code=0,nd_target=2001:db8::1,nd_sll=02:03:00:00:00:00",
			[]string{"icmp6,nw_ttl=254", "ipv6,ipv6_src=2001:db9::/64", "ipv6,ipv6_src=ff02::1",
				"ipv6,ipv6_dst=ff02::2", "icmp6,icmp_type=136",
				"icmp6,icmp_type=135,icmp_code=0,nd_target=2001:db8::2",
				"icmp6,icmp_type=135,icmp_code=0,nd_sll=02:04:00:00:00:00", "icmp", "ip"}},
		{advert, "icmp6,icmp_type=136,icmp_code=0,nd_target=2001:db8::1,nd_tll=02:04:00:00:00:00",
			[]string{"icmp6,icmp_type=136,icmp_code=0,nd_tll=00:00:00:00:00:00"}},
		{coded, "icmp6,icmp_type=135,icmp_code=1", []string{"icmp6,icmp_code=0"}},
		{later, "ipv6,nw_proto=44,nw_frag=later", []string{"icmp6"}},
		{web, "tcp,vlan_tci=0x1000/0x1000,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,nw_frag=no,tp_src=1000,tp_dst=80",
			[]string{"vlan_tci=0x0000/0x1fff", "tcp,tp_src=80", "tcp,tp_dst=1000", "ip,nw_src=10.0.0.2",
				"udp", "tcp6", "tcp,nw_frag=yes"}},
		{webLater, "tcp,nw_frag=later",
			[]string{"tcp,tp_dst=80", "tcp,nw_frag=no", "tcp,nw_frag=not_later", "tcp,nw_frag=first"}},
		{flowtest.Packet{InPort: 1, EtherType: 0x88cc}, "in_port=1,vlan_tci=0x0000/0x1fff,dl_type=0x88cc",
			[]string{"dl_type=0x88cd", "ip", "arp"}},
		{ip(1, 47, hostA, hostB, 7, 7), "ip,nw_proto=47", []string{"ip,nw_proto=50", "tcp"}},
	} {
		require.Equal(t, []uint32{9},
			forward(t, newSwitch(t, "0 5 "+c.match+" => output:9"), c.p).Outputs, c.match)
		for _, not := range c.not {
			require.Empty(t, forward(t, newSwitch(t, "0 5 "+not+" => output:9"), c.p).Outputs, not)
		}
	}
}

// Moves and masks work across the middle of wide fields.
func TestWideFields(t *testing.T) {
	p := ip(1, 6, netip.MustParseAddr("1111:2222:3333:4444:5555:6666:7777:8888"),
		netip.MustParseAddr("::1"), 1, 2)
	across := newSwitch(t,
		"0 5 ipv6 => set_field:0xffffffff->reg1,push:NXM_NX_REG1[],pop:NXM_NX_IPV6_DST[48..79],resubmit(,1)\n"+
			"1 5 ipv6,ipv6_dst=::ffff:ffff:0:0:1 => output:2")
	require.Equal(t, []uint32{2}, forward(t, across, p).Outputs)
	for _, c := range [][2]string{{"[0..31]", "0x77778888"}, {"[32..63]", "0x55556666"},
		{"[48..79]", "0x44445555"}, {"[64..95]", "0x33334444"},
		{"[96..127]", "0x11112222"}, {"[60..91]", "0x33344445"}} {
		sw := newSwitch(t, "0 5 ipv6 => move:NXM_NX_IPV6_SRC"+c[0]+
			"->NXM_NX_REG1[],resubmit(,1)\n1 5 reg1="+c[1]+" => output:2")
		require.Equal(t, []uint32{2}, forward(t, sw, p).Outputs, c)
		sw = newSwitch(t, "0 5 ipv6 => move:NXM_NX_IPV6_SRC"+c[0]+
			"->NXM_NX_REG1[],push:NXM_NX_REG2[],pop:NXM_NX_IPV6_SRC"+c[0]+
			",resubmit(,1)\n1 5 ipv6,ipv6_src=1111:2222:3333:4444:5555:6666:7777:8888 => output:2\n1 4 * => move:NXM_NX_REG1[]->NXM_NX_REG3[],resubmit(,2)\n"+
			"2 5 ipv6 => push:NXM_NX_REG3[],pop:NXM_NX_IPV6_SRC"+c[0]+
			",resubmit(,3)\n3 5 ipv6,ipv6_src=1111:2222:3333:4444:5555:6666:7777:8888 => output:3")
		require.Equal(t, []uint32{3}, forward(t, sw, p).Outputs, c)
	}
}

func TestFromPolicy(t *testing.T) {
	in := seed()
	p := toWeb(80)
	p.Fragment, p.ICMPType, p.ICMPCode = spec.FirstFragment, 3, 4
	p.ND = spec.ND{Target: hostA}
	got := flowtest.FromPolicy(p, in)
	require.Equal(t, flowtest.Packet{InPort: 1, Src: p.SrcMAC, Dst: p.DstMAC, EtherType: 0x0800,
		IPSrc: hostA, IPDst: hostB, Proto: 6, TTL: 64,
		Fragment: flowtest.FirstFragment, SrcPort: 1000, DstPort: 80, ICMPType: 3, ICMPCode: 4,
		ND:    flowtest.ND{Target: hostA},
		Known: map[uint16]flowtest.Known{1: {}, 2: {}}}, got)
	p.Fragment = spec.LaterFragment
	require.Equal(t, flowtest.LaterFragment, flowtest.FromPolicy(p, in).Fragment)
	p.From = "unknown"
	require.Zero(t, flowtest.FromPolicy(p, in).InPort, "from nowhere")
	p.From, p.FromUplink = "", true
	require.EqualValues(t, 9, flowtest.FromPolicy(p, in).InPort)
}

// What zones are made to say is what matches see.
func TestKnownSides(t *testing.T) {
	sw := newSwitch(t, teller)
	original := spec.Tuple{Src: hostA, Dst: hostB, Protocol: 17, SrcPort: 1, DstPort: 2}
	for want, k := range map[uint32]flowtest.Known{
		saysEst: {Side: spec.OriginalSide}, saysReply: {Side: spec.ReplySide},
		saysRelated:      {Side: spec.RelatedOriginal},
		saysRelatedReply: {Side: spec.RelatedReply}, saysInvalid: {Side: spec.Invalid},
		saysNew: {Side: spec.OriginalSide, OneWay: true}} {
		k.Original = original
		p := udp(1, hostA, hostB, 1, 2)
		p.Known = map[uint16]flowtest.Known{1: k}
		require.Equal(t, want, say(t, sw, p))
	}
	p := udp(1, hostA, hostB, 1, 2)
	p.Known = map[uint16]flowtest.Known{1: {}}
	require.EqualValues(t, saysNew, say(t, sw, p))
	sw = newSwitch(t, "0 5 ip => ct(table=1,zone=1)\n1 5 ct_state=+rel+trk,ct_mark=0x7,ct_label=0x8,ct_nw_dst=10.0.0.2,ct_nw_proto=17,ct_tp_dst=2,ip => output:2")
	p.Known = map[uint16]flowtest.Known{1: {Side: spec.RelatedReply, Original: original, Mark: 7,
		Rule: 8}}
	require.Equal(t, []uint32{2}, forward(t, sw, p).Outputs)
}
