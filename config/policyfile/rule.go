// One rule: its form. How its fields must fit each other says package policy.

package policyfile

import (
	"fmt"
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
	f, ok := n.HintedFields(ruleHints, ruleKeys...)
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
	read("ports", func(n strictyaml.Node) { rule.Ports = r.ports(n, rule.Protocol) })
	read("icmp_type", func(n strictyaml.Node) { rule.ICMPType = readType(n, rule.Protocol) })
	read("icmp_code", func(n strictyaml.Node) { rule.ICMPCode = readICMPNumber(n) })
	read("description", func(n strictyaml.Node) { rule.Description = description(n) })
	r.field(f, "cidr", func(n strictyaml.Node) { rule.Peers = r.networkPeers(n) })
	r.field(f, "group", func(n strictyaml.Node) {
		rule.Peers = append(rule.Peers, r.groupPeers(n)...)
	})
	if cidr, ok := f["cidr"]; ok {
		warnOfFamily(cidr, &rule)
	}
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
		n.Errorf("must be ingress (to the instance) or egress (from it), not %s%s%s", n.Kind(),
			wording.DidYouMean(word, []string{policy.Ingress.String(), policy.Egress.String()}),
			oneEach(n))
	}
	return 0
}

func readProtocol(n strictyaml.Node) policy.Protocol {
	word, _ := n.Word()
	p, ok := policy.ParseProtocol(word)
	if !ok {
		n.Errorf("must be one of %s, or a number from 0 to 255, not %s%s%s", protocolList(),
			n.Kind(), wording.DidYouMean(word, strings.Fields(strings.ReplaceAll(protocolList(),
				",", ""))), oneEach(n))
	}
	return p
}

// oneEach says what to do about a list where ports and peers may be one, and this may not.
func oneEach(n strictyaml.Node) string {
	if !n.IsList() {
		return ""
	}
	return "; write one rule for each"
}

func protocolList() string {
	known := policy.NamedProtocols()
	names := make([]string, len(known))
	for i, p := range known {
		names[i] = p.String()
	}
	return strings.Join(names, ", ")
}

// readType reads an ICMP type: its number, or its name.
func readType(n strictyaml.Node, p policy.Protocol) int16 {
	word, isWord := n.Word()
	_, isNumber := strictyaml.Decimal(word)
	if !isWord || isNumber || !p.HasTypes() {
		return readICMPNumber(n)
	}
	if number, ok := policy.FindType(p, word); ok {
		return number
	}
	var names []string
	for _, t := range policy.KnownTypes(p) {
		names = append(names, t.Name)
	}
	hint := wording.DidYouMean(word, names)
	if _, isOther := policy.FindType(policy.ICMP+policy.ICMPv6-p, word); isOther {
		hint = fmt.Sprintf("; %s is a type of %s", word, policy.ICMP+policy.ICMPv6-p)
	}
	n.Errorf("is %s; must be a number from -1 to 255, or one of %s%s", wording.Quote(word),
		strings.Join(names, ", "), hint)
	return policy.AnyICMP
}

func readICMPNumber(n strictyaml.Node) int16 {
	v, ok := n.Number(int64(policy.AnyICMP), 255)
	if !ok {
		return policy.AnyICMP
	}
	return int16(v)
}
