// The part of the schema that is about rules and named networks: see schema.go.

package policyfile

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// networkNamePattern lets the names of networks through.
const networkNamePattern = `^[^\s/:0-9]([^/:]*[^\s/:])?$`

// ruleSchema is the schema of a rule.
func ruleSchema(d strictyaml.Describer) schema {
	names := []string{"ipv6-icmp"}
	for _, p := range policy.NamedProtocols() {
		names = append(names, p.String())
	}
	icmp := schema{"type": "integer", "minimum": policy.AnyICMP, "maximum": 255}
	number := func(first, last int) schema {
		return schema{"type": "integer", "minimum": first, "maximum": last}
	}
	out := d.Object("groups.rules", ruleKeys, map[string]schema{
		"direction": {"enum": []string{policy.Ingress.String(), policy.Egress.String()}},
		"protocol": {"anyOf": append(words(names), number(0, 255),
			strictyaml.Matching(numberPattern))},
		"ports": oneOrMore(append(words(serviceNames()), number(1, 65535),
			strictyaml.Matching(portsPattern))...),
		"icmp_type": {"anyOf": append(words(typeNames()), icmp), "default": policy.AnyICMP},
		"icmp_code": {"type": "integer", "minimum": policy.AnyICMP, "maximum": 255,
			"default": policy.AnyICMP},
		"cidr": oneOrMore(strictyaml.Matching(networkPattern),
			strictyaml.Matching(networkNamePattern)),
		"group":       oneOrMore(nameSchema()),
		"description": strictyaml.Matching(descriptionPattern),
	}, "direction", "protocol")
	out["anyOf"] = []schema{{"required": []string{"cidr"}}, {"required": []string{"group"}}}
	out["allOf"] = ruleConditions()
	return out
}

// ruleConditions are how the keys of a rule must fit each other.
func ruleConditions() []schema {
	given := func(key string, value schema) schema {
		return schema{"properties": schema{key: value}, "required": []string{key}}
	}
	without := func(keys ...string) schema {
		none := schema{}
		for _, key := range keys {
			none[key] = false
		}
		return schema{"properties": none}
	}
	cidr := func(pattern string) schema {
		return schema{"properties": schema{"cidr": schema{"pattern": pattern}}}
	}
	protocols := func(which func(policy.Protocol) bool) schema {
		return given("protocol", schema{"anyOf": spellings(which)})
	}
	return []schema{
		{"if": protocols(policy.Protocol.HasPorts), "then": schema{"required": []string{"ports"}},
			"else": without("ports")},
		{"if": protocols(policy.Protocol.HasTypes), "else": without("icmp_type", "icmp_code")},
		{"if": protocols(func(p policy.Protocol) bool { return p == policy.ICMP }),
			"then": cidr(`^[^:]*$`)},
		{"if": protocols(func(p policy.Protocol) bool { return p == policy.ICMPv6 }),
			"then": cidr(`:|^[^/]*$`)},
		{"if": given("icmp_code", schema{"minimum": 0}),
			"then": given("icmp_type", schema{"minimum": 0})},
	}
}

// spellings are the ways to write protocols: names, numbers, numbers in quotes.
func spellings(which func(policy.Protocol) bool) []schema {
	var names []string
	var numbers []any
	for _, p := range policy.NamedProtocols() {
		if which(p) && p != policy.AnyProtocol {
			names = append(names, p.String())
			numbers = append(numbers, int(p), strconv.Itoa(int(p)))
		}
		if which(p) && p == policy.ICMPv6 {
			names = append(names, "ipv6-icmp")
		}
	}
	return append(words(names), schema{"enum": numbers})
}

// words are texts in any case; those in lower case are what editors propose.
func words(list []string) []schema {
	slices.Sort(list)
	list = slices.Compact(list)
	anyCase := make([]string, len(list))
	for n, word := range list {
		for _, c := range word {
			if upper := unicode.ToUpper(c); upper != c {
				anyCase[n] += "[" + string(upper) + string(c) + "]"
			} else {
				anyCase[n] += string(c)
			}
		}
	}
	return []schema{{"enum": list}, strictyaml.Matching("^(" + strings.Join(anyCase, "|") + ")$")}
}

// serviceNames are those of services that have ports.
func serviceNames() (out []string) {
	for _, s := range policy.NamedServices() {
		if len(s.Ports(policy.TCP))+len(s.Ports(policy.UDP)) > 0 {
			out = append(append(out, s.Name), s.Also...)
		}
	}
	return out
}

func typeNames() (out []string) {
	for _, p := range []policy.Protocol{policy.ICMP, policy.ICMPv6} {
		for _, t := range policy.KnownTypes(p) {
			out = append(out, t.Name)
		}
	}
	return out
}

// oneOrMore is one value that fits one of several schemas, or a list of such.
func oneOrMore(of ...schema) schema {
	return schema{"anyOf": append(of[:len(of):len(of)],
		schema{"type": "array", "minItems": 1, "items": schema{"anyOf": of}})}
}

// networksSchema is the schema of named networks.
func networksSchema() schema {
	return schema{"type": "object", "propertyNames": strictyaml.Matching(networkNamePattern),
		"additionalProperties": oneOrMore(strictyaml.Matching(networkPattern))}
}
