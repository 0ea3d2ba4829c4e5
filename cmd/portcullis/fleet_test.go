package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// database is a policy database that `portcullis db` has made, and runs until it is stopped.
type database struct {
	t        *testing.T
	dir      string
	endpoint string
	server   *exec.Cmd
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	dir, err := os.MkdirTemp("", "pcdb") // the path of a socket is short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &database{t: t, dir: filepath.Join(dir, "db")}
	d.endpoint = "unix:" + d.dir + "/db.sock"
	made := call(t, "db", "init", "--dir", d.dir)
	require.Equal(t, 0, made.code, made.errOut)
	require.Contains(t, made.out, "policy: ovsdb:"+d.endpoint)
	d.start()
	return d
}

func (d *database) start() {
	d.t.Helper()
	d.server = exec.Command(command, "db", "run", "--dir", d.dir)
	require.NoError(d.t, d.server.Start())
	d.t.Cleanup(d.kill)
	require.Eventually(d.t, func() bool {
		return call(d.t, "db", "status", "--db", d.endpoint).code == 0
	}, generous, 10*time.Millisecond)
}

func (d *database) kill() {
	_ = d.server.Process.Kill()
	_ = d.server.Wait()
}

// apply puts a policy into the database.
func (d *database) apply(text string, flags ...string) answer {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), "policy.yaml")
	require.NoError(d.t, os.WriteFile(file, []byte(text), 0o600))
	return call(d.t, append([]string{"apply", "-f", file, "--db", d.endpoint}, flags...)...)
}

// A host follows the database: what is applied is in force, what is rolled back is not, and a
// database that is gone takes nothing away, not even from a daemon that starts meanwhile.
func TestAHostFollowsThePolicyDatabase(t *testing.T) {
	db, host := newDatabase(t), newDaemon(t)
	text, err := os.ReadFile(host.settings)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(host.settings, []byte(strings.Replace(string(text),
		"policy: policy.yaml", "policy: ovsdb:"+db.endpoint, 1)), 0o600))
	got := db.apply(goodPolicy)
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "generation 1: ")
	host.ready()
	admits := func(port string) bool { return strings.Contains(host.flows(), "tp_dst="+port) }
	require.True(t, admits("80"))
	current := host.settled()
	require.Len(t, current.Ports, 1, "web-2 has no host, and so is nowhere")
	require.Equal(t, 1, current.Policy.Generation)
	require.Equal(t, policydb.Current, current.Policy.Database.Standing)
	require.False(t, current.Policy.Database.CommittedAt.IsZero())

	require.Equal(t, 0, db.apply(strings.Replace(goodPolicy, "ports: 80", "ports: 8080", 1)).code)
	require.Eventually(t, func() bool { return admits("8080") && !admits("80 ") }, generous,
		10*time.Millisecond)
	require.Equal(t, 0, call(t, "rollback", "1", "--config", host.settings).code,
		"the settings name the database")
	require.Eventually(t, func() bool { return !admits("8080") }, generous, 10*time.Millisecond)
	require.Contains(t, call(t, "explain", "outside", "web-1", "http", "--config",
		host.settings).out, "IPv4): admitted")

	db.kill()
	stale := host.awaitStatus(func(s *api.Status) bool { return len(s.Policy.Warnings) > 0 })
	require.Contains(t, stale.Policy.Warnings[0], "generation 3 stays in force")
	require.Equal(t, agent.StateInSync, stale.State)
	require.Equal(t, policydb.Stale, stale.Policy.Database.Standing)
	require.Contains(t, stale.Summary, "stale since ")
	require.Contains(t, call(t, "status", "--config", host.settings).out,
		"database:   stale: generation 3 in force")
	held := host.flows()
	host.stop(syscall.SIGTERM)
	host.start()
	host.awaitStatus(func(s *api.Status) bool { return s.State != agent.StateStarting })
	require.Equal(t, held, host.flows(), "the policy that was kept")

	db.start()
	host.awaitStatus(func(s *api.Status) bool { return s.State == agent.StateInSync })
	require.Equal(t, held, host.flows())
}

// What is applied, exported and applied again is the same; what files do not name stays unless it
// is to go.
func TestApplyToADatabase(t *testing.T) {
	db := newDatabase(t)
	require.Contains(t, call(t, "db", "status", "--db", db.endpoint).out, "empty")
	planned := db.apply(goodPolicy, "--dry-run")
	require.Equal(t, 0, planned.code, planned.errOut)
	require.Contains(t, planned.out, "nothing was written: generation 0 stays")
	require.Equal(t, 0, db.apply(goodPolicy).code)
	exported := call(t, "export", "--db", db.endpoint)
	require.Equal(t, 0, exported.code, exported.errOut)
	require.Contains(t, db.apply(exported.out, "--prune").out, "unchanged: generation 1")

	const other = "groups:\n  - {name: other}\n"
	require.Contains(t, db.apply(other).out, "generation 2")
	require.Contains(t, call(t, "export", "--db", db.endpoint).out, "name: web-1")
	require.Contains(t, db.apply(other, "--prune").out, "generation 3")
	require.NotContains(t, call(t, "export", "--db", db.endpoint).out, "name: web-1")

	for text, want := range map[string]string{
		"groups: 3\n": "policy.yaml:1:9",
		"instances:\n  - {name: a, groups: [nobody], ports: []}\n":                         "nobody",
		"groups:\n  - {name: w, rules: [{direction: ingress, protocol: tcp, ports: 0}]}\n": "ports",
	} {
		refused := db.apply(text)
		require.Equal(t, 1, refused.code, text)
		require.Contains(t, refused.errOut, want)
	}
	var s struct {
		Generation int `json:"generation"`
		Groups     int `json:"groups"`
	}
	require.NoError(t, json.Unmarshal([]byte(call(t, "db", "status", "--db", db.endpoint, "-o",
		"json").out), &s))
	require.Equal(t, 3, s.Generation)
	require.Equal(t, 1, s.Groups)
}

func TestHistoryOfADatabase(t *testing.T) {
	db := newDatabase(t)
	require.Equal(t, 0, db.apply(goodPolicy).code)
	require.Equal(t, 0, db.apply(strings.Replace(goodPolicy, "ports: 80", "ports: 443", 1)).code)
	list := call(t, "history", "--db", db.endpoint)
	require.Equal(t, 0, list.code, list.errOut)
	require.Equal(t, 3, strings.Count(list.out, "\n"), list.out)
	one := call(t, "history", "2", "--db", db.endpoint)
	require.Contains(t, one.out, "may now be reached from 0.0.0.0/0 by tcp 443")
	require.Contains(t, one.out, "can no longer be reached from 0.0.0.0/0 by tcp 80")
	require.Equal(t, 1, call(t, "history", "9", "--db", db.endpoint).code)

	back := call(t, "rollback", "1", "--db", db.endpoint)
	require.Equal(t, 0, back.code, back.errOut)
	require.Contains(t, back.out, "generation 3: as in generation 1")
	require.Contains(t, call(t, "export", "--db", db.endpoint).out, "ports: 80,")
	none := call(t, "rollback", "4", "--db", db.endpoint)
	require.Equal(t, 1, none.code)
	require.Contains(t, none.errOut, "those from 0 to 2 can")
}

func TestDatabaseCommandsRefuse(t *testing.T) {
	db := newDatabase(t)
	for _, c := range []struct {
		want string
		code int
		args []string
	}{
		{"is there already", 1, []string{"db", "init", "--dir", db.dir}},
		{"must be punix:/PATH", 1, []string{"db", "init", "--dir", t.TempDir(), "--listen", "unix:/a"}},
		{"there is no policy database in", 1, []string{"db", "run", "--dir", t.TempDir()}},
		{"name a file or a folder", 1, []string{"apply", "--db", db.endpoint}},
		{"want a time from 1s", 1, []string{"apply", "-f", "p", "--db", db.endpoint, "--confirm", "9ms"}},
		{"no number of a generation", 1, []string{"rollback", "x", "--db", db.endpoint}},
		{"want unix:/path", 1, []string{"export", "--db", "nowhere"}},
		{"no policy database is named", 1, []string{"db", "status", "--config", site(t, goodPolicy)}},
		{"required flag", 2, []string{"db", "init"}},
	} {
		got := call(t, c.args...)
		require.Equal(t, c.code, got.code, "%v: %s", c.args, got.errOut)
		require.Contains(t, got.errOut, c.want, c.args)
	}
	db.kill()
	t.Run("a database that does not answer", func(t *testing.T) {
		got := call(t, "export", "--db", db.endpoint)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.errOut, "the policy database does not answer: ")
	})
}
