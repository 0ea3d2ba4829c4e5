package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// call has a command ask the server.
func (s *apiServer) call(token string, args ...string) answer {
	s.t.Helper()
	s.t.Setenv("PORTCULLIS_TOKEN", token)
	s.t.Setenv("PORTCULLIS_SERVER", s.url)
	return call(s.t, args...)
}

// must is call for what is to succeed.
func (s *apiServer) must(token string, args ...string) answer {
	s.t.Helper()
	got := s.call(token, args...)
	require.Equal(s.t, 0, got.code, "%v: %s", args, got.errOut)
	return got
}

// TestCommandsAtAServer works by the commands at a server, as they work at its database, and sees
// the same there.
func TestCommandsAtAServer(t *testing.T) {
	s := newServer(t)
	_, operator := s.token("--role", "operator")
	do := func(args ...string) answer { t.Helper(); return s.must(operator, args...) }
	do("project", "add", "acme")
	do("group", "add", "web")
	do("rule", "add", "web", "ingress", "tcp", "80", "from", "198.51.100.0/24")
	do("instance", "add", "web-1", "--host", "hv1", "--group", "web", "--port",
		"name=tap1,mac=02:00:00:00:00:11,address=203.0.113.11")
	assert.Contains(t, do("rule", "list", "web").out, "198.51.100.0/24")
	assert.Contains(t, do("instance", "list").out, "web-1")
	assert.Contains(t, do("host", "list").out, "hv1")
	assert.Equal(t, call(t, "export", "--db", s.db.endpoint).out, do("export").out)

	assert.Contains(t, do("explain", "198.51.100.7", "web-1", "tcp/80").out, "ADMITTED")
	assert.Equal(t, 1, s.call(operator, "explain", "198.51.100.7", "web-1", "tcp/81").code)
	assert.Contains(t, do("matrix").out, "web")

	status := s.call(operator, "status", "--all")
	assert.Equal(t, 1, status.code, "no host runs here")
	assert.Contains(t, status.out, "hv1 (1 port): it has not said anything")
	history := do("history", "-o", "json")
	var list []struct {
		Generation        int
		By, From, Summary string
	}
	require.NoError(t, json.Unmarshal([]byte(history.out), &list))
	require.Len(t, list, 4)
	assert.Contains(t, list[1].By, "token ")
	assert.Contains(t, list[0].From, "instance add web-1")
	planned := do("group", "add", "db", "--dry-run", "-o", "json")
	assert.Contains(t, planned.out, `"planned": true`)
	assert.NotContains(t, do("group", "list").out, "db")
	again := s.call(operator, "group", "add", "web")
	assert.Equal(t, 1, again.code)
	assert.Contains(t, again.errOut, "web")

	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte("groups:\n  - {name: db, rules: []}\n"), 0o600))
	do("apply", "-f", file)
	do("apply", "-f", file, "--prune", "--dry-run")
	assert.Contains(t, do("group", "list").out, "web", "nothing was written")
	before := list[0].Generation
	do("rollback", "1")
	assert.NotContains(t, do("group", "list").out, "web")
	do("rollback", strconv.Itoa(before))
	assert.Contains(t, do("group", "list").out, "web")
	assert.Contains(t, do("history", "diff", "1", "2").out, "web")
	gone := s.call(operator, "rollback", "999")
	assert.Equal(t, 1, gone.code)
	assert.Contains(t, gone.errOut, "999")

	trial := s.call(operator, "group", "add", "late", "--confirm", "2s", "-o", "json")
	assert.Contains(t, trial.out, `"outcome": "taken back"`)
	assert.NotContains(t, do("group", "list").out, "late")
	assert.Equal(t, 1, s.call(operator, "confirm").code, "there is nothing to confirm")
}

// TestTenantAtAServer works as a tenant and as a viewer: what is not theirs is not there.
func TestTenantAtAServer(t *testing.T) {
	s := newServer(t)
	_, operator := s.token("--role", "operator")
	for _, args := range [][]string{{"project", "add", "acme"}, {"project", "add", "other"},
		{"group", "add", "other/secret"}, {"group", "add", "common"}} {
		s.must(operator, args...)
	}
	made := s.must(operator, "token", "create", "--role", "editor", "--project", "acme")
	tenant := strings.TrimSpace(made.out)
	s.must(tenant, "group", "add", "web")
	s.must(tenant, "rule", "add", "web", "ingress", "tcp", "443", "from", "0.0.0.0/0")
	s.must(tenant, "instance", "add", "vm", "--group", "web", "--port",
		"name=tap7,mac=02:00:00:00:00:17,address=203.0.113.17")
	assert.Contains(t, s.must(operator, "group", "list").out, "acme/web")
	list := s.must(tenant, "group", "list").out
	assert.Contains(t, list, "web")
	for _, foreign := range []string{"secret", "common", "acme/"} {
		assert.NotContains(t, list+s.must(tenant, "export").out, foreign)
	}
	for _, args := range [][]string{{"group", "remove", "other/secret"}, {"group", "add", "other/mine"},
		{"history"}, {"project", "add", "mine"}, {"token", "list"},
		{"group", "add", "x", "--confirm", "5s"}} {
		got := s.call(tenant, args...)
		assert.Equal(t, 1, got.code, "%v", args)
		assert.NotEmpty(t, got.errOut)
	}
	status := s.call(tenant, "status", "--all")
	assert.Equal(t, 0, status.code, "its instance is on no host: "+status.errOut)
	assert.NotContains(t, status.out, "hv")
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte(s.must(tenant, "export").out), 0o600))
	assert.Contains(t, s.must(tenant, "apply", "-f", file, "--prune").out, "unchanged")

	_, viewer := s.token("--role", "viewer")
	assert.Contains(t, s.must(viewer, "group", "list").out, "acme/web")
	s.must(tenant, "rollback", "2")
	list = s.must(viewer, "group", "list").out
	assert.NotContains(t, list, "acme/web", "what is theirs is as it was")
	assert.Contains(t, list, "other/secret", "what is not is as it is")
	refused := s.call(viewer, "group", "remove", "common", "-o", "json")
	assert.Equal(t, 1, refused.code)
	assert.Contains(t, refused.out, "this needs the role editor")
	got := s.call("", "group", "list")
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.errOut, "give --token")
}

// TestServersThatAreNone are told apart: gone, slow, another program, another authority, another
// name, and one that would have the token sent in the open.
func TestServersThatAreNone(t *testing.T) {
	t.Setenv("PORTCULLIS_TOKEN", "pc_x_y")
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	web := func(answer http.HandlerFunc) string {
		w := httptest.NewServer(answer)
		t.Cleanup(w.Close)
		return w.URL
	}
	elsewhere := 0
	other := web(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "" {
			elsewhere++
		}
	})
	end := make(chan struct{})
	slow := web(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-end:
		case <-req.Context().Done():
		}
	})
	defer close(end)
	a := newAuthority(t)
	byTLS := func(change func(*x509.Certificate)) string {
		w := httptest.NewUnstartedServer(http.NotFoundHandler())
		w.Config.ErrorLog = log.New(io.Discard, "", 0)
		w.TLS = &tls.Config{Certificates: []tls.Certificate{a.sign("elsewhere", change)},
			MinVersion: tls.VersionTLS12}
		w.StartTLS()
		t.Cleanup(w.Close)
		return w.URL
	}
	here := byTLS(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	for _, c := range []struct{ url, ca, say string }{
		{"http://" + gone.Addr().String(), "", "is 'portcullis serve' running there?"},
		{web(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }), "",
			"is no answer of one"},
		{web(http.NotFound), "", "is no API server of Portcullis"},
		{web(func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, other, http.StatusTemporaryRedirect)
		}), "", "is no API server of Portcullis"},
		{web(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(500)
			_, _ = w.Write([]byte("{"))
		}), "", "is no API server of Portcullis"},
		{slow, "", "gives no answer in time"},
		{here, "", "--server-ca FILE"},
		{here, a.file, "is no API server of Portcullis"},
		{byTLS(nil), a.file, "its certificate is for another name"},
		{here, "/none", "--server-ca"},
		{"http://policy.example.org", "", "sent in the open"},
		{"policy.example.org", "", "must be https://HOST"},
		{"unix:/none.sock", "", "does not answer"},
	} {
		began := time.Now()
		args := []string{"group", "list", "--server", c.url}
		if c.ca != "" {
			args = append(args, "--server-ca", c.ca)
		}
		got := call(t, args...)
		assert.Equal(t, 1, got.code, c.url)
		assert.Contains(t, got.errOut, c.say, c.url)
		assert.Less(t, time.Since(began), 20*time.Second)
	}
	assert.Zero(t, elsewhere, "a token goes nowhere else")
	both := call(t, "group", "list", "--server", slow, "--db", "unix:/none")
	assert.Contains(t, both.errOut, "two places")
}

// TestContexts keeps servers, chooses one, and refuses a file that others could read.
func TestContexts(t *testing.T) {
	s := newServer(t)
	_, operator := s.token("--role", "operator")
	_, viewer := s.token("--role", "viewer")
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	ok := func(args ...string) string {
		t.Helper()
		got := call(t, args...)
		require.Equal(t, 0, got.code, "%v: %s", args, got.errOut)
		return got.out
	}
	assert.Equal(t, 1, call(t, "context", "use", "prod").code)
	ok("context", "add", "prod", "--server", s.url, "--token", operator)
	ok("context", "add", "look", "--server", s.url, "--token", viewer)
	ok("context", "add", "host", "--server", "unix:"+s.socket)
	assert.Equal(t, 1, call(t, "context", "add", "prod", "--server", s.url).code)
	assert.Equal(t, 1, call(t, "context", "add", "bad", "--server", "http://192.0.2.1").code)
	ok("group", "add", "web")
	ok("context", "use", "look")
	assert.Contains(t, ok("group", "list"), "web")
	assert.Equal(t, 1, call(t, "group", "add", "db").code, "it is a viewer's")
	ok("group", "add", "db", "--context", "host")
	list := ok("context", "list")
	assert.NotContains(t, list, viewer)
	assert.Contains(t, list, "*")
	t.Setenv("PORTCULLIS_DB", s.db.endpoint)
	ok("group", "add", "by-the-database")
	t.Setenv("PORTCULLIS_DB", "")

	file := filepath.Join(home, "portcullis", "contexts.yaml")
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, os.Chmod(file, 0o640))
	got := call(t, "group", "list")
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.errOut, "chmod 600")
	require.NoError(t, os.Chmod(file, 0o600))
	ok("context", "remove", "look")
	assert.NotContains(t, ok("context", "list"), "look")
	require.NoError(t, os.WriteFile(file, []byte("nonsense: 1\n"), 0o600))
	assert.Equal(t, 1, call(t, "context", "list").code)
}
