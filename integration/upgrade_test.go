//go:build integration

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// anotherRelease builds the program once more, as another release of the same code.
func anotherRelease(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: without Go there is no other release to upgrade to")
	}
	name := filepath.Join(t.TempDir(), "portcullis")
	build := exec.Command(tool, "build", "-trimpath", "-ldflags", "-X main.release=v999.0.0-upgrade",
		"-o", name, "../cmd/portcullis")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return name
}

// everyTraffic is all that may be lost: both sides alone, both families, UDP, TCP and pings, from
// beyond and between two instances.
func everyTraffic(t *testing.T, w *testnet.World) map[string]*testnet.Stream {
	t.Helper()
	streams := everyPair(t, w)
	pour(t, w, streams, "client", "a", 5006)
	for _, f := range families {
		s, err := w.Pings("client", "a", f)
		require.NoError(t, err)
		streams["pings, "+f.String()] = s
	}
	flows(t, streams)
	return streams
}

func upgradePolicy() string {
	g := group{name: "g",
		rules: []string{in("udp 5000-5010", any4), in("udp 5000-5010", any6), in("tcp 5000-5010", any4),
			in("tcp 5000-5010", any6),
			in("icmp 8/0", any4), in("icmpv6 128/0", any6)}}
	return document([]group{g, {name: "h", rules: []string{in("tcp 80", "@g"), out("tcp 443", any4)}}},
		vm("a", 11, "g"), vm("b", 21, "g"), vm("c", 31, "h"))
}

// another binary takes over from the one before, back and forth, stopped or killed: no flow
// mod, the same zones, epochs and revision, and no packet is lost.
func TestR8_Upgrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: upgradePolicy(), Outside: outside(), Daemon: daemon(t)})
	releases := []string{anotherRelease(t), daemon(t)}
	streams := everyTraffic(t, w)
	before := programOf(t, w)
	was, err := w.Status()
	require.NoError(t, err)
	version, err := w.Portcullis("version")
	require.NoError(t, err)
	for name, end := range map[string]func() error{"stopped": w.StopDaemon, "killed": w.KillDaemon} {
		for _, release := range releases {
			t.Run(name, func(t *testing.T) {
				require.NoError(t, end())
				w.UseDaemon(release)
				require.NoError(t, w.StartDaemon())
				require.NoError(t, w.AwaitProgrammed())
				text, err := w.Portcullis("version")
				require.NoError(t, err)
				require.NotEqual(t, version, text, "another release")
				version = text
				now, err := w.Status()
				require.NoError(t, err)
				require.Zero(t, now.Apply.Adds+now.Apply.Deletes, "flow mods")
				require.Equal(t, was.Ports, now.Ports)
				require.Equal(t, was.Revision, now.Revision)
				require.Equal(t, before, programOf(t, w))
			})
		}
	}
	complete(t, streams)
	logReceived(t, streams)
}

// where the release before has written other flows, the upgrade is one bundle, and costs no
// packet either; what it denied stays denied.
func TestR8_UpgradeFromOtherFlows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{Policy: upgradePolicy(), Outside: outside(), Daemon: daemon(t)})
	streams := everyTraffic(t, w)
	before := programOf(t, w)
	shots := map[string]testnet.Frame{}
	for _, f := range families {
		shots["denied, "+f.String()] = w.Opening("client", "a", testnet.UDP(6000), f).Frame()
	}
	b := fire(t, w, shots, map[string]string{"denied, IPv4": "client", "denied, IPv6": "client"})
	require.NoError(t, w.StopDaemon())
	path := filepath.Join(w.Dir, "other.flows")
	require.NoError(t, os.WriteFile(path, []byte(otherFlows(before)), 0o600))
	_, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "--bundle", "replace-flows",
		testnet.Bridge, path)
	require.NoError(t, err)
	require.NotEqual(t, before, programOf(t, w))
	require.NoError(t, w.StartDaemon())
	require.NoError(t, w.AwaitProgrammed())
	awaitShape(t, w, before)
	now, err := w.Status()
	require.NoError(t, err)
	require.Equal(t, 1, now.Counters.Applies, "bundles")
	t.Logf("%d flows added, %d deleted", now.Apply.Adds, now.Apply.Deletes)
	requireCompiled(t, w)
	complete(t, streams)
	b.nothing(t, "client")
	logReceived(t, streams)
}

// priorities and cookies are where a flow has them.
var prioritiesAndCookies = regexp.MustCompile(`(priority=)(\d+)|(cookie=0x)[0-9a-f]+`)

// otherFlows is a program that does the same, of which every flow is another one: its cookie, and
// all priorities but the last.
func otherFlows(program string) string {
	return prioritiesAndCookies.ReplaceAllStringFunc(program, func(field string) string {
		if number, ok := strings.CutPrefix(field, "priority="); ok && number != "0" {
			n, _ := strconv.Atoi(number)
			return "priority=" + strconv.Itoa(n+1)
		}
		if strings.HasPrefix(field, "cookie=") {
			return "cookie=0x77"
		}
		return field
	})
}

// the upgrade from the release that PORTCULLIS_OLD_BIN names: no packet is lost, whatever that
// one has written, and back again.
func TestR8_UpgradeFromOldRelease(t *testing.T) {
	old := os.Getenv("PORTCULLIS_OLD_BIN")
	if old == "" {
		t.Skip("SKIPPED, NOT TESTED: PORTCULLIS_OLD_BIN names no older release")
	}
	w := newWorld(t, testnet.Spec{Policy: upgradePolicy(), Outside: outside(), Daemon: old})
	streams := everyTraffic(t, w)
	for _, release := range []string{daemon(t), old, daemon(t)} {
		require.NoError(t, w.StopDaemon())
		w.UseDaemon(release)
		require.NoError(t, w.StartDaemon())
		require.NoError(t, w.AwaitProgrammed())
		now, err := w.Status()
		require.NoError(t, err)
		t.Logf("%s: %d flows added, %d deleted", release, now.Apply.Adds, now.Apply.Deletes)
		admits(t, w, "client", "a", testnet.UDP(6000), testnet.IPv4, false)
	}
	requireCompiled(t, w)
	complete(t, streams)
	logReceived(t, streams)
}
