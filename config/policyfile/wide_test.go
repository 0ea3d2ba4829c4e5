package policyfile

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Wide networks of an instance are warned of where a rule is about its group, each once, with the
// place of the rule.
func TestWideNetworksOfPeers(t *testing.T) {
	const text = `groups:
- {name: frontend, rules: [{direction: ingress, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}]}
- {name: backend, rules: [{direction: ingress, protocol: tcp, ports: 22, group: GROUP}, {direction: egress, protocol: any, group: GROUP}]}
instances:
- {name: web, groups: [frontend, backend], ports: [{name: tap, mac: 02:00:00:00:00:01, addresses: [OWN], allowed_addresses: [NETWORK]}]}
`
	for _, c := range []struct {
		own, network, group string
		want                int
	}{
		{"198.51.100.1", "128.0.0.0/2", "frontend", 1},
		{"198.51.100.1", "128.0.0.0/2", "backend", 1},
		{"198.51.100.1", "10.0.0.0/23", "frontend", 1},
		{"198.51.100.1", "10.0.0.0/24", "frontend", 0},
		{"198.51.100.1", "'2001:db8::/63'", "frontend", 1},
		{"198.51.100.1", "'2001:db8::/64'", "frontend", 0},
		{"198.51.100.1", "{address: 10.0.0.0/8, mac: 00:00:5e:00:01:05}", "frontend", 1},
		{"198.51.96.0/20", "10.0.0.1", "frontend", 1},
		{"198.51.96.0/20", "10.0.0.0/8, 11.0.0.0/8", "frontend", 3},
		{"198.51.100.0/24", "10.0.0.1", "frontend", 0},
	} {
		written := strings.NewReplacer("OWN", c.own, "NETWORK", c.network, "GROUP",
			c.group).Replace(text)
		_, warnings, err := parseOne(written)
		require.NoError(t, err)
		found := 0
		for _, w := range warnings {
			if strings.Contains(w.Message, "counts as a member of the group") {
				found++
				require.Contains(t, w.Message, "at p.yaml:3:")
				require.Equal(t, 5, w.At.Line)
			}
		}
		require.Equal(t, c.want, found, "%+v: %v", c, warnings)

		nobody := strings.ReplaceAll(written, "group: "+c.group, "cidr: 0.0.0.0/0")
		_, warnings, err = parseOne(nobody)
		require.NoError(t, err)
		for _, w := range warnings {
			require.NotContains(t, w.Message, "counts as a member", "no rule is about the group")
		}
	}
}
