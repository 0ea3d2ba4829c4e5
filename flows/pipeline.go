package flows

import (
	"slices"

	"github.com/portcullis/portcullis/flows/openflow"
)

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

// Table is the contract of one table. The writer refuses a flow that breaks it, and
// docs/pipeline.md is generated from it.
type Table struct {
	ID      TableID
	Name    string
	Purpose string
	Matches []openflow.Field // the fields its flows may match
	Writes  []openflow.Field // the registers and header fields its flows may set
	Next    []TableID        // where its flows may send a packet on; Output = they may send it out
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
	conntrackTuple = []openflow.Field{openflow.IPv4Src, openflow.IPv4Dst, openflow.IPv6Src,
		openflow.IPv6Dst,
		openflow.TCPSrc, openflow.TCPDst, openflow.UDPSrc, openflow.UDPDst, openflow.SCTPSrc,
		openflow.SCTPDst,
		openflow.ICMPType, openflow.ICMPCode, openflow.ICMPv6Type, openflow.ICMPv6Code}
	fragmentTuple = append([]openflow.Field{RegRule}, conntrackTuple...)
	trackFields   = []openflow.Field{openflow.EtherType, openflow.IPProto, openflow.Fragment,
		openflow.ICMPType,
		openflow.ICMPv6Type}
	fragmentFields = []openflow.Field{openflow.EtherType, openflow.IPProto, RegFlags, RegPort}
	stateFields    = []openflow.Field{openflow.CTState, openflow.CTMark, openflow.EtherType,
		openflow.IPProto, RegPort,
		openflow.ICMPv6Type, openflow.UDPSrc, openflow.UDPDst}
	serviceFields = []openflow.Field{openflow.ConjID, openflow.EtherType, openflow.IPProto, RegPort,
		openflow.Fragment,
		openflow.ICMPType, openflow.ICMPCode, openflow.ICMPv6Type, openflow.ICMPv6Code, openflow.TCPDst,
		openflow.UDPDst,
		openflow.SCTPDst}
)

// Pipeline returns the contract of every table, in order. A packet that no flow of a table matches
// is dropped: each table ends in a flow of priority 0 that says so.
func Pipeline() []Table {
	return slices.Concat(guardTables(), discoveryTables(), egressTables(), destinationTables(),
		ingressTables())
}

// guardTables ask whether a frame is what its port may send.
func guardTables() []Table {
	return []Table{
		{ID: tableClassify, Name: "classify",
			Purpose: "which port did it enter by? Untagged frames of known ports only; an uplink's priority tags are taken off.",
			Matches: []openflow.Field{openflow.InPort, openflow.VLAN, openflow.EthSrc, openflow.EtherType},
			Writes:  []openflow.Field{RegFlags, RegPort, RegEpoch},
			Next:    []TableID{tablePriorityTag, tableSourceGuard, tableOutsideGuard}},
		{ID: tablePriorityTag, Name: "priority_tag",
			Purpose: "an uplink's frame whose priority tag was taken off: is it untagged now?",
			Matches: []openflow.Field{openflow.VLAN}, Writes: []openflow.Field{RegFlags},
			Next: []TableID{tableOutsideGuard}},
		{ID: tableSourceGuard, Name: "source_guard",
			Purpose: "an instance's frame: are its MAC, ARP, ND, IP and EtherType its own?",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegPort, openflow.EthSrc,
				openflow.EthDst, openflow.IPv4Src, openflow.IPv4Dst, openflow.IPv6Src, openflow.IPv6Dst,
				openflow.ARPSPA, openflow.ARPTPA, openflow.ARPOp, openflow.ARPSHA, openflow.TTL,
				openflow.Fragment, openflow.ICMPv6Type, openflow.ICMPv6Code, openflow.NDTarget, openflow.NDSLL,
				openflow.NDTLL, openflow.UDPSrc, openflow.UDPDst},
			Next: []TableID{tableNDGuard, tableDispatch, tableLinkLocal, tableListenerGuard, tableARP,
				tableND, tableOutward, tableDestination}, Meters: "ARP, ND and DHCP that it sends"},
		{ID: tableLinkLocal, Name: "link_local",
			Purpose: "discovery with a link-local address that is not listed: is it of the kind that hosts choose, and nobody's?",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegPort, openflow.IPv6Src,
				openflow.TTL, openflow.ICMPv6Type, openflow.ICMPv6Code, openflow.NDSLL, openflow.NDTLL},
			Next: []TableID{tableNDGuard, tableListenerGuard, tableOutward}},
		{ID: tableOutsideGuard, Name: "outside_guard",
			Purpose: "a frame of an uplink: does it claim to be one of ours? Trusted ports pass.",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegFlags, openflow.EthSrc,
				openflow.EthDst, openflow.IPv4Src, openflow.IPv6Src, openflow.IPv6Dst, openflow.ARPSPA,
				openflow.ARPSHA, openflow.TTL, openflow.Fragment, openflow.ICMPv6Type, openflow.ICMPv6Code,
				openflow.NDTarget, openflow.NDSLL, openflow.NDTLL},
			Next: []TableID{tableOutsideND, tableARP, tableND, tableDestination}},
		{ID: tableDispatch, Name: "dispatch",
			Purpose: "IP with an own source: DHCP clients go to the servers, broadcast and multicast nowhere, the rest to the rules.",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, openflow.EthDst,
				openflow.IPv4Dst, openflow.IPv6Dst, openflow.Fragment, openflow.UDPSrc, openflow.UDPDst},
			Next: []TableID{tableOutward, tableEgressTrack, tableDestination}},
	}
}

// discoveryTables judge neighbour and listener discovery, and send it to whom it is for.
func discoveryTables() []Table {
	return []Table{
		{ID: tableNDGuard, Name: "nd_guard",
			Purpose: "a neighbour advertisement with an own source: is its target the instance's own? One of a link-local address that is not listed goes outward.",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegPort, openflow.EthSrc,
				openflow.ICMPv6Type, openflow.ICMPv6Code, openflow.NDTarget},
			Next: []TableID{tableND, tableOutward}},
		{ID: tableOutsideND, Name: "outside_nd",
			Purpose: "sound neighbour discovery of an uplink: does it claim an address or a MAC of ours?",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, openflow.EthSrc,
				openflow.IPv6Src, openflow.ICMPv6Type, openflow.ICMPv6Code, openflow.NDTarget, openflow.NDSLL,
				openflow.NDTLL}, Next: []TableID{tableND}},
		{ID: tableListenerGuard, Name: "listener_guard",
			Purpose: "an instance's multicast on the link: only what tells which groups it listens to.",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, openflow.ICMPv6Type,
				openflow.ICMPv6Code}, Next: []TableID{tableND}},
		{ID: tableARP, Name: "arp",
			Purpose: "ARP goes to the one port that owns the target, or to the uplinks.",
			Outputs: OutputsSome, Pages: pagesOfPorts,
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegFlags, RegPort,
				openflow.EthSrc, openflow.EthDst, openflow.ARPSPA, openflow.ARPTPA, openflow.ARPOp,
				openflow.ARPSHA}, Next: []TableID{tableAnnounce}},
		{ID: tableND, Name: "nd",
			Purpose: "neighbour and listener discovery goes to the one port that owns the target, or to the uplinks.",
			Outputs: OutputsSome, Pages: pagesOfPorts,
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegFlags, RegPort,
				openflow.EthDst, openflow.ICMPv6Type, openflow.ICMPv6Code, openflow.NDTarget, openflow.NDTLL},
			Next: []TableID{tableOutward, tableAnnounce}},
		{ID: tableOutward, Name: "outward",
			Purpose: "what is for servers and routers, whoever they are, goes to the uplinks and the trusted ports.", Outputs: OutputsSome, Pages: pagesOfPorts},
	}
}

// egressTables judge what an instance sends by the rules of its groups.
func egressTables() []Table {
	return []Table{
		{ID: tableEgressTrack, Name: "egress_track",
			Purpose: "what does the sender's zone know of the connection? Of a fragment: could a rule admit it, or what it answers?",
			Matches: trackFields, Writes: fragmentTuple,
			Next: []TableID{tableEgressState, tableEgressRules, tableIngressRules, tableEgressFragments}},
		{ID: tableEgressFragments, Name: "egress_fragments",
			Purpose: "a fragment that may be of something admitted: to the connection tracker, which puts it together.",
			Matches: fragmentFields, Writes: []openflow.Field{RegFlags, RegRule},
			Next:   []TableID{tableEgressState, tableEgressVerdict},
			Meters: "IP fragments that it sends"},
		{ID: tableEgressState, Name: "egress_state",
			Purpose: "known and current: pass. New or out of date: ask the rules. A reply: ask the ingress rules about its connection.",
			Matches: append([]openflow.Field{openflow.IPv4Dst, openflow.IPv6Dst}, stateFields...),
			Writes:  conntrackTuple,
			Next:    []TableID{tableEgressRules, tableIngressRules, tableEgressVerdict, tableDestination}},
		{ID: tableEgressRules, Name: "egress_rules",
			Purpose: "does a rule admit a connection from this port to that destination?",
			Matches: append([]openflow.Field{openflow.IPv4Dst, openflow.IPv6Dst}, serviceFields...),
			Writes:  []openflow.Field{RegFlags, RegRule}, Pages: pagesOfRules},
		{ID: tableEgressVerdict, Name: "egress_verdict",
			Purpose: "admitted: remember the connection and go on. Else drop, counted per port.",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegFlags, RegPort,
				openflow.CTMark}, Next: []TableID{tableDestination},
			Meters: "the first of each connection that it opens",
			Shows:  deniedShown},
	}
}

// destinationTables find the port, and judge what comes there without any rule.
func destinationTables() []Table {
	return []Table{
		{ID: tableDestination, Name: "destination",
			Purpose: "to which local port, or to the uplinks? Never a flood.", Outputs: OutputsSome,
			Pages: pagesOfPorts,
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegFlags,
				openflow.EthSrc, openflow.EthDst, openflow.IPv6Src, openflow.TTL, openflow.Fragment, openflow.ICMPv6Type,
				openflow.ICMPv6Code},
			Writes: []openflow.Field{RegFlags, RegPort, RegEpoch},
			Next:   []TableID{tableAnnounce, tableDestinationGuard}},
		{ID: tableDestinationGuard, Name: "destination_guard",
			Purpose: "is it for an address of the port? DHCP answers only from outside.",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegFlags, RegPort,
				openflow.IPv4Src, openflow.IPv4Dst, openflow.IPv6Src, openflow.IPv6Dst, openflow.Fragment,
				openflow.UDPSrc, openflow.UDPDst},
			Next: []TableID{tableDHCPAnswer, tableIngressTrack, tableOutput}},
		{ID: tableDHCPAnswer, Name: "dhcp_answer",
			Purpose: "a DHCP server's answer from outside: is it for an address of the port, for everybody, or link-local?",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegPort, openflow.IPv4Dst,
				openflow.IPv6Dst}, Next: []TableID{tableOutput}},
		{ID: tableAnnounce, Name: "announce",
			Purpose: "what all ports of a family must hear: where a gateway or an allowed address is now, router announcements, listener queries.",
			Outputs: OutputsSome, Pages: pagesOfPorts,
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegFlags}},
	}
}

// ingressTables judge what is sent to an instance, and send it out.
func ingressTables() []Table {
	return []Table{
		{ID: tableIngressTrack, Name: "ingress_track",
			Purpose: "as egress_track, with the directions exchanged.",
			Matches: trackFields, Writes: fragmentTuple,
			Next: []TableID{tableIngressState, tableIngressRules, tableEgressRules, tableIngressFragments}},
		{ID: tableIngressFragments, Name: "ingress_fragments",
			Purpose: "as egress_fragments, with the directions exchanged.",
			Matches: fragmentFields, Writes: []openflow.Field{RegFlags, RegRule},
			Next:   []TableID{tableIngressState, tableIngressVerdict, tableOutsideFragments},
			Meters: "IP fragments that are sent to it"},
		{ID: tableOutsideFragments, Name: "outside_fragments",
			Purpose: "a fragment for a port without a limit of its own: does it come from outside?",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegFlags},
			Writes:  []openflow.Field{RegFlags, RegRule}, Next: []TableID{tableIngressState},
			Meters: "IP fragments from outside, of all ports together"},
		{ID: tableIngressState, Name: "ingress_state",
			Purpose: "as egress_state, with the directions exchanged.",
			Matches: append([]openflow.Field{openflow.IPv4Src, openflow.IPv6Src}, stateFields...),
			Writes:  conntrackTuple,
			Next:    []TableID{tableIngressRules, tableEgressRules, tableIngressVerdict, tableOutput}},
		{ID: tableIngressRules, Name: "ingress_rules",
			Purpose: "does a rule admit a connection from that source to this port?",
			Matches: append([]openflow.Field{openflow.IPv4Src, openflow.IPv6Src}, serviceFields...),
			Writes:  []openflow.Field{RegFlags, RegRule}, Pages: pagesOfRules},
		{ID: tableIngressVerdict, Name: "ingress_verdict",
			Purpose: "admitted: remember the connection and go on. Else drop, counted per port.",
			Matches: []openflow.Field{openflow.EtherType, openflow.IPProto, RegFlags, RegPort,
				openflow.CTMark}, Next: []TableID{tableOutput},
			Meters: "the first of each connection that is opened to it",
			Shows:  deniedShown},
		{ID: tableOutput, Name: "output", Purpose: "out of the port under judgement, by its number.",
			Outputs: OutputsSome,
			Matches: []openflow.Field{RegPort}},
	}
}
