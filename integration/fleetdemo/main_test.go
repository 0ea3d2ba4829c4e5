//go:build integration

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The demonstration of a fleet ends as expected, on as many hosts as are asked for.
func TestFleetDemo(t *testing.T) {
	t.Setenv("FLEET_HOSTS", "2")
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, "../.."), out.String())
	for _, line := range []string{"hv2    generation 3 in force", "expected none of 4, seen 0",
		"expected all of 4, seen 4", "All as expected"} {
		require.Contains(t, out.String(), line)
	}
	require.NotContains(t, out.String(), "!")
}

func TestFleetDemoOfNoHosts(t *testing.T) {
	t.Setenv("FLEET_HOSTS", "0")
	require.ErrorContains(t, run(t.Context(), &strings.Builder{}, "../.."), "FLEET_HOSTS=0")
}
