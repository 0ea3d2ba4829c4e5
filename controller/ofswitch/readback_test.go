package ofswitch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// requireAsPrinted holds what is read back against what ovs-ofctl prints of the same flows, and
// returns it.
func requireAsPrinted(t *testing.T, vs *sandbox.OVS, sw *ofswitch.Switch) []openflow.Flow {
	t.Helper()
	out := vs.Ofctl("--no-stats", "--no-names", "dump-flows", bridge)
	printed, err := ofswitch.ReadDump(strings.NewReader(out))
	require.NoError(t, err)
	held, err := sw.Dump(within(t))
	require.NoError(t, err)
	require.Equal(t, lines(printed), lines(held))
	require.True(t, openflow.Diff(printed, held).Empty(), "the same values, not only the same text")
	var counted []openflow.Flow
	require.NoError(t, sw.Counts(within(t), func(c ofswitch.FlowCount) {
		counted = append(counted, c.Flow)
	}))
	require.Equal(t, lines(held), lines(counted))
	return held
}

func lines(list []openflow.Flow) []string {
	out := make([]string, len(list))
	for n, f := range list {
		out[n] = f.String()
	}
	slices.Sort(out)
	return out
}

// oddMatches are of fields and forms that no program has, and of some that it has.
func oddMatches() []string {
	return []string{
		"", "ip", "in_port=LOCAL", "in_port=ANY", "in_port=65280", "dl_vlan=5,dl_vlan_pcp=3",
		"vlan_tci=0x1000/0x1000", "dl_type=0x88cc", "dl_type=0x05ff", "dl_vlan=7",
		"vlan_tci=0x0000/0x1fff", "vlan_tci=0x1003/0x1007",
		"dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
		"arp,arp_op=2,arp_sha=02:00:00:00:00:01,arp_spa=10.0.0.0/8", "rarp",
		"ip,nw_frag=later", "ip,nw_frag=not_later", "ip,nw_tos=32,nw_ecn=1,nw_ttl=5",
		"tcp,tp_dst=0x50/0xfff0,tcp_flags=+syn-ack", "tcp,tcp_flags=0x2/0x3",
		"sctp,tp_src=9", "icmp,icmp_type=3,icmp_code=1", "ip,nw_proto=47", "ipv6,nw_proto=0",
		"icmp6,icmpv6_type=136,icmpv6_code=0,nd_target=fe80::1,nd_tll=02:00:00:00:00:01",
		"ipv6,ipv6_src=2001:db8::/ffff:ffff::ffff,ipv6_label=0x5", "ip,nw_src=10.0.0.1/255.0.255.0",
		"ct_state=+est-new+trk,ct_zone=3,ct_mark=0x5/0xff,ct_label=0x5/0xffffffffffffffffffff",
		"reg0=0x1/0x1,reg15=0xffffffff,xreg3=0x5/0xff", "metadata=0x5/0xff", "conj_id=7,ip",
		"reg0=0x1,reg1=0", "reg3=0x5/0xf,reg4=0x1", "reg5=0x1", "xxreg1=0x5/0xff", "xreg0=0x500000001",
		"tun_id=0x5/0xff,tun_src=10.0.0.1,tun_flags=+oam", "tun_metadata0=0x5",
		"mpls,mpls_label=3,mpls_bos=1", "pkt_mark=0x5", "recirc_id=0",
		"actset_output=3", "dl_type=0x894f,nsh_spi=5",
	}
}

// oddActions are of kinds and forms that no program has, and of some that it has.
func oddActions() []string {
	return []string{"drop", "NORMAL", "output:3", "output:NXM_NX_REG1[]", "LOCAL", "IN_PORT", "FLOOD",
		"CONTROLLER:128", "controller(max_len=128,reason=no_match)", "push_vlan:0x8100",
		"set_field:0x5->reg1", "set_field:0x5/0xf->reg1", "set_field:0x5->reg7", "set_field:9->tun_id",
		"set_field:02:00:00:00:00:01->eth_dst", "ip,set_field:10.0.0.1->ip_src", "load:0x5->NXM_NX_REG1[3..9]",
		"move:NXM_NX_REG1[0..15]->NXM_NX_REG2[16..31]", "move:NXM_NX_REG7[]->NXM_NX_REG8[]",
		"push:NXM_NX_REG1[],pop:NXM_NX_REG2[]", "resubmit(,40)", "resubmit(3,40)", "ip,resubmit(,40,ct)",
		"resubmit:3", "conjunction(7,1/3),conjunction(9,2/2)", "ct_clear", "ip,ct(commit)",
		"ip,ct(table=41,zone=NXM_NX_REG1[0..15])", "ip,ct(table=41,zone=5)", "ip,ct(commit,force,zone=5)",
		"ip,ct(commit,nat(src=10.0.0.1),exec(set_field:0x5->ct_mark))", "tcp,ct(commit,alg=ftp)",
		"ip,ct(commit,zone=NXM_NX_REG1[0..15],exec(move:NXM_NX_REG2[]->NXM_NX_CT_MARK[],set_field:0x5->ct_label))",
		"learn(table=3,priority=5,output:NXM_OF_IN_PORT[])", "note:00.11.22.33.44.55", "ip,dec_ttl", "exit",
		"goto_table:41", "write_metadata:0x5", "clone(output:3)", "multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[])",
		"set_queue:3,output:3", "check_pkt_larger(1500)->NXM_NX_REG0[0]", "sample(probability=3)", "group:5",
		"resubmit(,40),write_actions(output:3)"}
}

// Whatever a switch holds, it is read back as ovs-ofctl prints it, in OpenFlow or by ovs-ofctl.
func TestReadBackIsWhatOvsOfctlPrints(t *testing.T) {
	vs, sw := start(t)
	require.Empty(t, requireAsPrinted(t, vs, sw))
	require.NoError(t, sw.Apply(within(t), openflow.Delta{Add: program()}))
	held := requireAsPrinted(t, vs, sw)
	require.Len(t, held, len(program()))
	vs.Ofctl("add-tlv-map", bridge, "{class=0xffff,type=0,len=4}->tun_metadata0")
	vs.Ofctl("add-group", bridge, "group_id=5,type=all,bucket=output:3")
	var rules []string
	for n, match := range oddMatches() {
		rules = append(rules, fmt.Sprintf("cookie=%d,table=40,priority=%d,%s,actions=drop", n, n, match))
	}
	refused := 0
	for n, actions := range oddActions() {
		match, rest, _ := strings.Cut(actions, ",")
		if match != "ip" && match != "tcp" {
			match, rest = "arp", actions
		}
		rules = append(rules, fmt.Sprintf("table=40,priority=%d,%s,actions=%s", 500+n, match, rest))
	}
	for n, extra := range []string{"idle_timeout=30", "hard_timeout=30", "importance=3",
		"send_flow_rem", "reset_counts", "no_packet_counts", "no_byte_counts"} {
		rules = append(rules, fmt.Sprintf("table=41,priority=%d,%s,actions=drop", n+1, extra))
	}
	for _, rule := range rules {
		if _, err := vs.Exec(within(t), "ovs-ofctl", "-O", "OpenFlow15", "add-flow", bridge,
			strings.ReplaceAll(rule, ",,", ",")); err != nil {
			t.Logf("refused: %s: %v", rule, err)
			refused++
		}
	}
	require.Less(t, refused, 8)
	held = requireAsPrinted(t, vs, sw)
	require.Len(t, held, len(program())+len(rules)-refused)
	t.Logf("%d flows, %d more refused", len(held), refused)
}

// What is read back needs no child process, unless somebody else has flows among ours.
func TestReadBackAlone(t *testing.T) {
	vs, sw := start(t)
	alone := ofswitch.New(ofswitch.Options{Target: vs.Mgmt(bridge), Command: "no-such-program"})
	require.NoError(t, sw.Apply(within(t), openflow.Delta{Add: program()}))
	requireHolds(t, alone, program())
	vs.Ofctl("add-flow", bridge, "table=200,pkt_mark=5,actions=drop")
	requireHolds(t, alone, program())
	vs.Ofctl("add-flow", bridge, "table=40,pkt_mark=5,actions=drop")
	_, err := alone.Dump(within(t))
	require.ErrorContains(t, err, "no-such-program")
}

// Whatever somebody adds to our tables, what the switch prints of its match is what deletes it, and
// it alone.
func TestOddFlowsAreDeleted(t *testing.T) {
	vs, sw := start(t)
	want := program()
	require.NoError(t, sw.Apply(within(t), openflow.Diff(want, nil)))
	vs.Ofctl("add-tlv-map", bridge, "{class=0xffff,type=0,len=4}->tun_metadata0")
	for _, match := range oddMatches() {
		rule := "table=40,priority=9,cookie=0x77,actions=drop"
		if match != "" {
			rule = match + "," + rule
		}
		vs.Ofctl("add-flow", bridge, rule)
		held, err := sw.Dump(within(t))
		require.NoError(t, err, match)
		require.Len(t, held, len(want)+1, match)
		require.NoError(t, sw.Apply(within(t), openflow.Diff(want, held)), match)
		requireHolds(t, sw, want)
	}
}
