package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// 20,000 rules of one group are valid, and what they compile to can be printed.
func TestCheckTakesTwentyThousandRules(t *testing.T) {
	var rules strings.Builder
	for n := range 20_000 {
		fmt.Fprintf(&rules, "      - {direction: ingress, protocol: udp, ports: %d, group: web}\n",
			n+1)
	}
	settings := site(t, strings.Replace(goodPolicy, "    rules:\n", "    rules:\n"+rules.String(),
		1))
	got := call(t, "check", "--config", settings)
	require.Equal(t, 0, got.code, got.errOut)
	require.Empty(t, got.errOut)
	got = call(t, "flows", "--config", settings)
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "tp_dst=20000 ")
	require.NotContains(t, got.out, "left out")
}
