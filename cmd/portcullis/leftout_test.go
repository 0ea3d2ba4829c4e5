package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
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

// What would be left out is a mistake that is told where it is, one a line, as the daemon tells it.
func TestWhatWouldBeLeftOutIsAMistake(t *testing.T) {
	at := policy.Position{File: "policy.yaml", Line: 14, Column: 9}
	p := &flows.Program{}
	require.NoError(t, complete(p))
	p.LeftOut = []flows.LeftOut{{At: at, What: "group web: ingress tcp 80 from 0.0.0.0/0",
		Rule: "key", Reason: "it is too much"},
		{What: "port tap1", Port: "tap1", Reason: "no instance of this host has it"}}
	require.EqualError(t, complete(p),
		"policy.yaml:14:9: group web: ingress tcp 80 from 0.0.0.0/0: left out: it is too much\n"+
			"port tap1: left out: no instance of this host has it")
	var one interface{ Unwrap() []error }
	require.True(t, errors.As(complete(p), &one))
	require.Len(t, one.Unwrap(), 2)
}
