//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// parts are the files of a policy whose instances belong to a group named after the version, which
// also admits TCP on the port of this number: of files of two versions at once none is valid.
func parts(version int) map[string]string {
	name := fmt.Sprintf("v%d", version)
	always := []string{in("udp 5000-5010", any4), in("udp 5000-5010", any6), in("tcp 5000", any4),
		in("tcp 5000", any6)}
	whole := document([]group{
		{name: name, rules: append(always, in(fmt.Sprintf("tcp %d", version), any4))}}, vm("a", 11, name),
		vm("b", 21, name))
	groups, instances, _ := strings.Cut(whole, "instances:\n")
	first, second, _ := strings.Cut(instances, "  - name: b\n")
	long := strings.Repeat("# a long file\n", 20000)
	return map[string]string{"groups.yaml": groups + long, "a.yaml": "instances:\n" + first + long,
		"b.yaml": "instances:\n  - name: b\n" + second + long}
}

// writeParts writes the files of a folder that is made if need be.
func writeParts(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(folder, 0o700))
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
}

// turn makes a symbolic link lead elsewhere, in one step, by way of a link of another name.
func turn(t *testing.T, link, by, to string) {
	t.Helper()
	require.NoError(t, os.Symlink(to, by))
	require.NoError(t, os.Rename(by, link))
}

// readFrom has the daemon read another path from its next start on, and starts it anew.
func readFrom(t *testing.T, w *testnet.World, path string) {
	t.Helper()
	require.NoError(t, w.StopDaemon())
	require.NoError(t, w.ChangeSettings(
		func(text string) string {
			return strings.Replace(text, "policy: policy.yaml", "policy: "+path, 1)
		}))
	require.NoError(t, w.StartDaemon())
	require.NoError(t, w.AwaitProgrammed())
}

// oneReload asserts that what is done is read once, and whole, and is one bundle at most. What
// happens in a watched folder beside it may cost further looks, which find nothing new.
func oneReload(t *testing.T, w *testnet.World, looks int, do func()) {
	t.Helper()
	was := restful(t, w)
	do()
	_, err := w.AwaitStatus(
		func(s testnet.Status) bool {
			return s.Policy.Digest != was.Policy.Digest && s.State == "in sync"
		})
	require.NoError(t, err)
	now := restful(t, w)
	require.Equal(t, was.Counters.ReloadsFailed, now.Counters.ReloadsFailed, "a half-read policy")
	require.LessOrEqual(t, now.Counters.Reloads-was.Counters.Reloads, looks)
	require.LessOrEqual(t, now.Counters.Applies-was.Counters.Applies, 1, "bundles")
}

// A folder under traffic: its files changed one after the other, in place, by rename and by a slow
// writer, and all at once by a link that is turned. Each change is read once and whole, and what
// all versions admit loses nothing.
func TestPolicyFolder(t *testing.T) {
	t.Parallel()
	whole := parts(7000)
	text := whole["groups.yaml"] + whole["a.yaml"] + strings.TrimPrefix(whole["b.yaml"],
		"instances:\n")
	w := newWorld(t, testnet.Spec{Policy: text, Outside: outside(), Daemon: daemon(t)})
	streams := everyPair(t, w)
	before := programOf(t, w)
	path := func(names ...string) string { return filepath.Join(append([]string{w.Dir}, names...)...) }

	t.Run("a file becomes a folder", func(t *testing.T) {
		writeParts(t, path("policy.d"), whole)
		readFrom(t, w, "policy.d")
		s, err := w.Status()
		require.NoError(t, err)
		require.Zero(t, s.Apply.Adds+s.Apply.Deletes, "flow mods")
		require.Equal(t, before, programOf(t, w))
	})
	t.Run("one file after the other", func(t *testing.T) {
		for n, write := range []func(name, text string){
			func(name, text string) { require.NoError(t, os.WriteFile(name, []byte(text), 0o600)) },
			func(name, text string) {
				require.NoError(t, os.WriteFile(name+".new", []byte(text), 0o600))
				require.NoError(t, os.Rename(name+".new", name))
			},
			slowly(t),
		} {
			for m, name := range []string{"groups.yaml", "a.yaml", "b.yaml"} {
				version := 7100 + 10*n + m
				text, err := os.ReadFile(path("policy.d", name))
				require.NoError(t, err)
				changed := strings.ReplaceAll(string(text), "rules:\n",
					fmt.Sprintf("rules:\n      - %s\n", in(fmt.Sprintf("tcp %d", version), any4)))
				oneReload(t, w, 1, func() { write(path("policy.d", name), "# another line\n"+changed) })
				if name == "groups.yaml" {
					admits(t, w, "client", "a", testnet.TCP(uint16(version)), testnet.IPv4, true)
				}
			}
		}
	})
	t.Run("the folder is a link that is turned", func(t *testing.T) {
		writeParts(t, path("v7200"), parts(7200))
		require.NoError(t, os.Mkdir(path("elsewhere"), 0o700))
		turn(t, path("current"), path("elsewhere", "link"), "v7200")
		readFrom(t, w, "current")
		for version := 7201; version <= 7205; version++ {
			admits(t, w, "client", "a", testnet.TCP(uint16(version)), testnet.IPv4, false)
			folder := fmt.Sprintf("v%d", version)
			writeParts(t, path(folder), parts(version))
			oneReload(t, w, 1, func() { turn(t, path("current"), path("elsewhere", "link"), folder) })
			admits(t, w, "client", "a", testnet.TCP(uint16(version)), testnet.IPv4, true)
			admits(t, w, "client", "a", testnet.TCP(uint16(version-1)), testnet.IPv4, false)
		}
	})
	// as a mounted ConfigMap's do
	t.Run("its files lead through a link that is turned", func(t *testing.T) {
		writeParts(t, path("mounted", "..7300"), parts(7300))
		turn(t, path("mounted", "..data"), path("mounted", "..new"), "..7300")
		for name := range whole {
			require.NoError(t, os.Symlink(filepath.Join("..data", name), path("mounted", name)))
		}
		readFrom(t, w, "mounted")
		for version := 7301; version <= 7305; version++ {
			folder := fmt.Sprintf("..%d", version)
			writeParts(t, path("mounted", folder), parts(version))
			oneReload(t, w, 2, func() {
				turn(t, path("mounted", "..data"), path("mounted", "..new"), folder)
			})
			admits(t, w, "client", "b", testnet.TCP(uint16(version)), testnet.IPv4, true)
			admits(t, w, "client", "b", testnet.TCP(uint16(version-1)), testnet.IPv4, false)
		}
	})
	complete(t, streams)
	logReceived(t, streams)
}

// slowly returns a writer that takes its time.
func slowly(t *testing.T) func(name, text string) {
	return func(name, text string) {
		f, err := os.Create(name)
		require.NoError(t, err)
		for part := []byte(text); len(part) > 0; {
			n := min(len(part), len(text)/8)
			_, err := f.Write(part[:n])
			require.NoError(t, err)
			part = part[n:]
			time.Sleep(10 * time.Millisecond) // as a slow editor does
		}
		require.NoError(t, f.Close())
	}
}
