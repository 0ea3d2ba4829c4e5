package config

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// Every text of the settings: an answer, and never a bridge or a socket that is more than one word
// of a command line.
func TestMaliciousSettings(t *testing.T) {
	accepted := 0
	for _, key := range []string{"bridge", "datapath_type", "host", "uplinks", "gateways",
		"dhcp_servers", "uplink_sources", "policy", "ovsdb", "openflow", "api", "metrics", "log"} {
		for _, text := range configtest.Malicious {
			quoted, err := json.Marshal(text)
			require.NoError(t, err)
			for _, value := range []string{string(quoted), "[" + string(quoted) + "]", text} {
				s, err := parseSettings(strictyaml.File{Name: "/x/s.yaml",
					Data: []byte(key + ": " + value)})
				if err != nil {
					for _, e := range err.(strictyaml.Errors) {
						require.NotContains(t, e.Error(), "\n")
						require.NotContains(t, e.Error(), "\x1b")
					}
					continue
				}
				accepted++
				require.Empty(t, policy.BadInterface(s.Bridge), "%q", s.Bridge)
				for _, target := range []string{s.OpenFlow, s.OVSDB, s.API} {
					require.Regexp(t, `^(unix|tcp|ssl):`, target)
					require.NotContains(t, target, "\n")
					require.NotContains(t, target, "\x00")
				}
			}
		}
	}
	t.Logf("%d settings accepted", accepted)
}
