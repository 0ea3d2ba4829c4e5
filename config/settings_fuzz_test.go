package config

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

func FuzzSettings(f *testing.F) {
	data, err := os.ReadFile(ReferenceSettings)
	require.NoError(f, err)
	f.Add(string(data))
	for _, seed := range []string{"", "{}", "bridge: a\nbridge: b", "log: {level: debug}",
		"uplinks: [a, a]", "gateways: [::1]", "log.level: x", "host: 1", "log: []",
		"metrics: '[::1]:1'", "ovsdb: 'tcp:[::1]:1'", "api: unix:/a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSettings(strictyaml.File{Name: "/x/s.yaml", Data: []byte(text)})
		if err != nil {
			require.Zero(t, s)
			for _, e := range err.(strictyaml.Errors) {
				require.NotContains(t, e.Error(), "\n")
				require.False(t, strings.Contains(e.Error(), "\x1b"))
			}
			return
		}
		require.NotEmpty(t, s.Bridge)
		require.NotEmpty(t, s.OVSDB)
		require.NotEmpty(t, s.OpenFlow)
		require.NotEmpty(t, s.Policy)
		require.LessOrEqual(t, len(s.Bridge), policy.MaxInterfaceLength)
	})
}
