package config

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

func TestSettingsLogDenied(t *testing.T) {
	for text, want := range map[string]bool{"bridge: br-int": false, "log_denied: true": true, "log_denied: false": false} {
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
	for _, yaml := range []string{"log_denied: §yes", "log_denied: §1", "log_denied: §[true]", "log_denied: §'true'"} {
		text, at := marked("/x/s.yaml", yaml)
		_, err := parseSettings(File{"/x/s.yaml", []byte(text)})
		requireErrors(t, err, at, []string{"log_denied: must be true or false"})
	}
}

func TestPortLogDenied(t *testing.T) {
	for text, want := range map[string]policy.Choice{"": policy.Unset, "log_denied: true": policy.Yes, "log_denied: false": policy.No} {
		p, _, err := ParsePolicy([]File{{"p.yaml", []byte(portBefore + text + "}]}]")}})
		require.NoError(t, err, text)
		require.Equal(t, want, p.Instances[0].Ports[0].LogDenied, text)
	}
	for yaml, want := range map[string]string{
		"log_denied: §maybe":                "must be true or false",
		"trusted: true, log_denied: §true":  "nothing is denied at a trusted port",
		"log_denied: §false, trusted: true": "nothing is denied at a trusted port",
	} {
		text, at := marked("p.yaml", portBefore+yaml+"}]}]")
		_, _, err := ParsePolicy([]File{{"p.yaml", []byte(text)}})
		requireErrors(t, err, at, []string{"instances[0].ports[0].log_denied: " + want})
	}
}
