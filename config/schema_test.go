package config

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// TestPolicySchemaIsCurrent compares the file with what the declarations of the keys say.
func TestPolicySchemaIsCurrent(t *testing.T) {
	requireCurrent(t, "../docs/schema/policy.schema.json", PolicySchema())
}

// TestSettingsSchemaIsCurrent compares the file with what the declarations of the keys say.
func TestSettingsSchemaIsCurrent(t *testing.T) {
	requireCurrent(t, "../docs/schema/settings.schema.json", SettingsSchema())
}

// requireCurrent compares a generated file with what it should be; with -update, it writes it.
func requireCurrent(t *testing.T, name string, want []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(name, want, 0o644))
	}
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%s is stale: go generate ./config/...", name)
}

func compileSchema(t testing.TB, text []byte) *jsonschema.Schema {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()

	require.NoError(t, c.AddResource("schema.json", parsed))
	s, err := c.Compile("schema.json")
	require.NoError(t, err)
	return s
}

// value returns what an editor sees of a YAML file; false if it is no YAML.
func value(text []byte) (any, bool) {
	var v any
	if yaml.Unmarshal(text, &v) != nil {
		return nil, false
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	return out, err == nil
}

func TestPolicySchemaDescribesEveryKey(t *testing.T) {
	// limits of a port (four keys, as in the settings), address and mac of an allowed address
	require.LessOrEqual(t, undescribed(t, PolicySchema()), 6)
}

func TestSettingsSchemaDescribesEveryKey(t *testing.T) {
	require.LessOrEqual(t, undescribed(t, SettingsSchema()), 1) // log
}

// undescribed counts the keys of a schema of which it says nothing.
func undescribed(t *testing.T, text []byte) int {
	t.Helper()
	count := 0
	var look func(way string, s map[string]any)
	look = func(way string, s map[string]any) {
		if properties, ok := s["properties"].(map[string]any); ok && s["additionalProperties"] == false {
			for key, p := range properties {
				if p := p.(map[string]any); p["description"] == nil {
					count++
					t.Logf("%s.%s", way, key)
				}
			}
		}
		for key, inner := range s {
			switch inner := inner.(type) {
			case map[string]any:
				look(way+"."+key, inner)
			case []any:
				for _, one := range inner {
					if one, ok := one.(map[string]any); ok {
						look(way+"."+key, one)
					}
				}
			}
		}
	}
	var s map[string]any
	require.NoError(t, json.Unmarshal(text, &s))
	look("", s)
	return count
}

func TestPolicySchemaAcceptsTheDocumented(t *testing.T) {
	requireAccepted(t, PolicySchema(), referencePolicy, "../docs/examples/policy.yaml")
}

func TestSettingsSchemaAcceptsTheDocumented(t *testing.T) {
	requireAccepted(t, SettingsSchema(), referenceSettings, "../docs/examples/portcullis.yaml")
}

func requireAccepted(t *testing.T, schema []byte, files ...string) {
	t.Helper()
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		v, ok := value(data)
		require.True(t, ok)
		require.NoError(t, compileSchema(t, schema).Validate(v), file)
	}
}

// TestPolicySchemaAcceptsTheValid: no file that is valid is refused.
func TestPolicySchemaAcceptsTheValid(t *testing.T) {
	s := compileSchema(t, PolicySchema())
	rapid.Check(t, func(t *rapid.T) {
		text := MarshalPolicy(drawPolicy(t))
		v, ok := value(text)
		require.True(t, ok)
		require.NoError(t, s.Validate(v), "%s", text)
	})
	accepted := 0
	for _, place := range places {
		for _, m := range malicious {
			text := bytes.ReplaceAll([]byte(place), []byte("%"), []byte(m))
			_, _, err := parseOne(string(text))
			if v, ok := value(text); ok && err == nil {
				require.NoError(t, s.Validate(v), "%s", text)
				accepted++
			}
		}
	}
	require.Greater(t, accepted, 50)
}

// TestPolicySchemaRefuses lists what an editor can tell before the program does. All of it the program refuses too.
func TestPolicySchemaRefuses(t *testing.T) {
	s := compileSchema(t, PolicySchema())
	for name, text := range map[string]string{
		"unknown key":               "group: []",
		"unknown key of a rule":     rule("direction: ingress, protocol: tcp, port: 80, cidr: 0.0.0.0/0"),
		"no list":                   "groups: {}",
		"no name":                   "groups: [{rules: []}]",
		"empty name":                "groups: [{name: ''}]",
		"a number as a name":        "groups: [{name: 1}]",
		"space before a name":       "groups: [{name: ' a'}]",
		"no direction":              rule("protocol: any, group: db"),
		"another direction":         rule("direction: in, protocol: any, group: db"),
		"unknown protocol":          rule("direction: ingress, protocol: tcpp, ports: 1, group: db"),
		"large protocol":            rule("direction: ingress, protocol: 256, group: db"),
		"tcp without ports":         rule("direction: ingress, protocol: tcp, group: db"),
		"6 without ports":           rule("direction: ingress, protocol: 6, group: db"),
		"any with ports":            rule("direction: ingress, protocol: any, ports: 80, group: db"),
		"gre with ports":            rule("direction: ingress, protocol: gre, ports: 80, group: db"),
		"port 0":                    rule("direction: ingress, protocol: tcp, ports: 0, group: db"),
		"two ranges":                rule("direction: ingress, protocol: tcp, ports: '80,90', group: db"),
		"type of tcp":               rule("direction: ingress, protocol: tcp, ports: 80, icmp_type: 8, group: db"),
		"code without a type":       rule("direction: ingress, protocol: icmp, icmp_code: 0, group: db"),
		"icmp of IPv6":              rule("direction: ingress, protocol: icmp, cidr: '::/0'"),
		"icmpv6 of IPv4":            rule("direction: ingress, protocol: icmpv6, cidr: 10.0.0.0/8"),
		"no peer":                   rule("direction: ingress, protocol: any"),
		"two peers":                 rule("direction: ingress, protocol: any, cidr: 10.0.0.0/8, group: db"),
		"peer without a length":     rule("direction: ingress, protocol: any, cidr: 10.0.0.0"),
		"port without a MAC":        "instances: [{name: i, ports: [{name: p}]}]",
		"multicast MAC":             "instances: [{name: i, ports: [{name: p, mac: '01:00:5e:00:00:01'}]}]",
		"long interface":            ports("name: p234567890123456, mac: 02:00:00:00:00:01"),
		"interface with a slash":    ports("name: a/b, mac: 02:00:00:00:00:01"),
		"all addresses":             port("addresses: [0.0.0.0/0]"),
		"no address":                port("addresses: [localhost]"),
		"allowed without address":   port("addresses: [10.0.0.1], allowed_addresses: [{mac: 02:00:00:00:00:02}]"),
		"another type":              port("type: dpdk"),
		"trusted in words":          port("trusted: 'yes'"),
		"VLAN":                      port("ethertypes: [0x8100]"),
		"length as a type":          port("ethertypes: [5]"),
		"limits of a trusted port":  port("trusted: true, limits: {connections: 1}"),
		"too large a limit":         port("limits: {connections: 10000001}"),
		"unknown limit":             port("limits: {packets: 1}"),
		"host that is a number":     "instances: [{name: i, host: 1}]",
		"groups that are no list":   "instances: [{name: i, groups: web}]",
		"description that is long":  "groups: [{name: a, description: '" + strings.Repeat("n", 256) + "'}]",
		"external source, no range": "groups: [{name: a, external_sources: [10.0.0.1]}]",
	} {
		v, ok := value([]byte(text))
		require.True(t, ok, name)
		require.Error(t, s.Validate(v), name)
		_, _, err := parseOne(text)
		require.Error(t, err, name)
	}
}

func TestSettingsSchemaRefuses(t *testing.T) {
	s := compileSchema(t, SettingsSchema())
	for name, text := range map[string]string{
		"unknown key": "brige: br-int", "unknown key within": "log: {levl: info}", "level": "log: {level: loud}", "number": "host: 1",
		"endpoint": "ovsdb: /var/run/db.sock", "api": "api: tcp:127.0.0.1:1", "metrics": "metrics: 127.0.0.1", "datapath": "datapath_type: dpdk",
		"gateway": "gateways: [router]", "OpenFlow": "openflow: 'ssl:10.0.0.1:6653'", "no list": "uplinks: eth1", "limit": "limits: {connections: -1}", "long bridge": "bridge: b234567890123456",
	} {
		v, ok := value([]byte(text))
		require.True(t, ok, name)
		require.Error(t, s.Validate(v), name)
		_, err := parseSettings(File{"/x/s.yaml", []byte(text)})
		require.Error(t, err, name)
	}
	for _, text := range []string{"metrics: ''", "metrics: '[::1]:1'", "ovsdb: 'tcp:[::1]:1'", "api: unix:/a", "openflow: 'tcp:10.0.0.1:6653'", "ovsdb: 'ssl:10.0.0.1:6640'", "policy: /etc/p", "{}"} {
		v, ok := value([]byte(text))
		require.True(t, ok)
		require.NoError(t, s.Validate(v), text)
		_, err := parseSettings(File{"/x/s.yaml", []byte(text)})
		require.NoError(t, err, text)
	}
}
