package flowtest

// slot is a place in the packet's headers. As in Open vSwitch some places have several names: a TCP
// port, an SCTP port and an ICMP type are one place, an ARP sender address and an IPv4 source
// another.
type slot uint8

const (
	slotConjID slot = iota
	slotCTState
	slotCTZone
	slotCTMark
	slotCTLabel
	slotCTSrc4
	slotCTDst4
	slotCTSrc6
	slotCTDst6
	slotCTProto
	slotCTTPSrc
	slotCTTPDst
	slotReg0
	slotInPort = slotReg0 + numRegs + iota - 13
	slotVLAN
	slotEthSrc
	slotEthDst
	slotEthType
	slotSrc4
	slotDst4
	slotSrc6
	slotDst6
	slotProto
	slotSHA // ARP sender and ND source link-layer address
	slotTHA // ARP target and ND target link-layer address
	slotTTL
	slotFrag
	slotTPSrc
	slotTPDst
	slotNDTarget
	numSlots
)

const numRegs = 16

// headers is everything a flow can match on or write.
type headers [numSlots]u128

// Ethertypes, protocols and ND types that other fields depend on (IANA).
const (
	ethIPv4 = 0x0800
	ethARP  = 0x0806
	ethRARP = 0x8035
	ethIPv6 = 0x86dd

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoFrag   = 44
	protoICMPv6 = 58
	protoSCTP   = 132

	ndSolicit   = 135
	ndAdvertise = 136
)

// The values of nw_frag (ovs-fields(7)): a fragment, and not the first one.
const (
	fragAny   = 1
	fragLater = 2
)

// The bits of ct_state (ovs-fields(7)).
const (
	ctNew = 1 << iota
	ctEst
	ctRel
	ctReply
	ctInv
	ctTrk
)

// field is a name that may stand left of "=" in a match. Fields are declared in the order in which
// Open vSwitch prints them.
type field struct {
	name  string
	slot  slot
	bits  int
	form  form
	needs need
}

// fields returns the declaration of every field in the order of Open vSwitch (match_format() in its
// lib/match.c). The protocol words (ip, tcp6 ...) stand where protocolRank says.
func fields() []field {
	fs := []field{
		{"conj_id", slotConjID, 32, formDecimal, 0},
		{"ct_state", slotCTState, 8, formCTState, 0},
		{"ct_zone", slotCTZone, 16, formDecimal, 0},
		{"ct_mark", slotCTMark, 32, formHex, 0},
		{"ct_label", slotCTLabel, 128, formHex, 0},
		{"ct_nw_src", slotCTSrc4, 32, formIPv4, needCT | needIPv4},
		{"ct_nw_dst", slotCTDst4, 32, formIPv4, needCT | needIPv4},
		{"ct_ipv6_src", slotCTSrc6, 128, formIPv6, needCT | needIPv6},
		{"ct_ipv6_dst", slotCTDst6, 128, formIPv6, needCT | needIPv6},
		{"ct_nw_proto", slotCTProto, 8, formDecimal, needCT},
		{"ct_tp_src", slotCTTPSrc, 16, formPort, needCT | needCTProto},
		{"ct_tp_dst", slotCTTPDst, 16, formPort, needCT | needCTProto},
	}
	for n := range slot(numRegs) {
		fs = append(fs, field{"reg" + itoa(int(n)), slotReg0 + n, 32, formHex, 0})
	}
	return append(fs, []field{
		{"in_port", slotInPort, 32, formDecimal, 0},
		{"vlan_tci", slotVLAN, 16, formVLAN, 0},
		{"dl_vlan", slotVLAN, 12, formDecimal, 0},
		{"dl_src", slotEthSrc, 48, formMAC, 0},
		{"dl_dst", slotEthDst, 48, formMAC, 0},
		{"dl_type", slotEthType, 16, formEthType, 0},
		{"arp_spa", slotSrc4, 32, formIPv4, needARP},
		{"arp_tpa", slotDst4, 32, formIPv4, needARP},
		{"nw_src", slotSrc4, 32, formIPv4, needIPv4},
		{"nw_dst", slotDst4, 32, formIPv4, needIPv4},
		{"ipv6_src", slotSrc6, 128, formIPv6, needIPv6},
		{"ipv6_dst", slotDst6, 128, formIPv6, needIPv6},
		{"nw_proto", slotProto, 8, formDecimal, needIP},
		{"arp_op", slotProto, 8, formDecimal, needARP},
		{"arp_sha", slotSHA, 48, formMAC, needARP},
		{"arp_tha", slotTHA, 48, formMAC, needARP},
		{"nw_ttl", slotTTL, 8, formDecimal, needIP},
		{"nw_frag", slotFrag, 2, formFrag, needIP},
		{"tp_src", slotTPSrc, 16, formPort, needPorts},
		{"tp_dst", slotTPDst, 16, formPort, needPorts},
		{"icmp_type", slotTPSrc, 8, formDecimal, needAnyICMP},
		{"icmp_code", slotTPDst, 8, formDecimal, needAnyICMP},
		{"nd_target", slotNDTarget, 128, formIPv6, needND},
		{"nd_sll", slotSHA, 48, formMAC, needNDSolicit},
		{"nd_tll", slotTHA, 48, formMAC, needNDAdvertise},
	}...)
}

// protocol is a word that stands for an ethertype and, mostly, an IP protocol.
type protocol struct {
	name    string
	ethType uint16
	proto   int // -1 = any
}

func protocols() []protocol {
	return []protocol{
		{"ip", ethIPv4, -1}, {"ipv6", ethIPv6, -1}, {"arp", ethARP, -1}, {"rarp", ethRARP, -1},
		{"icmp", ethIPv4, protoICMP}, {"icmp6", ethIPv6, protoICMPv6},
		{"tcp", ethIPv4, protoTCP}, {"tcp6", ethIPv6, protoTCP},
		{"udp", ethIPv4, protoUDP}, {"udp6", ethIPv6, protoUDP},
		{"sctp", ethIPv4, protoSCTP}, {"sctp6", ethIPv6, protoSCTP},
	}
}

// protocolBefore is the field before which Open vSwitch prints the protocol word.
const protocolBefore = "reg0"

// need is a set of prerequisites: what a match must pin down before a field means anything
// (ovs-fields(7), "Prerequisites").
type need uint16

const (
	needIPv4 need = 1 << iota
	needIPv6
	needIP
	needARP
	needTCP
	needUDP
	needSCTP
	needPorts // tcp, udp or sctp
	needICMP
	needICMPv6
	needAnyICMP
	needND
	needNDSolicit
	needNDAdvertise
	needCT      // a ct_state that implies a valid connection
	needCTProto // a ct_nw_proto with ports or types
)

// needNames returns the words for the messages, in the order of the bits.
func needNames() []string {
	return []string{"ip", "ipv6", "ip or ipv6", "arp", "tcp or tcp6", "udp or udp6", "sctp or sctp6",
		"a protocol with ports, no later fragment", "icmp", "icmp6", "icmp or icmp6",
		"icmp6 with type 135 or 136 and code 0",
		"icmp6 with type 135 and code 0", "icmp6 with type 136 and code 0",
		"a ct_state that implies a valid connection",
		"a ct_nw_proto with ports or types"}
}

// width returns the number of bits of a slot.
func width(s slot) int {
	switch s {
	case slotCTLabel, slotCTSrc6, slotCTDst6, slotSrc6, slotDst6, slotNDTarget:
		return 128
	case slotEthSrc, slotEthDst, slotSHA, slotTHA:
		return 48
	case slotCTZone, slotCTTPSrc, slotCTTPDst, slotVLAN, slotEthType, slotTPSrc, slotTPDst:
		return 16
	case slotCTState, slotCTProto, slotProto, slotTTL:
		return 8
	case slotFrag:
		return 2
	}
	return 32
}

// knownHeaders is what prerequisites are judged on: the headers of a packet, or the values that a
// match pins down.
type knownHeaders struct {
	values *headers
	known  *headers // the bits that a match pins down; nil for a packet, of which all is known
}

func (f knownHeaders) is(s slot, n int) bool {
	return f.values[s] == number(n) && (f.known == nil || f.known[s] == ones(width(s)))
}

func (f knownHeaders) hasPorts(proto int) bool {
	return f.holds(needIP) && f.is(slotProto, proto) && f.values[slotFrag].lo&fragLater == 0
}

// nd says whether the headers are those of one of the ND messages; Open vSwitch reads ND fields
// only where the code is 0.
func (f knownHeaders) nd(typ int) bool {
	return f.holds(needICMPv6) && f.is(slotTPSrc, typ) && f.is(slotTPDst, 0)
}

// ctValid follows is_ct_valid() of Open vSwitch: a packet must have one of the bits that only a
// valid connection has; for a match an explicit "tracked and not invalid" will do.
func (f knownHeaders) ctValid() bool {
	state := f.values[slotCTState].lo
	if f.known == nil {
		return state&(ctNew|ctEst|ctReply) != 0
	}
	notInvalid := f.known[slotCTState].lo&ctInv != 0 && state&ctInv == 0
	return state&(ctNew|ctEst|ctRel|ctReply) != 0 || state&ctTrk != 0 && notInvalid
}

// holds says whether every prerequisite of the set is met.
func (f knownHeaders) holds(n need) bool {
	for bit := need(1); bit != 0 && bit <= n; bit <<= 1 {
		if n&bit != 0 && !f.holdsOne(bit) {
			return false
		}
	}
	return true
}

func (f knownHeaders) holdsOne(n need) bool {
	switch n {
	case needIPv4:
		return f.is(slotEthType, ethIPv4)
	case needIPv6:
		return f.is(slotEthType, ethIPv6)
	case needIP:
		return f.is(slotEthType, ethIPv4) || f.is(slotEthType, ethIPv6)
	case needARP:
		return f.is(slotEthType, ethARP) || f.is(slotEthType, ethRARP)
	case needTCP:
		return f.hasPorts(protoTCP)
	case needUDP:
		return f.hasPorts(protoUDP)
	case needSCTP:
		return f.hasPorts(protoSCTP)
	case needPorts:
		return f.hasPorts(protoTCP) || f.hasPorts(protoUDP) || f.hasPorts(protoSCTP)
	case needICMP:
		return f.holdsOne(needIPv4) && f.is(slotProto, protoICMP)
	case needICMPv6:
		return f.holdsOne(needIPv6) && f.is(slotProto, protoICMPv6)
	case needAnyICMP:
		return f.holdsOne(needICMP) || f.holdsOne(needICMPv6)
	case needND:
		return f.nd(ndSolicit) || f.nd(ndAdvertise)
	case needNDSolicit:
		return f.nd(ndSolicit)
	case needNDAdvertise:
		return f.nd(ndAdvertise)
	case needCT:
		return f.ctValid()
	case needCTProto:
		return f.is(slotCTProto, protoICMP) || f.is(slotCTProto, protoTCP) ||
			f.is(slotCTProto, protoUDP) ||
			f.is(slotCTProto, protoICMPv6) || f.is(slotCTProto, protoSCTP)
	}
	return false
}
