// The JSON Schema of the settings, for editors and "portcullis schema settings". What it refuses
// the program refuses, too.

package config

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// settingsReference has every setting with its meaning, for people.
//
//go:embed reference/portcullis.yaml
var settingsReference string

// SettingsSchema returns the JSON Schema of the settings file, in the sense of [policyfile.Schema].
func SettingsSchema() []byte {
	d := strictyaml.Describer{File: "settings", Comments: strictyaml.Comments(settingsReference)}
	values := settingSchemas()
	keys, sections := []string{}, map[string][]string{}
	for _, key := range settingKeys {
		if isNumber(key) {
			values[key] = strictyaml.Schema{"type": "integer", "minimum": 0,
				"maximum": int64(policy.MaxLimit)}
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
		within := make(map[string]strictyaml.Schema, len(inner))
		for _, key := range inner {
			within[key] = values[outer+"."+key]
		}
		values[outer] = d.Object(outer, inner, within)
	}
	return strictyaml.WriteSchema("Portcullis settings", d.Object("", keys, values))
}

// settingSchemas are those of the settings' values, but for numbers and defaults.
func settingSchemas() map[string]strictyaml.Schema {
	endpoint := func(methods string) strictyaml.Schema {
		return strictyaml.Matching(`^(|unix:/.*|(` + methods + `):.+:[0-9]{1,5})$`)
	}
	return map[string]strictyaml.Schema{
		"bridge":         strictyaml.Matching(policyfile.InterfacePattern),
		"datapath_type":  {"enum": datapathTypes},
		"host":           {"type": "string", "maxLength": policy.MaxNameLength},
		"uplinks":        strictyaml.ListOf(strictyaml.Matching(policyfile.InterfacePattern)),
		keyPlugged:       strictyaml.ListOf(strictyaml.Schema{"type": "string", "minLength": 1}),
		"gateways":       strictyaml.ListOf(strictyaml.Matching(policyfile.AddressPattern)),
		"dhcp_servers":   strictyaml.ListOf(strictyaml.Matching(policyfile.AddressPattern)),
		"uplink_sources": {"enum": uplinkSourceWords},
		"policy":         {"type": "string", "minLength": 1},
		"policy_tls.ca":  {"type": "string"}, "policy_tls.certificate": {"type": "string"},
		"policy_tls.key": {"type": "string"},
		"ovsdb":          endpoint("tcp|ssl"),
		"openflow":       endpoint("tcp"),
		"api":            strictyaml.Matching(`^unix:/`),
		"api_listen":     strictyaml.Matching(`^(|.*:[0-9]{1,5})$`),
		"metrics":        strictyaml.Matching(`^(|.*:[0-9]{1,5})$`),
		"log_denied":     {"type": "boolean"},
		"log.level":      {"enum": logLevels},
		"log.format":     {"enum": logFormats},
		"state_dir":      {"type": "string"},
	}
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
