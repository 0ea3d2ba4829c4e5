package live

import (
	"path/filepath"
	"strings"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/config"
)

// Where files are is said as seen from the folder of the settings: an operator knows it, and a
// screen is narrow.

// places shortens paths in texts.
type places struct{ folders []string }

// newPlaces knows the folders of the settings and of the policy.
func newPlaces(f *cli.Files) places {
	var p places
	add := func(folder string) {
		if absolute, err := filepath.Abs(folder); err == nil && absolute != "/" {
			p.folders = append(p.folders, absolute+"/")
		}
	}
	add(filepath.Dir(f.Config))
	if settings, err := config.LoadSettings(f.Config); err == nil {
		add(filepath.Dir(settings.Policy))
	}
	return p
}

// short is a text with paths from the folders.
func (p places) short(text string) string {
	for _, folder := range p.folders {
		text = strings.ReplaceAll(text, folder, "")
	}
	return text
}
