//go:build integration

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The demonstration of the API ends as expected.
func TestAPIDemo(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, "../.."), out.String())
	for _, line := range []string{"$ curl -X PUT $API/v1/groups/frontend",
		"mysql from web-1 to db-1: expected does not pass, seen does not pass",
		"mysql from web-1 to db-1: expected passes, seen passes", "All as expected"} {
		require.Contains(t, out.String(), line)
	}
	require.NotContains(t, out.String(), "!")
}
