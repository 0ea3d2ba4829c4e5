package config

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// policyReference has every key of a policy file with its meaning, for people.
//
//go:embed reference/policy.yaml
var policyReference string

// settingsReference has every setting with its meaning, for people.
//
//go:embed reference/portcullis.yaml
var settingsReference string

// schema is a JSON Schema, draft 2020-12. It uses only what draft 07 has too, as many editors know no more.
type schema map[string]any

// Patterns are in the common part of RE2 and ECMA 262. What they let through the program may still refuse; never the other way round.
const (
	namePattern        = `^\S(.*\S)?$`
	descriptionPattern = `^\s*(\S.{0,253}\S|\S?)\s*$`
	interfacePattern   = `^[!#$&()*+\-.0-9;<=>?@A-Z\[\]^_` + "`" + `a-z{|}~]{1,15}$`
	macPattern         = `^[0-9A-Fa-f][02468ACEace]([:-][0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){4}|[0-9A-Fa-f]{2}(\.[0-9A-Fa-f]{4}){2})$`
	ipPattern          = `([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)`
	addressPattern     = `^` + ipPattern + `$`
	ownPattern         = `^` + ipPattern + `(/[1-9][0-9]{0,2})?$`
	networkPattern     = `^` + ipPattern + `/[0-9]{1,3}$`
	portsPattern       = `^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$`
	numberPattern      = `^([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])$`
)

// PolicySchema returns the JSON Schema of a policy file. A file that it refuses is not valid; one that it accepts may still not be: what
// only several values together show, such as an address that is there twice, is not in it.
func PolicySchema() []byte {
	d := describer{"policy", comments(policyReference)}
	limit := schema{"type": "integer", "minimum": 0, "maximum": int64(policy.MaxLimit)}
	limits := d.object("instances.ports.limits", limitKeys, map[string]schema{limitKeys[0]: limit, limitKeys[1]: limit, limitKeys[2]: limit, limitKeys[3]: limit})
	allowed := d.object("instances.ports.allowed_addresses", allowedKeys, map[string]schema{"address": matching(ownPattern), "mac": matching(macPattern)}, "address")
	port := d.object("instances.ports", portKeys, map[string]schema{
		"name": {"type": "string", "pattern": interfacePattern, "not": schema{"enum": []string{".", ".."}}}, "mac": matching(macPattern),
		"addresses": listOf(matching(ownPattern)), "allowed_addresses": listOf(schema{"anyOf": []schema{matching(ownPattern), allowed}}),
		"type":        {"enum": []policy.PortType{policy.ExistingDevice, policy.InternalDevice}, "default": policy.ExistingDevice},
		"host_device": {"type": "boolean", "default": false}, "trusted": {"type": "boolean", "default": false}, "ethertypes": listOf(etherTypeSchema()), "limits": limits,
		"log_denied": {"type": "boolean"},
	}, "name", "mac")
	port["if"] = schema{"properties": schema{"trusted": schema{"const": true}}, "required": []string{"trusted"}}
	port["then"] = schema{"properties": schema{"limits": false, "log_denied": false}}
	instance := d.object("instances", instanceKeys, map[string]schema{"name": nameSchema(), "host": nameSchema(), "groups": listOf(nameSchema()), "ports": listOf(port)}, "name")
	group := d.object("groups", groupKeys, map[string]schema{"name": nameSchema(), "description": matching(descriptionPattern),
		"external_sources": listOf(matching(networkPattern)), "rules": listOf(ruleSchema(d))}, "name")
	return written("Portcullis policy", d.object("", policyKeys, map[string]schema{"groups": listOf(group), "instances": listOf(instance)}))
}

// SettingsSchema returns the JSON Schema of the settings file, in the sense of [PolicySchema].
func SettingsSchema() []byte {
	d := describer{"settings", comments(settingsReference)}
	endpoint := func(methods string) schema { return matching(`^(|unix:/.*|(` + methods + `):.+:[0-9]{1,5})$`) }
	values := map[string]schema{
		"bridge": matching(interfacePattern), "datapath_type": {"enum": datapathTypes}, "host": {"type": "string", "maxLength": maxNameLength},
		"uplinks": listOf(matching(interfacePattern)), "gateways": listOf(matching(addressPattern)), "dhcp_servers": listOf(matching(addressPattern)),
		"uplink_sources": {"enum": uplinkSourceWords},
		"policy":         {"type": "string", "minLength": 1}, "ovsdb": endpoint("tcp|ssl"), "openflow": endpoint("tcp"), "api": matching(`^unix:/`),
		"metrics": matching(`^(|.*:[0-9]{1,5})$`), "log_denied": {"type": "boolean"}, "log.level": {"enum": logLevels}, "log.format": {"enum": logFormats},
	}
	keys, sections := []string{}, map[string][]string{}
	for _, key := range settingKeys {
		if isNumber(key) {
			values[key] = schema{"type": "integer", "minimum": 0, "maximum": int64(policy.MaxLimit)}
		}
		values[key]["default"] = defaultOf(key)
		outer, inner, isInner := strings.Cut(key, ".")
		if isInner {
			sections[outer] = append(sections[outer], inner)
		}
		if !slices.Contains(keys, outer) {
			keys = append(keys, outer)
		}
	}
	for outer, inner := range sections {
		within := make(map[string]schema, len(inner))
		for _, key := range inner {
			within[key] = values[outer+"."+key]
		}
		values[outer] = d.object(outer, inner, within)
	}
	return written("Portcullis settings", d.object("", keys, values))
}

func defaultOf(key string) any {
	value := defaults()[key]
	if isNumber(key) {
		n, _ := strconv.Atoi(value.(string)) // a decimal number, as all of them
		return n
	}
	if isBool(key) {
		return value == "true"
	}
	return value
}

func written(title string, s schema) []byte {
	s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", title
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // it is made of strings, numbers, lists and maps
	}
	return append(out, '\n')
}

// describer makes objects whose keys say what the reference says of them.
type describer struct {
	file     string
	comments map[string]string
}

// object is a mapping with these keys and no others. The values are not changed, as several keys may share one.
func (d describer) object(place string, keys []string, values map[string]schema, required ...string) schema {
	properties := make(schema, len(keys))
	for _, key := range keys {
		value, ok := values[key]
		if !ok {
			panic(fmt.Sprintf("config: the schema of the %s lacks %s in %q", d.file, key, place)) // a test makes all schemas
		}
		described := schema{}
		for k, v := range value {
			described[k] = v
		}
		if words := d.comments[strings.TrimPrefix(place+"."+key, ".")]; words != "" {
			described["description"] = words
		}
		properties[key] = described
	}
	out := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// ruleSchema is the schema of a rule.
func ruleSchema(d describer) schema {
	var names []string
	for _, p := range protocolNames {
		names = append(names, p.String())
	}
	number := schema{"type": "integer", "minimum": policy.AnyICMP, "maximum": 255, "default": policy.AnyICMP}
	out := d.object("groups.rules", ruleKeys, map[string]schema{
		"direction": {"enum": []string{policy.Ingress.String(), policy.Egress.String()}},
		"protocol":  {"anyOf": []schema{{"enum": names}, {"type": "integer", "minimum": 0, "maximum": 255}, matching(numberPattern)}},
		"ports":     {"anyOf": []schema{{"type": "integer", "minimum": 1, "maximum": 65535}, matching(portsPattern)}},
		"icmp_type": number, "icmp_code": number, "cidr": matching(networkPattern), "group": nameSchema(), "description": matching(descriptionPattern),
	}, "direction", "protocol")
	out["oneOf"] = []schema{{"required": []string{"cidr"}}, {"required": []string{"group"}}}
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
	cidr := func(pattern string) schema { return schema{"properties": schema{"cidr": schema{"pattern": pattern}}} }
	protocols := func(which func(policy.Protocol) bool) schema {
		return given("protocol", schema{"enum": spellings(which)})
	}
	return []schema{
		{"if": protocols(policy.Protocol.HasPorts), "then": schema{"required": []string{"ports"}}, "else": without("ports")},
		{"if": protocols(policy.Protocol.HasTypes), "else": without("icmp_type", "icmp_code")},
		{"if": protocols(func(p policy.Protocol) bool { return p == policy.ICMP }), "then": cidr(`^[^:]*$`)},
		{"if": protocols(func(p policy.Protocol) bool { return p == policy.ICMPv6 }), "then": cidr(`:`)},
		{"if": given("icmp_code", schema{"minimum": 0}), "then": given("icmp_type", schema{"minimum": 0})},
	}
}

// spellings are the ways to write protocols: names, numbers, numbers in quotes.
func spellings(which func(policy.Protocol) bool) (out []any) {
	for _, p := range protocolNames {
		if which(p) && p != policy.AnyProtocol {
			out = append(out, p.String(), int(p), strconv.Itoa(int(p)))
		}
	}
	return out
}

func etherTypeSchema() schema {
	refused := make([]int, 0, len(refusedEtherTypes))
	for t := range refusedEtherTypes {
		refused = append(refused, int(t))
	}
	slices.Sort(refused)
	return schema{"type": "integer", "minimum": minEtherType, "maximum": 0xffff, "not": schema{"enum": refused}}
}

func matching(pattern string) schema { return schema{"type": "string", "pattern": pattern} }

func nameSchema() schema {
	return schema{"type": "string", "maxLength": maxNameLength, "pattern": namePattern}
}

func listOf(of schema) schema { return schema{"type": "array", "items": of} }

// comments returns what a reference file says of each key, by its path without indexes: the comment lines above the first line that
// has the key and a comment.
func comments(reference string) map[string]string {
	out := make(map[string]string)
	var way []step
	var words []string
	for line := range strings.Lines(reference) {
		rest := strings.TrimLeft(line, " -")
		indent := len(line) - len(rest)
		rest = strings.TrimSpace(rest)
		if comment, isComment := strings.CutPrefix(rest, "#"); isComment {
			words = append(words, strings.Trim(comment, " …"))
			continue
		}
		key, _, isKey := strings.Cut(rest, ":")
		if isKey && !strings.HasPrefix(rest, "{") {
			for len(way) > 0 && way[len(way)-1].indent >= indent {
				way = way[:len(way)-1]
			}
			way = append(way, step{indent, key})
			if path := wayOf(way); len(words) > 0 && out[path] == "" {
				out[path] = strings.Join(words, " ")
			}
		}
		words = nil
	}
	return out
}

// step is a key that the current line is below, and where it stands.
type step struct {
	indent int
	key    string
}

func wayOf(way []step) string {
	keys := make([]string, len(way))
	for i, s := range way {
		keys[i] = s.key
	}
	return strings.Join(keys, ".")
}
