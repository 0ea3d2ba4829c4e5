package policyfile

import (
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// protocolNames are the protocols that have names, in the order of the documentation.
var protocolNames = []policy.Protocol{
	policy.TCP, policy.UDP, policy.SCTP, policy.ICMP, policy.ICMPv6, policy.ESP, policy.AH, policy.GRE, policy.IPIP, policy.AnyProtocol,
}

// ruleReader reads one rule: fields first, each for itself, then whether they fit each other.
type ruleReader struct {
	strictyaml.Node
	fields strictyaml.Fields
	rule   policy.Rule
	peers  []reference
}

func (r *ruleReader) read() policy.Rule {
	var ok bool
	r.fields, ok = r.Node.Fields(ruleKeys...)
	if !ok {
		return policy.Rule{}
	}
	r.rule.At = r.Spot().Pos
	r.direction()
	known := r.protocol()
	r.ports(known)
	r.icmp(known)
	r.peer()
	if d, ok := r.fields["description"]; ok {
		r.rule.Description = readDescription(d)
	}
	return r.rule
}

func (r *ruleReader) direction() {
	field, ok := r.fields["direction"]
	if !ok {
		r.Errorf("a rule needs a direction: ingress (to the instance) or egress (from it)")
		return
	}
	switch word, _ := field.Word(); word {
	case policy.Ingress.String():
		r.rule.Direction = policy.Ingress
	case policy.Egress.String():
		r.rule.Direction = policy.Egress
	default:
		field.Errorf("must be ingress (to the instance) or egress (from it), not %s%s", field.Kind(),
			wording.DidYouMean(word, []string{policy.Ingress.String(), policy.Egress.String()}))
	}
}

// protocol reads the protocol and says whether it is known, so that what depends on it can be judged.
func (r *ruleReader) protocol() bool {
	field, ok := r.fields["protocol"]
	if !ok {
		r.Errorf("a rule needs a protocol: %s, or a number from 0 to 255", protocolList())
		return false
	}
	word, _ := field.Word()
	p, ok := protocolOf(word)
	if !ok {
		field.Errorf("must be one of %s, or a number from 0 to 255, not %s%s", protocolList(), field.Kind(),
			wording.DidYouMean(word, strings.Fields(strings.ReplaceAll(protocolList(), ",", ""))))
		return false
	}
	r.rule.Protocol = p
	return true
}

func protocolOf(word string) (policy.Protocol, bool) {
	for _, p := range protocolNames {
		if word == p.String() {
			return p, true
		}
	}
	n, ok := strictyaml.Decimal(word)
	return policy.Protocol(n), ok && n >= 0 && n <= 255
}

func protocolList() string {
	names := make([]string, len(protocolNames))
	for i, p := range protocolNames {
		names[i] = p.String()
	}
	return strings.Join(names, ", ")
}

func (r *ruleReader) ports(known bool) {
	field, ok := r.fields["ports"]
	p := r.rule.Protocol
	switch {
	case !ok:
		if known && p.HasPorts() {
			r.Errorf("%s needs ports, such as 80 or 8000-8999; 1-65535 are all", p)
		}
		return
	case known && p == policy.AnyProtocol:
		field.Errorf("protocol any is every port of every protocol; leave ports out, or name tcp, udp or sctp")
		return
	case known && !p.HasPorts():
		field.Errorf("protocol %s has no ports; leave ports out", p)
		return
	}
	r.rule.Ports = readPortRange(field)
}

// readPortRange reads 80, "80" or 8000-8999.
func readPortRange(n strictyaml.Node) (ports policy.PortRange) {
	word, ok := n.Word()
	if !ok {
		n.Errorf("must be one port or one range, such as 80 or 8000-8999, not %s; write one rule for each", n.Kind())
		return ports
	}
	first, last, isRange := strings.Cut(word, "-")
	if !isRange {
		last = first
	}
	from, ok1 := strictyaml.Decimal(first)
	to, ok2 := strictyaml.Decimal(last)
	switch {
	case !ok1 || !ok2:
		n.Errorf("is %s; must be a port or a range of ports, such as 80 or 8000-8999", wording.Quote(word))
	case from < 1 || to < 1 || from > 65535 || to > 65535:
		n.Errorf("is %s; ports are from 1 to 65535", word)
	case from > to:
		n.Errorf("is %s, which begins after its end; write %d-%d", word, to, from)
	default:
		ports = policy.PortRange{First: uint16(from), Last: uint16(to)}
	}
	return ports
}

func (r *ruleReader) icmp(known bool) {
	r.rule.ICMPType, r.rule.ICMPCode = policy.AnyICMP, policy.AnyICMP
	kindOf, hasType := r.fields["icmp_type"]
	code, hasCode := r.fields["icmp_code"]
	if known && !r.rule.Protocol.HasTypes() {
		for _, field := range []strictyaml.Node{kindOf, code} {
			if !field.IsEmpty() {
				field.Errorf("protocol %s has no ICMP types and codes; leave it out", r.rule.Protocol)
			}
		}
		return
	}
	if hasType {
		r.rule.ICMPType = readICMPNumber(kindOf)
	}
	if hasCode {
		r.rule.ICMPCode = readICMPNumber(code)
	}
	if r.rule.ICMPCode != policy.AnyICMP && (!hasType || r.rule.ICMPType == policy.AnyICMP) {
		code.Errorf("a code has a meaning only with a type; add icmp_type, or leave icmp_code out")
	}
}

func readICMPNumber(n strictyaml.Node) int16 {
	v, ok := n.Number(int64(policy.AnyICMP), 255)
	if !ok {
		return policy.AnyICMP
	}
	return int16(v)
}

func (r *ruleReader) peer() {
	cidr, hasCIDR := r.fields["cidr"]
	group, hasGroup := r.fields["group"]
	if hasGroup {
		if name, ok := readName(group); ok {
			r.rule.Peer.Group = name
			r.peers = append(r.peers, reference{name, group.Spot()})
		}
	}
	if hasCIDR {
		if p, ok := readNetwork(cidr); ok {
			r.rule.Peer.CIDR = p
			r.family(cidr)
		}
	}
	switch {
	case hasCIDR && hasGroup:
		r.Errorf("cidr and group are both given; a rule has exactly one peer: write two rules")
	case !hasCIDR && !hasGroup:
		r.Errorf("a rule needs a peer: cidr (0.0.0.0/0 is all of IPv4, ::/0 all of IPv6) or group")
	}
}

// family refuses an ICMP of one IP version with a network of the other: such a rule could never match.
func (r *ruleReader) family(cidr strictyaml.Node) {
	is4 := r.rule.Peer.CIDR.Addr().Is4()
	switch {
	case r.rule.Protocol == policy.ICMP && !is4:
		cidr.Errorf("%s is IPv6, but icmp is of IPv4; write protocol icmpv6", r.rule.Peer.CIDR)
	case r.rule.Protocol == policy.ICMPv6 && is4:
		cidr.Errorf("%s is IPv4, but icmpv6 is of IPv6; write protocol icmp", r.rule.Peer.CIDR)
	}
}
