package policy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

func TestLimitsOr(t *testing.T) {
	settings := policy.Limits{Connections: 5, ARPNDDHCP: 7}
	require.Equal(t, settings, policy.Limits{}.Or(settings))
	own := policy.Limits{Connections: policy.Unlimited, NewConnections: 9}
	require.Equal(t, policy.Limits{Connections: policy.Unlimited, NewConnections: 9, ARPNDDHCP: 7},
		own.Or(settings))
	require.False(t, policy.Limit(0).IsSet())
	require.False(t, policy.Unlimited.IsSet())
	require.True(t, policy.MaxLimit.IsSet())
}
