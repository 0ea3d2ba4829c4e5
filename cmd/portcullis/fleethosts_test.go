package main

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/ovsdb/statusdb"
)

// follows has a daemon's settings name a policy database.
func (d *process) follows(db *database) {
	d.t.Helper()
	text, err := os.ReadFile(d.settings)
	require.NoError(d.t, err)
	require.NoError(d.t, os.WriteFile(d.settings, []byte(strings.Replace(string(text),
		"policy: policy.yaml", "policy: ovsdb:"+db.endpoint, 1)), 0o600))
}

// fleet is what status --all says as JSON.
func (d *database) fleet(flags ...string) (statusdb.Fleet, int) {
	d.t.Helper()
	got := call(d.t, append([]string{"status", "--all", "--db", d.endpoint, "-o", "json"},
		flags...)...)
	var f statusdb.Fleet
	require.NoError(d.t, json.Unmarshal([]byte(got.out), &f), got.errOut)
	return f, got.code
}

// Whoever asks for all hosts learns which generation is in force on each, waits until it is on all
// that have a port, and is told who has not answered: a host that is stopped, and one that the
// policy names and nobody has seen.
func TestStatusOfAllHosts(t *testing.T) {
	db, host := newDatabase(t), newDaemon(t)
	host.follows(db)
	here, _, _ := strings.Cut(goodPolicy, "  - {name: web-3")
	require.Equal(t, 0, db.apply(here).code)
	host.ready()
	f, code := db.fleet("--wait")
	require.Equal(t, 0, code, "%+v", f)
	require.Len(t, f.Hosts, 1, "web-2 is nowhere")
	h := f.Hosts[0]
	require.Equal(t, "hv1", h.Name)
	require.Equal(t, statusdb.InTime, h.Standing)
	require.Equal(t, 1, h.Generation)
	require.Equal(t, 1, h.PortsPlaced)
	require.Equal(t, "web-1/tap1", h.Ports[0].Name)
	require.NotEmpty(t, h.Version)

	require.Equal(t, 0, db.apply(strings.Replace(here, "ports: 80", "ports: 8080", 1)).code)
	f, code = db.fleet("--wait")
	require.Equal(t, 0, code)
	require.Equal(t, 2, f.Hosts[0].Generation)
	require.Contains(t, call(t, "status", "--all", "--config", host.settings).out,
		"generation 2 is in force on 1 of 1 host that has a port", "the settings name the database")

	require.NoError(t, host.cmd.Process.Signal(syscall.SIGSTOP))
	require.Equal(t, 0, db.apply(here+
		"  - {name: db-9, host: hv9, ports: [{name: tap9, mac: 02:00:00:00:00:09}]}\n").code)
	f, code = db.fleet("--wait", "--timeout", "500ms")
	require.NoError(t, host.cmd.Process.Signal(syscall.SIGCONT))
	require.Equal(t, 1, code)
	require.Len(t, f.Missing(), 2)
	require.Equal(t, statusdb.Late, f.Missing()[0].Standing)
	require.Equal(t, "generation 2 is in force", f.Missing()[0].Why)
	require.Equal(t, statusdb.Never, f.Missing()[1].Standing)
	got := call(t, "status", "--all", "--db", db.endpoint)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, "hv9 (1 port): it has not said anything")
	require.Equal(t, 2, call(t, "status", "--db", db.endpoint).code, "--db is for --all")
}

// A host that comes in by TLS may write its own rows only, and that is all that it writes: at a
// member, as its ports come and go.
func TestAHostSaysHowItIsByTLS(t *testing.T) {
	db, host := newSecured(t), newDaemon(t)
	here, _, _ := strings.Cut(goodPolicy, "  - {name: web-3")
	require.Equal(t, 0, db.apply(here).code)
	folder := db.certificate("hv1")
	host.follows(&database{t: t, endpoint: db.hosts})
	text, err := os.ReadFile(host.settings)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(host.settings, append(text, []byte("policy_tls: {ca: "+folder+
		"/ca.pem, certificate: "+folder+"/certificate.pem, key: "+folder+"/key.pem}\n")...), 0o600))
	host.ready()
	f, code := db.fleet("--wait")
	require.Equal(t, 0, code, "%+v", f)
	require.Equal(t, "web-1/tap1", f.Hosts[0].Ports[0].Name)
	more := here + `  - {name: web-4, host: hv1, ports: [{iface_id: four, mac: "02:00:00:00:00:14"}]}` + "\n"
	require.Equal(t, 0, db.apply(more).code)
	f, code = db.fleet("--wait")
	require.Equal(t, 0, code, "%+v", f)
	require.Len(t, f.Hosts[0].Ports, 2)
	require.Equal(t, statusdb.Absent, f.Hosts[0].Ports[0].State)
	require.Equal(t, "four", f.Hosts[0].Ports[0].Name)
	require.Equal(t, 0, db.apply(here, "--prune").code)
	f, code = db.fleet("--wait")
	require.Equal(t, 0, code, "%+v", f)
	require.Len(t, f.Hosts[0].Ports, 1)
	require.NotContains(t, host.said(), "permission error")
}
