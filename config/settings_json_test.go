package config

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

func TestSettingsAsJSON(t *testing.T) {
	cleanEnvironment(t)
	s, err := parseSettings(strictyaml.File{Name: "/x/s.yaml",
		Data: []byte(
			`{"host":"hv\u00e4","uplinks":["eth0"],"policy":"\/etc\/p.yaml","log_denied":true,"limits":{"connections":7},"log":{"level":"debug"}}`)})
	require.NoError(t, err)
	require.Equal(t, "hvä", s.Host)
	require.Equal(t, "/etc/p.yaml", s.Policy)
	require.Equal(t, policy.Limit(7), s.Limits.Connections)
	require.True(t, s.LogDenied)
	_, err = parseSettings(strictyaml.File{Name: "/x/s.yaml",
		Data: []byte("{\"policy\":\"\\/etc\\/p.yaml\",\n\"hots\":\"a\"}")})
	require.ErrorContains(t, err, `/x/s.yaml:2:1: unknown key "hots"; did you mean "host"?`)
}
