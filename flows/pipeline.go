package flows

// TableID is the number of an OpenFlow table.
type TableID uint8

// The tables, in the order in which a packet meets them. The numbers leave room between the stages.
const (
	tableClassify         TableID = 0
	tablePriorityTag      TableID = 1
	tableSourceGuard      TableID = 10
	tableLinkLocal        TableID = 11
	tableOutsideGuard     TableID = 12
	tableDispatch         TableID = 13
	tableNDGuard          TableID = 14
	tableOutsideND        TableID = 15
	tableListenerGuard    TableID = 16
	tableARP              TableID = 20
	tableND               TableID = 21
	tableOutward          TableID = 22
	tableEgressTrack      TableID = 29
	tableEgressFragments  TableID = 30
	tableEgressState      TableID = 31
	tableEgressRules      TableID = 32
	tableEgressVerdict    TableID = 33
	tableDestination      TableID = 40
	tableDestinationGuard TableID = 41
	tableDHCPAnswer       TableID = 42
	tableAnnounce         TableID = 43
	tableIngressTrack     TableID = 48
	tableIngressFragments TableID = 49
	tableOutsideFragments TableID = 50
	tableIngressState     TableID = 51
	tableIngressRules     TableID = 52
	tableIngressVerdict   TableID = 53
	tableOutput           TableID = 60
)

// Table is the contract of one table. The writer refuses a flow that breaks it, and docs/pipeline.md is generated from it.
type Table struct {
	ID      TableID
	Name    string
	Purpose string
	Matches []string  // the fields its flows may match; "proto" = the shorthands ip, tcp6, arp …
	Writes  []string  // the registers and header fields its flows may set
	Next    []TableID // where its flows may send a packet on; Output = they may send it out
	Outputs Outputs
	Meters  string // which packets of a limited port its flows may meter; "" = none
	Pages   string // what may take further pages of it (see pages.go); "" = nothing
	Shows   string // which packets its flows may show to who asked the switch for such; "" = none
}

// Outputs says whether a table sends packets out of ports.
type Outputs string

// The zero Outputs is a table that only sends packets on.
const (
	OutputsNone Outputs = ""
	OutputsSome Outputs = "ports, by number"
)

// What may take further pages of a table.
const (
	pagesOfRules = "rules that share a port, a peer or a service: more than 4,000"
	pagesOfPorts = "ports that hear the same: more than 4,000"
)

// deniedShown is what the tables of verdicts show.
const deniedShown = "the head of some of what it drops, behind a meter, for a port with `log_denied`"

var (
	conntrackTuple = []string{"NXM_OF_IP_SRC", "NXM_OF_IP_DST", "NXM_NX_IPV6_SRC", "NXM_NX_IPV6_DST", "NXM_OF_TCP_SRC", "NXM_OF_TCP_DST",
		"NXM_OF_UDP_SRC", "NXM_OF_UDP_DST", "OXM_OF_SCTP_SRC", "OXM_OF_SCTP_DST", "NXM_OF_ICMP_TYPE", "NXM_OF_ICMP_CODE",
		"NXM_NX_ICMPV6_TYPE", "NXM_NX_ICMPV6_CODE"}
	fragmentTuple  = append([]string{regRule}, conntrackTuple...)
	trackFields    = []string{"proto", "nw_frag", "icmp_type"}
	fragmentFields = []string{"proto", regFlags, regPort}
	stateFields    = []string{"ct_state", "ct_mark", "proto", regPort, "icmp_type", "tp_src", "tp_dst"}
	serviceFields  = []string{"conj_id", "proto", regPort, "nw_proto", "nw_frag", "icmp_type", "icmp_code", "tp_dst"}
)

// Pipeline returns the contract of every table, in order. A packet that no flow of a table matches is dropped: each table ends in a
// flow of priority 0 that says so.
func Pipeline() []Table {
	return []Table{
		{ID: tableClassify, Name: "classify", Purpose: "which port did it enter by? Untagged frames of known ports only; an uplink's priority tags are taken off.",
			Matches: []string{"in_port", "vlan_tci", "dl_vlan", "dl_src", "dl_type"}, Writes: []string{regFlags, regPort, regEpoch},
			Next: []TableID{tablePriorityTag, tableSourceGuard, tableOutsideGuard}},
		{ID: tablePriorityTag, Name: "priority_tag", Purpose: "an uplink's frame whose priority tag was taken off: is it untagged now?",
			Matches: []string{"vlan_tci"}, Writes: []string{regFlags}, Next: []TableID{tableOutsideGuard}},
		{ID: tableSourceGuard, Name: "source_guard", Purpose: "an instance's frame: are its MAC, ARP, ND, IP and EtherType its own?",
			Matches: []string{"proto", regPort, "dl_src", "dl_dst", "dl_type", "nw_src", "nw_dst", "ipv6_src", "ipv6_dst", "arp_spa", "arp_tpa",
				"arp_op", "arp_sha", "nw_ttl", "nw_frag", "icmp_type", "icmp_code", "nd_target", "nd_sll", "nd_tll", "tp_src", "tp_dst"},
			Next: []TableID{tableNDGuard, tableDispatch, tableLinkLocal, tableListenerGuard, tableARP, tableND, tableOutward, tableDestination}, Meters: "ARP, ND and DHCP that it sends"},
		{ID: tableLinkLocal, Name: "link_local", Purpose: "discovery with a link-local address that is not listed: is it of the kind that hosts choose, and nobody's?",
			Matches: []string{"proto", regPort, "ipv6_src", "nw_ttl", "icmp_type", "icmp_code", "nd_sll", "nd_tll"},
			Next:    []TableID{tableNDGuard, tableListenerGuard, tableOutward}},
		{ID: tableOutsideGuard, Name: "outside_guard", Purpose: "a frame of an uplink: does it claim to be one of ours? Trusted ports pass.",
			Matches: []string{"proto", regFlags, "dl_src", "dl_dst", "nw_src", "ipv6_src", "ipv6_dst", "arp_spa", "arp_sha", "nw_ttl", "nw_frag",
				"icmp_type", "icmp_code", "nd_target", "nd_sll", "nd_tll"},
			Next: []TableID{tableOutsideND, tableARP, tableND, tableDestination}},
		{ID: tableDispatch, Name: "dispatch", Purpose: "IP with an own source: DHCP clients go to the servers, broadcast and multicast nowhere, the rest to the rules.",
			Matches: []string{"proto", "dl_dst", "nw_dst", "ipv6_dst", "nw_frag", "tp_src", "tp_dst"},
			Next:    []TableID{tableOutward, tableEgressTrack, tableDestination}},
		{ID: tableNDGuard, Name: "nd_guard", Purpose: "a neighbour advertisement with an own source: is its target the instance's own? One of a link-local address that is not listed goes outward.",
			Matches: []string{"proto", regPort, "dl_src", "icmp_type", "icmp_code", "nd_target"}, Next: []TableID{tableND, tableOutward}},
		{ID: tableOutsideND, Name: "outside_nd", Purpose: "sound neighbour discovery of an uplink: does it claim an address or a MAC of ours?",
			Matches: []string{"proto", "dl_src", "ipv6_src", "icmp_type", "icmp_code", "nd_target", "nd_sll", "nd_tll"}, Next: []TableID{tableND}},
		{ID: tableListenerGuard, Name: "listener_guard", Purpose: "an instance's multicast on the link: only what tells which groups it listens to.",
			Matches: []string{"proto", "icmp_type", "icmp_code"}, Next: []TableID{tableND}},
		{ID: tableARP, Name: "arp", Purpose: "ARP goes to the one port that owns the target, or to the uplinks.", Outputs: OutputsSome, Pages: pagesOfPorts,
			Matches: []string{"proto", regFlags, regPort, "dl_src", "dl_dst", "arp_spa", "arp_tpa", "arp_op", "arp_sha"}, Next: []TableID{tableAnnounce}},
		{ID: tableND, Name: "nd", Purpose: "neighbour and listener discovery goes to the one port that owns the target, or to the uplinks.",
			Outputs: OutputsSome, Pages: pagesOfPorts, Matches: []string{"proto", regFlags, regPort, "dl_dst", "icmp_type", "icmp_code", "nd_target", "nd_tll"},
			Next: []TableID{tableOutward, tableAnnounce}},
		{ID: tableOutward, Name: "outward", Purpose: "what is for servers and routers, whoever they are, goes to the uplinks and the trusted ports.", Outputs: OutputsSome, Pages: pagesOfPorts},
		{ID: tableEgressTrack, Name: "egress_track", Purpose: "what does the sender's zone know of the connection? Of a fragment: could a rule admit it, or what it answers?",
			Matches: trackFields, Writes: fragmentTuple,
			Next: []TableID{tableEgressState, tableEgressRules, tableIngressRules, tableEgressFragments}},
		{ID: tableEgressFragments, Name: "egress_fragments", Purpose: "a fragment that may be of something admitted: to the connection tracker, which puts it together.",
			Matches: fragmentFields, Writes: []string{regFlags, regRule}, Next: []TableID{tableEgressState, tableEgressVerdict},
			Meters: "IP fragments that it sends"},
		{ID: tableEgressState, Name: "egress_state", Purpose: "known and current: pass. New or out of date: ask the rules. A reply: ask the ingress rules about its connection.",
			Matches: stateFields, Writes: conntrackTuple,
			Next: []TableID{tableEgressRules, tableIngressRules, tableEgressVerdict, tableDestination}},
		{ID: tableEgressRules, Name: "egress_rules", Purpose: "does a rule admit a connection from this port to that destination?",
			Matches: append([]string{"nw_dst", "ipv6_dst"}, serviceFields...), Writes: []string{regFlags, regRule}, Pages: pagesOfRules},
		{ID: tableEgressVerdict, Name: "egress_verdict", Purpose: "admitted: remember the connection and go on. Else drop, counted per port.",
			Matches: []string{"proto", regFlags, regPort, "ct_mark"}, Next: []TableID{tableDestination}, Meters: "the first of each connection that it opens",
			Shows: deniedShown},
		{ID: tableDestination, Name: "destination", Purpose: "to which local port, or to the uplinks? Never a flood.", Outputs: OutputsSome, Pages: pagesOfPorts,
			Matches: []string{"proto", regFlags, "dl_dst", "dl_type", "ipv6_src", "nw_ttl", "nw_frag", "icmp_type", "icmp_code"},
			Writes:  []string{regFlags, regPort, regEpoch}, Next: []TableID{tableAnnounce, tableDestinationGuard}},
		{ID: tableDestinationGuard, Name: "destination_guard", Purpose: "is it for an address of the port? DHCP answers only from outside.",
			Matches: []string{"proto", regFlags, regPort, "dl_type", "nw_src", "nw_dst", "ipv6_src", "ipv6_dst", "nw_frag", "tp_src", "tp_dst"},
			Next:    []TableID{tableDHCPAnswer, tableIngressTrack, tableOutput}},
		{ID: tableDHCPAnswer, Name: "dhcp_answer", Purpose: "a DHCP server's answer from outside: is it for an address of the port, for everybody, or link-local?",
			Matches: []string{"proto", regPort, "nw_dst", "ipv6_dst"}, Next: []TableID{tableOutput}},
		{ID: tableAnnounce, Name: "announce", Purpose: "what all ports of a family must hear: where a gateway or an allowed address is now, router announcements, listener queries.",
			Outputs: OutputsSome, Pages: pagesOfPorts, Matches: []string{"proto", regFlags}},
		{ID: tableIngressTrack, Name: "ingress_track", Purpose: "as egress_track, with the directions exchanged.",
			Matches: trackFields, Writes: fragmentTuple,
			Next: []TableID{tableIngressState, tableIngressRules, tableEgressRules, tableIngressFragments}},
		{ID: tableIngressFragments, Name: "ingress_fragments", Purpose: "as egress_fragments, with the directions exchanged.",
			Matches: fragmentFields, Writes: []string{regFlags, regRule}, Next: []TableID{tableIngressState, tableIngressVerdict, tableOutsideFragments},
			Meters: "IP fragments that are sent to it"},
		{ID: tableOutsideFragments, Name: "outside_fragments", Purpose: "a fragment for a port without a limit of its own: does it come from outside?",
			Matches: []string{"proto", regFlags}, Writes: []string{regFlags, regRule}, Next: []TableID{tableIngressState},
			Meters: "IP fragments from outside, of all ports together"},
		{ID: tableIngressState, Name: "ingress_state", Purpose: "as egress_state, with the directions exchanged.",
			Matches: stateFields, Writes: conntrackTuple,
			Next: []TableID{tableIngressRules, tableEgressRules, tableIngressVerdict, tableOutput}},
		{ID: tableIngressRules, Name: "ingress_rules", Purpose: "does a rule admit a connection from that source to this port?",
			Matches: append([]string{"nw_src", "ipv6_src"}, serviceFields...), Writes: []string{regFlags, regRule}, Pages: pagesOfRules},
		{ID: tableIngressVerdict, Name: "ingress_verdict", Purpose: "admitted: remember the connection and go on. Else drop, counted per port.",
			Matches: []string{"proto", regFlags, regPort, "ct_mark"}, Next: []TableID{tableOutput}, Meters: "the first of each connection that is opened to it",
			Shows: deniedShown},
		{ID: tableOutput, Name: "output", Purpose: "out of the port under judgement, by its number.", Outputs: OutputsSome,
			Matches: []string{regPort}},
	}
}
