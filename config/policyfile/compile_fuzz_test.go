package policyfile

import (
	"testing"

	"github.com/portcullis/portcullis/config/configtest"
)

// FuzzPolicyCompiles holds what no accepted policy may do: fail to compile.
func FuzzPolicyCompiles(f *testing.F) {
	for _, valueID := range textPlaces {
		f.Add(valueID)
	}
	f.Add(configtest.Port(
		"addresses: [192.0.2.0/28, 2001:db8::/64], allowed_addresses: [{address: 0.0.0.0/1, mac: " +
			"00:00:5e:00:01:05}], trusted: true"))
	f.Add(configtest.Rule("direction: egress, protocol: sctp, ports: 1-65535, cidr: ::/0"))
	f.Fuzz(func(t *testing.T, text string) {
		if p, _, err := parseOne(text); err == nil {
			requireCompiles(t, p)
		}
	})
}
