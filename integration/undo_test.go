//go:build integration

package integration

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/testnet"
)

// passes asserts which of some services' first packets arrive at web-1.
func passes(t *testing.T, w *testnet.World, services map[string]bool) {
	t.Helper()
	for word, want := range services {
		s := map[string]testnet.Service{"tcp 80": testnet.TCP(80), "tcp 22": testnet.TCP(22),
			"tcp 443": testnet.TCP(443)}[word]
		got, err := w.Admits("client", "web-1", s, testnet.IPv4)
		require.NoError(t, err)
		require.Equal(t, want, got, "the first packet of %s", word)
	}
}

// A start with files that are not valid, on a switch that has lost its flows, as after a reboot:
// the last policy that was in force is, exactly, until the files are mended.
func TestStartWithABrokenFile(t *testing.T) {
	t.Parallel()
	policy := func(service string) string {
		return document([]group{{name: "web", rules: []string{in(service, any4), in(service, any6)}}},
			vm("web-1", 11, "web"), vm("db-1", 21))
	}
	w := newWorld(t, testnet.Spec{Policy: policy("tcp 443"), Outside: outside(),
		Daemon: daemon(t)})
	require.NoError(t, w.SetPolicy(policy("tcp 80")))
	passes(t, w, map[string]bool{"tcp 80": true, "tcp 22": false, "tcp 443": false})
	for what, spoil := range map[string]func() error{
		"broken":  func() error { return w.ReplacePolicy(policy("tcp 22") + "bogus: 1\n") },
		"missing": func() error { return os.Remove(w.Dir + "/policy.yaml") },
	} {
		require.NoError(t, w.StopDaemon())
		require.NoError(t, spoil())
		_, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "del-flows", testnet.Bridge)
		require.NoError(t, err)
		require.NoError(t, w.StartDaemon(), what)
		s, err := w.AwaitStatus(func(s testnet.Status) bool { return s.State == "degraded" })
		require.NoError(t, err, what)
		require.Equal(t, 2, s.Policy.Kept.Generation)
		require.Equal(t, "applied", s.Port("tap-web-1").State, "%+v", s.Ports)
		passes(t, w, map[string]bool{"tcp 80": true, "tcp 22": false, "tcp 443": false})
	}
	_, err := w.Portcullis("status")
	require.ErrorContains(t, err, "not the files, but generation 2, kept since ")

	require.NoError(t, w.SetPolicy(policy("tcp 22")))
	passes(t, w, map[string]bool{"tcp 80": false, "tcp 22": true, "tcp 443": false})
	text, err := w.Portcullis("status")
	require.NoError(t, err)
	require.NotContains(t, text, "generation")

	// what is not as it was kept is not run
	require.NoError(t, w.StopDaemon())
	require.NoError(t, w.ReplacePolicy("bogus: 1\n"))
	require.NoError(t, os.Truncate(w.Dir+"/portcullis.state/generations/00000003.json", 100))
	_ = w.StartDaemon() // its socket may answer before the files are read
	require.Error(t, w.AwaitDaemonEnd())
	log, err := os.ReadFile(w.Dir + "/portcullis.log")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	require.Contains(t, lines[len(lines)-1], "generation 3")
	require.Contains(t, lines[len(lines)-1], "damaged")
}

// A policy that cuts off who applies it: the command dies with the terminal, the daemon is
// restarted in the middle, and after the time the access of before is back, in packets and in the
// file.
func TestApplyIsTakenBackWithoutItsCommand(t *testing.T) {
	t.Parallel()
	policy := func(service string) string {
		return document([]group{{name: "web", rules: []string{in(service, any4), in(service, any6)}}},
			vm("web-1", 11, "web"), vm("db-1", 21))
	}
	w := newWorld(t, testnet.Spec{Policy: policy("tcp 22"), Outside: outside(),
		Daemon: daemon(t)})
	passes(t, w, map[string]bool{"tcp 22": true, "tcp 80": false})
	was, err := w.Status()
	require.NoError(t, err)

	next := w.Dir + "/next.yaml"
	require.NoError(t, os.WriteFile(next, []byte(policy("tcp 80")), 0o600))
	trial := testnet.Slowed(12 * time.Second)
	apply := exec.Command(daemon(t), "apply", next, "--confirm", trial.String(), "--config",
		w.Dir+"/portcullis.yaml")
	began := time.Now()
	require.NoError(t, w.Switch.Namespace.Do(apply.Start))
	_, err = w.AwaitStatus(func(s testnet.Status) bool {
		return s.State == "in sync" && s.Policy.Digest != was.Policy.Digest
	})
	require.NoError(t, err)
	require.NoError(t, apply.Process.Kill())
	require.Error(t, apply.Wait())
	passes(t, w, map[string]bool{"tcp 22": false, "tcp 80": true})
	require.NoError(t, w.KillDaemon())
	require.NoError(t, w.StartDaemon())
	passes(t, w, map[string]bool{"tcp 22": false, "tcp 80": true})
	require.Less(t, time.Since(began), trial, "this machine is too slow to see it")

	_, err = w.AwaitStatus(func(s testnet.Status) bool {
		return s.State == "in sync" && s.Policy.Digest == was.Policy.Digest
	})
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), trial)
	passes(t, w, map[string]bool{"tcp 22": true, "tcp 80": false})
	text, err := os.ReadFile(w.Dir + "/policy.yaml")
	require.NoError(t, err)
	require.Equal(t, policy("tcp 22"), string(text))
}
