package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/flows/explain"
)

// The example of lists says what the other example says, in fewer rules; so it is no change.
func TestExampleOfLists(t *testing.T) {
	plain, _, err := policydir.Load("../../docs/examples/policy.yaml")
	require.NoError(t, err)
	lists, warnings, err := policydir.Load("../../docs/examples/lists.yaml")
	require.NoError(t, err)
	require.Empty(t, warnings)
	c := explain.CompareAccess(plain, lists)
	require.Empty(t, c.Loses)
	require.Empty(t, c.Gains)
	require.Empty(t, c.Ports)
	rules := map[bool]int{}
	for _, g := range plain.Groups {
		rules[false] += len(g.Rules)
	}
	for _, g := range lists.Groups {
		rules[true] += len(g.Rules)
	}
	require.Equal(t, map[bool]int{false: 18, true: 12}, rules)

	// told as it is written: by the names, with the place of the one rule
	text, err := os.ReadFile("../../docs/examples/lists.yaml")
	require.NoError(t, err)
	settings := site(t, string(text))
	got := call(t, "explain", "--config", settings, "--from", "db-1", "--to", "203.0.113.1", "tcp/53")
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "backend: egress tcp 53, 80, 8080 to network router")
	got = call(t, "explain", "--config", settings, "--from", "web-1", "--to", "db-1", "tcp/443")
	require.NotEqual(t, 0, got.code)
	require.Contains(t, got.out, "backend: ingress tcp 3306 from group frontend")
}
