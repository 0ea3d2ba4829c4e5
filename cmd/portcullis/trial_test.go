package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/sandbox"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/policydb/upkeep"
	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// kept has somebody keep the database until the test ends, as beside another of its members.
func (d *database) kept() {
	d.t.Helper()
	c, err := policydb.New(policydb.Options{Endpoint: d.endpoint})
	require.NoError(d.t, err)
	log := logrus.New()
	log.SetOutput(io.Discard)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- c.Run(ctx) }()
	go func() { ended <- upkeep.Run(ctx, c, logrus.NewEntry(log)) }()
	d.t.Cleanup(func() {
		cancel()
		require.NoError(d.t, <-ended)
		require.NoError(d.t, <-ended)
	})
}

// trying is a command that has put a change on trial and waits.
type trying struct {
	*exec.Cmd
	out, errOut bytes.Buffer
}

func (d *database) try(text string, flags ...string) *trying {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), "policy.yaml")
	require.NoError(d.t, os.WriteFile(file, []byte(text), 0o600))
	c := &trying{Cmd: exec.Command(command, append([]string{"apply", "-f", file, "--db", d.endpoint},
		flags...)...)}
	c.Stdout, c.Stderr = &c.out, &c.errOut
	require.NoError(d.t, c.Start())
	d.t.Cleanup(func() { _ = c.Process.Kill() })
	d.becomes("on trial until")
	return c
}

// becomes waits until the newest change in the history says something.
func (d *database) becomes(words string) {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		lines := strings.Split(call(d.t, "history", "--db", d.endpoint).out, "\n")
		return len(lines) > 1 && strings.Contains(lines[1], words)
	}, generous, 20*time.Millisecond)
}

func (d *database) holds(words string) bool {
	return strings.Contains(call(d.t, "export", "--db", d.endpoint).out, words)
}

// A change is taken back unless it is confirmed in time, also when the command is killed; what
// others change meanwhile concerns something else, and stays.
func TestATrialOnADatabase(t *testing.T) {
	db := newDatabase(t)
	db.kept()
	require.Equal(t, 0, db.apply(goodPolicy).code)
	other := strings.Replace(goodPolicy, "ports: 80", "ports: 8080", 1)

	first := db.try(other, "--confirm", "1h")
	refused := db.apply(goodPolicy)
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.errOut, "generation 2 of ")
	require.Contains(t, refused.errOut, "is on trial until")
	require.Equal(t, 1, call(t, "confirm", "1", "--db", db.endpoint).code)
	kept := call(t, "confirm", "--db", db.endpoint)
	require.Equal(t, answer{0, "confirmed: generation 2 stays\n", ""}, kept)
	require.NoError(t, first.Wait(), first.errOut.String())
	require.Contains(t, first.out.String(), "confirmed: generation 2 stays")
	require.True(t, db.holds("8080"))
	require.Equal(t, 1, call(t, "confirm", "--db", db.endpoint).code)

	second := db.try(goodPolicy, "--confirm", "2s")
	require.NoError(t, second.Process.Kill())
	require.Error(t, second.Wait())
	db.becomes("not confirmed within 2s: back to generation 2")
	require.True(t, db.holds("8080"))

	third := db.try(goodPolicy, "--confirm", "1h")
	undone := call(t, "confirm", "--undo", "--db", db.endpoint)
	require.Equal(t, 0, undone.code, undone.errOut)
	require.Contains(t, undone.out, "generation 6: as in generation 4")
	require.Error(t, third.Wait())

	fourth := db.try(goodPolicy, "--confirm", "1h", "-o", "json")
	beside := call(t, "instance", "add", "late", "--port",
		"name=tap-late,mac=02:00:00:00:00:77,address=203.0.113.77", "--yes", "--db", db.endpoint)
	require.Equal(t, 0, beside.code, beside.errOut)
	listed := call(t, "history", "--db", db.endpoint).out
	require.Contains(t, listed, "on trial until")
	undone = call(t, "confirm", "--undo", "--db", db.endpoint)
	require.Equal(t, 0, undone.code, undone.errOut)
	require.Contains(t, undone.out,
		"generation 9: generation 7 is taken back, what was changed beside it stays")
	require.True(t, db.holds("8080") && db.holds("late"))
	require.Error(t, fourth.Wait())
	require.Contains(t, fourth.errOut.String(), "generation 7 was not confirmed in time")
	var told struct {
		Generation int             `json:"generation"`
		Outcome    string          `json:"outcome"`
		Trial      *policydb.Trial `json:"trial"`
	}
	require.NoError(t, json.Unmarshal(fourth.out.Bytes(), &told), fourth.out.String())
	require.Equal(t, "taken back", told.Outcome)
	require.Equal(t, 9, told.Generation)
	require.Equal(t, 7, told.Trial.Generation)
}

// Where nobody keeps the database the command takes its change back itself.
func TestATrialThatNobodyKeeps(t *testing.T) {
	server := sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
	server.AddDatabase(policydb.Name, policydb.Schema)
	db := &database{t: t, endpoint: server.DB}
	require.Equal(t, 0, db.apply(goodPolicy).code)
	got := db.apply(strings.Replace(goodPolicy, "ports: 80", "ports: 8080", 1), "--confirm", "1s")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "generation 2 was not confirmed in time: it was taken back by "+
		"generation 3")
	require.False(t, db.holds("8080"))
	require.Equal(t, 1, db.apply(goodPolicy, "--confirm", "1ms").code)
}

// What led from one generation to another, and back with a plan first, on trial.
func TestHistoryDiffAndRollback(t *testing.T) {
	db := newDatabase(t)
	require.Equal(t, 0, db.apply(goodPolicy).code)
	require.Equal(t, 0, db.apply(strings.Replace(goodPolicy, "ports: 80", "ports: 443", 1)).code)
	require.Equal(t, 0, db.apply("groups: [{name: other, shared: true}]\n").code)
	last := call(t, "history", "diff", "--db", db.endpoint)
	require.Equal(t, "group \"other\": added\ngroup \"other\": shared none → true\n"+
		"generation 2 to 3: 0 gained, 0 lost\n", last.out, last.errOut)
	second := call(t, "history", "diff", "2", "--db", db.endpoint).out
	require.Contains(t, second, "group \"web\": - ingress tcp 80 from 0.0.0.0/0\n")
	require.Contains(t, second, "group \"web\": + ingress tcp 443 from 0.0.0.0/0\n")
	require.Contains(t, second, "may now be reached from 0.0.0.0/0 by tcp 443")
	var told struct {
		From, To    int
		Differences []struct{ Object, What string }
	}
	both := call(t, "history", "diff", "3", "1", "--db", db.endpoint, "-o", "json")
	require.NoError(t, json.Unmarshal([]byte(both.out), &told), both.errOut)
	require.Equal(t, [2]int{3, 1}, [2]int{told.From, told.To})
	require.Len(t, told.Differences, 3)
	require.Equal(t, 1, call(t, "history", "diff", "7", "--db", db.endpoint).code)

	planned := call(t, "rollback", "1", "--dry-run", "--db", db.endpoint)
	require.Equal(t, 0, planned.code, planned.errOut)
	require.Contains(t, planned.out, "nothing was written: generation 3 stays; 1 would gain, 1 lose")
	require.True(t, db.holds("other"))
	tried := call(t, "rollback", "1", "--confirm", "1s", "--db", db.endpoint)
	require.Equal(t, 1, tried.code)
	require.Contains(t, tried.errOut, "was not confirmed in time")
	require.True(t, db.holds("other"))
	require.Equal(t, 0, call(t, "rollback", "1", "--db", db.endpoint).code)
	require.False(t, db.holds("other"))
}

// With --wait a change is told to be in force when it is, and otherwise on which hosts it is not.
func TestApplyWaitsForTheHosts(t *testing.T) {
	db, host := newDatabase(t), newDaemon(t)
	host.follows(db)
	here, there, _ := strings.Cut(goodPolicy, "  - {name: web-3")
	require.Equal(t, 0, db.apply(here).code)
	host.ready()
	got := db.apply(strings.Replace(here, "ports: 80", "ports: 8080", 1), "--wait")
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "generation 2 is in force on 1 of 1 host that has a port\n")
	require.Contains(t, host.flows(), "tp_dst=8080")

	late := db.apply(here+"  - {name: web-3"+there, "--wait", "--timeout", "1s")
	require.Equal(t, 1, late.code)
	require.Contains(t, late.out, "generation 3 is in force on 1 of 2 hosts that have a port\n"+
		"not on hv2 (1 port): ")
	var told struct {
		Hosts statusdb.Fleet `json:"hosts"`
	}
	text := db.apply(here, "--prune", "--wait", "--timeout", "1s", "-o", "json")
	require.Equal(t, 0, text.code, text.errOut)
	require.NoError(t, json.Unmarshal([]byte(text.out), &told))
	require.Equal(t, 4, told.Hosts.Generation)
	require.Empty(t, told.Hosts.Missing())
}
