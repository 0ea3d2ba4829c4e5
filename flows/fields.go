package flows

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows/policy"
)

// The registers, by the names that OpenFlow 1.5 text gives them. Nothing else is written by the pipeline, and each bit has one meaning:
//
//	reg0[0]    the verdict of a rule table: 1 = admitted
//	reg0[4..5] the origin: 1 an instance, 2 an uplink, 3 a trusted port.  Bit 4: may go to the uplinks.  Bit 5: from outside.
//	reg1       the key of the port whose rules judge the packet now, which is also its conntrack zone; 0 for uplinks
//	reg2       the epoch of that port
//	reg3       the id of the rule that admitted
//	reg4       the page of a table that is asked for; 0 = the first, as of every table that has no pages
//	ct_mark    the epoch in which the connection was last admitted
//	ct_label   bits 0..31: the id of the rule that admitted it
const (
	regFlags = "reg0"
	regPort  = "reg1"
	regEpoch = "reg2"
	regRule  = "reg3"
	regPage  = "reg4"
)

// Values and masks in reg0.
const (
	flagAdmitted   = "0x1/0x1"
	flagUndecided  = "0/0x1" // as Open vSwitch prints it
	originInstance = "0x10/0x30"
	originUplink   = "0x20/0x30"
	originTrusted  = "0x30/0x30"
	toUplinks      = "0x10/0x10" // an instance or a trusted port
	fromOutside    = "0x20/0x20" // an uplink or a trusted port
)

// Group addresses in the text of Open vSwitch.
const (
	groupMACs     = "01:00:00:00:00:00/01:00:00:00:00:00"
	unicastMACs   = "00:00:00:00:00:00/01:00:00:00:00:00"
	noMAC         = "00:00:00:00:00:00"
	untagged      = 0x0000
	untaggedMask  = 0x1fff // CFI and VID: no 802.1Q header (ovs-fields(7), vlan_tci)
	dhcpv6Servers = "ff02::1:2"
	solicitedNode = "ff02::1:ff00:0/104"
	groups6       = "ff00::/8"
	// madeOfMAC are the link-local addresses that are made of a MAC (RFC 4291, appendix A).
	madeOfMAC  = "fe80::ff:fe00:0/ffff:ffff:ffff:ffff:0:ff:ff00:0"
	protoSCTP  = ovs.Protocol("sctp")
	protoSCTP6 = ovs.Protocol("sctp6")
	protoRARP  = ovs.Protocol("rarp")
)

// order is the order in which Open vSwitch prints match fields (match_format in lib/match.c); "proto" stands for ip, tcp6 and so on.
var order = ranks("conj_id", "ct_state", "ct_mark", "proto", regFlags, regPort, regEpoch, regRule, regPage, "in_port", "vlan_tci", "dl_vlan",
	"dl_src", "dl_dst", "dl_type", "nw_src", "nw_dst", "ipv6_src", "ipv6_dst", "arp_spa", "arp_tpa", "nw_proto", "arp_op",
	"arp_sha", "nw_ttl", "nw_frag", "icmp_type", "icmp_code", "nd_target", "nd_sll", "nd_tll", "tp_src", "tp_dst")

func ranks(names ...string) map[string]int {
	m := make(map[string]int, len(names))
	for i, n := range names {
		m[n] = i
	}
	return m
}

// protocol makes the shorthand of a protocol a match like any other, so that it can be put in its place.
type protocol struct{ ovs.Protocol }

func (p protocol) MarshalText() ([]byte, error) { return []byte(p.Protocol), nil }
func (p protocol) GoString() string             { return fmt.Sprintf("%q", string(p.Protocol)) }

// The matches of the pipeline, each the library's own where that prints the canonical text.

func proto(p ovs.Protocol) ovs.Match      { return protocol{p} }
func ofPort(number uint32) ovs.Match      { return ovs.InPortMatch(int(number)) }
func reg(name, value string) ovs.Match    { return ovs.FieldMatch(name, value) }
func portKey(zone uint16) ovs.Match       { return ovs.FieldMatch(regPort, hex(uint32(zone))) }
func ctMark(epoch uint32) ovs.Match       { return ovs.FieldMatch("ct_mark", hex(epoch)) }
func ctState(flags ...string) ovs.Match   { return ovs.ConnectionTrackingState(flags...) }
func dlSrc(m policy.MAC) ovs.Match        { return ovs.DataLinkSource(m.String()) }
func dlDst(m policy.MAC) ovs.Match        { return ovs.DataLinkDestination(m.String()) }
func arpOp(op uint16) ovs.Match           { return ovs.FieldMatch("arp_op", strconv.Itoa(int(op))) }
func arpSHA(m policy.MAC) ovs.Match       { return ovs.ARPSourceHardwareAddress(m[:]) }
func arpSPA(p netip.Prefix) ovs.Match     { return ovs.ARPSourceProtocolAddress(text(p)) }
func arpTPA(p netip.Prefix) ovs.Match     { return ovs.ARPTargetProtocolAddress(text(p)) }
func nwProto(number uint8) ovs.Match      { return ovs.NetworkProtocol(number) }
func frag(kind string) ovs.Match          { return ovs.FieldMatch("nw_frag", kind) }
func icmpType(t uint8) ovs.Match          { return ovs.ICMPType(t) }
func icmpCode(c uint8) ovs.Match          { return ovs.ICMPCode(c) }
func hopLimit255() ovs.Match              { return ovs.NetworkTTL(255) }
func hopLimit1() ovs.Match                { return ovs.NetworkTTL(1) }
func ndTarget(p netip.Prefix) ovs.Match   { return ovs.FieldMatch("nd_target", text(p)) }
func ndSLL(mac string) ovs.Match          { return ovs.FieldMatch("nd_sll", mac) }
func ndTLL(mac string) ovs.Match          { return ovs.FieldMatch("nd_tll", mac) }
func tpSrc(port uint16) ovs.Match         { return ovs.TransportSourcePort(port) }
func tpDst(port uint16) ovs.Match         { return ovs.TransportDestinationPort(port) }
func tpDstMasked(value string) ovs.Match  { return ovs.FieldMatch("tp_dst", value) }
func conjID(id ruleID) ovs.Match          { return ovs.ConjunctionID(uint32(id)) }
func ipSrc(p netip.Prefix) ovs.Match      { return address(p, "nw_src", "ipv6_src") }
func ipDst(p netip.Prefix) ovs.Match      { return address(p, "nw_dst", "ipv6_dst") }
func hex(v uint32) string                 { return "0x" + strconv.FormatUint(uint64(v), 16) }
func single(a netip.Addr) netip.Prefix    { return netip.PrefixFrom(a, a.BitLen()) }
func ipProto(p netip.Prefix) ovs.Protocol { return family(p, ovs.ProtocolIPv4, ovs.ProtocolIPv6) }

// dlType matches an EtherType, by the name that Open vSwitch prints where it has one. Of those that
// a port may list it has one for RARP only.
func dlType(etherType uint16) ovs.Match {
	if etherType == policy.EtherRARP {
		return proto(protoRARP)
	}
	return ovs.DataLinkType(etherType)
}

func family[T any](p netip.Prefix, v4, v6 T) T {
	if p.Addr().Is4() {
		return v4
	}
	return v6
}

// address is what the library's matches of addresses print; those parse the text twice, which takes longer than all else of a flow.
func address(p netip.Prefix, v4, v6 string) ovs.Match {
	return ovs.FieldMatch(family(p, v4, v6), text(p))
}

// text writes a network as Open vSwitch does: without the length where it is one address.
func text(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.Masked().String()
}

// matchText joins matches in canonical order and returns the names of the fields beside.
func matchText(ms []ovs.Match) (string, []string, error) {
	parts := make([]string, 0, len(ms))
	names := make([]string, 0, len(ms))
	for _, m := range ms {
		raw, err := m.MarshalText()
		if err != nil {
			return "", nil, fmt.Errorf("match %#v: %w", m, err)
		}
		if bytes.IndexByte(raw, ' ') >= 0 {
			return "", nil, fmt.Errorf("match %q: not a value of its field", raw)
		}
		name, _, isField := strings.Cut(string(raw), "=")
		if !isField {
			name = "proto"
		}
		rank, known := order[name]
		if !known {
			return "", nil, fmt.Errorf("match %q: no such field in the pipeline", raw)
		}
		at := len(parts)
		for at > 0 && order[names[at-1]] > rank {
			at--
		}
		parts, names = slices.Insert(parts, at, string(raw)), slices.Insert(names, at, name)
	}
	return strings.Join(parts, ","), names, nil
}

// on is a list of matches, as it reads best where flows are listed.
func on(ms ...ovs.Match) []ovs.Match { return ms }
