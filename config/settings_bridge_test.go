package config

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/strictyaml"
)

func TestSettingsOfAnotherBridge(t *testing.T) {
	for path, want := range map[string]string{
		"/etc/portcullis/br-ext.yaml": "br-ext", "/etc/portcullis/portcullis.yaml": "",
		"/etc/portcullis/policy/br-ext.yaml": "",
		"/home/x/br-ext.yaml":                "", "/etc/portcullis/br-ext.yml": "",
		"/etc/portcullis/a-name-that-is-too-long.yaml": "", "br-ext.yaml": "",
	} {
		require.Equal(t, want, BridgeOf(path), path)
	}
	s, err := parseSettings(strictyaml.File{Name: "/etc/portcullis/br-ext.yaml",
		Data: []byte("host: hv1\n")})
	require.NoError(t, err)
	require.Equal(t, "br-ext", s.Bridge)
	require.Equal(t, "/etc/portcullis/br-ext", s.Policy)
	require.Equal(t, "unix:/run/portcullis/br-ext.sock", s.API)
	require.Equal(t, "unix:/var/run/openvswitch/br-ext.mgmt", s.OpenFlow)
	main, err := parseSettings(strictyaml.File{Name: "/etc/portcullis/portcullis.yaml",
		Data: []byte("host: hv1\n")})
	require.NoError(t, err)
	require.NotEqual(t, main.API, s.API)
	require.NotEqual(t, main.Policy, s.Policy)
	require.Equal(t, "/var/lib/portcullis/portcullis", main.StateDir)
	require.Equal(t, "/var/lib/portcullis/br-ext", s.StateDir)
	require.NotEqual(t, main.Bridge, s.Bridge)
	said, err := parseSettings(strictyaml.File{Name: "/etc/portcullis/br-ext.yaml",
		Data: []byte("host: hv1\nbridge: br9\napi: unix:/run/x.sock\npolicy: /p\n")})
	require.NoError(t, err)
	require.Equal(t, []string{"br9", "unix:/run/x.sock", "/p"},
		[]string{said.Bridge, said.API, said.Policy}, "what is said holds")
}
