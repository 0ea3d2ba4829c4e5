package flows_test

import (
	"go/build"
	"testing"

	"github.com/stretchr/testify/require"
)

// The core is pure: it cannot do I/O, read a clock or log, because it does not import what could.
func TestCoreIsPure(t *testing.T) {
	forbidden := map[string]string{
		"os": "I/O", "os/exec": "I/O", "io": "I/O", "io/fs": "I/O", "net": "I/O; netip is fine",
		"time": "a clock", "context": "there is nothing to cancel",
		"sync": "one goroutine", "log": "errors are returned", "log/slog": "errors are returned",
		"math/rand":                  "the same input gives the same bytes",
		"math/rand/v2":               "the same input gives the same bytes",
		"github.com/sirupsen/logrus": "errors are returned", "github.com/ovn-org/libovsdb/client": "I/O",
	}
	for _, dir := range []string{".", "policy", "spec", "explain", "matrix", "flowtest", "attribution"} {
		pkg, err := build.ImportDir(dir, 0)
		require.NoError(t, err)
		require.NotEmpty(t, pkg.Doc, "%s has no package comment", dir)
		for _, path := range pkg.Imports {
			if dir == "." && path == "sync" {
				continue // units are written on all processors; the flows are the same
			}
			require.NotContains(t, forbidden, path, "%s imports %s: %s", dir, path, forbidden[path])
		}
	}
}
