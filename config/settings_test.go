package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// cleanEnvironment takes away what the environment of the tests says about settings.
func cleanEnvironment(t *testing.T) {
	t.Helper()
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, envPrefix) || name == runDirVariable {
			t.Setenv(name, "") // so that it is restored
			require.NoError(t, os.Unsetenv(name))
		}
	}
}

func settingsFile(t *testing.T, text string) string {
	t.Helper()
	cleanEnvironment(t)
	name := filepath.Join(t.TempDir(), "portcullis.yaml")
	configtest.Write(t, name, text)
	return name
}

func TestSettingsDefaults(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	for _, text := range []string{"", "# nothing\n", "{}"} {
		name := settingsFile(t, text)
		s, err := LoadSettings(name)
		require.NoError(t, err)
		require.Equal(t, Settings{
			Bridge: "br-int", Host: host, Uplinks: []string{}, Gateways: []netip.Addr{},
			PluggedByOthers: proxmoxDevices,
			DHCPServers:     []netip.Addr{},
			Policy:          filepath.Join(filepath.Dir(name), "policy.yaml"),
			OVSDB:           "unix:/var/run/openvswitch/db.sock",
			OpenFlow:        "unix:/var/run/openvswitch/br-int.mgmt",
			API:             "unix:/run/portcullis/portcullis.sock", Metrics: "127.0.0.1:9477",
			Limits: defaultLimits, OutsideFragments: defaultOutsideFragments,
			Log:      Log{"info", "text"},
			StateDir: filepath.Join(filepath.Dir(name), "portcullis.state"), History: History{100, 256},
		}, s)
	}
}

func TestSettingsOfFile(t *testing.T) {
	s, err := LoadSettings(settingsFile(t, `bridge: br0
datapath_type: netdev
host: hv1
uplinks: [eth1, bond0.100]
plugged_by_others: ["mine-*"]
gateways: [203.0.113.1, 2001:db8::1]
dhcp_servers: [203.0.113.2]
uplink_sources: strict
policy: /etc/portcullis/policy.d
ovsdb: tcp:127.0.0.1:6640
openflow: tcp:[::1]:6653
api: unix:/tmp/x.sock
metrics: :9477
log: {level: debug, format: json}
state_dir: /srv/state
history: {generations: 7, megabytes: 0}
`))
	require.NoError(t, err)
	require.Equal(t, Settings{
		Bridge: "br0", DatapathType: "netdev", Host: "hv1", HostGiven: true,
		Uplinks:         []string{"eth1", "bond0.100"},
		PluggedByOthers: []string{"mine-*"},
		Gateways: []netip.Addr{netip.MustParseAddr("203.0.113.1"),
			netip.MustParseAddr("2001:db8::1")},
		DHCPServers:   []netip.Addr{netip.MustParseAddr("203.0.113.2")},
		UplinkSources: policy.StrictSources, Policy: "/etc/portcullis/policy.d",
		OVSDB:    "tcp:127.0.0.1:6640",
		OpenFlow: "tcp:[::1]:6653", API: "unix:/tmp/x.sock", Metrics: ":9477",
		Limits: defaultLimits, OutsideFragments: defaultOutsideFragments,
		Log:      Log{"debug", "json"},
		StateDir: "/srv/state", History: History{Generations: 7},
	}, s)
	require.Equal(t, policy.Site{Host: "hv1", Gateways: s.Gateways, DHCPServers: s.DHCPServers,
		UplinkSources: policy.StrictSources, Limits: defaultLimits,
		OutsideFragments: defaultOutsideFragments}, s.Site())
}

// Every key has its variable, and the variable wins over the file.
func TestSettingsOfEnvironment(t *testing.T) {
	name := settingsFile(t,
		"bridge: br9\nuplinks: [eth9]\nmetrics: 127.0.0.1:1\nlog: {level: trace, format: text}\n")
	for variable, value := range map[string]string{
		"BRIDGE": "br0", "DATAPATH_TYPE": "netdev", "HOST": "007", "UPLINKS": "eth1,eth2",
		"GATEWAYS":          "203.0.113.1 2001:db8::1",
		"PLUGGED_BY_OTHERS": "tap* veth?",
		"DHCP_SERVERS":      "", "POLICY": "p", "OVSDB": "unix:/a", "OPENFLOW": "unix:/b",
		"API": "unix:/c", "METRICS": "", "LOG_LEVEL": "warn",
		"LOG_FORMAT": "json", "SERVICE_HOST": "10.0.0.1", "PORT": "tcp://10.0.0.1:80", "LOG": "x",
		"CONFIG": "y", "STATE_DIR": "s", "HISTORY_GENERATIONS": "8", "HISTORY_MEGABYTES": "9",
	} {
		t.Setenv(envPrefix+variable, value)
	}
	s, err := LoadSettings(name)
	require.NoError(t, err)
	require.Equal(t, Settings{
		Bridge: "br0", DatapathType: "netdev", Host: "007", HostGiven: true,
		Uplinks:         []string{"eth1", "eth2"},
		PluggedByOthers: []string{"tap*", "veth?"},
		Gateways: []netip.Addr{netip.MustParseAddr("203.0.113.1"),
			netip.MustParseAddr("2001:db8::1")},
		DHCPServers: []netip.Addr{}, Policy: filepath.Join(filepath.Dir(name), "p"),
		OVSDB: "unix:/a", OpenFlow: "unix:/b", API: "unix:/c",
		Limits: defaultLimits, OutsideFragments: defaultOutsideFragments, Log: Log{"warn", "json"},
		StateDir: filepath.Join(filepath.Dir(name), "s"), History: History{8, 9},
	}, s)
}

func TestSettingsRunDir(t *testing.T) {
	name := settingsFile(t, "bridge: br7")
	t.Setenv(runDirVariable, "/tmp/ovs")
	s, err := LoadSettings(name)
	require.NoError(t, err)
	require.Equal(t, "unix:/tmp/ovs/br7.mgmt", s.OpenFlow)
	require.Equal(t, "unix:/tmp/ovs/db.sock", s.OVSDB)
}

// The policy is found beside the settings, wherever the daemon was started.
func TestSettingsPathIsRelative(t *testing.T) {
	name := settingsFile(t, "policy: ../p/x.yaml")
	t.Chdir(filepath.Dir(name))
	s, err := LoadSettings("portcullis.yaml")
	require.NoError(t, err)
	want, err := filepath.EvalSymlinks(filepath.Dir(filepath.Dir(name)))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(want, "p/x.yaml"), s.Policy)
}

func TestSettingsFileMissing(t *testing.T) {
	_, err := LoadSettings(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestSettingsRefused(t *testing.T) {
	for _, c := range []configtest.Refusal{
		{Name: "unknown keys", Yaml: "§brigde: x\n§Bridge: y\n§log.level: debug\nlog: {§levle: x}",
			Want: []string{
				`: unknown key "brigde"; did you mean "bridge"?`,
				`: unknown key "Bridge"; did you mean "bridge"?`,
				`: unknown key "log.level"; known are`,
				`log: unknown key "levle"; did you mean "level"?`}},
		{Name: "repeated key", Yaml: "bridge: a\n§bridge: b",
			Want: []string{`bridge: the key "bridge" is here twice`}},
		{Name: "not a mapping", Yaml: "§[]", Want: []string{": must be a mapping"}},
		{Name: "syntax", Yaml: "bridge: §[", Want: []string{": not valid YAML"}},
		{Name: "anchor", Yaml: "bridge: §&a b", Want: []string{": anchors"}},
		{Name: "bridge", Yaml: "bridge: §''", Want: []string{"bridge: must not be empty"}},
		{Name: "bridge of 16 bytes", Yaml: "bridge: §br-0123456789abc",
			Want: []string{`bridge: is "br-0123456789abc" of 16 bytes; … at most 15`}},
		{Name: "bridge a number", Yaml: "bridge: §1",
			Want: []string{"bridge: must be text, not the number 1"}},
		{Name: "bridge null", Yaml: "§bridge:\n",
			Want: []string{"bridge: must be text, not nothing"}},
		{Name: "sources", Yaml: "uplink_sources: §loose",
			Want: []string{`uplink_sources: is "loose"; must be one of "routed", "strict"`}},
		{Name: "datapath", Yaml: "datapath_type: §dpdk",
			Want: []string{`datapath_type: is "dpdk"; must be one of "", "system", "netdev"`}},
		{Name: "host", Yaml: "host: §010", Want: []string{
			"host: must be text, not the number 010"}},
		{Name: "host with a space", Yaml: "host: §' a'", Want: []string{"host: must not begin"}},
		{Name: "uplinks a text", Yaml: "uplinks: §eth1", Want: []string{"uplinks: must be a list"}},
		{Name: "uplinks", Yaml: "uplinks: [eth1, §'', §a/b, §eth1, §br-int]",
			Want: []string{"uplinks[1]: must not be empty", "uplinks[2]: is",
				`uplinks[3]: "eth1" is listed twice`,
				`uplinks[4]: is "br-int", the bridge itself`}},
		{Name: "uplink a number", Yaml: "uplinks: [§1]",
			Want: []string{"uplinks[0]: must be text"}},
		{Name: "gateways",
			Yaml: "gateways: [§x, §203.0.113.0/24, §224.0.0.1, §'fe80::1%eth0', " +
				"§'::ffff:1.2.3.4', 203.0.113.1, §203.0.113.1, §'::']", Want: []string{
				`gateways[0]: is "x"; must be an address`, "gateways[1]: is",
				"gateways[2]: is 224.0.0.1, one of multicast",
				"gateways[3]: is … without the zone", "gateways[4]: is … write 1.2.3.4",
				"gateways[6]: 203.0.113.1 is listed twice", "gateways[7]: is ::"}},
		{Name: "DHCP servers", Yaml: "dhcp_servers: [§255.255.255.255]",
			Want: []string{"dhcp_servers[0]: is 255.255.255.255"}},
		{Name: "policy", Yaml: "policy: §''", Want: []string{"policy: must not be empty"}},
		{Name: "policy by ssl without files", Yaml: "policy: §ovsdb:unix:/a,ssl:a:6641",
			Want: []string{"policy: ssl: needs … missing: ca, certificate, key"}},
		{Name: "policy_tls without all", Yaml: "policy_tls: {ca: a.pem, key: §k.pem}",
			Want: []string{"policy_tls.key: ssl: needs … missing: certificate"}},
		{Name: "policy_tls", Yaml: "policy_tls: {§cert: a}",
			Want: []string{"policy_tls: unknown key \"cert\"; known are ca, certificate, key"}},
		{Name: "database", Yaml: "ovsdb: §/run/db.sock",
			Want: []string{
				`ovsdb: is "/run/db.sock"; must be unix:/PATH, tcp:HOST:PORT or ssl:HOST:PORT`}},
		{Name: "database at a relative path", Yaml: "ovsdb: §unix:db.sock",
			Want: []string{"ovsdb: is … absolute path"}},
		{Name: "database without port", Yaml: "ovsdb: §tcp:127.0.0.1",
			Want: []string{"ovsdb: is … must be tcp:HOST:PORT"}},
		{Name: "database without host", Yaml: "ovsdb: §tcp::6640",
			Want: []string{"ovsdb: is … must be tcp:HOST:PORT"}},
		{Name: "OpenFlow", Yaml: "openflow: §br-int", Want: []string{"openflow: is"}},
		{Name: "OpenFlow port", Yaml: "openflow: §tcp:a:65536",
			Want: []string{"openflow: is … must be tcp:HOST:PORT"}},
		{Name: "OpenFlow with keys that nobody names", Yaml: "openflow: §ssl:a:6653",
			Want: []string{`openflow: is "ssl:a:6653"; must be unix:/PATH, tcp:HOST:PORT`}},
		{Name: "database port", Yaml: "ovsdb: §ssl:a:65536",
			Want: []string{"ovsdb: is … must be ssl:HOST:PORT"}},
		{Name: "socket too long", Yaml: "api: §unix:/" + strings.Repeat("x", 107),
			Want: []string{"api: has a path of 108 bytes"}},
		{Name: "API on the network", Yaml: "api: §tcp:127.0.0.1:80",
			Want: []string{"api: is … must be unix:"}},
		{Name: "API empty", Yaml: "api: §''", Want: []string{"api: is"}},
		{Name: "api_listen, a port alone", Yaml: "api_listen: §9478", Want: []string{
			"api_listen: is … 9478 … must be an address of this host and a port"}},
		{Name: "api_listen without certificates", Yaml: "api_listen: §192.0.2.1:9478", Want: []string{
			"api_listen: needs ca, certificate and key in policy_tls"}},
		{Name: "api_listen everywhere", Yaml: "policy_tls: {ca: a, certificate: c, key: k}\n" +
			"api_listen: §0.0.0.0:9478", Want: []string{
			"api_listen: is … 0.0.0.0:9478 … such as 192.0.2.11:9478"}},
		{Name: "metrics", Yaml: "metrics: §9477", Want: []string{
			"metrics: is 9477, a port alone; write 127.0.0.1:9477 for this host"}},
		{Name: "metrics without port", Yaml: "metrics: §localhost",
			Want: []string{"metrics: is … must be HOST:PORT"}},
		{Name: "metrics service", Yaml: "metrics: §'localhost:http'",
			Want: []string{"metrics: is"}},
		{Name: "log", Yaml: "log: §debug", Want: []string{
			"log: must be a mapping with the keys level, format, not the text \"debug\""}},
		{Name: "log values", Yaml: "log: {level: §loud, format: §JSON}",
			Want: []string{`log.level: is "loud"; must be one of`,
				`log.format: is … did you mean "json"?`}},
	} {
		t.Run(c.Name, func(t *testing.T) {
			cleanEnvironment(t)
			text, at := configtest.Marked("s.yaml", c.Yaml)
			s, err := parseSettings(strictyaml.File{Name: "s.yaml", Data: []byte(text)})
			configtest.RequireErrors(t, err, at, c.Want)
			assert.Zero(t, s)
		})
	}
}

func TestSettingsOfEnvironmentRefused(t *testing.T) {
	name := settingsFile(t, "bridge: fine\nuplinks: [eth1]\nlog: {level: loud}")
	t.Setenv("PORTCULLIS_BRIDGE", "much-too-long-a-name")
	t.Setenv("PORTCULLIS_UPLINKS", "eth1,eth1")
	t.Setenv("PORTCULLIS_GATEWAY", "203.0.113.1")
	_, err := LoadSettings(name)
	var list strictyaml.Errors
	require.True(t, errors.As(err, &list))
	require.Equal(t, []string{
		"PORTCULLIS_GATEWAY: is not known; did you mean PORTCULLIS_GATEWAYS?",
		`PORTCULLIS_BRIDGE: is "much-too-long-a-name" of 20 bytes; the name of an interface has at most 15`,
		`PORTCULLIS_UPLINKS: "eth1" is listed twice`,
		name + `:3:14: log.level: is "loud"; must be one of "trace", "debug", "info", "warn", "error"`,
	}, strings.Split(list.Error(), "\n"))
}

func TestSettingsCheckPolicy(t *testing.T) {
	s := Settings{Bridge: "br-int", Host: "h1", Uplinks: []string{"eth1"},
		Gateways: []netip.Addr{netip.MustParseAddr("192.0.2.1"),
			netip.MustParseAddr("fe80::ff:fe00:1")}}
	for _, c := range []struct{ name, port, want string }{
		{"fits", "name: a, mac: 02:00:00:00:00:01, addresses: [192.0.2.2]@h1", ""},
		{"bridge", "name: br-int, mac: 02:00:00:00:00:01, addresses: [192.0.2.2]@h1",
			`the port "br-int" is the bridge itself`},
		{"bridge of another host",
			"name: br-int, mac: 02:00:00:00:00:01, addresses: [192.0.2.2]@h2", ""},
		{"uplink", "name: eth1, mac: 02:00:00:00:00:01, addresses: [192.0.2.2]",
			`the port "eth1" is an uplink in the settings`},
		{"uplink of another host", "name: eth1, mac: 02:00:00:00:00:01, addresses: [192.0.2.2]@h2",
			""},
		{"gateway", "name: a, mac: 02:00:00:00:00:01, addresses: [192.0.2.0/24]@h2",
			`the port "a" may use 192.0.2.0/24, but the settings list 192.0.2.1`},
		{"gateway allowed",
			"name: a, mac: 02:00:00:00:00:01, addresses: [192.0.2.2], allowed_addresses: " +
				"[{address: 192.0.2.1, mac: 00:00:5e:00:01:05}]",
			`the port "a" may use 192.0.2.1, but`},
		{"gateway in a wide network",
			"name: a, mac: 02:00:00:00:00:01, allowed_addresses: [192.0.0.0/3]",
			`the port "a" may use 192.0.0.0/3, but`},
		{"gateway's link-local address",
			"name: a, mac: 02:00:00:00:00:01, addresses: [2001:db8::1]",
			`the port "a" may use fe80::ff:fe00:1, but`},
		{"beside the gateway",
			"name: a, mac: 02:00:00:00:00:02, addresses: [192.0.2.2/31, 2001:db8::1], " +
				"allowed_addresses: [192.0.2.0, 32.0.0.0/3]", ""},
		{"trusted gateway",
			"name: a, mac: 02:00:00:00:00:01, addresses: [192.0.2.1], trusted: true", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _, err := policyfile.Parse([]strictyaml.File{
				{Name: "p.yaml", Data: []byte(configtest.Ports(c.port))}})
			require.NoError(t, err)
			err = s.Check(p, nil)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.Len(t, err, 1)
			require.ErrorContains(t, err, fmt.Sprintf("%s: %s", p.Instances[0].Ports[0].At, c.want))
		})
	}
}

// Files for TLS are found beside the settings, and by the environment.
func TestSettingsPolicyTLS(t *testing.T) {
	name := settingsFile(t, "policy: ovsdb:ssl:192.0.2.1:6641\npolicy_tls: {ca: tls/ca.pem, "+
		"certificate: /etc/c.pem, key: tls/k.pem}")
	folder := filepath.Dir(name)
	s, err := LoadSettings(name)
	require.NoError(t, err)
	require.Equal(t, TLSFiles{filepath.Join(folder, "tls/ca.pem"), "/etc/c.pem",
		filepath.Join(folder, "tls/k.pem")}, s.PolicyTLS)
	t.Setenv("PORTCULLIS_POLICY_TLS_KEY", "/run/k.pem")
	s, err = LoadSettings(name)
	require.NoError(t, err)
	require.Equal(t, "/run/k.pem", s.PolicyTLS.Key)
}
