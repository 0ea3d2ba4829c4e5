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
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
)

func badNight() *api.Status {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &api.Status{
		Version: "v1", State: agent.StateDegraded, Error: "the switch: gone", Bridge: "br-int", Host: "hv1", OVS: "3.1.0", Revision: 7, Flows: 229,
		OVSWarnings: []string{"Open vSwitch 3.1.0 has a hole"}, Warnings: []string{"packets are not limited"},
		Policy: api.PolicyStatus{Source: "/etc/policy.yaml", Digest: "454c5049866dcb09", LoadedAt: at, ReadAt: at.Add(time.Hour), Groups: 1,
			Errors: []string{"policy.yaml:3:1: what?", "policy.yaml:9:1: who?"}, Refused: []string{"web: tcp 80"}, Warnings: []string{"host bits"}},
		Ports: []api.PortStatus{
			{Name: "tap1", Instance: "a", State: agent.PortApplied, OFPort: 1, Zone: 1, Epoch: 7},
			{Name: "tap2", Instance: "b", State: agent.PortPending, Zone: 2, Epoch: 7, Reason: "not yet"},
			{Name: "tap3", Instance: "c", State: agent.PortError, Zone: 3, Epoch: 7, Reason: "No such device\nreally"},
		},
		Uplinks:  []api.UplinkStatus{{Name: "eth1", OFPort: 9}, {Name: "eth2", Reason: "it is not a port of the bridge"}},
		Apply:    api.ApplyStatus{At: at, Adds: 3, Deletes: 2, Seconds: 0.5, Error: "rejected"},
		Counters: api.Counters{Reloads: 4, ReloadsFailed: 5, Applies: 6, AppliesFailed: 8, DriftRepaired: 9},
	}
}

func TestStatusTextTellsEverythingTroubleFirst(t *testing.T) {
	text := statusText(badNight(), paint{})
	last := -1
	for _, part := range []string{
		"state:        degraded\n", "error:        the switch: gone\n", "not connected to the switch: systemctl", "not connected to OVSDB: systemctl", "not valid:    policy.yaml:3:1: what?", "not valid:    policy.yaml:9:1: who?",
		"refused:      web: tcp 80", "warning:      packets are not limited", "bridge:       br-int on hv1, Open vSwitch 3.1.0", "/etc/policy.yaml (1 groups, 0 instances), digest 454c5049866dcb09",
		"last read:", "mistakes: 2", "4 valid, 5 not", "revision:     7", "flows:        229", "3 added, 2 deleted in 0.500 s, failed: rejected",
		"6 applied, 8 failed; 9 flows repaired", "eth1  OpenFlow port 9", "eth2  it is not a port", "warning:      Open vSwitch 3.1.0 has a hole",
		"warning:      host bits", "ports: 1 applied, 1 pending, 1 in error", "PORT  INSTANCE", "tap3", "No such device; really",
		"tap2", "not yet", "tap1",
	} {
		at := strings.Index(text, part)
		require.Greater(t, at, last, "%q in\n%s", part, text)
		last = at
	}
	require.NotContains(t, text, "\x1b")
	require.Contains(t, statusText(&api.Status{State: agent.StateStarting}, paint{}), "none in force yet")
	require.Contains(t, statusText(&api.Status{}, paint{}), "no local ports")
}

func TestStatusColoursWholeLines(t *testing.T) {
	text := statusText(badNight(), paint{on: true})
	for _, line := range strings.Split(text, "\n") {
		want := map[bool]int{true: 2}[strings.HasPrefix(line, "\x1b")]
		require.Equal(t, want, strings.Count(line, "\x1b"), line)
	}
	require.Contains(t, text, red+"state:        degraded"+plain)
	require.Contains(t, text, red+"tap3")
	require.Contains(t, text, yellow+"tap2")
	require.NotContains(t, text, plain+"tap1")
	require.Contains(t, text, "\ntap1")
	plainText := strings.NewReplacer(red, "", yellow, "", green, "", plain, "").Replace(text)
	require.Equal(t, statusText(badNight(), paint{}), plainText, "colours move nothing")
	require.Contains(t, statusText(&api.Status{State: agent.StateInSync}, paint{on: true}), green+"state:")
}

// terminal is a new pseudo-terminal: what is written to tty is read from the other end.
func terminal(t *testing.T) (tty, other *os.File) {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = other.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(other.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(other.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err = os.OpenFile(filepath.Join("/dev/pts", strconv.Itoa(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tty.Close() })
	return tty, other
}

func TestColoursAreForTerminals(t *testing.T) {
	tty, _ := terminal(t)
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	require.True(t, paintFor(tty).on)
	require.False(t, paintFor(&bytes.Buffer{}).on)
	pipe, _, err := os.Pipe()
	require.NoError(t, err)
	require.False(t, paintFor(pipe).on)
	t.Setenv("NO_COLOR", "1")
	require.False(t, paintFor(tty).on)
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	require.False(t, paintFor(tty).on)
}

func TestWatchPrintsChangesOnly(t *testing.T) {
	var out bytes.Buffer
	w := newWatcher(&out, formatTable, func(err error) error { return errors.New("explained: " + err.Error()) })
	defer w.stop()
	s := badNight()
	shown := func() string { defer out.Reset(); return out.String() }
	require.NoError(t, w.show(s, nil))
	require.Equal(t, statusText(s, paint{}), shown())
	require.NoError(t, w.show(badNight(), nil))
	require.Empty(t, shown())
	s.Revision++
	require.NoError(t, w.show(s, nil))
	require.Equal(t, "\n"+statusText(s, paint{}), shown())
	require.NoError(t, w.show(nil, errors.New("gone")))
	require.Equal(t, "\nexplained: gone\n", shown())
	require.NoError(t, w.show(nil, errors.New("gone")))
	require.Empty(t, shown())
	require.NoError(t, w.show(s, nil))
	require.NotEmpty(t, shown())

	lines := newWatcher(&out, formatJSON, nil)
	defer lines.stop()
	require.NoError(t, lines.show(s, nil))
	require.NoError(t, lines.show(nil, errors.New("gone")))
	got := strings.Split(strings.TrimSpace(shown()), "\n")
	require.Len(t, got, 2)
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
		if v.Kind() != reflect.Struct || seen[v] || !strings.HasPrefix(v.PkgPath(), "github.com/portcullis/portcullis/controller/") {
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

// What is watched on a pipe: one line of JSON for each state of a real daemon, also of one that goes away.
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
	until(func(s api.Status) bool { return s.State == agent.StateDegraded && len(s.Policy.Errors) > 0 })
	d.stop(syscall.SIGTERM)
	until(func(s api.Status) bool { return s.State == "unknown" && s.Error != "" })
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, cmd.Wait(), "exit code 0")
}
