package policyfile

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
)

func FuzzParsePolicy(f *testing.F) {
	for _, name := range []string{referencePolicy, "../../docs/examples/policy.yaml"} {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(string(data))
	}
	for _, seed := range []string{
		"", "---\n", "groups: []",
		"groups: [{name: a, rules: [{direction: ingress, protocol: 6, ports: \"1-2\", group: " +
			"a}]}]",
		"groups:\n- name: |\n    a\n- {name: 'b', external_sources: [::/0]}\n", "a: &a [*a]",
		"<<: {}", "? a\n: b", "[[[[", "- - - -", "a: \"\\", "a: !!binary x",
		configtest.Port(
			"addresses: [192.0.2.1], allowed_addresses: [{address: 2001:db8::/64, mac: " +
				"00:00:5e:00:01:05}], ethertypes: [0x88cc]"),
		"groups:\r\n- {name: \"\u00e4\\u00e4\"}\r\n", "groups: [\n  {name: a} # x\n,]\n",
		"groups: [{name: a, description: >-\n x}]", "{groups: , instances: }",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { requireAnswer(t, text) })
}
