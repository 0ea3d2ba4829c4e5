package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	issuer "github.com/portcullis/portcullis/ovsdb/authority"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/credentials"
)

// A policy database with TLS: who is let in, and what a host can do that somebody has taken over.

// secured is a member that hosts and writers reach by TLS.
type secured struct {
	*database
	hosts, writers string // endpoints
}

func newSecured(t *testing.T) secured {
	t.Helper()
	db := newFolder(t)
	hosts, writers := freePort(t), freePort(t)
	must(t, "db", "init", "--dir", db.dir, "--tls", "--name", "member-1", "--listen",
		"pssl:"+hosts+":127.0.0.1", "--writers", "pssl:"+writers+":127.0.0.1")
	db.start()
	s := secured{db, "ssl:127.0.0.1:" + hosts, "ssl:127.0.0.1:" + writers}
	s.opens(s.hosts, s.certificate("probe"))
	return s
}

// certificate makes one, and returns its folder.
func (s secured) certificate(name string, flags ...string) string {
	s.t.Helper()
	must(s.t, append([]string{"db", "certificate", name, "--dir", s.dir}, flags...)...)
	return filepath.Join(s.dir, "issued", name)
}

// opens waits until a server lets in whoever has a certificate.
func (s secured) opens(endpoint, folder string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		return call(s.t, "db", "status", "--db", endpoint, "--db-tls", folder).code == 0
	}, generous, 20*time.Millisecond)
}

// asHost makes one transaction as a host does that speaks to the server itself.
func asHost(t *testing.T, endpoint, folder, database string, operations ...any) ([]client.Answer,
	error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	conn, err := client.Dial(ctx, endpoint, credentials.In(folder).Config())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Raw(ctx, database, operations...)
}

type object = map[string]any

func insert(table string, row object) object {
	return object{"op": "insert", "table": table, "row": row}
}

// any operation on all rows of a table.
func everywhere(op, table string, row object) object {
	out := object{"op": op, "table": table, "where": []any{}}
	if row != nil {
		out["row"] = row
	}
	return out
}

// Whoever has taken over a host can read, and write what that host says of itself, and nothing
// else: neither at a member nor at a relay. What the host itself says goes through.
func TestAHostCanWriteItsOwnStatusOnly(t *testing.T) {
	db := newSecured(t)
	require.Equal(t, 0, db.apply(goodPolicy).code)
	hv1, hv2 := db.certificate("hv1"), db.certificate("hv2")
	relay := newFolder(t)
	port := freePort(t)
	must(t, "db", "relay", "--dir", relay.dir, "--source", db.hosts, "--listen",
		"pssl:"+port+":127.0.0.1", "--certificate",
		db.certificate("relay-1", "--for", "relay", "--address", "127.0.0.1"))
	relay.start()
	behind := "ssl:127.0.0.1:" + port
	db.opens(behind, hv1)
	for _, endpoint := range []string{db.hosts, behind} {
		hostile(t, endpoint, hv1, hv2)
	}
	got := call(t, "apply", "-f", filepath.Join(filepath.Dir(site(t, "groups: []\n")), "policy.yaml"),
		"--prune", "--db", db.hosts, "--db-tls", hv1)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "permission error")
	require.Equal(t, 1, statusOfDatabase(t, "--db", db.endpoint).Generation)
	require.Equal(t, must(t, "export", "--db", db.endpoint), must(t, "export", "--db", behind,
		"--db-tls", hv1), "a host reads all")
}

// hostile tries at one server what a host must not be able to, with the certificate of hv1.
func hostile(t *testing.T, endpoint, hv1, hv2 string) {
	t.Helper()
	_, err := asHost(t, endpoint, hv2, "Portcullis_Status", insert("Host_Status", object{"name": "hv2",
		"generation": 1}), insert("Port_Status", object{"name": "tap3", "host": "hv2",
		"state": "applied"}))
	require.NoError(t, err, "its own")
	_, err = asHost(t, endpoint, hv1, "Portcullis_Status", insert("Host_Status", object{"name": "hv1"}),
		everywhere("update", "Host_Status", nil))
	require.Error(t, err)
	_, err = asHost(t, endpoint, hv1, "Portcullis_Status", insert("Host_Status", object{"name": "hv1"}))
	require.NoError(t, err)
	named := func(name string) []any { return []any{[]any{"name", "==", name}} }
	_, err = asHost(t, endpoint, hv1, "Portcullis_Status", object{"op": "update",
		"table": "Host_Status", "where": named("hv1"), "row": object{"generation": 7}})
	require.NoError(t, err)
	for database, list := range forbidden() {
		for _, operation := range list {
			_, err := asHost(t, endpoint, hv1, database, operation)
			require.ErrorContains(t, err, "permission error", "%s: %v", endpoint, operation)
		}
	}
	answers, err := asHost(t, endpoint, hv1, "Portcullis_Status", object{"op": "select",
		"table": "Host_Status", "where": named("hv2"), "columns": []string{"generation"}})
	require.NoError(t, err)
	require.Equal(t, []object{{"generation": 1.0}}, answers[0].Rows)
}

// forbidden are operations that no host may make, by database.
func forbidden() map[string][]any {
	named := func(name string) []any { return []any{[]any{"name", "==", name}} }
	out := map[string][]any{
		"Portcullis_Status": {
			insert("Host_Status", object{"name": "hv3"}),
			insert("Port_Status", object{"name": "tap9", "host": "hv2", "state": "applied"}),
			object{"op": "update", "table": "Host_Status", "where": named("hv2"),
				"row": object{"generation": 9}},
			object{"op": "delete", "table": "Host_Status", "where": named("hv2")},
			everywhere("update", "Port_Status", object{"state": "error"}),
			everywhere("delete", "Port_Status", nil),
			everywhere("update", "Member", object{"hosts": []any{"set", []any{}}}),
			everywhere("update", "Connection", object{"role": ""}),
			everywhere("update", "RBAC_Role", object{"permissions": []any{"map", []any{}}}),
			everywhere("update", "RBAC_Permission", object{"authorization": []any{"set", []any{""}}}),
			everywhere("delete", "RBAC_Permission", nil),
		},
		"Portcullis": {
			insert("Group", object{"name": "mine"}), insert("Project", object{"name": "mine"}),
			insert("Change", object{"generation": 9, "id": "x", "at": 1, "by": "x", "summary": "",
				"from": "", "undo": ""}),
			insert("Token", object{"id": "x", "kind": "bearer", "secret": "x", "role": "operator",
				"at": 1, "by": "x"}),
			insert("Connection", object{"target": "ptcp:6999"}),
			insert("RBAC_Permission", object{"table": "Port"}),
			everywhere("update", "Port", object{"trusted": true}),
			everywhere("update", "Rule", object{"ports": []any{"set", []any{}}}),
			everywhere("update", "Global", object{"generation": 99}),
			everywhere("mutate", "Global", nil),
			everywhere("delete", "RBAC_Role", nil), everywhere("delete", "Port", nil),
			everywhere("delete", "Group", nil), everywhere("delete", "Change", nil),
		},
	}
	out["Portcullis"][9].(object)["mutations"] = []any{[]any{"generation", "+=", 1}}
	return out
}

// The certificate of one door opens no other, nor does one of another authority, one that has
// expired, or none; and a server is believed for its own addresses only.
func TestWhoIsLetIn(t *testing.T) {
	db, other := newSecured(t), newSecured(t)
	require.Equal(t, 0, db.apply(goodPolicy).code)
	hv1, writer := db.certificate("hv1"), db.certificate("api", "--for", "writer")
	expired := filepath.Join(t.TempDir(), "expired")
	signer, err := issuer.Open(filepath.Join(db.dir, "authority", "hosts"))
	require.NoError(t, err)
	_, err = signer.Issue(expired, issuer.Subject{Name: "hv1", Days: -1})
	require.NoError(t, err)
	stranger := other.certificate("hv1")
	forged := filepath.Join(t.TempDir(), "forged") // trusts the right server, is signed by the wrong one
	require.NoError(t, os.CopyFS(forged, os.DirFS(stranger)))
	right, err := os.ReadFile(filepath.Join(hv1, "ca.pem"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(forged, "ca.pem"), right, 0o600))
	crossed := filepath.Join(t.TempDir(), "crossed") // a host's certificate, at the members' door
	require.NoError(t, os.CopyFS(crossed, os.DirFS(hv1)))
	right, err = os.ReadFile(filepath.Join(writer, "ca.pem"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(crossed, "ca.pem"), right, 0o600))

	must(t, "export", "--db", db.hosts, "--db-tls", hv1)
	must(t, "export", "--db", db.writers, "--db-tls", writer)
	for _, c := range []struct{ endpoint, folder, want string }{
		{db.hosts, expired, "expired"},
		{db.hosts, stranger, "unknown authority"},
		{db.hosts, forged, ""},
		{db.writers, hv1, "unknown authority"},
		{db.writers, crossed, ""},
		{db.hosts, writer, "unknown authority"},
		{strings.Replace(db.hosts, "127.0.0.1", "localhost", 1), hv1, "not localhost"},
		{db.hosts, filepath.Join(t.TempDir(), "none"), "no such file"},
		{strings.Replace(db.hosts, "ssl:", "tcp:", 1), hv1, ""},
	} {
		_, err := asHost(t, c.endpoint, c.folder, "Portcullis", object{"op": "select", "table": "Port",
			"where": []any{}})
		require.Error(t, err, c.folder)
		require.ErrorContains(t, err, c.want)
	}
	none := call(t, "export", "--db", db.hosts, "--config", site(t, goodPolicy))
	require.Equal(t, 1, none.code)
	require.Contains(t, none.errOut, "ssl: needs a certificate; name the folder")
	require.Contains(t, call(t, "db", "status", "--db", db.hosts, "--db-tls", expired).errOut, "expired")
}

// Certificates are renewed while everybody runs: the server shows the new one, and lets in who was
// let in; a host whose certificate had expired is let in with its new one.
func TestCertificatesAreRenewed(t *testing.T) {
	db, host := newSecured(t), newDaemon(t)
	require.Equal(t, 0, db.apply(goodPolicy).code)
	hv1 := db.certificate("hv1")
	text, err := os.ReadFile(host.settings)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(host.settings, []byte(strings.Replace(string(text),
		"policy: policy.yaml", "policy: ovsdb:"+db.hosts+"\npolicy_tls: {ca: "+hv1+"/ca.pem, "+
			"certificate: "+hv1+"/certificate.pem, key: "+hv1+"/key.pem}", 1)), 0o600))
	host.ready()
	require.Contains(t, host.flows(), "tp_dst=80")

	before := shown(t, db.hosts, hv1)
	must(t, "db", "certificate", "member-1", "--dir", db.dir)
	must(t, "db", "certificate", "hv1", "--dir", db.dir)
	require.Eventually(t, func() bool {
		return shown(t, db.hosts, hv1).SerialNumber.Cmp(before.SerialNumber) != 0
	}, generous, 50*time.Millisecond)
	require.Equal(t, before.IPAddresses, shown(t, db.hosts, hv1).IPAddresses)
	require.Equal(t, 0, db.apply(strings.Replace(goodPolicy, "ports: 80", "ports: 81", 1)).code)
	require.Eventually(t, func() bool { return strings.Contains(host.flows(), "tp_dst=81") },
		generous, 20*time.Millisecond)

	signer, err := issuer.Open(filepath.Join(db.dir, "authority", "hosts"))
	require.NoError(t, err)
	_, err = signer.Issue(hv1, issuer.Subject{Name: "hv1", Days: -1})
	require.NoError(t, err)
	db.kill()
	db.start()
	require.Equal(t, 0, db.apply(strings.Replace(goodPolicy, "ports: 80", "ports: 82", 1)).code)
	require.Eventually(t, func() bool {
		return strings.Contains(host.said(), "expired")
	}, generous, 50*time.Millisecond)
	require.Contains(t, host.flows(), "tp_dst=81", "what it has stays in force")
	must(t, "db", "certificate", "hv1", "--dir", db.dir)
	require.Eventually(t, func() bool { return strings.Contains(host.flows(), "tp_dst=82") },
		generous, 20*time.Millisecond)
}

// shown is the certificate that a server shows.
func shown(t *testing.T, endpoint, folder string) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(endpoint, "ssl:"),
		credentials.In(folder).Config())
	require.NoError(t, err)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// What is wrong with a certificate that is asked for is said before anything is made.
func TestCertificatesRefused(t *testing.T) {
	db := newFolder(t)
	must(t, "db", "init", "--dir", db.dir, "--tls", "--name", "member-1")
	for _, c := range []struct {
		want string
		code int
		args []string
	}{
		{"must be one of host, writer, relay, member", 2, []string{"a", "--for", "guest"}},
		{"must be from 1 to", 2, []string{"a", "--days", "0"}},
		{"without /", 1, []string{"../a"}},
		{"without /", 1, []string{".."}},
		{"needs the addresses", 1, []string{"a", "--for", "relay"}},
		{"nobody else has one", 1, []string{"a", "--address", "192.0.2.1"}},
		{"has a certificate for a member already", 1, []string{"member-1", "--for", "host"}},
	} {
		got := call(t, append([]string{"db", "certificate", "--dir", db.dir}, c.args...)...)
		require.Equal(t, c.code, got.code, "%v: %s", c.args, got.errOut)
		require.Contains(t, got.errOut, c.want, c.args)
	}
	none := call(t, "db", "certificate", "a", "--dir", t.TempDir())
	require.Contains(t, none.errOut, "there is no authority in")
	for _, path := range []string{"authority/hosts/key.pem", "authority/members/key.pem",
		"issued/member-1/hosts/key.pem"} {
		info, err := os.Stat(filepath.Join(db.dir, path))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode(), path)
	}
}
