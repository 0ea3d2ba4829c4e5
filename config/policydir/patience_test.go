package policydir

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/config/configtest"
)

// A look that never returns is given up, at most one at a time, and others are taken again when it
// has returned after all.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patience{}
		hangs := make(chan struct{})
		var looks atomic.Int32
		look := func() (int, error) {
			looks.Add(1)
			<-hangs
			return 7, nil
		}
		began := time.Now()
		_, err := inTime(p, "a.yaml", look)
		require.ErrorIs(t, err, errNoAnswer)
		require.ErrorContains(t, err, "a.yaml: ")
		require.Equal(t, readTime, time.Since(began))
		for range 100 {
			_, err = inTime(p, "b.yaml", look)
			require.ErrorIs(t, err, errNoAnswer)
		}
		require.EqualValues(t, 1, looks.Load())
		require.Equal(t, readTime, time.Since(began), "nobody waits for the others")
		close(hangs)
		synctest.Wait()
		v, err := inTime(p, "b.yaml", look)
		require.NoError(t, err)
		require.Equal(t, 7, v)
	})
}

// What looks like a file and is none ends, and the policy is read again as soon as it is one.
func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "policy.yaml")
	loader := Loader{patience: patience{time: time.Second}}
	write := func() { require.NoError(t, os.WriteFile(name, []byte("groups: []\n"), 0o600)) }
	write()
	_, _, err := loader.Load(dir)
	require.NoError(t, err)
	for kind, c := range map[string]struct {
		put  func() error
		says string
	}{
		"a pipe":     {func() error { return unix.Mkfifo(name, 0o600) }, "not a regular file"},
		"a terminal": {func() error { return os.Symlink("/dev/ptmx", name) }, "not a regular file"},
		"the kernel's messages": {func() error { return os.Symlink("/proc/kmsg", name) },
			errNoAnswer.Error()},
	} {
		if f, err := os.Open("/proc/kmsg"); err == nil {
			_ = f.Close()
		} else if kind == "the kernel's messages" {
			t.Logf("left out: %v", err)
			continue
		}
		require.NoError(t, os.Remove(name))
		require.NoError(t, c.put())
		for range 2 {
			_, _, err = loader.Load(dir)
			require.ErrorContains(t, err, c.says, kind)
			// the file, or the folder, where a busy machine has left a call to itself
			require.ErrorContains(t, err, dir)
		}
		if kind == "a pipe" {
			_, err = ReadFile(name)
			require.ErrorContains(t, err, c.says, kind)
		}
		require.NoError(t, os.Remove(name))
		write()
		require.Eventually(t, func() bool {
			_, _, err := loader.Load(dir)
			return err == nil
		}, configtest.Hangs, time.Millisecond, kind)
	}
}
