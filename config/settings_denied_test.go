package config

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
)

func TestSettingsLogDenied(t *testing.T) {
	for text, want := range map[string]bool{"bridge: br-int": false, "log_denied: true": true,
		"log_denied: false": false} {
		s, err := LoadSettings(settingsFile(t, text))
		require.NoError(t, err)
		require.Equal(t, want, s.LogDenied, text)
		require.Equal(t, want, s.Site().LogDenied, text)
	}
	name := settingsFile(t, "log_denied: false")
	t.Setenv(envPrefix+"LOG_DENIED", "true")
	s, err := LoadSettings(name)
	require.NoError(t, err)
	require.True(t, s.LogDenied)
	for _, bad := range []string{"", "yes", "1", "True"} {
		t.Setenv(envPrefix+"LOG_DENIED", bad)
		_, err := LoadSettings(name)
		require.ErrorContains(t, err, envPrefix+"LOG_DENIED", bad)
		require.ErrorContains(t, err, `must be one of "true", "false"`, bad)
	}
}

func TestSettingsLogDeniedRefused(t *testing.T) {
	cleanEnvironment(t)
	for _, yaml := range []string{"log_denied: §yes", "log_denied: §1", "log_denied: §[true]",
		"log_denied: §'true'"} {
		text, at := configtest.Marked("/x/s.yaml", yaml)
		_, err := parseSettings(strictyaml.File{Name: "/x/s.yaml", Data: []byte(text)})
		configtest.RequireErrors(t, err, at, []string{"log_denied: must be true or false"})
	}
}
