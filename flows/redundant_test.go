package flows_test

// redundancy explains survivors: "shape: way of breaking it".
type redundancy struct{ flows, why string }

// redundant explains what nothing notices. An entry is for defence in depth, for what another field or table says already, or for what
// no packet can be; what is only missing from the stories is called a gap.
func redundant() []redundancy {
	return []redundancy{
		{`priority$`, "flows that overlap say the same of what both match, or the lower one asks again for what the higher one says"},
		{`^0 100 .* without in_port$`, "every port has a flow of its own of the same priority"},
		{`^0 100 .*\(,12\): .*set reg2`, "a trusted port has no connections, so that its epoch is never used"},
		{`^0 200 .* drop: passes$`, "source_guard asks for the own MAC, and outside_guard for none of ours"},
		{`^10 200 arp.*arp_tpa`, "gap: few probes miss by one of two MACs that have to be equal"},
		{`^10 200 udp`, "dispatch asks again for the whole of a DHCP client's broadcast"},
		{`^10 200 .*dl_type.* without dl_dst$`, "destination drops broadcasts of instances"},
		{`^10 (270|290|300) `, "defence in depth: egress_state drops the same behind conntrack, and tells no connection of it"},
		{`^10 280 .*ipv6_dst.*: ipv6_dst wider$`, "gap: no packet goes just beside the solicited-node addresses"},
		{`^10 280 .*icmp_type=136`, "nd_guard asks again for port and MAC; ports and networks of a sender are asked for in both"},
		{`^11 200 `, "source_guard has asked for port and MAC"},
		{`nd_target (wider|other)$`, "the neighbours of :: and of a gateway are nobody's"},
		{`^12 .*(without reg0|reg0 wider)$`, "only frames of uplinks and trusted ports come here, and guards of an uplink do not concern a trusted port's honest frames"},
		{`^12 (230|240|250) `, "the flows for what an uplink says are each other's defence: sound ones are above, and unsound ones are dropped once more by nd"},
		{`^13 100 .*without ip`, "only IP comes here"},
		{`^2[012] .*(without reg0|reg0 wider)$`, "an output to the uplink that a frame came from is skipped, and others do not ask so"},
		{`^20 140 `, "an instance's broadcast reply has passed source_guard, which asked for all of these"},
		{`^2[01] 900 .* -> drop: `, "without a port of the family, whoever announces is heard by nobody"},
		{`^2[01] 900 `, "gap: few trusted ports are gateways"},
		{`^21 1\d\d icmp6`, "only neighbour discovery comes here"},
		{`^22 100 `, "only what DHCP clients say comes here; a gap where the world has no server"},
		{`ct_clear$`, "for packets that the host has tracked before; the fake switch tracks nothing by itself"},
		{`^[35]1 .*(ct_state -trk|ct_state without |ct_state \+inv|ct_state \+new|without ct_state)`, "after ct() trk is always set; what is invalid is dropped above; new, reply and related tell each other apart already"},
		{`^31 .*CT_(NW|IPV6)_DST|^51 .*CT_(NW|IPV6)_SRC`, "the rules of the opposite direction look at the peer's address only"},
		{`^[35]1 .*move:NXM_NX_CT_TP_SRC\[\]`, "rules never look at source ports"},
		{`^[35]1 .*move:NXM_NX_CT_TP_DST\[0..7\]`, "a reply has the code of its request"},
		{`^32 301 .*without reg1$`, "gap: in no story two ports close their egress, and one of them has a single rule for a group of few"},
		{`^[35]1 300 `, "defence in depth: the guards have dropped the same; only fragments that conntrack put together come here"},
		{`^[35]2 .*nw_proto,nw_frag=later.*without nw_(frag|proto)$`, "later fragments of IPv6 are of protocol 44, and nothing else is"},
		{`^40 (200|300|290|100) `, "the copy that a port's rules judged does not come back, and a reset is needed once; unicast and broadcast are told apart below again"},
		{`^41 280 `, "without it such a packet is judged by ingress_state, which drops it too"},
		{`^41 290 .*without reg0$`, "no instance can send what a DHCP server says"},
		{`^41 290 `, "gap: few worlds list DHCP servers of both families"},
	}
}
