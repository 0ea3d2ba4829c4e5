// The settings of one daemon, and the order in which their sources count: defaults, file,
// environment. Every command calls LoadSettings first; what it returns is complete and valid.

package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/viper"

	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// Settings say where the daemon runs and what is around it. Those that [LoadSettings] returns are
// complete and valid.
type Settings struct {
	Bridge       string // the name of the bridge
	DatapathType string // of the bridge: "" or "system" = kernel, "netdev" = userspace
	Host         string // instances of this host are local
	HostGiven    bool   // Host was set; else it is the hostname
	// ports of the bridge toward the physical network; never added or removed
	Uplinks []string
	// PluggedByOthers are patterns of devices that others add to the bridge: see
	// [Settings.IsPluggedByOthers].
	PluggedByOthers []string
	Gateways        []netip.Addr // whose gratuitous ARP and unsolicited NA are passed on
	DHCPServers     []netip.Addr // who may answer DHCP; empty = any behind an uplink or trusted port
	// UplinkSources says which source addresses frames of an uplink may have.
	UplinkSources policy.UplinkSources
	// absolute path of a file or folder, or ovsdb: and the endpoints of a policy database
	Policy string
	// PolicyTLS is what a database that is reached by ssl: needs.
	PolicyTLS TLSFiles
	OVSDB     string // endpoint of the database: unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT
	OpenFlow  string // endpoint of the bridge's OpenFlow management: unix:PATH or tcp:HOST:PORT
	API       string // endpoint of the daemon's own API: unix:PATH
	// APIListen is the address and port where the API server of the policy database asks this host,
	// by TLS with PolicyTLS; "" = nowhere.
	APIListen string
	Metrics   string // host:port to serve metrics on; "" = off
	Limits    policy.Limits
	// OutsideFragments is how many IP fragments a second come from outside to all ports together
	// that have no limit of their own.
	OutsideFragments policy.Limit
	// whether the first packets of what the rules deny are logged, at ports that choose nothing of
	// their own
	LogDenied bool
	Log       Log
	// StateDir is the folder of what the daemon keeps over restarts: the policies that were in
	// force, and who gained and lost access. [LoadSettings] makes its default.
	StateDir string
	History  History
}

// TLSFiles are absolute paths of PEM files: one's own certificate and its key, and the certificate
// of the authority that has signed the other side's. All are there, or none.
type TLSFiles struct{ CA, Certificate, Key string }

// History bounds what is kept in StateDir.
type History struct {
	Generations int // of the policy; 0 = nothing is kept there at all
	Megabytes   int // of policy files and of audit files, each; the last policy is kept whatever its size
}

// Log says what is logged, and how.
type Log struct {
	Level  string // trace, debug, info, warn or error
	Format string // text or json
}

// Site returns the settings that decide which traffic passes.
func (s Settings) Site() policy.Site {
	return policy.Site{Host: s.Host, Gateways: s.Gateways, DHCPServers: s.DHCPServers,
		Limits: s.Limits, OutsideFragments: s.OutsideFragments, LogDenied: s.LogDenied,
		UplinkSources: s.UplinkSources}
}

// DatabaseVariable names the policy database where --db does not.
const DatabaseVariable = "PORTCULLIS_DB"

// CredentialsVariable names the folder of the files for ssl: where --db-tls does not.
const CredentialsVariable = "PORTCULLIS_DB_TLS"

// databasePrefix is what the setting policy begins with where it names a database.
const databasePrefix = "ovsdb:"

// PolicyDatabase returns the endpoints of the policy database, with commas, if the policy comes
// from one.
func (s Settings) PolicyDatabase() (endpoint string, ok bool) {
	return strings.CutPrefix(s.Policy, databasePrefix)
}

const (
	envPrefix = "PORTCULLIS_"
	// OVS_RUNDIR is also what the tools of Open vSwitch look at (ovs-vsctl(8)).
	runDirVariable = "OVS_RUNDIR"
	defaultRunDir  = "/var/run/openvswitch"
)

// settingKeys are all the keys, in the order of the documentation. limits, log and
// history have keys of their own.
var settingKeys = []string{
	"bridge", "datapath_type", "host", "uplinks", keyPlugged, "gateways",
	"dhcp_servers", "uplink_sources",
	"policy", "policy_tls.ca", "policy_tls.certificate", "policy_tls.key", "ovsdb", "openflow", "api", "api_listen", "metrics",
	"limits.connections", "limits.new_connections_per_second", "limits.arp_nd_dhcp_per_second",
	"limits.fragments_per_second",
	"limits.outside_fragments_per_second", "log_denied", "log.level", "log.format",
	"state_dir", "history.generations", "history.megabytes",
}

// isBool says whether a setting is true or false.
func isBool(key string) bool { return key == "log_denied" }

// isNumber says whether a setting is a number.
func isNumber(key string) bool {
	return strings.HasPrefix(key, "limits.") || strings.HasPrefix(key, "history.")
}

// isList says whether a setting is a list of strings; all others are strings, numbers, or true or
// false.
func isList(key string) bool {
	return key == "uplinks" || key == "gateways" || key == "dhcp_servers" || key == keyPlugged
}

// variable returns the name of the environment variable that overrides a setting:
// PORTCULLIS_LOG_LEVEL for log.level.
func variable(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// lookup returns the environment's value of a setting.
func lookup(key string) (value string, ok bool) { return os.LookupEnv(variable(key)) }

// defaults returns what holds where neither the file nor the environment says anything. The empty
// host and endpoints are filled in by complete.
func defaults() map[string]any {
	return map[string]any{
		"bridge": "br-int", "datapath_type": "", "host": "", "uplinks": []string{},
		keyPlugged: slices.Clone(proxmoxDevices),
		"gateways": []string{}, "dhcp_servers": []string{},
		"uplink_sources": policy.RoutedSources.String(),
		"policy":         "policy.yaml", "policy_tls.ca": "", "policy_tls.certificate": "",
		"policy_tls.key": "", "ovsdb": "", "openflow": "", "api_listen": "",
		"api":     "unix:/run/portcullis/portcullis.sock",
		"metrics": "127.0.0.1:9477", "limits.connections": "20000",
		"limits.new_connections_per_second": "0", "limits.arp_nd_dhcp_per_second": "300",
		"limits.fragments_per_second": "25", "limits.outside_fragments_per_second": "150",
		"log_denied": "false", "log.level": "info", "log.format": "text",
		"state_dir": "", "history.generations": "100", "history.megabytes": "256",
	}
}

// LoadSettings reads the settings file at path; environment variables named PORTCULLIS_* override
// it. Errors are of type [strictyaml.Errors] if the file could be read, else of the file system.
func LoadSettings(path string) (Settings, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Settings{}, fmt.Errorf("reading the settings: %w", err)
	}
	data, err := policydir.ReadFile(path)
	if err != nil {
		return Settings{}, fmt.Errorf("reading the settings: %w", err)
	}
	s, err := parseSettings(strictyaml.File{Name: path, Data: data})
	if s.HostGiven = s.Host != ""; err != nil || s.HostGiven {
		return s, err
	}
	if s.Host, err = os.Hostname(); err != nil {
		return Settings{}, fmt.Errorf("finding the default of the setting host: %w", err)
	}
	return s, nil
}

// parseSettings is LoadSettings without files. The host may still be empty.
func parseSettings(file strictyaml.File) (Settings, error) {
	r := settingsReader{viper: viper.New(), places: make(map[string]strictyaml.Location)}
	for key, value := range defaultsOf(file.Name) {
		r.viper.SetDefault(key, value)
		// Every variable is bound by name: with AutomaticEnv, a stray PORTCULLIS_LOG would hide
		// log.level and log.format.
		if err := r.viper.BindEnv(key, variable(key)); err != nil {
			return Settings{}, fmt.Errorf("binding %s: %w", variable(key), err)
		}
	}
	r.viper.AllowEmptyEnv(true) // PORTCULLIS_METRICS="" turns metrics off
	r.environment(os.Environ())
	if err := r.viper.MergeConfigMap(r.file(file)); err != nil {
		return Settings{}, fmt.Errorf("merging %s: %w", file.Name, err)
	}
	s := r.settings()
	if problems, _ := r.out.Sorted(); len(problems) > 0 {
		return Settings{}, problems
	}
	return s.complete(file.Name), nil
}

// complete fills in what depends on other settings, and on the path of their file.
func (s Settings) complete(path string) Settings {
	folder := filepath.Dir(path)
	if s.StateDir == "" {
		s.StateDir = stateDirOf(path)
	}
	runDir := os.Getenv(runDirVariable)
	if runDir == "" {
		runDir = defaultRunDir
	}
	if s.OVSDB == "" {
		s.OVSDB = "unix:" + filepath.Join(runDir, "db.sock")
	}
	if s.OpenFlow == "" {
		s.OpenFlow = "unix:" + filepath.Join(runDir, s.Bridge+".mgmt")
	}
	if !filepath.IsAbs(s.StateDir) {
		s.StateDir = filepath.Join(folder, s.StateDir)
	}
	for _, path := range []*string{&s.PolicyTLS.CA, &s.PolicyTLS.Certificate, &s.PolicyTLS.Key} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
	if _, isDatabase := s.PolicyDatabase(); !isDatabase && !filepath.IsAbs(s.Policy) {
		s.Policy = filepath.Join(folder, s.Policy)
	}
	return s
}
