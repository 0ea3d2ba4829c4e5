package config

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDefaultSettingsAreThoseOfAnEmptyFile(t *testing.T) {
	s, err := DefaultSettings("/etc/portcullis")
	require.NoError(t, err)
	require.Equal(t, "br-int", s.Bridge)
	require.Equal(t, "/etc/portcullis/policy.yaml", s.Policy)
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, host, s.Host)
	require.False(t, s.HostGiven)
	t.Setenv("PORTCULLIS_HOST", "hv1")
	s, err = DefaultSettings("/etc/portcullis")
	require.NoError(t, err)
	require.Equal(t, "hv1", s.Host)
	require.True(t, s.HostGiven)
	t.Setenv("PORTCULLIS_LIMITS_CONNECTIONS", "many")
	_, err = DefaultSettings("/etc/portcullis")
	require.ErrorContains(t, err, "PORTCULLIS_LIMITS_CONNECTIONS")
}
