package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSchema(t *testing.T) {
	for _, what := range []string{"policy", "settings"} {
		want, err := os.ReadFile("../../docs/schema/" + what + ".schema.json")
		require.NoError(t, err)
		a := call(t, "schema", what)
		require.Equal(t, 0, a.code)
		require.Equal(t, string(want), a.out)
	}
	for _, args := range [][]string{{"schema"}, {"schema", "flows"},
		{"schema", "policy", "settings"}} {
		require.Equal(t, 2, call(t, args...).code)
	}
}
