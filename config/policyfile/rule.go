// One rule: its form. How its fields must fit each other says package policy.

package policyfile

import (
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// rule reads the nth rule of a group. Of one whose form is not right no place is known but that of
// the group that it names: nothing else of it is judged.
func (r *reader) rule(n strictyaml.Node, nth int) policy.Rule {
	defer r.within("rules", nth)()
	rule := policy.Rule{At: n.Location().Pos, ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP}
	before := n.Mistakes()
	f, ok := n.Fields(ruleKeys...)
	if !ok {
		return rule
	}
	read := func(key string, into func(strictyaml.Node)) {
		if field, ok := f[key]; ok {
			into(field)
		}
	}
	needsRuleKeys(n, f)
	read("direction", func(n strictyaml.Node) { rule.Direction = readDirection(n) })
	read("protocol", func(n strictyaml.Node) { rule.Protocol = readProtocol(n) })
	read("ports", func(n strictyaml.Node) { rule.Ports = readPortRange(n) })
	read("icmp_type", func(n strictyaml.Node) { rule.ICMPType = readICMPNumber(n) })
	read("icmp_code", func(n strictyaml.Node) { rule.ICMPCode = readICMPNumber(n) })
	read("cidr", func(n strictyaml.Node) { rule.Peer.CIDR, _ = readNetwork(n) })
	read("description", func(n strictyaml.Node) { rule.Description = description(n) })
	r.field(f, "group", func(n strictyaml.Node) { rule.Peer.Group = r.name(n) })
	if n.Mistakes() == before {
		r.note(n, "")
		for key, field := range f {
			r.note(field, key)
		}
	}
	return rule
}

// needsRuleKeys reports keys that every rule has.
func needsRuleKeys(n strictyaml.Node, f strictyaml.Fields) {
	if _, ok := f["direction"]; !ok {
		n.Errorf("%s", policy.NeedsDirection)
	}
	if _, ok := f["protocol"]; !ok {
		n.Errorf("a rule needs a protocol: %s, or a number from 0 to 255", protocolList())
	}
	_, hasCIDR := f["cidr"]
	if _, hasGroup := f["group"]; !hasGroup && !hasCIDR {
		n.Errorf("%s", policy.NeedsPeer)
	}
}

func readDirection(n strictyaml.Node) policy.Direction {
	switch word, _ := n.Word(); word {
	case policy.Ingress.String():
		return policy.Ingress
	case policy.Egress.String():
		return policy.Egress
	default:
		n.Errorf("must be ingress (to the instance) or egress (from it), not %s%s", n.Kind(),
			wording.DidYouMean(word, []string{policy.Ingress.String(), policy.Egress.String()}))
	}
	return 0
}

func readProtocol(n strictyaml.Node) policy.Protocol {
	word, _ := n.Word()
	p, ok := policy.ParseProtocol(word)
	if !ok {
		n.Errorf("must be one of %s, or a number from 0 to 255, not %s%s", protocolList(), n.Kind(),
			wording.DidYouMean(word, strings.Fields(strings.ReplaceAll(protocolList(), ",", ""))))
	}
	return p
}

func protocolList() string {
	known := policy.NamedProtocols()
	names := make([]string, len(known))
	for i, p := range known {
		names[i] = p.String()
	}
	return strings.Join(names, ", ")
}

// readPortRange reads 80, "80" or 8000-8999.
func readPortRange(n strictyaml.Node) (ports policy.PortRange) {
	word, ok := n.Word()
	if !ok {
		n.Errorf(
			"must be one port or one range, such as 80 or 8000-8999, not %s; write one rule for each",
			n.Kind())
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
		n.Errorf("is %s; must be a port or a range of ports, such as 80 or 8000-8999",
			wording.Quote(word))
	case from < 1 || to < 1 || from > 65535 || to > 65535:
		n.Errorf("is %s; ports are from 1 to 65535", word)
	case from > to:
		n.Errorf("is %s, which begins after its end; write %d-%d", word, to, from)
	default:
		ports = policy.PortRange{First: uint16(from), Last: uint16(to)}
	}
	return ports
}

func readICMPNumber(n strictyaml.Node) int16 {
	v, ok := n.Number(int64(policy.AnyICMP), 255)
	if !ok {
		return policy.AnyICMP
	}
	return int16(v)
}
