package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/controller/api"
)

// fileSystem is one that hangs: who opens a file of a folder waits until it is let go.
type fileSystem struct{ file *os.File }

// hang makes the file system of a folder hang, by the kernel's question whether a file may be
// opened (fanotify(7)), which nobody answers.
func hang(t *testing.T, folder string) *fileSystem {
	t.Helper()
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC,
		unix.O_RDONLY|unix.O_LARGEFILE)
	if err == nil {
		err = unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_PERM|unix.FAN_EVENT_ON_CHILD,
			unix.AT_FDCWD, folder)
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		t.Skipf("no file system can be made to hang here: %v", err)
	}
	require.NoError(t, err)
	f := &fileSystem{os.NewFile(uintptr(fd), "fanotify")}
	t.Cleanup(f.release)
	return f
}

// release lets all go on: the kernel takes the end of who was asked for a yes.
func (f *fileSystem) release() { _ = f.file.Close() }

// A policy whose files cannot be read stops nothing but itself: ports come, flows are repaired, the
// status tells, and the policy before stays in force until they can be read.
func TestRunWithFilesThatHang(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	folder := filepath.Join(filepath.Dir(d.settings), "policy.d")
	require.NoError(t, os.Mkdir(folder, 0o755))
	file := filepath.Join(folder, "a.yaml")
	write := func(text string) {
		require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	write(goodPolicy)
	text, err := os.ReadFile(d.settings)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(d.settings, []byte(strings.Replace(string(text),
		"policy: policy.yaml", "policy: policy.d", 1)), 0o600))
	d.ready()
	d.settled()
	held := strings.Count(d.flows(), "\n")
	goesOn := func() {
		d.vs.Ofctl("del-flows", "br-int")
		require.Eventually(t, func() bool { return strings.Count(d.flows(), "\n") == held },
			generous, 50*time.Millisecond, "flows are repaired")
	}

	next := strings.Replace(goodPolicy, "ports: 80", "ports: 8080", 1)
	write(next)
	require.Equal(t, 0, call(t, "status", "--wait", "--config", d.settings).code)
	slow := hang(t, folder)
	require.NoError(t, os.Chmod(file, 0o644)) // so that it is looked at
	goesOn()
	status := d.awaitStatus(func(s *api.Status) bool { return len(s.Policy.Errors) > 0 })
	require.Contains(t, status.Policy.Errors[0], "cannot be read to its end in time")
	require.Len(t, status.Ports, 2)
	goesOn()
	require.Contains(t, d.flows(), "tp_dst=8080")
	got := call(t, "check", "--config", d.settings)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "a.yaml: it cannot be read to its end in time")
	slow.release()
	write(goodPolicy)
	d.settled()
	require.Contains(t, d.flows(), "tp_dst=80 ")

	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Symlink("/proc/kmsg", file))
	if f, err := os.Open("/proc/kmsg"); err == nil {
		_ = f.Close()
		d.awaitStatus(func(s *api.Status) bool {
			return len(s.Policy.Errors) > 0 && strings.Contains(s.Policy.Errors[0],
				"cannot be read to its end in time")
		})
		goesOn()
	}
	require.NoError(t, os.Remove(file))
	write(next)
	d.settled()
	require.Contains(t, d.flows(), "tp_dst=8080")
	d.stop(os.Interrupt)
}
