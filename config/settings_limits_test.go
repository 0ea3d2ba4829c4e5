package config

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// defaultLimits are those of a port that nobody has said anything about
// (docs/decisions/0010-limits.md).
var defaultLimits = policy.Limits{Connections: 20_000, ARPNDDHCP: 300, Fragments: 25}

const defaultOutsideFragments policy.Limit = 150

// What the settings leave out is as the defaults are, and 0 is no limit.
func TestSettingsLimitsByDefault(t *testing.T) {
	for text, want := range map[string]policy.Limits{
		"limits: {}": defaultLimits,
		"limits: {connections: 0}": {ARPNDDHCP: defaultLimits.ARPNDDHCP,
			Fragments: defaultLimits.Fragments},
		"limits: {connections: 0, new_connections_per_second: 0, arp_nd_dhcp_per_second: 0, " +
			"fragments_per_second: 0}": {},
	} {
		s, err := LoadSettings(settingsFile(t, text))
		require.NoError(t, err)
		require.Equal(t, want, s.Limits, text)
		require.Equal(t, defaultOutsideFragments, s.OutsideFragments)
	}
}

func TestSettingsLimits(t *testing.T) {
	name := settingsFile(t,
		"limits: {connections: 20000, arp_nd_dhcp_per_second: 10000000, fragments_per_second: 9, "+
			"outside_fragments_per_second: 8}\nlog: {level: debug}")
	s, err := LoadSettings(name)
	require.NoError(t, err)
	want := policy.Limits{Connections: 20000, ARPNDDHCP: policy.MaxLimit, Fragments: 9}
	require.Equal(t, want, s.Limits)
	require.Equal(t, want, s.Site().Limits)
	require.Equal(t, policy.Limit(8), s.Site().OutsideFragments)
	require.Equal(t, "debug", s.Log.Level)

	t.Setenv(envPrefix+"LIMITS_CONNECTIONS", "0")
	t.Setenv(envPrefix+"LIMITS_NEW_CONNECTIONS_PER_SECOND", "7")
	s, err = LoadSettings(name)
	require.NoError(t, err)
	require.Equal(t, policy.Limits{NewConnections: 7, ARPNDDHCP: policy.MaxLimit, Fragments: 9},
		s.Limits)

	for _, bad := range []string{"", "-1", "x", "010", "10000001", "1e3"} {
		t.Setenv(envPrefix+"LIMITS_CONNECTIONS", bad)
		_, err := LoadSettings(name)
		var list strictyaml.Errors
		require.True(t, errors.As(err, &list), bad)
		require.Len(t, list, 1)
		require.Equal(t, envPrefix+"LIMITS_CONNECTIONS", list[0].Field)
		require.Contains(t, list[0].Message, "must be a decimal number from 0 to 10000000")
	}
}

func TestSettingsLimitsRefused(t *testing.T) {
	for _, c := range []configtest.Refusal{
		{Name: "not a mapping", Yaml: "limits: §5", Want: []string{"limits: must be a mapping"}},
		{Name: "unknown key", Yaml: "limits: {§connection: 5}",
			Want: []string{`limits: unknown key "connection"; did you mean "connections"?`}},
		{Name: "negative", Yaml: "limits: {connections: §-1}",
			Want: []string{
				"limits.connections: must be a decimal number from 0 to 10000000, not -1"}},
		{Name: "too much", Yaml: "limits: {arp_nd_dhcp_per_second: §10000001}",
			Want: []string{"limits.arp_nd_dhcp_per_second: must be a decimal number"}},
		{Name: "two readings", Yaml: "limits: {connections: §010}",
			Want: []string{"limits.connections: must be a decimal number"}},
		{Name: "text", Yaml: "limits: {new_connections_per_second: §many}",
			Want: []string{
				`limits.new_connections_per_second: must be a number … not the text "many"`}},
		{Name: "nothing", Yaml: "limits: {§connections: }",
			Want: []string{"limits.connections: must be a number … not nothing"}},
		{Name: "outside", Yaml: "§connections: 5", Want: []string{`: unknown key "connections"`}},
	} {
		t.Run(c.Name, func(t *testing.T) {
			cleanEnvironment(t)
			text, at := configtest.Marked("/x/s.yaml", c.Yaml)
			_, err := parseSettings(strictyaml.File{Name: "/x/s.yaml", Data: []byte(text)})
			configtest.RequireErrors(t, err, at, c.Want)
		})
	}
}
