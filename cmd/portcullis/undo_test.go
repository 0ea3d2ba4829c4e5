package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/config/history"
)

// The commands history, rollback, apply and confirm, beside a real Open vSwitch.

var otherPolicy = strings.Replace(goodPolicy, "ports: 80", "ports: 8080", 1)

func (d *process) policyPath() string { return filepath.Join(filepath.Dir(d.settings), "policy.yaml") }

func (d *process) call(args ...string) answer {
	d.t.Helper()
	return call(d.t, append(args, "--config", d.settings)...)
}

// generations are what history lists, the last first, when there are so many.
func (d *process) generations(count int) (out []history.Generation) {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		got := d.call("history", "-o", "json")
		out = nil
		return got.code == 0 && json.Unmarshal([]byte(got.out), &out) == nil && len(out) == count &&
			(out[0].Access != nil || out[0].Kind == history.Found)
	}, generous, 50*time.Millisecond)
	return out
}

func (d *process) holdsPolicy(text string) {
	d.t.Helper()
	got, err := os.ReadFile(d.policyPath())
	require.NoError(d.t, err)
	require.Equal(d.t, text, string(got))
}

func TestHistoryAndRollback(t *testing.T) {
	d := newDaemon(t)
	got := d.call("history")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "no policy that was in force is kept in")
	d.ready()
	d.settled()
	d.generations(1)
	d.writePolicy(otherPolicy)
	d.settled()
	d.generations(2)
	got = d.call("history")
	require.Equal(t, 0, got.code, got.errOut)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Len(t, lines, 3)
	require.Regexp(t, `^2 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +root +policy.yaml +1 gained, 1 lost$`, lines[1])
	got = d.call("history", "2")
	require.Contains(t, got.out, "group web (3 instances) can no longer be reached from 0.0.0.0/0 by tcp 80: ")
	require.Contains(t, got.out, "group web (3 instances) may now be reached from 0.0.0.0/0 by tcp 8080: "+
		d.policyPath()+":4:9 (rule of web: ")
	require.Contains(t, d.said(), "may now be reached from 0.0.0.0/0 by tcp 8080")

	got = d.call("rollback", "1", "--dry-run")
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "tcp 8080")
	require.Contains(t, got.out, "nothing was changed: written "+d.policyPath())
	d.holdsPolicy(otherPolicy)

	broken := otherPolicy + "bogus: 1\n"
	d.writePolicy(broken)
	got = d.call("rollback", "1")
	require.Equal(t, 0, got.code, "%s%s", got.errOut, d.said())
	require.Contains(t, got.out, "in force: written "+d.policyPath())
	d.holdsPolicy(goodPolicy)
	require.Contains(t, d.flows(), "tp_dst=80 ")
	list := d.generations(4)
	require.Equal(t, []history.Kind{history.InForce, history.Found}, []history.Kind{list[0].Kind, list[1].Kind})
	require.Equal(t, "rollback to 1", list[0].Note)
	require.NotEmpty(t, list[0].By)

	got = d.call("rollback", "3")
	require.Equal(t, 1, got.code, "what was found broken is no policy")
	require.Contains(t, got.errOut, "bogus")
	d.holdsPolicy(goodPolicy)
	got = d.call("rollback", "1")
	require.Equal(t, 0, got.code)
	require.Contains(t, got.out, "unchanged: ")
	got = d.call("rollback", "77")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "generation 77 is not kept: portcullis history lists them")
	require.Equal(t, 2, d.call("rollback", "x").code)
	require.Equal(t, 2, d.call("history", "0").code)
}

func TestApplyIsKeptIfConfirmed(t *testing.T) {
	d := newDaemon(t)
	d.ready()
	d.settled()
	next := filepath.Join(t.TempDir(), "next.yaml")
	require.NoError(t, os.WriteFile(next, []byte(otherPolicy), 0o600))
	applied := make(chan answer)
	go func() { applied <- d.call("apply", next, "--confirm", "10m") }()
	require.Eventually(t, func() bool { return d.call("confirm").code == 0 }, generous, 50*time.Millisecond)
	got := <-applied
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "loses ingress tcp 80", "the plan is shown")
	require.Contains(t, got.out, "confirmed: written "+d.policyPath())
	require.Contains(t, got.errOut, "portcullis confirm keeps it")
	d.holdsPolicy(otherPolicy)
	require.Contains(t, d.flows(), "tp_dst=8080")
	got = d.call("confirm")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "no policy is on trial")
}

// On a terminal Enter keeps the policy, too.
func TestApplyIsConfirmedByEnter(t *testing.T) {
	d := newDaemon(t)
	d.ready()
	d.settled()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	defer keys.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer tty.Close()
	next := filepath.Join(t.TempDir(), "next.yaml")
	require.NoError(t, os.WriteFile(next, []byte(otherPolicy), 0o600))

	apply := exec.Command(command, "apply", next, "--confirm", "10m", "--config", d.settings)
	var out bytes.Buffer
	apply.Stdin, apply.Stdout = tty, &out
	said, err := apply.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, apply.Start())
	line, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "Enter here, or portcullis confirm keeps it")
	_, err = keys.WriteString("\n")
	require.NoError(t, err)
	require.NoError(t, apply.Wait())
	require.Contains(t, out.String(), "confirmed: written")
	d.holdsPolicy(otherPolicy)
	require.Equal(t, 1, d.call("confirm").code, "there is none on trial any more")
}

func TestApplyIsTakenBack(t *testing.T) {
	d := newDaemon(t)
	d.ready()
	d.settled()
	next := filepath.Join(t.TempDir(), "next.yaml")
	require.NoError(t, os.WriteFile(next, []byte(otherPolicy), 0o600))
	got := d.call("apply", next, "--confirm", "1s", "-o", "json")
	require.Equal(t, 1, got.code, got.out)
	require.Contains(t, got.errOut, "taken back: nobody confirmed it; generation 1 is in force again")
	var out struct {
		Outcome string          `json:"outcome"`
		Written []string        `json:"written"`
		Plan    json.RawMessage `json:"plan"`
	}
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	require.Equal(t, "taken back", out.Outcome)
	require.Equal(t, []string{d.policyPath()}, out.Written)
	require.Contains(t, string(out.Plan), "8080")
	d.settled()
	d.holdsPolicy(goodPolicy)
	require.Contains(t, d.flows(), "tp_dst=80 ")
	require.NotContains(t, d.flows(), "tp_dst=8080")
	require.Contains(t, d.said(), "the policy on trial is taken back")
	require.Equal(t, 0, d.call("apply", next, "--dry-run").code)
	d.holdsPolicy(goodPolicy)
	got = d.call("apply", next)
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "in force: written")
	require.Contains(t, d.flows(), "tp_dst=8080")
	require.Equal(t, "apply "+next, d.generations(4)[0].Note)
}

// An instance that is created while a policy is on trial stays when that is taken back.
func TestAnInstanceThatComesBesideATrial(t *testing.T) {
	d := newDaemon(t)
	require.NoError(t, os.Remove(d.policyPath()))
	next := t.TempDir()
	for dir, text := range map[string]string{d.policyPath(): goodPolicy, next: otherPolicy} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(text), 0o600))
	}
	d.ready()
	d.settled()
	applied := make(chan answer)
	go func() { applied <- d.call("apply", next, "--confirm", "5s") }()
	require.Eventually(t, func() bool { return strings.Contains(d.flows(), "tp_dst=8080") },
		generous, 20*time.Millisecond)
	added := d.call("instance", "add", "late", "--port",
		"name=tap-late,mac=02:00:00:00:00:77,address=203.0.113.77", "--yes")
	require.Equal(t, 0, added.code, added.errOut)
	got := <-applied
	require.Equal(t, 1, got.code, got.out)
	require.Contains(t, got.errOut, "taken back: nobody confirmed it")
	d.settled()
	require.NotContains(t, d.flows(), "tp_dst=8080")
	require.Contains(t, d.flows(), "tp_dst=80 ")
	shown := d.call("instance", "show", "late")
	require.Equal(t, 0, shown.code, shown.errOut)
	text, err := os.ReadFile(filepath.Join(d.policyPath(), "all.yaml"))
	require.NoError(t, err)
	require.Equal(t, goodPolicy, string(text))
}

func TestApplyChangesNothingIfItCannot(t *testing.T) {
	d := newDaemon(t)
	dir := t.TempDir()
	bad, good := filepath.Join(dir, "bad.yaml"), filepath.Join(dir, "good.yaml")
	require.NoError(t, os.WriteFile(bad, []byte(goodPolicy+"bogus: 1\n"), 0o600))
	require.NoError(t, os.WriteFile(good, []byte(otherPolicy), 0o600))
	for _, c := range []struct {
		says string
		args []string
	}{
		{"bogus", []string{bad}},
		{"there is no policy file", []string{filepath.Join(dir, "none.yaml")}},
		{"name a file", []string{dir}},
		{"the daemon does not answer", []string{good, "--confirm", "60s"}},
		{"want a time up to 24h0m0s", []string{good, "--confirm", "48h"}},
	} {
		got := d.call(append([]string{"apply"}, c.args...)...)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.errOut, c.says)
		d.holdsPolicy(goodPolicy)
	}
	require.Equal(t, 2, d.call("apply").code)
	got := d.call("apply", good)
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "no daemon runs: it is in force when one is started")
	d.holdsPolicy(otherPolicy)
}
