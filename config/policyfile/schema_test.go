package policyfile

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/configtest"
)

// TestPolicySchemaIsCurrent compares the file with what the declarations of the keys say.
func TestPolicySchemaIsCurrent(t *testing.T) {
	configtest.RequireCurrent(t, "../../docs/schema/policy.schema.json", Schema())
}

func TestPolicySchemaDescribesEveryKey(t *testing.T) {
	// limits of a port (four keys, as in the settings), address and mac of an allowed address
	require.LessOrEqual(t, configtest.Undescribed(t, Schema()), 6)
}

func TestPolicySchemaAcceptsTheDocumented(t *testing.T) {
	configtest.RequireAccepted(t, Schema(), referencePolicy, "../../docs/examples/policy.yaml",
		"../../docs/examples/lists.yaml")
}

// TestPolicySchemaAcceptsTheValid: no file that is valid is refused.
func TestPolicySchemaAcceptsTheValid(t *testing.T) {
	s := configtest.CompileSchema(t, Schema())
	rapid.Check(t, func(t *rapid.T) {
		text := Marshal(drawPolicy(t))
		v, ok := configtest.Value(text)
		require.True(t, ok)
		require.NoError(t, s.Validate(v), "%s", text)
	})
	accepted := 0
	for _, valueID := range textPlaces {
		for _, m := range configtest.Malicious {
			text := bytes.ReplaceAll([]byte(valueID), []byte("%"), []byte(m))
			_, _, err := parseOne(string(text))
			if v, ok := configtest.Value(text); ok && err == nil {
				require.NoError(t, s.Validate(v), "%s", text)
				accepted++
			}
		}
	}
	require.Greater(t, accepted, 50)
}

// TestPolicySchemaRefuses lists what an editor can tell before the program does. All of it the
// program refuses too.
func TestPolicySchemaRefuses(t *testing.T) {
	s := configtest.CompileSchema(t, Schema())
	for name, text := range map[string]string{
		"unknown key": "group: []",
		"unknown key of a rule": configtest.Rule(
			"direction: ingress, protocol: tcp, port: 80, cidr: 0.0.0.0/0"),
		"no list":             "groups: {}",
		"no name":             "groups: [{rules: []}]",
		"empty name":          "groups: [{name: ''}]",
		"a number as a name":  "groups: [{name: 1}]",
		"space before a name": "groups: [{name: ' a'}]",
		"no direction":        configtest.Rule("protocol: any, group: db"),
		"another direction":   configtest.Rule("direction: in, protocol: any, group: db"),
		"unknown protocol": configtest.Rule(
			"direction: ingress, protocol: tcpp, ports: 1, group: db"),
		"large protocol": configtest.Rule(
			"direction: ingress, protocol: 256, group: db"),
		"tcp without ports": configtest.Rule(
			"direction: ingress, protocol: tcp, group: db"),
		"6 without ports": configtest.Rule("direction: ingress, protocol: 6, group: db"),
		"any with ports": configtest.Rule(
			"direction: ingress, protocol: any, ports: 80, group: db"),
		"gre with ports": configtest.Rule(
			"direction: ingress, protocol: gre, ports: 80, group: db"),
		"port 0": configtest.Rule(
			"direction: ingress, protocol: tcp, ports: 0, group: db"),
		"two ranges": configtest.Rule(
			"direction: ingress, protocol: tcp, ports: '80,90', group: db"),
		"type of tcp": configtest.Rule(
			"direction: ingress, protocol: tcp, ports: 80, icmp_type: 8, group: db"),
		"code without a type": configtest.Rule(
			"direction: ingress, protocol: icmp, icmp_code: 0, group: db"),
		"icmp of IPv6": configtest.Rule(
			"direction: ingress, protocol: icmp, cidr: '::/0'"),
		"icmpv6 of IPv4": configtest.Rule(
			"direction: ingress, protocol: icmpv6, cidr: 10.0.0.0/8"),
		"no peer": configtest.Rule("direction: ingress, protocol: any"),
		"no peer in a list": configtest.Rule(
			"direction: ingress, protocol: any, cidr: []"),
		"unknown service": configtest.Rule(
			"direction: ingress, protocol: tcp, ports: [80, htp], group: db"),
		"port 0 in a list": configtest.Rule(
			"direction: ingress, protocol: tcp, ports: [0], group: db"),
		"unknown type": configtest.Rule(
			"direction: ingress, protocol: icmp, icmp_type: ping, group: db"),
		"number as a network's name": `networks: {"10": 10.0.0.0/8}`,
		"network without a length":   "networks: {a: [10.0.0.1]}",
		"peer without a length": configtest.Rule(
			"direction: ingress, protocol: any, cidr: 10.0.0.0"),
		"port without a MAC": "instances: [{name: i, ports: [{name: p}]}]",
		"multicast MAC": "instances: [{name: i, ports: [{name: p, mac: " +
			"'01:00:5e:00:00:01'}]}]",
		"long interface": configtest.Ports(
			"name: p234567890123456, mac: 02:00:00:00:00:01"),
		"interface with a slash": configtest.Ports("name: a/b, mac: 02:00:00:00:00:01"),
		"all addresses":          configtest.Port("addresses: [0.0.0.0/0]"),
		"no address":             configtest.Port("addresses: [localhost]"),
		"allowed without address": configtest.Port(
			"addresses: [10.0.0.1], allowed_addresses: [{mac: 02:00:00:00:00:02}]"),
		"another type":             configtest.Port("type: dpdk"),
		"trusted in words":         configtest.Port("trusted: 'yes'"),
		"VLAN":                     configtest.Port("ethertypes: [0x8100]"),
		"length as a type":         configtest.Port("ethertypes: [5]"),
		"limits of a trusted port": configtest.Port("trusted: true, limits: {connections: 1}"),
		"too large a limit":        configtest.Port("limits: {connections: 10000001}"),
		"unknown limit":            configtest.Port("limits: {packets: 1}"),
		"host that is a number":    "instances: [{name: i, host: 1}]",
		"groups that are no list":  "instances: [{name: i, groups: web}]",
		"description that is long": "groups: [{name: a, description: '" +
			strings.Repeat("n", 256) + "'}]",
		"external source, no range": "groups: [{name: a, external_sources: [10.0.0.1]}]",
	} {
		v, ok := configtest.Value([]byte(text))
		require.True(t, ok, name)
		require.Error(t, s.Validate(v), name)
		_, _, err := parseOne(text)
		require.Error(t, err, name)
	}
}
