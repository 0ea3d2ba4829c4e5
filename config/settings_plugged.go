// The setting that says who adds devices to the bridge. Read with the other settings; the agent
// asks IsPluggedByOthers for each port of this host.

package config

import (
	"path"
	"slices"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// keyPlugged is the setting.
const keyPlugged = "plugged_by_others"

// proxmoxDevices are the names that Proxmox VE gives: of a machine's card, of a container's, and of
// the port that it makes for either where its own firewall is on. Never changed.
var proxmoxDevices = []string{"tap[0-9]*i[0-9]*", "veth[0-9]*i[0-9]*", "fwln[0-9]*o[0-9]*"}

// IsPluggedByOthers says whether somebody else adds a device of this name to the bridge: Portcullis
// adopts its row, and makes none.
func (s Settings) IsPluggedByOthers(device string) bool {
	return slices.ContainsFunc(s.PluggedByOthers, func(pattern string) bool {
		fits, err := path.Match(pattern, device)
		return err == nil && fits
	})
}

// plugged reads the patterns.
func (r *settingsReader) plugged() []string {
	words := r.words(keyPlugged)
	for i, pattern := range words {
		_, err := path.Match(pattern, "")
		switch {
		case pattern == "":
			r.errorf(keyPlugged, i, "is empty; write a name such as tap100i0, or a pattern of names, "+
				"tap[0-9]*i[0-9]*")
		case err != nil:
			r.errorf(keyPlugged, i, "%s is no pattern: each [ needs a ], with something between; "+
				"write tap[0-9]*i[0-9]*", wording.Quote(pattern))
		case slices.Contains(words[:i], pattern):
			r.errorf(keyPlugged, i, "%s is listed twice", wording.Quote(pattern))
		}
	}
	return words
}
