// The JSON Schema of policy files, for editors and "portcullis schema policy". What it refuses the
// program refuses, too.

package policyfile

import (
	_ "embed"

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
	projectPattern     = `^[^\s/]([^/]*[^\s/])?$`
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

// schema is short for what all of this file is made of.
type schema = strictyaml.Schema

// Schema returns the JSON Schema of a policy file. A file that it refuses is not valid; one that it
// accepts may still not be: what only several values together show, such as an address that is
// there twice, is not in it.
func Schema() []byte {
	d := strictyaml.Describer{File: "policy", Comments: strictyaml.Comments(policyReference)}
	instance := d.Object("instances", instanceKeys, map[string]schema{
		"name":         nameSchema(),
		"host":         nameSchema(),
		"migrating_to": nameSchema(),
		"groups":       strictyaml.ListOf(nameSchema()),
		"ports":        strictyaml.ListOf(portSchema(d)),
	}, "name")
	group := d.Object("groups", groupKeys, map[string]schema{
		"name":             nameSchema(),
		"description":      strictyaml.Matching(descriptionPattern),
		"shared":           {"type": "boolean", "default": false},
		"external_sources": strictyaml.ListOf(strictyaml.Matching(networkPattern)),
		"rules":            strictyaml.ListOf(ruleSchema(d)),
	}, "name")
	return strictyaml.WriteSchema("Portcullis policy", d.Object("", policyKeys, map[string]schema{
		"projects":  strictyaml.ListOf(projectSchema(d)),
		"networks":  networksSchema(),
		"groups":    strictyaml.ListOf(group),
		"instances": strictyaml.ListOf(instance),
	}))
}

// portSchema is the schema of a port.
func portSchema(d strictyaml.Describer) schema {
	limits := map[string]schema{}
	for _, key := range limitKeys {
		limits[key] = schema{"type": "integer", "minimum": 0, "maximum": int64(policy.MaxLimit)}
	}
	allowed := d.Object("instances.ports.allowed_addresses", allowedKeys, map[string]schema{
		"address": strictyaml.Matching(ownPattern),
		"mac":     strictyaml.Matching(macPattern),
	}, "address")
	no := schema{"type": "boolean", "default": false}
	types := []policy.PortType{policy.ExistingDevice, policy.InternalDevice}
	out := d.Object("instances.ports", portKeys, map[string]schema{
		"name":      {"type": "string", "not": schema{"enum": []string{".", ".."}}},
		"iface_id":  nameSchema(),
		"mac":       strictyaml.Matching(macPattern),
		"addresses": strictyaml.ListOf(strictyaml.Matching(ownPattern)),
		"allowed_addresses": strictyaml.ListOf(
			schema{"anyOf": []schema{strictyaml.Matching(ownPattern), allowed}}),
		"type":        {"enum": types, "default": policy.ExistingDevice},
		"host_device": no,
		"trusted":     no,
		"ethertypes":  strictyaml.ListOf(etherTypeSchema()),
		"limits":      d.Object("instances.ports.limits", limitKeys, limits),
		"log_denied":  {"type": "boolean"},
	}, "mac")
	isTrusted := schema{"trusted": schema{"const": true}}
	interfaceName := schema{"name": schema{"pattern": InterfacePattern}}
	out["allOf"] = []schema{
		{"if": schema{"properties": isTrusted, "required": []string{"trusted"}},
			"then": schema{"properties": schema{"limits": false, "log_denied": false}}},
		{"if": schema{"not": schema{"required": []string{"iface_id"}}},
			"then": schema{"properties": interfaceName, "required": []string{"name"}}},
	}
	return out
}

func etherTypeSchema() schema {
	return schema{"type": "integer", "minimum": policy.MinEtherType, "maximum": 0xffff,
		"not": schema{"enum": policy.RefusedEtherTypes()}}
}

func nameSchema() schema {
	return schema{"type": "string", "maxLength": policy.MaxNameLength, "pattern": namePattern}
}
