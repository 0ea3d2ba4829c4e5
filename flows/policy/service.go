package policy

import "fmt"

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
