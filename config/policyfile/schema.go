// The JSON Schema of policy files, for editors and "portcullis schema policy". What it refuses the
// program refuses, too.

package policyfile

import (
	_ "embed"
	"strconv"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// policyReference has every key of a policy file with its meaning, for people.
//
//go:embed reference/policy.yaml
var policyReference string

// Patterns are in the common part of RE2 and ECMA 262. What they let through the program may still
// refuse; never the other way round.
const (
	namePattern        = `^\S(.*\S)?$`
	descriptionPattern = `^\s*(\S.{0,253}\S|\S?)\s*$`
	InterfacePattern   = `^[!#$&()*+\-.0-9;<=>?@A-Z\[\]^_` + "`" + `a-z{|}~]{1,15}$`
	macPattern         = `^[0-9A-Fa-f][02468ACEace]([:-][0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){4}|[0-9A-Fa-f]{2}(\.[0-9A-Fa-f]{4}){2})$`
	ipPattern          = `([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)`
	AddressPattern     = `^` + ipPattern + `$`
	ownPattern         = `^` + ipPattern + `(/[1-9][0-9]{0,2})?$`
	networkPattern     = `^` + ipPattern + `/[0-9]{1,3}$`
	portsPattern       = `^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$`
	numberPattern      = `^([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])$`
)

// Schema returns the JSON Schema of a policy file. A file that it refuses is not valid; one
// that it accepts may still not be: what only several values together show, such as an address that
// is there twice, is not in it.
func Schema() []byte {
	d := strictyaml.Describer{File: "policy", Comments: strictyaml.Comments(policyReference)}
	limit := strictyaml.Schema{"type": "integer", "minimum": 0, "maximum": int64(policy.MaxLimit)}
	limits := d.Object("instances.ports.limits", limitKeys, map[string]strictyaml.Schema{limitKeys[0]: limit, limitKeys[1]: limit, limitKeys[2]: limit, limitKeys[3]: limit})
	allowed := d.Object("instances.ports.allowed_addresses", allowedKeys, map[string]strictyaml.Schema{"address": strictyaml.Matching(ownPattern), "mac": strictyaml.Matching(macPattern)}, "address")
	port := d.Object("instances.ports", portKeys, map[string]strictyaml.Schema{
		"name": {"type": "string", "pattern": InterfacePattern, "not": strictyaml.Schema{"enum": []string{".", ".."}}}, "mac": strictyaml.Matching(macPattern),
		"addresses": strictyaml.ListOf(strictyaml.Matching(ownPattern)), "allowed_addresses": strictyaml.ListOf(strictyaml.Schema{"anyOf": []strictyaml.Schema{strictyaml.Matching(ownPattern), allowed}}),
		"type":        {"enum": []policy.PortType{policy.ExistingDevice, policy.InternalDevice}, "default": policy.ExistingDevice},
		"host_device": {"type": "boolean", "default": false}, "trusted": {"type": "boolean", "default": false}, "ethertypes": strictyaml.ListOf(etherTypeSchema()), "limits": limits,
		"log_denied": {"type": "boolean"},
	}, "name", "mac")
	port["if"] = strictyaml.Schema{"properties": strictyaml.Schema{"trusted": strictyaml.Schema{"const": true}}, "required": []string{"trusted"}}
	port["then"] = strictyaml.Schema{"properties": strictyaml.Schema{"limits": false, "log_denied": false}}
	instance := d.Object("instances", instanceKeys, map[string]strictyaml.Schema{"name": nameSchema(), "host": nameSchema(), "groups": strictyaml.ListOf(nameSchema()), "ports": strictyaml.ListOf(port)}, "name")
	group := d.Object("groups", groupKeys, map[string]strictyaml.Schema{"name": nameSchema(), "description": strictyaml.Matching(descriptionPattern),
		"external_sources": strictyaml.ListOf(strictyaml.Matching(networkPattern)), "rules": strictyaml.ListOf(ruleSchema(d))}, "name")
	return strictyaml.WriteSchema("Portcullis policy", d.Object("", policyKeys, map[string]strictyaml.Schema{"groups": strictyaml.ListOf(group), "instances": strictyaml.ListOf(instance)}))
}

// ruleSchema is the schema of a rule.
func ruleSchema(d strictyaml.Describer) strictyaml.Schema {
	var names []string
	for _, p := range policy.NamedProtocols() {
		names = append(names, p.String())
	}
	number := strictyaml.Schema{"type": "integer", "minimum": policy.AnyICMP, "maximum": 255, "default": policy.AnyICMP}
	out := d.Object("groups.rules", ruleKeys, map[string]strictyaml.Schema{
		"direction": {"enum": []string{policy.Ingress.String(), policy.Egress.String()}},
		"protocol":  {"anyOf": []strictyaml.Schema{{"enum": names}, {"type": "integer", "minimum": 0, "maximum": 255}, strictyaml.Matching(numberPattern)}},
		"ports":     {"anyOf": []strictyaml.Schema{{"type": "integer", "minimum": 1, "maximum": 65535}, strictyaml.Matching(portsPattern)}},
		"icmp_type": number, "icmp_code": number, "cidr": strictyaml.Matching(networkPattern), "group": nameSchema(), "description": strictyaml.Matching(descriptionPattern),
	}, "direction", "protocol")
	out["oneOf"] = []strictyaml.Schema{{"required": []string{"cidr"}}, {"required": []string{"group"}}}
	out["allOf"] = ruleConditions()
	return out
}

// ruleConditions are how the keys of a rule must fit each other.
func ruleConditions() []strictyaml.Schema {
	given := func(key string, value strictyaml.Schema) strictyaml.Schema {
		return strictyaml.Schema{"properties": strictyaml.Schema{key: value}, "required": []string{key}}
	}
	without := func(keys ...string) strictyaml.Schema {
		none := strictyaml.Schema{}
		for _, key := range keys {
			none[key] = false
		}
		return strictyaml.Schema{"properties": none}
	}
	cidr := func(pattern string) strictyaml.Schema {
		return strictyaml.Schema{"properties": strictyaml.Schema{"cidr": strictyaml.Schema{"pattern": pattern}}}
	}
	protocols := func(which func(policy.Protocol) bool) strictyaml.Schema {
		return given("protocol", strictyaml.Schema{"enum": spellings(which)})
	}
	return []strictyaml.Schema{
		{"if": protocols(policy.Protocol.HasPorts), "then": strictyaml.Schema{"required": []string{"ports"}}, "else": without("ports")},
		{"if": protocols(policy.Protocol.HasTypes), "else": without("icmp_type", "icmp_code")},
		{"if": protocols(func(p policy.Protocol) bool { return p == policy.ICMP }), "then": cidr(`^[^:]*$`)},
		{"if": protocols(func(p policy.Protocol) bool { return p == policy.ICMPv6 }), "then": cidr(`:`)},
		{"if": given("icmp_code", strictyaml.Schema{"minimum": 0}), "then": given("icmp_type", strictyaml.Schema{"minimum": 0})},
	}
}

// spellings are the ways to write protocols: names, numbers, numbers in quotes.
func spellings(which func(policy.Protocol) bool) (out []any) {
	for _, p := range policy.NamedProtocols() {
		if which(p) && p != policy.AnyProtocol {
			out = append(out, p.String(), int(p), strconv.Itoa(int(p)))
		}
	}
	return out
}

func etherTypeSchema() strictyaml.Schema {
	return strictyaml.Schema{"type": "integer", "minimum": policy.MinEtherType, "maximum": 0xffff,
		"not": strictyaml.Schema{"enum": policy.RefusedEtherTypes()}}
}

func nameSchema() strictyaml.Schema {
	return strictyaml.Schema{"type": "string", "maxLength": policy.MaxNameLength, "pattern": namePattern}
}
