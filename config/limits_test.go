package config

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// defaultLimits are those of a port that nobody has said anything about (docs/decisions/0010-limits.md).
var defaultLimits = policy.Limits{Connections: 20_000, ARPNDDHCP: 300, Fragments: 25}

const defaultOutsideFragments policy.Limit = 150

// What the settings leave out is as the defaults are, and 0 is no limit.
func TestSettingsLimitsByDefault(t *testing.T) {
	for text, want := range map[string]policy.Limits{
		"limits: {}":               defaultLimits,
		"limits: {connections: 0}": {ARPNDDHCP: defaultLimits.ARPNDDHCP, Fragments: defaultLimits.Fragments},
		"limits: {connections: 0, new_connections_per_second: 0, arp_nd_dhcp_per_second: 0, fragments_per_second: 0}": {},
	} {
		s, err := LoadSettings(settingsFile(t, text))
		require.NoError(t, err)
		require.Equal(t, want, s.Limits, text)
		require.Equal(t, defaultOutsideFragments, s.OutsideFragments)
	}
}

func TestSettingsLimits(t *testing.T) {
	name := settingsFile(t, "limits: {connections: 20000, arp_nd_dhcp_per_second: 10000000, fragments_per_second: 9, outside_fragments_per_second: 8}\nlog: {level: debug}")
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
	require.Equal(t, policy.Limits{NewConnections: 7, ARPNDDHCP: policy.MaxLimit, Fragments: 9}, s.Limits)

	for _, bad := range []string{"", "-1", "x", "010", "10000001", "1e3"} {
		t.Setenv(envPrefix+"LIMITS_CONNECTIONS", bad)
		_, err := LoadSettings(name)
		var list Errors
		require.True(t, errors.As(err, &list), bad)
		require.Len(t, list, 1)
		require.Equal(t, envPrefix+"LIMITS_CONNECTIONS", list[0].Field)
		require.Contains(t, list[0].Message, "must be a decimal number from 0 to 10000000")
	}
}

func TestSettingsLimitsRefused(t *testing.T) {
	for _, c := range []refusal{
		{"not a mapping", "limits: §5", []string{"limits: must be a mapping"}},
		{"unknown key", "limits: {§connection: 5}", []string{`limits: unknown key "connection"; did you mean "connections"?`}},
		{"negative", "limits: {connections: §-1}", []string{"limits.connections: must be a decimal number from 0 to 10000000, not -1"}},
		{"too much", "limits: {arp_nd_dhcp_per_second: §10000001}", []string{"limits.arp_nd_dhcp_per_second: must be a decimal number"}},
		{"two readings", "limits: {connections: §010}", []string{"limits.connections: must be a decimal number"}},
		{"text", "limits: {new_connections_per_second: §many}", []string{`limits.new_connections_per_second: must be a number … not the text "many"`}},
		{"nothing", "limits: {§connections: }", []string{"limits.connections: must be a number … not nothing"}},
		{"outside", "§connections: 5", []string{`: unknown key "connections"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cleanEnvironment(t)
			text, at := marked("/x/s.yaml", c.yaml)
			_, err := parseSettings(File{"/x/s.yaml", []byte(text)})
			requireErrors(t, err, at, c.want)
		})
	}
}

const portBefore = "instances: [{name: a, ports: [{name: a, mac: '02:00:00:00:00:01', addresses: [192.0.2.1], "

func TestPortLimits(t *testing.T) {
	for text, want := range map[string]policy.Limits{
		"trusted: false":           {},
		"limits: {}":               {},
		"limits: {connections: 5}": {Connections: 5},
		"limits: {connections: 0}": {Connections: policy.Unlimited},
		"trusted: true":            {},
		"limits: {arp_nd_dhcp_per_second: 1, new_connections_per_second: 2, connections: 3}": {Connections: 3, NewConnections: 2, ARPNDDHCP: 1},
		"limits: {fragments_per_second: 2000}":                                               {Fragments: 2000},
		"limits: {fragments_per_second: 0}":                                                  {Fragments: policy.Unlimited},
	} {
		p, _, err := parseOne(portBefore + text + "}]}]")
		require.NoError(t, err, text)
		require.Equal(t, want, p.Instances[0].Ports[0].Limits, text)
	}
}

func TestPortLimitsRefused(t *testing.T) {
	const field = "instances[0].ports[0].limits"
	var cases []refusal
	for _, c := range []refusal{
		{"of a trusted port", "trusted: true, limits: §{connections: 5}", []string{field + ": a trusted port is not limited"}},
		{"not a mapping", "limits: §[5]", []string{field + ": must be a mapping with the keys connections, new_connections_per_second, arp_nd_dhcp_per_second"}},
		{"unknown key", "limits: {§arp: 5}", []string{field + `: unknown key "arp"`}},
		{"negative", "limits: {connections: §-1}", []string{field + ".connections: must be a decimal number from 0 to 10000000, not -1"}},
		{"too much", "limits: {connections: §4294967295}", []string{field + ".connections: must be a decimal number"}},
		{"text", "limits: {connections: §'5'}", []string{field + ".connections: must be a number"}},
		{"twice", "limits: {connections: 5, §connections: 5}", []string{field + `.connections: the key "connections" is here twice`}},
	} {
		c.yaml = portBefore + c.yaml + "}]}]"
		cases = append(cases, c)
	}
	runRefusals(t, cases)
}
