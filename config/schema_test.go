package config

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
)

// TestSettingsSchemaIsCurrent compares the file with what the declarations of the keys say.
func TestSettingsSchemaIsCurrent(t *testing.T) {
	configtest.RequireCurrent(t, "../docs/schema/settings.schema.json", SettingsSchema())
}

func TestSettingsSchemaDescribesEveryKey(t *testing.T) {
	require.LessOrEqual(t, configtest.Undescribed(t, SettingsSchema()), 1) // log
}

func TestSettingsSchemaAcceptsTheDocumented(t *testing.T) {
	configtest.RequireAccepted(t, SettingsSchema(), ReferenceSettings,
		"../docs/examples/portcullis.yaml")
}

func TestSettingsSchemaRefuses(t *testing.T) {
	s := configtest.CompileSchema(t, SettingsSchema())
	for name, text := range map[string]string{
		"unknown key": "brige: br-int", "unknown key within": "log: {levl: info}",
		"level": "log: {level: loud}", "number": "host: 1",
		"endpoint": "ovsdb: /var/run/db.sock", "api": "api: tcp:127.0.0.1:1",
		"metrics": "metrics: 127.0.0.1", "datapath": "datapath_type: dpdk",
		"gateway": "gateways: [router]", "OpenFlow": "openflow: 'ssl:10.0.0.1:6653'",
		"no list": "uplinks: eth1", "limit": "limits: {connections: -1}",
		"long bridge": "bridge: b234567890123456",
	} {
		v, ok := configtest.Value([]byte(text))
		require.True(t, ok, name)
		require.Error(t, s.Validate(v), name)
		_, err := parseSettings(strictyaml.File{Name: "/x/s.yaml", Data: []byte(text)})
		require.Error(t, err, name)
	}
	for _, text := range []string{"metrics: ''", "metrics: '[::1]:1'", "ovsdb: 'tcp:[::1]:1'",
		"api: unix:/a", "openflow: 'tcp:10.0.0.1:6653'", "ovsdb: 'ssl:10.0.0.1:6640'",
		"policy: /etc/p", "{}"} {
		v, ok := configtest.Value([]byte(text))
		require.True(t, ok)
		require.NoError(t, s.Validate(v), text)
		_, err := parseSettings(strictyaml.File{Name: "/x/s.yaml", Data: []byte(text)})
		require.NoError(t, err, text)
	}
}
