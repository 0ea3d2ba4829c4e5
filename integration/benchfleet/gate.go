package benchfleet

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/portcullis/portcullis/integration/gate"
	"github.com/portcullis/portcullis/integration/measure"
)

// A gate between a host and its server. hosts.go and reconnect.go call this.

func newGate(s *measure.Shim, behind string) (*gate.Gate, error) {
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	g, err := gate.New(filepath.Join(dir, "db.sock"), behind)
	if err == nil {
		s.Cleanup(g.Close)
	}
	return g, err
}
