package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
)

func badNight() *api.Status {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &api.Status{
		Version: "v1", State: agent.StateDegraded, Error: "the switch: gone", Bridge: "br-int",
		Host: "hv1", OVS: "3.1.0", Revision: 7, Flows: 229,
		OVSWarnings: []string{"Open vSwitch 3.1.0 has a hole"},
		Warnings:    []string{"packets are not limited"},
		Policy: api.PolicyStatus{Source: "/etc/policy.yaml", Digest: "454c5049866dcb09",
			LoadedAt: at, ReadAt: at.Add(time.Hour), Groups: 1,
			Errors:  []string{"policy.yaml:3:1: what?", "policy.yaml:9:1: who?"},
			Refused: []string{"web: tcp 80"}, Warnings: []string{"host bits"}},
		Ports: []api.PortStatus{
			{Name: "tap1", Instance: "a", State: agent.PortApplied, OFPort: 1, Zone: 1, Epoch: 7},
			{Name: "tap2", Instance: "b", State: agent.PortPending, Zone: 2, Epoch: 7,
				Reason: "not yet"},
			{Name: "tap3", Instance: "c", State: agent.PortError, Zone: 3, Epoch: 7,
				Reason: "No such device\nreally"},
		},
		Uplinks: []api.UplinkStatus{{Name: "eth1", OFPort: 9},
			{Name: "eth2", Reason: "it is not a port of the bridge"}},
		Apply: api.ApplyStatus{At: at, Adds: 3, Deletes: 2, Seconds: 0.5, Error: "rejected"},
		Counters: api.Counters{Reloads: 4, ReloadsFailed: 5, Applies: 6, AppliesFailed: 8,
			DriftRepaired: 9},
	}
}

func TestStatusTextTellsEverythingTroubleFirst(t *testing.T) {
	text := statusText(badNight(), term.Paint{})
	last := -1
	for _, part := range []string{
		"state:        degraded\n", "error:        the switch: gone\n",
		"not connected to the switch: systemctl", "not connected to OVSDB: systemctl",
		"not valid:    policy.yaml:3:1: what?", "not valid:    policy.yaml:9:1: who?",
		"refused:      web: tcp 80", "warning:      packets are not limited",
		"bridge:       br-int on hv1, Open vSwitch 3.1.0",
		"/etc/policy.yaml (1 groups, 0 instances), digest 454c5049866dcb09",
		"last read:", "mistakes: 2", "4 valid, 5 not", "revision:     7", "flows:        229",
		"3 added, 2 deleted in 0.500 s, failed: rejected",
		"6 applied, 8 failed; 9 flows repaired", "eth1  OpenFlow port 9", "eth2  it is not a port",
		"warning:      Open vSwitch 3.1.0 has a hole",
		"warning:      host bits", "ports: 1 applied, 1 pending, 1 in error", "PORT  INSTANCE",
		"tap3", "No such device; really",
		"tap2", "not yet", "tap1",
	} {
		at := strings.Index(text, part)
		require.Greater(t, at, last, "%q in\n%s", part, text)
		last = at
	}
	require.NotContains(t, text, "\x1b")
	require.Contains(t, statusText(&api.Status{State: agent.StateStarting}, term.Paint{}),
		"none in force yet")
	require.Contains(t, statusText(&api.Status{}, term.Paint{}), "no local ports")
}

func TestStatusColoursWholeLines(t *testing.T) {
	text := statusText(badNight(), term.Paint{On: true})
	for _, line := range strings.Split(text, "\n") {
		want := map[bool]int{true: 2}[strings.HasPrefix(line, "\x1b")]
		require.Equal(t, want, strings.Count(line, "\x1b"), line)
	}
	require.Contains(t, text, term.Red+"state:        degraded"+term.Plain)
	require.Contains(t, text, term.Red+"tap3")
	require.Contains(t, text, term.Yellow+"tap2")
	require.NotContains(t, text, term.Plain+"tap1")
	require.Contains(t, text, "\ntap1")
	plainText := strings.NewReplacer(term.Red, "", term.Yellow, "", term.Green, "", term.Plain,
		"").Replace(text)
	require.Equal(t, statusText(badNight(), term.Paint{}), plainText, "colours move nothing")
	require.Contains(t, statusText(&api.Status{State: agent.StateInSync}, term.Paint{On: true}),
		term.Green+"state:")
}

func TestWatchPrintsChangesOnly(t *testing.T) {
	f, seen := files{config: "settings.yaml"}, changes{}
	shown := f.shownStatus(&bytes.Buffer{}, term.Table)
	show := func(s *api.Status, failure error) string {
		text, err := shown.block(s, failure)
		require.NoError(t, err)
		return seen.of(text)
	}
	s := badNight()
	require.Equal(t, statusText(s, term.Paint{}), show(s, nil))
	require.Empty(t, show(badNight(), nil))
	s.Revision++
	require.Equal(t, statusText(s, term.Paint{}), show(s, nil))
	require.Equal(t, "gone\n", show(nil, errors.New("gone")))
	require.Empty(t, show(nil, errors.New("gone")))
	require.Contains(t, show(nil, context.DeadlineExceeded), "the daemon does not answer",
		"it is explained")
	require.NotEmpty(t, show(s, nil))

	shown = f.shownStatus(&bytes.Buffer{}, term.JSON)
	got := []string{show(s, nil), show(nil, errors.New("gone"))}
	require.Equal(t, 1, strings.Count(got[1], "\n"))
	var first, second api.Status
	require.NoError(t, json.Unmarshal([]byte(got[0]), &first))
	require.NoError(t, json.Unmarshal([]byte(got[1]), &second))
	require.Equal(t, s.Revision, first.Revision)
	require.Equal(t, agent.State("unknown"), second.State)
	require.Equal(t, "gone", second.Error)
}

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

	f := files{config: settings}
	require.ErrorContains(t, f.unanswered(&os.PathError{Err: syscall.EACCES}), "sudo")
	require.ErrorContains(t, f.unanswered(context.DeadlineExceeded), "journalctl")
	other := errors.New("the daemon speaks \"v2\"")
	require.Equal(t, other, f.unanswered(other))
	require.NoError(t, f.unanswered(nil))
}

// docs/status.md names every field of the JSON that status and connections print.
func TestStatusPageNamesEveryField(t *testing.T) {
	page, err := os.ReadFile("../../docs/status.md")
	require.NoError(t, err)
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(v reflect.Type) {
		for v.Kind() == reflect.Slice || v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || seen[v] || !strings.HasPrefix(v.PkgPath(),
			"github.com/portcullis/portcullis/controller/") {
			return
		}
		seen[v] = true
		for i := range v.NumField() {
			if v.Field(i).Anonymous {
				visit(v.Field(i).Type)
			} else if name, _, _ := strings.Cut(v.Field(i).Tag.Get("json"), ","); name != "" {
				require.Contains(t, string(page), "`"+name+"`", v)
				visit(v.Field(i).Type)
			}
		}
	}
	visit(reflect.TypeFor[api.Status]())
	visit(reflect.TypeFor[api.Connections]())
	visit(reflect.TypeFor[api.Counts]())
	require.Len(t, seen, 19)
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
