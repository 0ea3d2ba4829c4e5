package policyfile

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/flows/policy"
)

const portBefore = "instances: [{name: a, ports: [{name: a, mac: '02:00:00:00:00:01', addresses: " +
	"[192.0.2.1], "

func TestPortLimits(t *testing.T) {
	for text, want := range map[string]policy.Limits{
		"trusted: false":           {},
		"limits: {}":               {},
		"limits: {connections: 5}": {Connections: 5},
		"limits: {connections: 0}": {Connections: policy.Unlimited},
		"trusted: true":            {},
		"limits: {arp_nd_dhcp_per_second: 1, new_connections_per_second: 2, connections: 3}": {
			Connections: 3, NewConnections: 2, ARPNDDHCP: 1},
		"limits: {fragments_per_second: 2000}": {
			Fragments: 2000},
		"limits: {fragments_per_second: 0}": {
			Fragments: policy.Unlimited},
	} {
		p, _, err := parseOne(portBefore + text + "}]}]")
		require.NoError(t, err, text)
		require.Equal(t, want, p.Instances[0].Ports[0].Limits, text)
	}
}

func TestPortLimitsRefused(t *testing.T) {
	const field = "instances[0].ports[0].limits"
	var cases []configtest.Refusal
	for _, c := range []configtest.Refusal{
		{Name: "of a trusted port", Yaml: "trusted: true, limits: §{connections: 5}",
			Want: []string{field + ": a trusted port is not limited"}},
		{Name: "not a mapping", Yaml: "limits: §[5]",
			Want: []string{field +
				": must be a mapping with the keys connections, new_connections_per_second, " +
				"arp_nd_dhcp_per_second"}},
		{Name: "unknown key", Yaml: "limits: {§arp: 5}",
			Want: []string{field + `: unknown key "arp"`}},
		{Name: "negative", Yaml: "limits: {connections: §-1}",
			Want: []string{field +
				".connections: must be a decimal number from 0 to 10000000, not -1"}},
		{Name: "too much", Yaml: "limits: {connections: §4294967295}",
			Want: []string{field + ".connections: must be a decimal number"}},
		{Name: "text", Yaml: "limits: {connections: §'5'}",
			Want: []string{field + ".connections: must be a number"}},
		{Name: "twice", Yaml: "limits: {connections: 5, §connections: 5}",
			Want: []string{field + `.connections: the key "connections" is here twice`}},
	} {
		c.Yaml = portBefore + c.Yaml + "}]}]"
		cases = append(cases, c)
	}
	runRefusals(t, cases)
}
