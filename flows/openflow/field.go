package openflow

// The table of all fields that flows match or write. Whoever adds a field adds a constant and a
// line; the text, the bytes and the contracts of the tables follow from it.

// Field is a field of packets, or of what the switch notes beside them. The order of the fields is
// that in which a match has them; each comes after those that it needs.
type Field uint8

// The fields.
const (
	ConjID Field = iota + 1
	CTState
	CTMark
	CTLabel
	CTIPv4Src
	CTIPv4Dst
	CTIPv6Src
	CTIPv6Dst
	CTPortSrc
	CTPortDst
	EtherType
	IPProto
	Reg0
	Reg1
	Reg2
	Reg3
	Reg4
	InPort
	VLAN
	EthSrc
	EthDst
	IPv4Src
	IPv4Dst
	IPv6Src
	IPv6Dst
	ARPSPA
	ARPTPA
	ARPOp
	ARPSHA
	TTL
	Fragment
	ICMPType
	ICMPCode
	ICMPv6Type
	ICMPv6Code
	NDTarget
	NDSLL
	NDTLL
	TCPSrc
	TCPDst
	UDPSrc
	UDPDst
	SCTPSrc
	SCTPDst
)

// spec is what is to be known of a field.
type spec struct {
	name    string // in a match and in set_field
	operand string // in move, push, pop and ct; "" = these never name it
	header  uint32 // of OXM, without the length (OpenFlow 1.5, section 7.2.3.2)
	nicira  uint32 // likewise, as the actions of Nicira name it; 0 = by header
	size    int    // of a value, in bytes
	form    form   // of a value in text
	needs   need   // of a match that has it
}

// The classes of fields: that of OpenFlow (OpenFlow 1.5, section 7.2.3.3), and those with which
// Open vSwitch began (ovs-fields(7)).
const (
	oxm   uint32 = 0x8000 << 16
	nxmOF uint32 = 0x0000 << 16
	nxmNX uint32 = 0x0001 << 16
)

// number is where the number of a field stands in a header, and hasMask says that a mask follows
// the value.
const (
	number  = 1 << 9
	hasMask = 1 << 8
)

var specs = [...]spec{
	ConjID:    {"conj_id", "", nxmNX + 37*number, 0, 4, decimal, nothing},
	CTState:   {"ct_state", "", nxmNX + 105*number, 0, 4, states, nothing},
	CTMark:    {"ct_mark", "NXM_NX_CT_MARK", nxmNX + 107*number, 0, 4, hex, nothing},
	CTLabel:   {"ct_label", "NXM_NX_CT_LABEL", nxmNX + 108*number, 0, 16, unread, nothing},
	CTIPv4Src: {"ct_nw_src", "NXM_NX_CT_NW_SRC", nxmNX + 120*number, 0, 4, unread, ipv4},
	CTIPv4Dst: {"ct_nw_dst", "NXM_NX_CT_NW_DST", nxmNX + 121*number, 0, 4, unread, ipv4},
	CTIPv6Src: {"ct_ipv6_src", "NXM_NX_CT_IPV6_SRC", nxmNX + 122*number, 0, 16, unread, ipv6},
	CTIPv6Dst: {"ct_ipv6_dst", "NXM_NX_CT_IPV6_DST", nxmNX + 123*number, 0, 16, unread, ipv6},
	CTPortSrc: {"ct_tp_src", "NXM_NX_CT_TP_SRC", nxmNX + 124*number, 0, 2, unread, ip},
	CTPortDst: {"ct_tp_dst", "NXM_NX_CT_TP_DST", nxmNX + 125*number, 0, 2, unread, ip},
	EtherType: {"dl_type", "", oxm + 5*number, 0, 2, etherTypes, nothing},
	IPProto:   {"nw_proto", "", oxm + 10*number, 0, 1, decimal, ip},
	Reg0:      {"reg0", "NXM_NX_REG0", nxmNX + 0*number, 0, 4, hex, nothing},
	Reg1:      {"reg1", "NXM_NX_REG1", nxmNX + 1*number, 0, 4, hex, nothing},
	Reg2:      {"reg2", "NXM_NX_REG2", nxmNX + 2*number, 0, 4, hex, nothing},
	Reg3:      {"reg3", "NXM_NX_REG3", nxmNX + 3*number, 0, 4, hex, nothing},
	Reg4:      {"reg4", "NXM_NX_REG4", nxmNX + 4*number, 0, 4, hex, nothing},
	InPort:    {"in_port", "", oxm + 0*number, 0, 4, ports, nothing},
	VLAN:      {"vlan_vid", "", oxm + 6*number, 0, 2, vlans, nothing},
	EthSrc:    {"dl_src", "", oxm + 4*number, 0, 6, macs, nothing},
	EthDst:    {"dl_dst", "", oxm + 3*number, 0, 6, macs, nothing},
	IPv4Src:   {"nw_src", "NXM_OF_IP_SRC", oxm + 11*number, nxmOF + 7*number, 4, networks, ipv4},
	IPv4Dst:   {"nw_dst", "NXM_OF_IP_DST", oxm + 12*number, nxmOF + 8*number, 4, networks, ipv4},
	IPv6Src: {"ipv6_src", "NXM_NX_IPV6_SRC", oxm + 26*number, nxmNX + 19*number, 16, networks,
		ipv6},
	IPv6Dst: {"ipv6_dst", "NXM_NX_IPV6_DST", oxm + 27*number, nxmNX + 20*number, 16, networks,
		ipv6},
	ARPSPA:   {"arp_spa", "", oxm + 22*number, 0, 4, networks, arp},
	ARPTPA:   {"arp_tpa", "", oxm + 23*number, 0, 4, networks, arp},
	ARPOp:    {"arp_op", "", oxm + 21*number, 0, 2, decimal, arp},
	ARPSHA:   {"arp_sha", "", oxm + 24*number, 0, 6, macs, arp},
	TTL:      {"nw_ttl", "", nxmNX + 29*number, 0, 1, decimal, ip},
	Fragment: {"nw_frag", "", nxmNX + 26*number, 0, 1, fragments, ip},
	ICMPType: {"icmp_type", "NXM_OF_ICMP_TYPE", oxm + 19*number, nxmOF + 13*number, 1, decimal,
		icmp},
	ICMPCode: {"icmp_code", "NXM_OF_ICMP_CODE", oxm + 20*number, nxmOF + 14*number, 1, decimal,
		icmp},
	ICMPv6Type: {"icmp_type", "NXM_NX_ICMPV6_TYPE", oxm + 29*number, nxmNX + 21*number, 1, decimal,
		icmpv6},
	ICMPv6Code: {"icmp_code", "NXM_NX_ICMPV6_CODE", oxm + 30*number, nxmNX + 22*number, 1, decimal,
		icmpv6},
	NDTarget: {"nd_target", "", oxm + 31*number, 0, 16, networks, icmpv6},
	NDSLL:    {"nd_sll", "", oxm + 32*number, 0, 6, macs, icmpv6},
	NDTLL:    {"nd_tll", "", oxm + 33*number, 0, 6, macs, icmpv6},
	TCPSrc:   {"tp_src", "NXM_OF_TCP_SRC", oxm + 13*number, nxmOF + 9*number, 2, decimal, tcp},
	TCPDst:   {"tp_dst", "NXM_OF_TCP_DST", oxm + 14*number, nxmOF + 10*number, 2, decimal, tcp},
	UDPSrc:   {"tp_src", "NXM_OF_UDP_SRC", oxm + 15*number, nxmOF + 11*number, 2, decimal, udp},
	UDPDst:   {"tp_dst", "NXM_OF_UDP_DST", oxm + 16*number, nxmOF + 12*number, 2, decimal, udp},
	SCTPSrc:  {"tp_src", "OXM_OF_SCTP_SRC", oxm + 17*number, 0, 2, decimal, sctp},
	SCTPDst:  {"tp_dst", "OXM_OF_SCTP_DST", oxm + 18*number, 0, 2, decimal, sctp},
}

// String returns the name of the field in the text of a match.
func (f Field) String() string { return specs[f].name }

// Operand returns the name of the field in the text of move, push, pop and ct; "" = they have none.
func (f Field) Operand() string { return specs[f].operand }

// header returns the field's OXM header.
func (f Field) header() uint32 { return specs[f].header + uint32(specs[f].size) }

// niciraHeader returns the header by which the actions of Nicira name the field.
func (f Field) niciraHeader() uint32 {
	if s := specs[f]; s.nicira != 0 {
		return s.nicira + uint32(s.size)
	}
	return f.header()
}

// byHeader are the fields by both of their headers.
var byHeader = func() map[uint32]Field {
	out := map[uint32]Field{}
	for f := ConjID; int(f) < len(specs); f++ {
		out[f.header()], out[f.niciraHeader()] = f, f
	}
	return out
}()

// byOperand are the fields by the names that actions have for them.
var byOperand = func() map[string]Field {
	out := map[string]Field{}
	for f := ConjID; int(f) < len(specs); f++ {
		if name := f.Operand(); name != "" {
			out[name] = f
		}
	}
	return out
}()

// byName are the fields by the names that matches have for them: several, of which the protocol of
// the match decides.
var byName = func() map[string][]Field {
	out := map[string][]Field{}
	for f := ConjID; int(f) < len(specs); f++ {
		if specs[f].form != unread && f != VLAN {
			out[f.String()] = append(out[f.String()], f)
		}
	}
	out["vlan_tci"], out["dl_vlan"] = []Field{VLAN}, []Field{VLAN}
	return out
}()

// need is what a match must say before a field means anything (ovs-fields(7), "Prerequisites").
type need uint8

const (
	nothing need = iota
	arp
	ip // of either version
	ipv4
	ipv6
	icmp
	icmpv6
	tcp
	udp
	sctp
)

// isMet says whether a match of an EtherType and a protocol of IP is enough; -1 = it says none.
func (n need) isMet(etherType, proto int) bool {
	is4, is6 := etherType == 0x0800, etherType == 0x86dd
	switch n {
	case nothing:
		return true
	case arp:
		return etherType == 0x0806 || etherType == 0x8035
	case ip:
		return is4 || is6
	case ipv4:
		return is4
	case ipv6:
		return is6
	case icmp:
		return is4 && proto == 1
	case icmpv6:
		return is6 && proto == 58
	case tcp:
		return (is4 || is6) && proto == 6
	case udp:
		return (is4 || is6) && proto == 17
	case sctp:
		return (is4 || is6) && proto == 132
	}
	return false
}
