// Settings without a file, for questions about a policy on a machine that runs no daemon.

package config

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/portcullis/portcullis/config/strictyaml"
)

// DefaultSettings are those of an empty settings file in a folder. What the environment says counts
// as ever.
func DefaultSettings(folder string) (Settings, error) {
	s, err := parseSettings(strictyaml.File{Name: filepath.Join(folder, "portcullis.yaml")})
	if s.HostGiven = s.Host != ""; err != nil || s.HostGiven {
		return s, err
	}
	if s.Host, err = os.Hostname(); err != nil {
		return Settings{}, fmt.Errorf("finding the default of the setting host: %w", err)
	}
	return s, nil
}
