// The service of a question that "portcullis explain" is asked, in the words of policy files.

package policyfile

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// ParseService reads the service of a question: a protocol as rules name it, and behind slashes a
// port or a range of ports (tcp/3306, udp/5000-5999), or an ICMP type and code (icmp/8,
// icmpv6/128/0). What is left out is every one. Errors say what would be right.
func ParseService(word string) (policy.Service, error) {
	parts := strings.Split(word, "/")
	s := policy.Service{ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP}
	p, ok := policy.ParseProtocol(strings.ToLower(parts[0]))
	if !ok {
		return s,
			fmt.Errorf("service %q: the protocol must be one of %s, or a number from 0 to 255%s",
				word, protocolList(),
				wording.DidYouMean(parts[0], strings.Fields(
					strings.ReplaceAll(protocolList(), ",", ""))))
	}
	s.Protocol = p
	rest := parts[1:]
	switch {
	case len(rest) == 0:
		return s, nil
	case p.HasPorts() && len(rest) == 1:
		return servicePorts(s, word, rest[0])
	case p.HasTypes() && len(rest) <= 2:
		return serviceType(s, word, rest)
	case p.HasPorts():
		return s, fmt.Errorf("service %q: %s has one port or one range of ports, such as %s/80",
			word, p, p)
	case p.HasTypes():
		return s, fmt.Errorf("service %q: %s has a type and a code, such as %s/8/0", word, p, p)
	}
	return s, fmt.Errorf("service %q: protocol %s has neither ports nor types; write %s alone",
		word, p, parts[0])
}

func servicePorts(s policy.Service, word, ports string) (policy.Service, error) {
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	from, ok1 := strictyaml.Decimal(first)
	to, ok2 := strictyaml.Decimal(last)
	if !ok1 || !ok2 || from < 1 || to > 65535 || from > to {
		return s,
			fmt.Errorf(
				"service %q: must be a port from 1 to 65535 or a range of ports, such as %s/80 or "+
					"%s/8000-8999", word, s.Protocol, s.Protocol)
	}
	s.Ports = policy.PortRange{First: uint16(from), Last: uint16(to)}
	return s, nil
}

func serviceType(s policy.Service, word string, numbers []string) (policy.Service, error) {
	for i, at := range []*int16{&s.ICMPType, &s.ICMPCode}[:len(numbers)] {
		n, ok := strictyaml.Decimal(numbers[i])
		if !ok || n < 0 || n > 255 {
			return s, fmt.Errorf("service %q: ICMP types and codes are numbers from 0 to 255, "+
				"such as %s/8/0", word, s.Protocol)
		}
		*at = int16(n)
	}
	return s, nil
}
