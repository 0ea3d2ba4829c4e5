// The settings from their sources to typed values. Called by LoadSettings; every mistake is
// reported with the file and line, or the variable, that it comes from.

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/viper"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// The words that settings may have. Never changed.
var (
	datapathTypes = []string{"", "system", "netdev"}
	logLevels     = []string{"trace", "debug", "info", "warn", "error"}
	logFormats    = []string{"text", "json"}
)

// settingsReader layers defaults, file and environment by viper, and remembers where each value of
// the file stands.
//
// The file is not parsed by viper: that would take keys in any case and with dots, read 010 as 8,
// and know no positions.
type settingsReader struct {
	viper  *viper.Viper
	out    strictyaml.Report
	places map[string]strictyaml.Location // of the values that the file has
}

// environment reports variables that are nearly one of ours: the setting would silently keep its
// old value. Others with our prefix are left alone, as container platforms make variables such as
// PORTCULLIS_SERVICE_HOST by themselves.
func (r *settingsReader) environment(variables []string) {
	known := make([]string, len(settingKeys), len(settingKeys)+1)
	for i, key := range settingKeys {
		known[i] = strings.TrimPrefix(variable(key), envPrefix)
	}
	known = append(known, strings.TrimPrefix(DatabaseVariable, envPrefix),
		strings.TrimPrefix(CredentialsVariable, envPrefix))
	for _, v := range variables {
		name, _, _ := strings.Cut(v, "=")
		word, ours := strings.CutPrefix(name, envPrefix)
		if !ours || slices.Contains(known, word) {
			continue
		}
		if near, ok := wording.Nearest(word, known); ok {
			r.out.Errors = append(r.out.Errors, strictyaml.Error{Field: name,
				Message: "is not known; did you mean " + envPrefix + near + "?"})
		}
	}
}

// file reads the settings file to nested maps of strings and lists of strings.
func (r *settingsReader) file(f strictyaml.File) map[string]any {
	root, ok := strictyaml.Document(f, &r.out)
	if !ok || root.IsEmpty() {
		return nil
	}
	var top []string
	nested := map[string][]string{}
	for _, key := range settingKeys {
		outer, inner, ok := strings.Cut(key, ".")
		if ok {
			nested[outer] = append(nested[outer], inner)
		}
		if !slices.Contains(top, outer) {
			top = append(top, outer)
		}
	}
	values, _ := root.HintedFields(map[string]string{"groups": ofPolicy, "instances": ofPolicy,
		"networks": ofPolicy, "rules": ofPolicy}, top...)
	out := map[string]any{}
	for outer, keys := range nested {
		if section, ok := values[outer]; ok {
			inner, _ := section.Fields(keys...)
			out[outer] = r.values(inner, outer+".")
			delete(values, outer)
		}
	}
	for key, value := range r.values(values, "") {
		out[key] = value
	}
	return out
}

func (r *settingsReader) values(f strictyaml.Fields, prefix string) map[string]any {
	out := make(map[string]any, len(f))
	for key, value := range f {
		full := prefix + key
		switch {
		case isList(full):
			r.list(value, full, out)
		case isNumber(full):
			if n, ok := value.Number(0, int64(policy.MaxLimit)); ok {
				out[key] = strconv.FormatInt(n, 10)
				r.places[full] = value.Location()
			}
		case isBool(full):
			if yes, ok := value.Boolean(); ok {
				out[key] = strconv.FormatBool(yes)
				r.places[full] = value.Location()
			}
		default:
			if s, ok := textOf(value, key); ok {
				out[key] = s
				r.places[full] = value.Location()
			}
		}
	}
	return out
}

// ofPolicy is said of keys that a policy file has.
const ofPolicy = "it is of a policy file, not of the settings; the setting policy names that file"

// textOf reads a text. A port alone, which is a number, is told what it lacks.
func textOf(value strictyaml.Node, key string) (string, bool) {
	if word, ok := value.Word(); ok && (key == "metrics" || key == "api_listen") {
		return word, true
	}
	return value.Text()
}

func (r *settingsReader) list(value strictyaml.Node, key string, out map[string]any) {
	entries, ok := value.Entries()
	if !ok {
		return
	}
	words := make([]string, 0, len(entries))
	for i, e := range entries {
		s, ok := e.Text()
		if !ok {
			return
		}
		words = append(words, s)
		r.places[key+"."+strconv.Itoa(i)] = e.Location()
	}
	out[key] = words
	r.places[key] = value.Location()
}

// settings checks every value, from wherever it came.
func (r *settingsReader) settings() Settings {
	return Settings{
		Bridge:          r.text("bridge", policy.BadInterface),
		DatapathType:    r.text("datapath_type", badDatapathType),
		Host:            r.text("host", badHost),
		Uplinks:         r.uplinks(),
		PluggedByOthers: r.plugged(),
		Gateways:        r.addresses("gateways"),
		DHCPServers:     r.addresses("dhcp_servers"),
		UplinkSources:   uplinkSources[r.text("uplink_sources", oneOf(uplinkSourceWords...))],
		Policy:          r.text("policy", badPolicy),
		PolicyTLS:       r.policyTLS(),
		OVSDB:           r.text("ovsdb", orEmpty(badEndpoint("tcp", "ssl"))),
		OpenFlow:        r.text("openflow", orEmpty(badEndpoint("tcp"))),
		API:             r.text("api", badSocket),
		APIListen:       r.apiListen(),
		Metrics:         r.text("metrics", orEmpty(badHostPort)),
		Limits: policy.Limits{
			Connections:    r.limit("limits.connections"),
			NewConnections: r.limit("limits.new_connections_per_second"),
			ARPNDDHCP:      r.limit("limits.arp_nd_dhcp_per_second"),
			Fragments:      r.limit("limits.fragments_per_second"),
		},
		OutsideFragments: r.limit("limits.outside_fragments_per_second"),
		LogDenied:        r.text("log_denied", oneOf("true", "false")) == "true",
		Log: Log{
			Level:  r.text("log.level", oneOf(logLevels...)),
			Format: r.text("log.format", oneOf(logFormats...)),
		},
		StateDir: r.text("state_dir", orEmpty(badPath)),
		History: History{Generations: int(r.limit("history.generations")),
			Megabytes: int(r.limit("history.megabytes"))},
	}
}

// policyTLS reads the files of policy_tls: all or none.
func (r *settingsReader) policyTLS() TLSFiles {
	var paths [3]string
	given, missing := []string{"policy"}, []string{}
	for n, name := range []string{"ca", "certificate", "key"} {
		key := "policy_tls." + name
		if paths[n] = r.text(key, orEmpty(badPath)); paths[n] == "" {
			missing = append(missing, name)
		} else {
			given = append(given, key)
		}
	}
	isNeeded := slices.ContainsFunc(strings.FieldsFunc(r.viper.GetString("policy"),
		func(c rune) bool { return c == ',' }), func(one string) bool {
		return strings.HasPrefix(strings.TrimPrefix(one, databasePrefix), "ssl:")
	})
	if len(missing) > 0 && (isNeeded || len(missing) < len(paths)) {
		r.errorf(given[len(given)-1], -1, "ssl: needs ca, certificate and key in policy_tls; "+
			"missing: %s", strings.Join(missing, ", "))
	}
	return TLSFiles{CA: paths[0], Certificate: paths[1], Key: paths[2]}
}

// apiListen reads where the API server asks. Who asks must be known, so that it is by TLS only.
func (r *settingsReader) apiListen() string {
	text := r.text("api_listen", orEmpty(badOwnAddress))
	hasAll := true
	for _, name := range []string{"ca", "certificate", "key"} {
		hasAll = hasAll && r.viper.GetString("policy_tls."+name) != ""
	}
	if text != "" && badOwnAddress(text) == "" && !hasAll {
		r.errorf("api_listen", -1, "needs ca, certificate and key in policy_tls: who asks there "+
			"must be known")
	}
	return text
}

var (
	uplinkSources = map[string]policy.UplinkSources{
		policy.RoutedSources.String(): policy.RoutedSources,
		policy.StrictSources.String(): policy.StrictSources}
	uplinkSourceWords = []string{policy.RoutedSources.String(), policy.StrictSources.String()}
)

func (r *settingsReader) text(key string, bad func(string) string) string {
	value := r.viper.GetString(key)
	if problem := bad(value); problem != "" {
		r.errorf(key, -1, "%s", problem)
	}
	return value
}

// limit reads a number. 0 is none: the zero Limit.
func (r *settingsReader) limit(key string) policy.Limit {
	value := r.viper.GetString(key)
	n, ok := strictyaml.Decimal(value)
	if !ok || n < 0 || n > int64(policy.MaxLimit) {
		r.errorf(key, -1, "is %s; must be a decimal number from 0 to %d", wording.Quote(value),
			policy.MaxLimit)
		return 0
	}
	return policy.Limit(n)
}

func (r *settingsReader) uplinks() []string {
	words := r.words("uplinks")
	for i, name := range words {
		problem := policy.BadInterface(name)
		switch {
		case problem != "":
			r.errorf("uplinks", i, "%s", problem)
		case name == r.viper.GetString("bridge"):
			r.errorf("uplinks", i,
				"is %s, the bridge itself; name the bridge's port toward the physical network",
				wording.Quote(name))
		case slices.Contains(words[:i], name):
			r.errorf("uplinks", i, "%s is listed twice", wording.Quote(name))
		}
	}
	return words
}

func (r *settingsReader) addresses(key string) []netip.Addr {
	words := r.words(key)
	out := make([]netip.Addr, 0, len(words))
	for i, word := range words {
		a, problem := policyfile.ParseAddress(word)
		if problem == "" {
			problem = policy.BadOwn(netip.PrefixFrom(a, a.BitLen()))
		}
		switch {
		case problem != "":
			r.errorf(key, i, "%s", problem)
		case slices.Contains(out, a):
			r.errorf(key, i, "%s is listed twice", a)
		default:
			out = append(out, a)
		}
	}
	return out
}

// words returns a list; in the environment it is written with commas or spaces.
func (r *settingsReader) words(key string) []string {
	switch v := r.viper.Get(key).(type) {
	case string:
		return strings.FieldsFunc(v, func(c rune) bool { return c == ',' || c == ' ' })
	case []string:
		return v
	}
	return nil
}

// errorf reports a value where it was written: the variable, if there is one, else the file, else
// the key alone. An index below 0 is none.
func (r *settingsReader) errorf(key string, index int, format string, args ...any) {
	e := strictyaml.Error{Field: key, Message: fmt.Sprintf(format, args...)}
	place, ok := r.places[key]
	if index >= 0 {
		place, ok = r.places[key+"."+strconv.Itoa(index)]
	}
	if ok {
		e.At, e.Field = place.Pos, place.Path.String()
	}
	if _, isSet := lookup(key); isSet {
		e.At, e.Field = strictyaml.Error{}.At, variable(key)
	}
	r.out.Errors = append(r.out.Errors, e)
}
