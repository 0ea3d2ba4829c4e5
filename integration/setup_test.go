//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/integration/testnet"
)

var families = []testnet.Family{testnet.IPv4, testnet.IPv6}

// newWorld builds a world that ends with the test, and reports on it if the test fails.
func newWorld(t *testing.T, spec testnet.Spec) *testnet.World {
	t.Helper()
	requireCapable(t)
	w, err := testnet.New(spec)
	if w != nil {
		t.Cleanup(func() {
			report := ""
			if t.Failed() {
				report = w.Report()
			}
			if err := w.Close(); err != nil {
				t.Errorf("end the world: %v", err)
			}
			if report != "" {
				saveReport(t, report)
			}
		})
	}
	require.NoError(t, err)
	return w
}

// saveReport keeps the report of a failed test where PORTCULLIS_REPORTS says, else in the test's
// log.
func saveReport(t *testing.T, report string) {
	dir := os.Getenv("PORTCULLIS_REPORTS")
	if dir == "" {
		t.Log(report)
		return
	}
	name := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "_")+".txt")
	if err := os.WriteFile(name, []byte(report), 0o600); err != nil {
		t.Log(report)
		return
	}
	t.Logf("report: %s", name)
}

// daemon is the program under test: PORTCULLIS_BIN, or bin/portcullis of this repository. Nothing
// here builds it.
func daemon(t *testing.T) string {
	t.Helper()
	name := os.Getenv("PORTCULLIS_BIN")
	if name == "" {
		name = filepath.Join("..", "bin", "portcullis")
	}
	name, err := filepath.Abs(name)
	require.NoError(t, err)
	_, err = os.Stat(name)
	require.NoError(t, err,
		"the program must be built first, as bin/portcullis or what PORTCULLIS_BIN names")
	return name
}

// requireCapable skips the test, loudly, where namespaces or Open vSwitch are not to be had; with
// CI=true or PORTCULLIS_REQUIRE_OVS=1 it fails instead.
func requireCapable(t *testing.T) {
	t.Helper()
	if reason := missing(); reason != "" {
		skip(t, reason)
	}
}

// requireTool is requireCapable for a program that few tests need.
func requireTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		skip(t, err.Error())
	}
}

func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("PORTCULLIS_REQUIRE_OVS") == "1" {
		t.Fatalf("required here: %s", reason)
	}
	t.Skipf("SKIPPED, NOT TESTED: %s (set PORTCULLIS_REQUIRE_OVS=1 to fail instead)", reason)
}

func missing() string {
	for _, tool := range []string{"ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-vswitchd",
		"ovs-ofctl", "ovs-appctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Sprintf("Open vSwitch is not installed: %v", err)
		}
	}
	if err := unix.Access("/dev/net/tun", unix.W_OK); err != nil {
		return fmt.Sprintf("/dev/net/tun: %v", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Sprintf("capabilities: %v", err)
	}
	for _, c := range []struct {
		number int
		name   string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
		{unix.CAP_NET_RAW, "CAP_NET_RAW"}} {
		if sets[0].Effective&(1<<c.number) == 0 {
			return "root with " + c.name + " is needed"
		}
	}
	return ""
}

// receives sends a frame and asserts who receives it: exactly these, promiscuous as they all are.
// No names means nobody.
func receives(t *testing.T, w *testnet.World, from string, f testnet.Frame, receivers ...string) {
	t.Helper()
	receivesAll(t, w, from, []testnet.Frame{f}, receivers...)
}

// receivesAll is receives for several frames: those who receive any of them. Frames that must
// arrive, and have not, are sent once more, because a very busy machine loses one now and then; one
// that must not arrive fails the test at once.
func receivesAll(t *testing.T, w *testnet.World, from string, frames []testnet.Frame,
	receivers ...string) {
	t.Helper()
	got, err := w.Receivers(from, frames...)
	require.NoError(t, err)
	require.Subset(t, receivers, got, "who receives, from %s: %s", from, frames[0])
	if len(got) < len(receivers) {
		got, err = w.Receivers(from, frames...)
		require.NoError(t, err)
	}
	require.ElementsMatch(t, receivers, got, "who receives, from %s: %s", from, frames[0])
}
