package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// What a question is about, as people write it. Commands read it from their arguments, tests of a
// policy from their files.

// Asked is some services that a question is about. The zero Asked is none.
type Asked struct {
	services []policy.Service
	name     string   // by which they were asked for, if that is no list of protocols and ports
	set      Services // instead of services, of whatever family
}

// Ask returns a question about services.
func Ask(services ...policy.Service) Asked { return Asked{services: services} }

// AskSet returns a question about a set of services of one family.
func AskSet(s Services) Asked { return Asked{set: s} }

// String returns the services as they are asked for: "tcp/3306", "any", "mysql (tcp/3306)".
func (a Asked) String() string {
	if a.set != nil {
		return a.set.String()
	}
	var out []string
	for _, s := range a.services {
		word := s.String()
		if isPorts(word) {
			word = "protocol/" + word
		}
		out = append(out, word)
	}
	list := strings.Join(out, ",")
	if a.name != "" {
		return a.name + " (" + list + ")"
	}
	return list
}

// Of returns the services of one family. Neighbour discovery is in none: no rule is asked about it.
func (a Asked) Of(v6 bool) Services {
	if a.set != nil {
		return a.set
	}
	var out Services
	for _, s := range a.services {
		out = out.Union(ServicesOf(s, v6))
	}
	return out
}

// IsOne says whether it is about one packet of each family at most.
func (a Asked) IsOne() bool {
	one := func(s policy.Service) bool { return s.IsOne() }
	all := func(v6 bool) (n int) {
		for _, s := range a.services {
			if len(ServicesOf(s, v6)) > 0 {
				n++
			}
		}
		return n
	}
	return !slices.ContainsFunc(a.services, func(s policy.Service) bool { return !one(s) }) &&
		all(false) <= 1 && all(true) <= 1
}

// AnyService is every service.
func AnyService() policy.Service {
	return policy.Service{Protocol: policy.AnyProtocol, ICMPType: policy.AnyICMP,
		ICMPCode: policy.AnyICMP}
}

// ParseAsked reads what a question is about: a list, by commas, of services by their names (mysql,
// ping), protocols (tcp, esp, any), protocols with a port, a range of ports or the name of a
// service (tcp/3306, 80/tcp, tcp:80, udp/5000-5999, tcp/http), or with an ICMP type and code
// (icmp/8, icmpv6/128/0), in any case; what is left out is every one. Errors say what would be
// right.
func ParseAsked(word string) (Asked, error) {
	var out Asked
	protocol := "" // of the item before, which ports alone go on with
	for part := range strings.SplitSeq(word, ",") {
		part = strings.TrimSpace(part)
		if isPorts(part) && protocol != "" {
			part = protocol + "/" + part
		}
		list, name, err := parseService(part)
		if err != nil {
			return Asked{}, err
		}
		if protocol = ""; name == "" && list[0].Protocol.HasPorts() {
			protocol = list[0].Protocol.String()
		}
		for _, s := range list {
			if !slices.Contains(out.services, s) {
				out.services = append(out.services, s)
			}
		}
		if out.name = name; strings.Contains(word, ",") {
			out.name = ""
		}
	}
	return out, nil
}

// isPorts says whether a word is a port or a range of ports.
func isPorts(word string) bool {
	return word != "" && strings.Trim(word, "0123456789-") == ""
}

// parseService reads one item, and returns the name of a service if it is one.
func parseService(word string) ([]policy.Service, string, error) {
	if n, ok := policy.FindService(word); ok {
		return n.Services, n.Name, nil
	}
	parts := strings.FieldsFunc(word, func(r rune) bool { return r == '/' || r == ':' })
	if strings.HasSuffix(word, "/") || strings.HasSuffix(word, ":") {
		parts = append(parts, "")
	}
	switch {
	case len(parts) == 0:
		parts = []string{""}
	case len(parts) == 2 && strings.EqualFold(parts[0], "protocol"): // protocol/47
		parts = parts[1:]
	case len(parts) == 1 && isPorts(word):
		return nil, "", asksBack(word)
	case len(parts) == 2 && !isPorts(parts[1]) && isProtocol(parts[1]) &&
		(isPorts(parts[0]) || !isProtocol(parts[0])):
		parts[0], parts[1] = parts[1], parts[0] // 80/tcp, http/tcp
	}
	s, err := ofProtocol(word, parts)
	if err == nil && len(s) == 0 {
		err = fmt.Errorf("service %q: there is no %s over %s", word, parts[1],
			strings.ToLower(parts[0]))
	}
	return s, "", err
}

// asksBack says what a number alone may mean.
func asksBack(word string) error {
	meant := []string{"tcp/" + word, "udp/" + word}
	if n, err := strconv.Atoi(word); err == nil && n < 256 {
		meant = append(meant, "protocol/"+word)
		if name := policy.Protocol(n).String(); !isNumber(name) {
			meant[2] = name
		}
	}
	return fmt.Errorf("service %q: did you mean %s or %s?", word,
		strings.Join(meant[:len(meant)-1], ", "), meant[len(meant)-1])
}

// protocolAlias returns the name of a protocol that others call by another.
func protocolAlias(word string) string {
	switch word = strings.ToLower(word); word {
	case "icmp6", "ipv6-icmp", "icmp-v6":
		return policy.ICMPv6.String()
	case "all", "*":
		return policy.AnyProtocol.String()
	}
	return word
}

func isProtocol(word string) bool {
	_, ok := policy.ParseProtocol(protocolAlias(word))
	return ok
}

// ofProtocol reads a protocol and what is behind it.
func ofProtocol(word string, parts []string) ([]policy.Service, error) {
	s := policy.Service{ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP}
	p, ok := policy.ParseProtocol(protocolAlias(parts[0]))
	if !ok {
		return nil, unknownService(word, parts[0])
	}
	s.Protocol = p
	rest := parts[1:]
	switch {
	case len(rest) == 0:
		return []policy.Service{s}, nil
	case p.HasPorts() && len(rest) == 1:
		return servicePorts(s, word, rest[0])
	case p.HasTypes() && len(rest) <= 2:
		return serviceType(s, word, rest)
	case p.HasPorts():
		return nil, fmt.Errorf("service %q: %s has one port or one range of ports, such as %s/80",
			word, p, p)
	case p.HasTypes():
		return nil, fmt.Errorf("service %q: %s has a type and a code, such as %s/8/0", word, p, p)
	}
	return nil, fmt.Errorf("service %q: protocol %s has neither ports nor types; write %s alone",
		word, p, parts[0])
}

// ErrUnknownService says that a word names no service, and what is near.
type ErrUnknownService struct{ Word, Near string }

func (e *ErrUnknownService) Error() string {
	text := fmt.Sprintf("there is no service %q: write a name such as mysql or ping, a protocol "+
		"(tcp, udp, sctp, icmp, icmpv6, gre, esp, ah, ipip, any, or protocol/ and a number from 0 "+
		"to 255), or a protocol with a port, such as tcp/3306", e.Word)
	if e.Near != "" {
		text = fmt.Sprintf("there is no service %q; did you mean %q?", e.Word, e.Near)
	}
	return text
}

func unknownService(word, protocol string) error {
	near := ""
	if got, ok := wording.Nearest(protocol, protocolNames()); ok && protocol != word {
		near = got + strings.TrimPrefix(word, protocol)
	} else if got, ok := wording.Nearest(word, slices.Concat(ServiceNames(), protocolNames())); ok {
		near = got
	}
	return &ErrUnknownService{word, near}
}

// protocolNames lists the protocols that have a name.
func protocolNames() []string {
	var out []string
	for n := range policy.AnyProtocol + 1 {
		if name := n.String(); !isNumber(name) {
			out = append(out, name)
		}
	}
	return out
}

// ServiceNames lists the names of all services, without the names that they have beside.
func ServiceNames() []string {
	var out []string
	for _, n := range policy.NamedServices() {
		out = append(out, n.Name)
	}
	return out
}

func servicePorts(s policy.Service, word, ports string) ([]policy.Service, error) {
	if n, ok := policy.FindService(ports); ok {
		var out []policy.Service
		for _, r := range n.Ports(s.Protocol) {
			s.Ports = r
			out = append(out, s)
		}
		return out, nil
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	from, ok1 := number(first, 65535)
	to, ok2 := number(last, 65535)
	if !ok1 || !ok2 || from < 1 || from > to {
		return nil, fmt.Errorf("service %q: must be a port from 1 to 65535, a range of ports or the "+
			"name of a service, such as %s/80, %s/8000-8999 or %s/ssh", word, s.Protocol, s.Protocol,
			s.Protocol)
	}
	s.Ports = policy.PortRange{First: uint16(from), Last: uint16(to)}
	return []policy.Service{s}, nil
}

func serviceType(s policy.Service, word string, numbers []string) ([]policy.Service, error) {
	if n, ok := policy.FindService(numbers[0]); ok && len(numbers) == 1 {
		return slices.DeleteFunc(slices.Clone(n.Services),
			func(o policy.Service) bool { return o.Protocol != s.Protocol }), nil
	}
	for i, at := range []*int16{&s.ICMPType, &s.ICMPCode}[:len(numbers)] {
		n, ok := number(numbers[i], 255)
		if !ok {
			return nil, fmt.Errorf("service %q: ICMP types and codes are numbers from 0 to 255, "+
				"such as %s/8/0", word, s.Protocol)
		}
		*at = int16(n)
	}
	return []policy.Service{s}, nil
}

// number reads digits alone.
func number(word string, most int) (int, bool) {
	n, err := strconv.Atoi(word)
	return n, err == nil && n >= 0 && n <= most && word[0] != '+' && word[0] != '-'
}

// OfDiscovery says why nothing can be said about neighbour discovery.
const OfDiscovery = "neighbour discovery (ICMPv6 types 133 to 137) is not asked of rules: it " +
	"passes where it is not forged; ask 'nd' or 'ra' instead"

// reasonOfNone says why a question has no pair of addresses.
func (a Asked) reasonOfNone(from, to End) string {
	has := func(e End, v6 bool) bool {
		return slices.ContainsFunc(e.Points, func(p Point) bool { return p.Address.Is6() == v6 })
	}
	discovery := func(s policy.Service) bool {
		return s.Protocol == policy.ICMPv6 && len(ServicesOf(s, true)) == 0
	}
	both := func(v6 bool) bool { return has(from, v6) && has(to, v6) }
	for _, v6 := range []bool{false, true} {
		switch {
		case slices.ContainsFunc(a.services, discovery):
			return OfDiscovery
		case both(v6) && len(a.Of(v6)) == 0 && !both(!v6):
			return fmt.Sprintf("%s is of %s only, and there is no pair of %s addresses", a,
				familyName(!v6), familyName(!v6))
		}
	}
	return "no pair of addresses of one family"
}

// RuleServices returns what a rule admits of a family, without neighbour discovery.
func RuleServices(r *policy.Rule, v6 bool) Services {
	if !v6 {
		return admittedBy(*r, v6)
	}
	return admittedBy(*r, v6).Minus(Services{discovery})
}

// GroupPeers returns by what peers a rule may name a group or a named network.
func GroupPeers(name string) []policy.Peer {
	return []policy.Peer{{Group: name}, {Group: name, IsNetwork: true}}
}
