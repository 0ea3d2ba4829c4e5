package flowtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
)

// Every way of writing a match that is taken, exactly as Open vSwitch prints it.
var understoodMatches = []string{
	"", "in_port=1,vlan_tci=0x0000/0x1fff", "vlan_tci=0x0000/0x1000", "vlan_tci=0x1000/0x1000", "ip",
	"ipv6", "arp", "rarp",
	"arp,reg1=0x5,dl_src=02:00:00:00:00:01,arp_spa=10.0.0.1,arp_tpa=10.0.0.0/24,arp_op=1,arp_sha=02:00:00:00:00:01,arp_tha=00:00:00:00:00:00",
	"icmp6,reg0=0x10/0x30,dl_src=02:00:00:00:00:01,ipv6_src=fe80::1,nw_ttl=255,icmp_type=135,icmp_code=0,nd_target=2001:db8::/64,nd_sll=02:00:00:00:00:01",
	"icmp6,nw_ttl=255,icmp_type=136,icmp_code=0,nd_target=2001:db8::1,nd_tll=02:00:00:00:00:01",
	"icmp6,icmp_type=133,icmp_code=0",
	"udp,reg1=0x5,dl_dst=ff:ff:ff:ff:ff:ff,nw_src=0.0.0.0,nw_dst=255.255.255.255,nw_frag=no,tp_src=68,tp_dst=67",
	"dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "dl_src=02:00:00:00:00:01,dl_type=0x88cc",
	"dl_type=0x0000",
	"ct_state=-new-inv+trk,ct_mark=0x7,reg1=0x5", "ct_state=-new-rel-rpl-inv+trk,ip", "ct_state=-trk",
	"ct_zone=7,ct_label=0x5/0xff",
	"ct_mark=0/0x3,ct_label=0,reg0=0/0x30", "ct_label=0/0xff00000000000000ff",
	"reg0=0,reg15=0xffffffff",
	"tcp,tp_dst=0x50/0xfff0", "tcp,tp_src=0x0/0x1", "tcp,nw_frag=later", "tcp,nw_frag=yes,tp_dst=5",
	"ip,nw_frag=not_later", "udp6,nw_frag=first",
	"conj_id=7", "conj_id=7,ip,reg1=0x5", "ip,reg1=0x5,nw_proto=47", "ipv6,nw_proto=1",
	"ip,nw_proto=58",
	"tcp6,tp_src=1,tp_dst=2", "udp6,tp_dst=2", "sctp,tp_dst=2", "sctp6,tp_dst=2",
	"icmp,icmp_type=8,icmp_code=0", "icmp,nw_frag=later,icmp_type=0",
	"ip,nw_src=10.0.0.0/8,nw_dst=0.0.0.0/0.0.0.1", "ipv6,ipv6_src=::/1,ipv6_dst=::/::1",
	"ipv6,ipv6_src=::ffff:1.2.3.4,ipv6_dst=::1.2.3.4",
	"ipv6,ipv6_src=2001:db8::1:0:0:1,ipv6_dst=2001:db8:0:1:1:1:1:1", "ipv6,ipv6_dst=::1",
	"ipv6,ipv6_src=::",
	"ct_state=-inv+trk,ct_nw_src=10.0.0.0/8,ct_nw_dst=1.1.1.1,ct_nw_proto=17,ct_tp_src=0x4/0xfffc,ct_tp_dst=80,ip",
	"ct_state=+est,ct_ipv6_src=::1,ct_ipv6_dst=fe80::/10,ct_nw_proto=58,ct_tp_src=128,ipv6",
}

// Every action that is taken, with a match that allows it.
var understoodActions = [][2]string{
	{"", "drop"}, {"", "output:3"}, {"", "resubmit(,5)"},
	{"", "set_field:0x10/0x30->reg0,set_field:0x5->reg1,set_field:0/0x30->reg0,set_field:0->reg1"},
	{"", "ct_clear"}, {"ip", "ct(table=31,zone=NXM_NX_REG1[0..15])"}, {"ip", "ct(commit)"},
	{"ipv6", "ct(commit,table=4,zone=3)"}, {"ip", "ct()"},
	{"ip", "ct(commit,zone=NXM_NX_REG1[0..15],exec(move:NXM_NX_REG2[]->NXM_NX_CT_MARK[],move:NXM_NX_REG3[]->NXM_NX_CT_LABEL[0..31]))"},
	{"ip", "ct(commit,exec(set_field:0x3/0x7->ct_mark,set_field:0x18/0x1f8->ct_label))"},
	{"ip", "conjunction(7,1/3),conjunction(8,2/2)"}, {"", "conjunction(1,64/64)"},
	{"", "clone(clone(drop),output:3),resubmit(,5),clone(drop)"},
	{"", "push:NXM_NX_REG1[3],pop:NXM_NX_REG1[31],move:NXM_NX_REG1[0..7]->NXM_NX_REG2[8..15]"},
	{"ct_state=-inv+trk,tcp",
		"push:NXM_OF_IP_SRC[],push:NXM_OF_TCP_SRC[],move:NXM_NX_CT_NW_DST[]->NXM_OF_IP_DST[],move:NXM_NX_CT_TP_DST[]->NXM_OF_TCP_DST[],pop:NXM_OF_TCP_SRC[],pop:NXM_OF_IP_SRC[]"},
	{"ct_state=-inv+trk,udp6",
		"move:NXM_NX_CT_IPV6_SRC[]->NXM_NX_IPV6_SRC[],move:NXM_NX_CT_TP_SRC[]->NXM_OF_UDP_SRC[]"},
	{"ct_state=-inv+trk,sctp",
		"move:NXM_NX_CT_TP_SRC[]->OXM_OF_SCTP_SRC[],move:NXM_NX_CT_TP_DST[]->OXM_OF_SCTP_DST[]"},
	{"ct_state=-inv+trk,icmp",
		"move:NXM_NX_CT_TP_SRC[0..7]->NXM_OF_ICMP_TYPE[],move:NXM_NX_CT_TP_DST[0..7]->NXM_OF_ICMP_CODE[]"},
	{"ct_state=-inv+trk,icmp6",
		"move:NXM_NX_CT_TP_SRC[0..7]->NXM_NX_ICMPV6_TYPE[],move:NXM_NX_CT_TP_DST[0..7]->NXM_NX_ICMPV6_CODE[]"},
}

func TestUnderstands(t *testing.T) {
	for _, m := range understoodMatches {
		_, err := flowtest.New(
			[]openflow.Flow{{Match: openflow.ParseMatch(m), Actions: openflow.ParseActions("drop")}})
		require.NoError(t, err)
	}
	for _, a := range understoodActions {
		_, err := flowtest.New(
			[]openflow.Flow{{Match: openflow.ParseMatch(a[0]), Actions: openflow.ParseActions(a[1])}})
		require.NoError(t, err)
	}
}

// refusedMatches are matches with the words of the refusal.
var refusedMatches = map[string]string{
	"nw_tos=4":                     "unknown field",
	"ip,tcp_flags=+syn":            "unknown field",
	"metadata=0x5":                 "unknown field",
	"reg16=0x1":                    "unknown field",
	"tun_id=0x1":                   "unknown field",
	"ip_dst=1.2.3.4":               "unknown field",
	",ip":                          "unknown field",
	"ip,":                          "unknown field",
	"ip, tcp":                      "unknown field",
	"IP":                           "unknown field",
	"ip=1":                         "a protocol with a value",
	"reg0":                         "a field without",
	"reg0=":                        "no number",
	"reg0=5":                       "not canonical",
	"reg0=0x05":                    "not canonical",
	"reg0=0x5/0xffffffff":          "not canonical",
	"reg0=0x7/0x3":                 "outside the mask",
	"reg0=0/0":                     "mask",
	"reg0=0x100000000":             "does not fit",
	"reg0=-1":                      "no number",
	"in_port=LOCAL":                "no number",
	"in_port=1/0xff":               "not canonical",
	"in_port=0x1":                  "not canonical",
	"conj_id=0":                    "conj_id=0",
	"conj_id=0x7":                  "not canonical",
	"ct_state=+trk+new":            "not canonical",
	"ct_state=new|trk":             "ct_state",
	"ct_state=+trk+trk":            "ct_state",
	"ct_state=+snat":               "ct_state",
	"ct_state=":                    "empty",
	"ct_state=+":                   "ct_state",
	"vlan_tci=0x1005/0x1fff":       "vlan_tci",
	"vlan_tci=0x0000":              "not canonical",
	"dl_src=2:0:0:0:0:1":           "not canonical",
	"dl_src=02:00:00:00:01":        "no MAC",
	"dl_src=02:00:00:00:00:zz":     "no MAC",
	"dl_src=02:00:00:00:00:AA":     "not canonical",
	"dl_type=0x0800":               `the word "ip"`,
	"dl_type=0x0806":               `the word "arp"`,
	"dl_type=0x88cc/0xff00":        "not canonical",
	"ip,nw_proto=6":                `the word "tcp"`,
	"ipv6,nw_proto=58":             `the word "icmp6"`,
	"ip,nw_src=10.0.0.1/32":        "not canonical",
	"ipv6,ipv6_src=::/128":         "not canonical",
	"ip,nw_src=10.0.0.1/8":         "outside the mask",
	"ip,nw_src=10.0.0.0/255.0.0.0": "not canonical",
	"ip,nw_src=10.0.0.0/33":        "prefix length",
	"ip,nw_src=::1":                "right family",
	"ipv6,ipv6_src=10.0.0.1":       "right family",
	"ipv6,ipv6_src=FE80::1":        "not canonical",
	"ipv6,ipv6_src=fe80::1%eth0":   "right family",
	"tcp,tp_dst=80/0xfff0":         "not canonical",
	"tcp,tp_dst=0x50":              "not canonical",
	"tcp,tp_dst=65536":             "does not fit",
	"tcp,tp_dst=80-90":             "no number",
	"ip,nw_frag=first_or_no":       "kind of fragment",
	// The order of Open vSwitch, and nothing twice.
	"reg1=0x5,ip":                          "out of order",
	"tcp,tp_dst=80,tp_src=1":               "out of order",
	"ip,ct_state=+trk":                     "out of order",
	"reg1=0x5,conj_id=1":                   "out of order",
	"ip,ip":                                "out of order",
	"ip,tcp":                               "out of order",
	"tcp,nw_proto=6":                       "matched twice",
	"ip,dl_type=0x88cc":                    "matched twice",
	"arp,arp_spa=10.0.0.1,nw_src=10.0.0.1": "matched twice",
	// Prerequisites (ovs-fields(7)).
	"nw_src=10.0.0.1":                   "nw_src needs ip",
	"arp,nw_src=10.0.0.1":               "nw_src needs ip",
	"ip,ipv6_src=::1":                   "ipv6_src needs ipv6",
	"ip,arp_spa=10.0.0.1":               "arp_spa needs arp",
	"arp_op=1":                          "arp_op needs arp",
	"nw_proto=6":                        "nw_proto needs ip or ipv6",
	"nw_frag=later":                     "nw_frag needs",
	"arp,nw_ttl=3":                      "nw_ttl needs",
	"tp_dst=80":                         "tp_dst needs",
	"ip,tp_dst=80":                      "tp_dst needs",
	"icmp,tp_dst=80":                    "tp_dst needs",
	"ip,nw_proto=47,tp_dst=3":           "tp_dst needs",
	"udp,nw_frag=later,tp_dst=0":        "no later fragment",
	"tcp,icmp_type=8":                   "icmp_type needs",
	"ip,icmp_type=8":                    "icmp_type needs",
	"icmp6,nd_target=2001:db8::1":       "nd_target needs",
	"icmp6,icmp_type=135,nd_target=::1": "and code 0",
	"icmp6,icmp_type=134,icmp_code=0,nd_target=::1":            "nd_target needs",
	"icmp6,icmp_type=136,icmp_code=0,nd_sll=02:00:00:00:00:01": "nd_sll needs",
	"icmp6,icmp_type=135,icmp_code=0,nd_tll=02:00:00:00:00:01": "nd_tll needs",
	"ct_nw_src=1.2.3.4,ip":                                     "ct_nw_src needs",
	"ct_state=+trk,ct_nw_src=1.2.3.4,ip":                       "valid connection",
	"ct_state=-new+trk,ct_nw_src=1.2.3.4,ip":                   "valid connection",
	"ct_state=-inv+trk,ct_nw_src=1.2.3.4":                      "ct_nw_src needs ip",
	"ct_state=-inv+trk,ct_tp_src=4,ip":                         "ct_tp_src needs",
}

func TestRefusesMatches(t *testing.T) {
	for match, want := range refusedMatches {
		_, err := flowtest.New(
			[]openflow.Flow{{Match: openflow.ParseMatch(match), Actions: openflow.ParseActions("drop")}})
		require.ErrorContains(t, err, want, "%q", match)
	}
}

// refusedActions are matches and actions with the words of the refusal.
var refusedActions = [][3]string{
	{"", "", "unknown action"}, {"", "NORMAL", "unknown action"}, {"", "FLOOD", "unknown action"},
	{"", "ALL", "unknown action"},
	{"", "IN_PORT", "unknown action"}, {"", "LOCAL", "unknown action"},
	{"", "CONTROLLER:128", "without a meter"},
	{"", "meter:1,CONTROLLER:128,output:1", "with more behind"},
	{"", "meter:1,CONTROLLER:65536", "CONTROLLER"}, {"", "controller", "unknown action"},
	{"", "learn(table=1)", "unknown action"}, {"", "goto_table:5", "unknown action"},
	{"", "note:01", "unknown action"}, {"", "group:1", "unknown action"},
	{"", "mod_dl_src:02:00:00:00:00:01", "unknown action"},
	{"", "load:0x5->NXM_NX_REG0[]", "unknown action"}, {"", "output:2,meter:1", "not the first"},
	{"", "clone(meter:1)", "unknown action"},
	{"", "output:2,drop", "unknown action"}, {"", "drop,output:2", "unknown action"},
	{"", "output:2,", "unknown action"}, {"", "output: 2", "number of a port"},
	{"", "output:0", "number of a port"}, {"", "output:65534", "number of a port"},
	{"", "output:NXM_NX_REG1[]", "number of a port"},
	{"", "output:0x2", "not canonical"}, {"", "output:p1", "number of a port"},
	{"", "resubmit(1,1)", "no number"}, {"", "resubmit(,)", "no number"},
	{"", "resubmit:1", "unknown action"}, {"", "resubmit(5)", "not canonical"},
	{"", "resubmit(,300)", "does not fit"}, {"", "resubmit(,255)", "later than 253"},
	{"", "resubmit(,5", "unbalanced"}, {"", "resubmit(,5))", "unbalanced"},
	{"ip", "resubmit(,5,ct)", "no number"},
	{"", "set_field:5->reg0", "not canonical"}, {"", "set_field:0x7/0x3->reg0", "outside the mask"},
	{"", "set_field:0x5", "not understood here"},
	{"ip", "set_field:1.2.3.4->ip_src", "not understood here"},
	{"", "set_field:0x5->ct_mark", "not understood here"},
	{"", "set_field:0x5->metadata", "not understood here"},
	{"", "set_field:0x100000000->reg0", "does not fit"},
	{"", "ct(commit)", "needs ip or ipv6"}, {"arp", "ct(table=1)", "needs ip or ipv6"},
	{"ip", "ct", "unknown action"}, {"ip", "ct(force,commit)", "not understood"},
	{"ip", "ct(nat)", "not understood"}, {"ip", "ct(commit,nat(src=1.1.1.1))", "not understood"},
	{"ip", "ct(alg=ftp)", "not understood"},
	{"ip", "ct(zone=0)", "not canonical"}, {"ip", "ct(zone=3,table=4)", "not canonical"},
	{"ip", "ct(commit,commit)", "not canonical"}, {"ip", "ct(zone=65536)", "does not fit"},
	{"ip", "ct(zone=NXM_NX_REG1[])", "16 bits"}, {"ip", "ct(zone=NXM_NX_REG1[0..14])", "16 bits"},
	{"ip", "ct(table=255)", "later than 253"},
	{"ct_state=+inv+trk,ip", "ct(commit)", "cannot be committed"},
	{"ip", "ct(exec(set_field:0x1->ct_mark))", "without commit"},
	{"ip", "ct(commit,exec(set_field:0x1->reg1))", "not understood here"},
	{"ip", "ct(commit,exec(move:NXM_NX_REG2[]->NXM_NX_REG3[]))", "cannot be written"},
	{"ip", "ct(commit,exec(output:2))", "within exec()"},
	{"ip", "ct(commit,exec(drop))", "within exec()"}, {"ip", "ct(commit,exec())", "within exec()"},
	{"", "conjunction(1,1/2),output:1", "mixed"}, {"", "output:1,conjunction(1,1/2)", "mixed"},
	{"", "conjunction(1,1/1)", "2 to 64"}, {"", "conjunction(1,1/65)", "2 to 64"},
	{"", "conjunction(1,3/2)", "clause 3 of 2"}, {"", "conjunction(1,0/2)", "clause 0 of 2"},
	{"", "conjunction(0,1/2)", "id 0"}, {"", "conjunction(1,1/2),conjunction(1,2/2)", "twice"},
	{"", "conjunction(1,1/2)x", "unknown action"}, {"", "conjunction(1, 1/2)", "not canonical"},
	{"", "conjunction(1)", "want conjunction"}, {"", "clone(conjunction(1,1/2))", "unknown action"},
	{"", "clone()", "unknown action"},
	{"ip", "push:NXM_OF_TCP_SRC[]", "prerequisites"}, {"", "push:NXM_OF_IP_SRC[]", "prerequisites"},
	{"tcp", "push:NXM_OF_UDP_SRC[]", "prerequisites"},
	{"tcp,nw_frag=later", "push:NXM_OF_TCP_SRC[]", "prerequisites"},
	{"tcp", "push:NXM_NX_CT_TP_SRC[]", "prerequisites"},
	{"ct_state=-inv+trk,tcp6", "push:NXM_NX_CT_NW_SRC[]", "prerequisites"},
	{"icmp6", "push:NXM_OF_ICMP_TYPE[]", "prerequisites"},
	{"ct_state=-inv+trk,tcp", "pop:NXM_NX_CT_TP_SRC[]", "cannot be written"},
	{"", "pop:NXM_NX_CT_MARK[]", "cannot be written"},
	{"", "push:reg1", "unknown field"}, {"", "push:NXM_NX_REG1", "unknown field"},
	{"", "push:NXM_OF_ETH_SRC[]", "unknown field"}, {"", "push:NXM_NX_REG1[0..31]", "not canonical"},
	{"", "push:NXM_NX_REG1[5..5]", "not canonical"}, {"", "push:NXM_NX_REG1[5..4]", "no bits"},
	{"", "push:NXM_NX_REG1[0..32]", "no bits"}, {"", "push:NXM_NX_REG1[x]", "no bits"},
	{"", "move:NXM_NX_REG1[]->NXM_NX_REG2[0..7]", "moves 32 bits to 8"},
	{"", "move:NXM_NX_REG1[]", "without ->"},
}

func TestRefusesActions(t *testing.T) {
	for _, c := range refusedActions {
		_, err := flowtest.New(
			[]openflow.Flow{{Match: openflow.ParseMatch(c[0]), Actions: openflow.ParseActions(c[1])}})
		require.ErrorContains(t, err, c[2], "%q %q", c[0], c[1])
	}
}

func TestRefusesPrograms(t *testing.T) {
	for _, c := range [][2]string{
		{"0 5 ip => drop\n0 5 ip => output:2", "two flows"},
		{"254 5 ip => drop", "tables are"},
		{"0 5 ip => conjunction(1,1/2)\n0 5 tcp => conjunction(1,2/3)", "clauses of 2 and of 3"},
	} {
		_, err := flowtest.New(program(t, c[0]))
		require.ErrorContains(t, err, c[1], c[0])
	}
	_, err := flowtest.New(program(t, "0 5 foo => drop\n0 6 ip => drop\n0 7 bar => drop"))
	require.ErrorContains(t, err, "foo")
	require.ErrorContains(t, err, "bar", "every flow that is refused is named")
}

func TestReplaceKeepsOldFlowsOnError(t *testing.T) {
	sw := newSwitch(t, "0 5 ip => output:2")
	require.Error(t, sw.Replace(program(t, "0 5 ip => NORMAL")))
	require.Equal(t, []uint32{2}, forward(t, sw, udp(1, hostA, hostB, 1, 2)).Outputs)
	require.NoError(t, sw.Replace(program(t, "0 5 ip => output:3")))
	require.Equal(t, []uint32{3}, forward(t, sw, udp(1, hostA, hostB, 1, 2)).Outputs)
}
