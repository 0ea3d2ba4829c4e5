package files

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

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
