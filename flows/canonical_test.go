package flows_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
)

// requireOVS skips a test, loudly, where Open vSwitch is missing; where it must not be missing, the
// test fails.
func requireOVS(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("PORTCULLIS_REQUIRE_OVS") != "" {
			t.Fatalf("%s is missing: %v", tool, err)
		}
		t.Skipf("SKIPPED, %s is missing: %v", tool, err)
	}
}

// Open vSwitch prints our flows as we do: else a comparison of texts would never come to rest.
func TestFlowsAreCanonical(t *testing.T) {
	requireOVS(t, "ovs-ofctl")
	p, err := flows.Compile(flowtest.Seed())
	require.NoError(t, err)
	printed := parseFlows(t, p.String())
	require.Len(t, printed, len(p.Flows))
	for i, f := range p.Flows {
		want := fmt.Sprintf("ADD table:%d priority=%d,%s cookie:0x%x actions=%s", f.Table, f.Priority,
			f.Match, f.Cookie, f.Actions)
		if f.Table == 0 {
			want = fmt.Sprintf("ADD priority=%d,%s cookie:0x%x actions=%s", f.Priority, f.Match, f.Cookie,
				f.Actions)
		}
		require.Equal(t, strings.Replace(want, ", cookie", " cookie", 1), printed[i])
	}
}

// parseFlows returns the flow mods that ovs-ofctl makes of a flow file.
func parseFlows(t *testing.T, text string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "flows")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	out, err := exec.Command("ovs-ofctl", "-O", "OpenFlow15", "parse-flows", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	var mods []string
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		if _, mod, ok := strings.Cut(line, "): ADD "); ok {
			mods = append(mods, "ADD "+mod)
		}
	}
	return mods
}
