package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/ovsdb/policydb"
	"github.com/portcullis/portcullis/ovsdb/policyserver"
)

// A policy database as a file, and back; and its schema.

// backup writes a backup of a database, and returns its path.
func (d *database) backup() string {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "policy.backup")
	require.Contains(d.t, must(d.t, "db", "backup", path, "--db", d.endpoint), "generation ")
	info, err := os.Stat(path)
	require.NoError(d.t, err)
	require.Equal(d.t, os.FileMode(0o600), info.Mode())
	return path
}

// rows are all rows of a table, as ovsdb-client lists them.
func (d *database) rows(table string) string {
	d.t.Helper()
	out, err := exec.Command("ovsdb-client", "dump", "--no-headings", d.endpoint, "Portcullis",
		table).CombinedOutput()
	require.NoError(d.t, err, string(out))
	return string(out)
}

// What is restored is what was backed up, under a generation of its own; it can be undone to
// before, and hosts whose ports it does not concern change no flow.
func TestABackupIsRestored(t *testing.T) {
	db, host := newDatabase(t), newDaemon(t)
	text, err := os.ReadFile(host.settings)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(host.settings, []byte(strings.Replace(string(text),
		"policy: policy.yaml", "policy: ovsdb:"+db.endpoint, 1)), 0o600))
	require.Equal(t, 0, db.apply(goodPolicy).code)
	host.ready()
	file := db.backup()
	exported, ports := must(t, "export", "--db", db.endpoint), db.rows("Port")
	must(t, "db", "restore", file, "--yes", "--db", db.endpoint)
	require.Equal(t, 2, statusOfDatabase(t, "--db", db.endpoint).Generation)
	require.Equal(t, ports, db.rows("Port"), "no row is another one")
	require.Eventually(t, func() bool {
		return strings.Contains(call(t, "status", "--config", host.settings).out, "generation 2")
	}, generous, 20*time.Millisecond)
	require.Equal(t, 1, strings.Count(host.said(), "switch programmed"))

	require.Equal(t, 0, db.apply("groups:\n  - {name: other}\n", "--prune").code)
	require.Equal(t, 0, db.apply(strings.Replace(goodPolicy, "ports: 80", "ports: 81", 1)).code)
	require.Eventually(t, func() bool { return strings.Contains(host.flows(), "tp_dst=81") },
		generous, 20*time.Millisecond)
	planned := must(t, "db", "restore", file, "--dry-run", "--db", db.endpoint)
	require.Contains(t, planned, "would be restored: generation 5 is that of the backup, 1; it takes "+
		"the place of generation 4")
	asked := call(t, "db", "restore", file, "--db", db.endpoint)
	require.Equal(t, 1, asked.code, "nobody answers")
	require.Contains(t, asked.errOut, "nobody said yes")
	require.Equal(t, 4, statusOfDatabase(t, "--db", db.endpoint).Generation)
	var restored struct{ From, Replaced, Generation int }
	require.NoError(t, json.Unmarshal([]byte(must(t, "db", "restore", file, "-y", "-o", "json",
		"--db", db.endpoint)), &restored))
	require.Equal(t, []int{1, 4, 5}, []int{restored.From, restored.Replaced, restored.Generation})
	require.Equal(t, exported, must(t, "export", "--db", db.endpoint))
	require.Eventually(t, func() bool {
		return strings.Contains(host.flows(), "tp_dst=80") &&
			!strings.Contains(host.flows(), "tp_dst=81")
	}, generous, 20*time.Millisecond)
	require.Contains(t, must(t, "history", "--db", db.endpoint), "restored generation 1")
	require.Equal(t, 0, db.apply(strings.Replace(goodPolicy, "ports: 80", "ports: 82", 1)).code)
	require.Contains(t, must(t, "rollback", "5", "--db", db.endpoint), "generation 7")
	require.Equal(t, exported, must(t, "export", "--db", db.endpoint))
}

// A file that is not whole, not of this database or of a newer program is refused before anything
// is touched, wherever it is damaged.
func TestABrokenBackupIsRefused(t *testing.T) {
	db := newDatabase(t)
	require.Equal(t, 0, db.apply(goodPolicy).code)
	file := db.backup()
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	status, err := os.ReadFile(filepath.Join(db.dir, "portcullis-status.db"))
	require.NoError(t, err)
	flipped := bytes.Replace(whole, []byte("203.0.113.11"), []byte("203.0.113.99"), 1)
	for want, content := range map[string][]byte{
		"from its record 2 on: it ends after":       whole[:len(whole)-1],
		"from its record 2 on: its header":          whole[:bytes.LastIndex(whole, []byte("OVSDB JSON"))+9],
		"from its record 2 on: its content":         flipped,
		"from its record 1 on: its header":          []byte("groups: []\n"),
		"from its record 3 on: its header":          append(bytes.Clone(whole), "rubbish"...),
		"is of the database Portcullis_Status, not": status,
		"from its record 1 on: it is empty":         {},
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		require.NoError(t, os.WriteFile(bad, content, 0o600))
		got := call(t, "db", "restore", bad, "--yes", "--db", db.endpoint)
		require.Equal(t, 1, got.code, want)
		require.Contains(t, got.errOut, want)
	}
	require.Contains(t, call(t, "db", "restore", nowhere, "--db", db.endpoint).errOut, "no such file")
	require.Equal(t, 1, statusOfDatabase(t, "--db", db.endpoint).Generation)
	db.kill()
	require.Contains(t, call(t, "db", "backup", file, "--db", db.endpoint).errOut,
		"no server can be used: "+db.endpoint+": dial unix")
	left, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, whole, left, "the backup that was there stays")
}

// What somebody commits while a backup is looked at is not undone by it.
func TestARestorationLosesNoChange(t *testing.T) {
	db := newDatabase(t)
	require.Equal(t, 0, db.apply(goodPolicy).code)
	remote := policyserver.Remote{Endpoint: db.endpoint}
	plan, err := remote.PlanRestore(t.Context(), db.backup(), "a test")
	require.NoError(t, err)
	changed := strings.Replace(goodPolicy, "ports: 80", "ports: 81", 1)
	require.Equal(t, 0, db.apply(changed).code)
	require.ErrorIs(t, remote.Restore(t.Context(), plan), policyserver.ErrMeanwhile)
	require.Contains(t, must(t, "export", "--db", db.endpoint), "ports: 81,")
	require.Equal(t, 2, statusOfDatabase(t, "--db", db.endpoint).Generation)
}

// older is the policy database's schema as an older program has it: without a column and a table.
func older(t *testing.T, version string) string {
	t.Helper()
	var schema map[string]any
	require.NoError(t, json.Unmarshal(policydb.Schema, &schema))
	schema["version"] = version
	tables := schema["tables"].(map[string]any)
	delete(tables, "Project")
	delete(tables["Group"].(map[string]any)["columns"].(map[string]any), "shared")
	text, err := json.Marshal(schema)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "schema")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// remade makes the files of a database that does not run anew, with another schema.
func (d *database) remade(schema string) {
	d.t.Helper()
	file := filepath.Join(d.dir, "portcullis.db")
	require.NoError(d.t, os.Remove(file))
	out, err := exec.Command("ovsdb-tool", "create-cluster", file, schema, "unix:"+d.dir+
		"/raft.sock").CombinedOutput()
	require.NoError(d.t, err, string(out))
}

// serve runs a database that is not of this program's schema.
func (d *database) serve() {
	d.t.Helper()
	d.server = exec.Command(command, "db", "run", "--dir", d.dir)
	require.NoError(d.t, d.server.Start())
	d.t.Cleanup(d.kill)
	require.Eventually(d.t, func() bool {
		return exec.Command("ovsdb-client", "-t", "5", "get-schema-version", d.endpoint,
			"Portcullis").Run() == nil
	}, generous, 20*time.Millisecond)
}

// A running database is converted to this program's schema, once, and keeps what it holds; a newer
// one is left alone.
func TestTheSchemaIsUpgraded(t *testing.T) {
	db := newFolder(t)
	must(t, "db", "init", "--dir", db.dir)
	db.remade(older(t, "0.0.1"))
	db.serve()
	out, err := exec.Command("ovsdb-client", "transact", db.endpoint, `["Portcullis",
		{"op":"insert","table":"Global","row":{"generation":4}},
		{"op":"insert","table":"Group","row":{"name":"old"}}]`).CombinedOutput()
	require.NoError(t, err, string(out))
	old := filepath.Join(t.TempDir(), "old")
	must(t, "db", "backup", old, "--db", db.endpoint)
	needed := call(t, "db", "upgrade", "--dry-run", "--db", db.endpoint)
	require.Equal(t, 3, needed.code, needed.errOut)
	require.Contains(t, needed.out, "needed: the database has the schema 0.0.1")
	require.Contains(t, must(t, "db", "upgrade", "--db", db.endpoint), "done: from the schema 0.0.1")
	require.Contains(t, must(t, "export", "--db", db.endpoint), "name: old")
	again := must(t, "db", "upgrade", "--db", db.endpoint)
	require.Contains(t, again, "nothing to do")
	require.Contains(t, must(t, "db", "upgrade", "--dry-run", "--db", db.endpoint), "nothing to do")

	// A backup of the older schema is converted, also into a database that is another one.
	next := newDatabase(t)
	require.Equal(t, 0, next.apply(goodPolicy).code)
	must(t, "db", "restore", old, "--yes", "--db", next.endpoint)
	require.NotContains(t, must(t, "export", "--db", next.endpoint), "web-1")
	require.Contains(t, must(t, "export", "--db", next.endpoint), "name: old")
	require.Equal(t, 5, statusOfDatabase(t, "--db", next.endpoint).Generation)

	newer := newFolder(t)
	must(t, "db", "init", "--dir", newer.dir)
	newer.remade(older(t, "99.0.0"))
	newer.serve()
	require.Contains(t, must(t, "db", "upgrade", "--db", newer.endpoint), "which is newer than")
	later := filepath.Join(t.TempDir(), "later")
	must(t, "db", "backup", later, "--db", newer.endpoint)
	refused := call(t, "db", "restore", later, "--yes", "--db", next.endpoint)
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.errOut, "upgrade the database first")
}

// Commands that need more than the schema of a database has say at once what to do, and which
// schema it is.
func TestCommandsOnAFormerSchema(t *testing.T) {
	db := newDatabase(t)
	require.Equal(t, 0, db.apply(goodPolicy).code)
	out, err := exec.Command("ovsdb-client", "convert", db.endpoint,
		"../../ovsdb/policydb/testdata/0.1.0.ovsschema").CombinedOutput()
	require.NoError(t, err, "%s", out)
	words := "the database has the schema 0.1.0, and this portcullis needs "
	for _, args := range [][]string{{"history"}, {"export"}, {"group", "list"}, {"db", "status"},
		{"rollback", "1"}} {
		began := time.Now()
		got := call(t, append(args, "--db", db.endpoint)...)
		require.Equal(t, 1, got.code, args)
		require.Contains(t, got.errOut, words, args)
		require.Contains(t, got.errOut, "'portcullis db upgrade'", args)
		require.NotContains(t, got.errOut, "does not answer", args)
		require.Less(t, time.Since(began), cli.AskTimeout, args)
	}
	must(t, "db", "upgrade", "--db", db.endpoint)
	require.Contains(t, must(t, "export", "--db", db.endpoint), "name: web-1")
	require.Contains(t, must(t, "history", "--db", db.endpoint), "apply")
}
