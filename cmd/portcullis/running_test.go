package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What was checked is what runs, or the difference is counted.
func TestCheckAgainstRunning(t *testing.T) {
	d := newDaemon(t)
	none := call(t, "check", "--against-running", "--config", d.settings)
	require.Equal(t, 1, none.code)
	require.Contains(t, none.errOut, "the daemon does not answer")
	d.ready()
	d.settled()
	same := call(t, "check", "--against-running", "--config", d.settings)
	require.Equal(t, 0, same.code, same.errOut)
	require.Contains(t, same.out, "\nin force: the daemon runs this policy\n")

	other := filepath.Join(t.TempDir(), "other.yaml")
	require.NoError(t, os.WriteFile(other, []byte(strings.Replace(goodPolicy, "ports: 80",
		"ports: 443", 1)), 0o600))
	differs := call(t, "check", "--against-running", "--config", d.settings, other)
	require.Equal(t, 1, differs.code)
	require.Contains(t, differs.out, "not in force: 1 access lost, 1 gained, ")
	require.Contains(t, differs.out, "see: portcullis plan")
	asJSON := call(t, "check", "--against-running", "-o", "json", "--config", d.settings, other)
	require.Equal(t, 1, asJSON.code)
	var got struct {
		Valid, Passed bool
		Running       struct {
			InSync  bool `json:"in_sync"`
			Summary struct {
				AccessLost int `json:"access_lost"`
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(asJSON.out), &got))
	require.True(t, got.Valid)
	require.False(t, got.Passed)
	require.False(t, got.Running.InSync)
	require.Equal(t, 1, got.Running.Summary.AccessLost)

	require.NoError(t, os.WriteFile(other, []byte("groups: 3\n"), 0o600))
	broken := call(t, "check", "--against-running", "--config", d.settings, other)
	require.Equal(t, 1, broken.code)
	require.NotContains(t, broken.out, "in force", "only what is valid is held against the daemon")
	require.Equal(t, 2, call(t, "check", "--timeout", "0s", "--config", d.settings).code)
}
