// The settings of a daemon among several on a host, whose file is named after its bridge.

package config

import (
	"path/filepath"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// A host with several bridges has a daemon for each (portcullis@BRIDGE.service), whose settings are
// in a file of the bridge's name. What such a file leaves out must not be what another daemon has.

const (
	// Folder is where the settings of the units of systemd are.
	Folder = "/etc/portcullis"
	// mainFile is the file of the host's only, or first, daemon.
	mainFile = "portcullis.yaml"
	// socketFolder is where the daemons' own sockets are.
	socketFolder = "/run/portcullis"
	// stateFolder is where the daemons of systemd's units keep what outlives them.
	stateFolder = "/var/lib/portcullis"
)

// stateDirOf is the default of state_dir. Every settings file has a folder of its own: no daemon
// ever runs what another has kept.
func stateDirOf(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".yaml")
	if filepath.Dir(path) == Folder {
		return filepath.Join(stateFolder, name)
	}
	return filepath.Join(filepath.Dir(path), name+".state")
}

// BridgeOf returns the bridge whose settings a file holds by its name: br-ext for
// /etc/portcullis/br-ext.yaml; "" for portcullis.yaml there, and for every file elsewhere.
func BridgeOf(path string) string {
	name, isYAML := strings.CutSuffix(filepath.Base(path), ".yaml")
	if filepath.Dir(path) != Folder || !isYAML || filepath.Base(path) == mainFile ||
		policy.BadInterface(name) != "" {
		return ""
	}
	return name
}

// defaultsOf are the defaults of a settings file. That of a bridge has its own: the bridge, a
// folder of policy files of its name beside the file, and a socket of its name. Its port of metrics
// must be said: no number follows from a name.
func defaultsOf(path string) map[string]any {
	out := defaults()
	if bridge := BridgeOf(path); bridge != "" {
		out["bridge"], out["policy"] = bridge, bridge
		out["api"] = "unix:" + filepath.Join(socketFolder, bridge+".sock")
	}
	return out
}
