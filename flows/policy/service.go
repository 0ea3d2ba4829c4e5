package policy

import (
	"fmt"
	"strings"
)

// Service is what a question is about: a protocol, and how much of it.
type Service struct {
	Protocol Protocol
	Ports    PortRange // of tcp, udp and sctp; zero = every port
	ICMPType int16     // of icmp and icmpv6: 0-255 or AnyICMP
	ICMPCode int16     // as ICMPType
}

// String returns the service as it is asked for: tcp/3306, icmp/8/0, esp, any.
func (s Service) String() string {
	out := s.Protocol.String()
	if s.Ports.First != 0 {
		out += "/" + s.Ports.String()
	}
	for _, n := range []int16{s.ICMPType, s.ICMPCode} {
		if s.Protocol.HasTypes() && n != AnyICMP {
			out += fmt.Sprintf("/%d", n)
		}
	}
	return out
}

// IsOne says whether the service is that of one packet: a port, an ICMP type and code, or a
// protocol that has neither.
func (s Service) IsOne() bool {
	switch {
	case s.Protocol == AnyProtocol:
		return false
	case s.Protocol.HasPorts():
		return s.Ports.First != 0 && s.Ports.First == s.Ports.Last
	case s.Protocol.HasTypes():
		return s.ICMPType != AnyICMP && s.ICMPCode != AnyICMP
	}
	return true
}

// KnownType is an ICMP type by its name.
type KnownType struct {
	Name     string
	Protocol Protocol // ICMP or ICMPv6
	Number   int16
}

// knownTypes are those of IANA's "ICMP Type Numbers" that rules are asked about. Never changed.
var knownTypes = []KnownType{
	{"echo-reply", ICMP, 0}, {"destination-unreachable", ICMP, 3}, {"redirect", ICMP, 5},
	{"echo-request", ICMP, 8}, {"time-exceeded", ICMP, 11}, {"parameter-problem", ICMP, 12},
	{"timestamp-request", ICMP, 13}, {"timestamp-reply", ICMP, 14},
	{"destination-unreachable", ICMPv6, 1}, {"packet-too-big", ICMPv6, 2},
	{"time-exceeded", ICMPv6, 3}, {"parameter-problem", ICMPv6, 4},
	{"echo-request", ICMPv6, 128}, {"echo-reply", ICMPv6, 129},
}

// KnownTypes returns the types of a protocol that have names, in the order of their numbers.
func KnownTypes(p Protocol) (out []KnownType) {
	for _, t := range knownTypes {
		if t.Protocol == p {
			out = append(out, t)
		}
	}
	return out
}

// FindType returns the number of the ICMP type that has a name, in any case, in one of the two
// protocols.
func FindType(p Protocol, name string) (int16, bool) {
	for _, t := range knownTypes {
		if t.Protocol == p && strings.EqualFold(t.Name, name) {
			return t.Number, true
		}
	}
	return AnyICMP, false
}

// The EtherTypes that the specification knows (IEEE 802 numbers).
const (
	EtherIPv4 uint16 = 0x0800
	EtherARP  uint16 = 0x0806
	EtherRARP uint16 = 0x8035
	EtherIPv6 uint16 = 0x86dd
)

// The ARP operations that are delivered, and that of RARP by which a hypervisor says where a
// machine is (RFC 903: reverse request).
const (
	ARPRequest  uint16 = 1
	ARPReply    uint16 = 2
	RARPRequest uint16 = 3
)

// The ICMPv6 types of neighbour discovery (RFC 4861, section 4).
const (
	RouterSolicitation    uint8 = 133
	RouterAdvertisement   uint8 = 134
	NeighborSolicitation  uint8 = 135
	NeighborAdvertisement uint8 = 136
	Redirect              uint8 = 137
)

// The ICMPv6 types of multicast listener discovery (RFC 2710, section 3; RFC 3810, section 5).
const (
	ListenerQuery    uint8 = 130
	ListenerReport   uint8 = 131
	ListenerDone     uint8 = 132
	ListenerReportV2 uint8 = 143
)

// ICMPAnswer is a message that answers another, by their types.
type ICMPAnswer struct{ Answer, Request uint8 }

// ICMPAnswers returns the messages of ICMP or ICMPv6 that connection trackers take for answers: of
// the requests of RFC 792 and RFC 950, and of RFC 4443 and RFC 4620.
func ICMPAnswers(v6 bool) []ICMPAnswer {
	if v6 {
		return []ICMPAnswer{{129, 128}, {140, 139}}
	}
	return []ICMPAnswer{{0, 8}, {14, 13}, {16, 15}, {18, 17}}
}
