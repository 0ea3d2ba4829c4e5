package provenance

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// protocols are the shorthands of Open vSwitch.
var protocols = map[string]string{"ip": "IPv4", "ipv6": "IPv6", "arp": "ARP", "rarp": "RARP", "tcp": "TCP over IPv4", "tcp6": "TCP over IPv6", "udp": "UDP over IPv4",
	"udp6": "UDP over IPv6", "sctp": "SCTP over IPv4", "sctp6": "SCTP over IPv6", "icmp": "ICMP", "icmp6": "ICMPv6"}

// flags are the values of reg0 that the pipeline matches, by what they mean.
var flags = map[string]string{"0x1/0x1": "that a rule admitted", "0/0x1": "that no rule admitted yet", "0x10/0x30": "from an instance",
	"0x20/0x30": "from an uplink", "0x30/0x30": "from a trusted port", "0x10/0x10": "from an instance or a trusted port",
	"0x20/0x20": "from an uplink or a trusted port"}

// match says which packets meet a flow.
func (s sentence) match(f openflow.Flow) string {
	if f.Match.String() == "" {
		if f.Priority == 0 {
			return "whatever meets no other flow"
		}
		return "every packet"
	}
	what, rest := "every packet", []string{}
	for _, part := range strings.Split(f.Match.String(), ",") {
		name, value, isField := strings.Cut(part, "=")
		if word, ok := protocols[name]; ok && !isField {
			what = word
			continue
		}
		rest = append(rest, s.field(name, value))
	}
	return strings.TrimSpace(what + " " + strings.Join(rest, ", "))
}

// field says one field of a match.
func (s sentence) field(name, value string) string {
	switch name {
	case "conj_id":
		return "that meets every part of one rule"
	case "ct_state":
		return "that is " + state(value)
	case "ct_mark":
		if value == "0" {
			return "of a connection that was not admitted before"
		}
		return "of a connection admitted in epoch " + decimal(value)
	case "reg0":
		if words, ok := flags[value]; ok {
			return words
		}
	case "reg1":
		return "judged for " + s.zone(value)
	case "reg4":
		if value == "0" {
			return "that no flow above settles"
		}
		return "on the page " + value
	case "in_port":
		return "that enters by " + s.number(value)
	case "vlan_tci":
		if value == "0x0000/0x1fff" {
			return "untagged"
		}
	case "dl_vlan":
		if value == "0" {
			return "with a priority tag"
		}
	case "dl_src", "arp_sha":
		return map[string]string{"dl_src": "from MAC ", "arp_sha": "with sender MAC "}[name] + s.group(value)
	case "dl_dst":
		return "to MAC " + s.group(value)
	}
	return s.network(name, value)
}

func (s sentence) group(value string) string {
	switch value {
	case "01:00:00:00:00:00/01:00:00:00:00:00":
		return "of a group (broadcast or multicast)"
	case "00:00:00:00:00:00/01:00:00:00:00:00":
		return "of no group (unicast)"
	}
	return s.mac(value)
}

// network says the fields of layers 3 and 4.
func (s sentence) network(name, value string) string {
	plain := map[string]string{"nw_src": "from ", "ipv6_src": "from ", "nw_dst": "to ", "ipv6_dst": "to ", "arp_spa": "with sender ", "arp_tpa": "about ",
		"nw_ttl": "with hop limit ", "icmp_type": "type ", "icmp_code": "code ", "nd_target": "about ", "nd_sll": "with source link-layer address ",
		"nd_tll": "with target link-layer address ", "dl_type": "EtherType "}
	lead, known := plain[name]
	switch {
	case strings.HasPrefix(value, "fe80::ff:fe00:0/ffff:"):
		return lead + "a link-local address that is made of a MAC"
	case (name == "nd_sll" || name == "nd_tll") && value == "00:00:00:00:00:00":
		return "without link-layer address"
	case known:
		return lead + value
	case name == "nw_frag":
		words := map[string]string{"no": "whole", "later": "a fragment behind the first", "first": "a first fragment", "yes": "a fragment"}
		if w, ok := words[value]; ok {
			return w
		}
	case name == "arp_op":
		words := map[string]string{"1": "a request", "2": "a reply", "3": "a reverse request"}
		if w, ok := words[value]; ok {
			return w
		}
	case name == "nw_proto":
		if n, err := strconv.ParseUint(value, 0, 8); err == nil {
			return "protocol " + policy.Protocol(n).String()
		}
	case name == "tp_src":
		return "from " + portsText(value)
	case name == "tp_dst":
		return "to " + portsText(value)
	}
	return name + "=" + value
}

// portsText turns 80 into "port 80", and 0x50/0xfff0 into "ports 80-95".
func portsText(value string) string {
	base, mask, masked := strings.Cut(value, "/")
	first, err := strconv.ParseUint(base, 0, 16)
	bits, errMask := strconv.ParseUint(mask, 0, 16)
	switch {
	case err != nil || masked && errMask != nil:
		return "port " + value
	case !masked:
		return fmt.Sprintf("port %d", first)
	}
	return fmt.Sprintf("ports %d-%d", first, first|^bits&0xffff)
}

// state says what conntrack must say: "+new-inv+trk" is "new".
func state(value string) string {
	words := map[string]string{"+new": "new", "-new": "known", "+inv": "no packet of any connection", "+rel": "related", "-rel": "not merely related",
		"+rpl": "a reply", "-rpl": "of the side that opened the connection", "+est": "established", "-est": "not established"}
	var out []string
	for i := 0; i+4 <= len(value); i += 4 {
		if w, ok := words[value[i:i+4]]; ok {
			out = append(out, w)
		}
	}
	if len(out) == 0 {
		return value
	}
	return strings.Join(out, ", ")
}

func decimal(value string) string {
	n, err := strconv.ParseUint(value, 0, 64)
	if err != nil {
		return value
	}
	return strconv.FormatUint(n, 10)
}
