package config

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParsePolicy(f *testing.F) {
	for _, name := range []string{referencePolicy, "../docs/examples/policy.yaml"} {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(string(data))
	}
	for _, seed := range []string{
		"", "---\n", "groups: []", "groups: [{name: a, rules: [{direction: ingress, protocol: 6, ports: \"1-2\", group: a}]}]",
		"groups:\n- name: |\n    a\n- {name: 'b', external_sources: [::/0]}\n", "a: &a [*a]", "<<: {}", "? a\n: b", "[[[[", "- - - -", "a: \"\\", "a: !!binary x",
		port("addresses: [192.0.2.1], allowed_addresses: [{address: 2001:db8::/64, mac: 00:00:5e:00:01:05}], ethertypes: [0x88cc]"),
		"groups:\r\n- {name: \"\u00e4\\u00e4\"}\r\n", "groups: [\n  {name: a} # x\n,]\n", "groups: [{name: a, description: >-\n x}]", "{groups: , instances: }",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { requireAnswer(t, text) })
}

func FuzzSettings(f *testing.F) {
	data, err := os.ReadFile(referenceSettings)
	require.NoError(f, err)
	f.Add(string(data))
	for _, seed := range []string{"", "{}", "bridge: a\nbridge: b", "log: {level: debug}", "uplinks: [a, a]", "gateways: [::1]", "log.level: x", "host: 1", "log: []",
		"metrics: '[::1]:1'", "ovsdb: 'tcp:[::1]:1'", "api: unix:/a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSettings(File{"/x/s.yaml", []byte(text)})
		if err != nil {
			require.Zero(t, s)
			for _, e := range err.(Errors) {
				require.NotContains(t, e.Error(), "\n")
				require.False(t, strings.Contains(e.Error(), "\x1b"))
			}
			return
		}
		require.NotEmpty(t, s.Bridge)
		require.NotEmpty(t, s.OVSDB)
		require.NotEmpty(t, s.OpenFlow)
		require.NotEmpty(t, s.Policy)
		require.LessOrEqual(t, len(s.Bridge), maxInterfaceLength)
	})
}
