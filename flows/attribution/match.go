package attribution

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// protocols are the words for the shorthands of Open vSwitch.
var protocols = map[string]string{
	"ip": "IPv4", "ipv6": "IPv6", "arp": "ARP", "rarp": "RARP",
	"tcp": "TCP over IPv4", "tcp6": "TCP over IPv6", "udp": "UDP over IPv4", "udp6": "UDP over IPv6",
	"sctp": "SCTP over IPv4", "sctp6": "SCTP over IPv6", "icmp": "ICMP", "icmp6": "ICMPv6",
}

// matchedFlags are the flags that the pipeline matches, by what they mean.
var matchedFlags = map[flows.Flags]string{
	flows.FlagAdmitted: "that a rule admitted", flows.FlagUndecided: "that no rule admitted yet",
	flows.OriginInstance: "from an instance", flows.OriginUplink: "from an uplink",
	flows.OriginTrusted:   "from a trusted port",
	flows.FlagToUplinks:   "from an instance or a trusted port",
	flows.FlagFromOutside: "from an uplink or a trusted port",
}

// match says which packets meet a flow.
func (s sentence) match(f openflow.Flow) string {
	if f.Match == (openflow.Match{}) {
		if f.Priority == 0 {
			return "whatever meets no other flow"
		}
		return "every packet"
	}
	what, rest := "every packet", []string{}
	shorthand := ""
	for part := range strings.SplitSeq(f.Match.String(), ",") {
		if word, ok := protocols[part]; ok {
			what, shorthand = word, part+","
			continue
		}
		rest = append(rest, s.part(shorthand, part))
	}
	return strings.TrimSpace(what + " " + strings.Join(rest, ", "))
}

// part says one field of a match; of one that is not known it returns the text.
func (s sentence) part(shorthand, text string) string {
	for _, context := range []string{"", shorthand} {
		var last openflow.OXM
		for o := range openflow.ParseMatch(context + text).Fields() {
			last = o
		}
		if last.Field != 0 {
			return s.field(last, text)
		}
	}
	return text
}

// plain are the fields that are said by a word and their value.
var plain = map[openflow.Field]string{
	openflow.IPv4Src: "from ", openflow.IPv6Src: "from ", openflow.IPv4Dst: "to ",
	openflow.IPv6Dst: "to ",
	openflow.ARPSPA:  "with sender ", openflow.ARPTPA: "about ", openflow.TTL: "with hop limit ",
	openflow.ICMPType: "type ", openflow.ICMPCode: "code ", openflow.ICMPv6Type: "type ",
	openflow.ICMPv6Code: "code ", openflow.NDTarget: "about ", openflow.EtherType: "EtherType ",
	openflow.NDSLL: "with source link-layer address ",
	openflow.NDTLL: "with target link-layer address ",
}

// field says one field of a match.
func (s sentence) field(o openflow.OXM, text string) string {
	_, valueText, _ := strings.Cut(text, "=")
	value, mask := o.Uint()
	switch o.Field {
	case openflow.ConjID:
		return "that meets every part of one rule"
	case openflow.CTState:
		return "that is " + state(uint32(value), uint32(mask))
	case openflow.CTMark:
		if value == 0 {
			return "of a connection that was not admitted before"
		}
		return fmt.Sprintf("of a connection admitted in epoch %d", value)
	case flows.RegFlags:
		if words, ok := matchedFlags[flows.Flags{Value: uint32(value), Mask: uint32(mask)}]; ok {
			return words
		}
	case flows.RegPort:
		return "judged for " + s.zone(value)
	case flows.RegPage:
		if value == 0 && !o.IsMasked() {
			return "that no flow above settles"
		}
		return "on the page " + valueText
	case openflow.InPort:
		return "that enters by " + s.number(value, valueText)
	case openflow.VLAN:
		if value == 0 {
			return "untagged"
		}
		if o == openflow.Tagged(0) {
			return "with a priority tag"
		}
	default:
		return s.header(o, text, valueText)
	}
	return text
}

// header says the fields of layers 2 to 4.
func (s sentence) header(o openflow.OXM, text, valueText string) string {
	value, mask := o.Uint()
	switch o.Field {
	case openflow.EthSrc:
		return "from MAC " + s.group(o, valueText)
	case openflow.ARPSHA:
		return "with sender MAC " + s.group(o, valueText)
	case openflow.EthDst:
		return "to MAC " + s.group(o, valueText)
	case openflow.Fragment:
		words := map[string]string{"no": "whole", "later": "a fragment behind the first",
			"first": "a first fragment", "yes": "a fragment"}
		if w, ok := words[valueText]; ok {
			return w
		}
		return text
	case openflow.ARPOp:
		if words := []string{"", "a request", "a reply", "a reverse request"}; value > 0 &&
			int(value) < len(words) {
			return words[value]
		}
		return text
	case openflow.IPProto:
		return "protocol " + policy.Protocol(value).String()
	case openflow.TCPSrc, openflow.UDPSrc, openflow.SCTPSrc:
		return "from " + portsText(value, mask)
	case openflow.TCPDst, openflow.UDPDst, openflow.SCTPDst:
		return "to " + portsText(value, mask)
	}
	lead, known := plain[o.Field]
	switch {
	case o == openflow.MaskedAddress(o.Field, flows.MadeOfMAC, flows.MadeOfMACMask):
		return lead + "a link-local address that is made of a MAC"
	case (o.Field == openflow.NDSLL || o.Field == openflow.NDTLL) && value == 0:
		return "without link-layer address"
	case known:
		return lead + valueText
	}
	return text
}

// group says whether a MAC is that of a group, or whose it is.
func (s sentence) group(o openflow.OXM, text string) string {
	group := policy.MAC{0x01}
	switch o {
	case openflow.MaskedMAC(o.Field, group, group):
		return "of a group (broadcast or multicast)"
	case openflow.MaskedMAC(o.Field, policy.MAC{}, group):
		return "of no group (unicast)"
	}
	return s.mac(text)
}

// portsText turns 80 into "port 80", and 0x50/0xfff0 into "ports 80-95".
func portsText(first, mask uint64) string {
	if mask == 0xffff {
		return fmt.Sprintf("port %d", first)
	}
	return fmt.Sprintf("ports %d-%d", first, first|^mask&0xffff)
}

// state says what conntrack must say: new, not invalid.
func state(value, mask uint32) string {
	words := []struct {
		flag       uint32
		set, unset string
	}{
		{openflow.StateNew, "new", "known"},
		{openflow.StateEstablished, "established", "not established"},
		{openflow.StateRelated, "related", "not merely related"},
		{openflow.StateReply, "a reply", "of the side that opened the connection"},
		{openflow.StateInvalid, "no packet of any connection", ""},
	}
	var out []string
	for _, w := range words {
		switch {
		case value&w.flag != 0:
			out = append(out, w.set)
		case mask&w.flag != 0 && w.unset != "":
			out = append(out, w.unset)
		}
	}
	if len(out) == 0 {
		tracked := openflow.State(value, mask&^value)
		m, _ := openflow.NewMatch(tracked)
		_, text, _ := strings.Cut(m.String(), "=")
		return text
	}
	return strings.Join(out, ", ")
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
