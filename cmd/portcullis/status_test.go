package main

import (
	"encoding/json"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
)

func TestWatchEndsByInterrupt(t *testing.T) {
	cmd := exec.Command(command, "status", "--watch", "--config", site(t, goodPolicy))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	buffer := make([]byte, 1<<10)
	n, err := out.Read(buffer)
	require.NoError(t, err)
	require.Contains(t, string(buffer[:n]), "the daemon does not answer")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, cmd.Wait(), "exit code 0")
	require.Equal(t, 2, call(t, "status", "--watch", "--wait").code)
}

func TestNoDaemonSaysWhatToDo(t *testing.T) {
	settings := site(t, goodPolicy)
	socket := filepath.Join(filepath.Dir(settings), "api.sock")
	for _, name := range []string{"status", "connections", "top"} {
		got := call(t, name, "--config", settings)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.errOut, "the daemon does not answer: ")
		require.Contains(t, got.errOut, "there is no socket "+socket)
		require.Contains(t, got.errOut, "systemctl start portcullis")
	}
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.Contains(t, call(t, "status", "--config", settings).errOut, "nobody listens at "+socket)
}

// What is watched on a pipe: one line of JSON for each state of a real daemon, also of one that
// goes away.
func TestWatchFollowsADaemon(t *testing.T) {
	d := newDaemon(t)
	d.ready()
	d.settled()
	cmd := exec.Command(command, "status", "--watch", "-o", "json", "--config", d.settings)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := json.NewDecoder(out)
	until := func(ok func(s api.Status) bool) {
		t.Helper()
		for n := 0; ; n++ {
			var s api.Status
			require.NoError(t, lines.Decode(&s))
			if ok(s) {
				return
			}
			require.Less(t, n, 10, "%+v", s)
		}
	}
	until(func(s api.Status) bool { return s.State == agent.StateInSync })
	d.writePolicy(strings.Replace(goodPolicy, "ports: 80", "ports: 8080", 1))
	until(func(s api.Status) bool { return s.State == agent.StateInSync && s.Counters.Applies > 1 })
	d.writePolicy("bogus: 1\n")
	until(func(s api.Status) bool {
		return s.State == agent.StateDegraded && len(s.Policy.Errors) > 0
	})
	d.stop(syscall.SIGTERM)
	until(func(s api.Status) bool { return s.State == "unknown" && s.Error != "" })
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, cmd.Wait(), "exit code 0")
}
