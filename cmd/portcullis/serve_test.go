package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// apiServer is a `portcullis serve` that runs until the test ends.
type apiServer struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	socket string
	db     *database
	client *http.Client
}

var servingAt = regexp.MustCompile(`msg=serving at="?([0-9.:]+)"?`)

// newServer serves a database of its own.
func newServer(t *testing.T, flags ...string) *apiServer {
	t.Helper()
	return newServerFor(t, http.DefaultClient, flags...)
}

// newServerFor is newServer for a client of its own, which comes by TLS where there is a
// certificate.
func newServerFor(t *testing.T, client *http.Client, flags ...string) *apiServer {
	t.Helper()
	s := &apiServer{t: t, db: newDatabase(t), client: client}
	s.socket = filepath.Join(s.db.dir, "api.sock")
	s.cmd = exec.Command(command, append([]string{"serve", "--db", s.db.endpoint, "--listen",
		"127.0.0.1:0", "--socket", s.socket}, flags...)...)
	log, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		assert.NoError(t, s.cmd.Wait())
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if found := servingAt.FindStringSubmatch(lines.Text()); found != nil {
			s.url = "http://" + found[1]
			if slices.Contains(flags, "--tls-cert") {
				s.url = "https://" + found[1]
			}
			break
		}
	}
	require.NotEmpty(t, s.url, "it does not say where it listens")
	go func() { _, _ = io.Copy(io.Discard, log) }()
	require.Eventually(t, func() bool { return s.get("", "/healthz").code == 200 }, generous, 10*time.Millisecond)
	return s
}

// token makes one by the command.
func (s *apiServer) token(flags ...string) (id, text string) {
	s.t.Helper()
	got := call(s.t, append([]string{"token", "create", "--db", s.db.endpoint, "-o", "json"},
		flags...)...)
	require.Equal(s.t, 0, got.code, got.errOut)
	var made struct{ ID, Token string }
	require.NoError(s.t, json.Unmarshal([]byte(got.out), &made))
	return made.ID, made.Token
}

// get asks; the code is the status of HTTP.
func (s *apiServer) get(token, path string) answer { return s.ask(token, http.MethodGet, path, "") }

func (s *apiServer) ask(token, method, path, body string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return answered(s.t, s.client, req)
}

func answered(t *testing.T, client *http.Client, req *http.Request) answer {
	t.Helper()
	res, err := client.Do(req)
	if err != nil {
		return answer{errOut: err.Error()}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{code: res.StatusCode, out: string(text)}
}

// TestServe writes and asks by HTTP with tokens that the command has made, and sees the same by the
// commands on the database.
func TestServe(t *testing.T) {
	s := newServer(t)
	id, operator := s.token("--role", "operator")
	put := s.ask(operator, http.MethodPut, "/v1/groups/web", `{"rules":[{"direction":"ingress",
		"protocol":"tcp","ports":80,"cidr":"198.51.100.0/24"}]}`)
	require.Equal(t, 200, put.code, put.out)
	put = s.ask(operator, http.MethodPut, "/v1/instances/web-1", `{"groups":["web"],"host":"hv1","ports":[
		{"name":"tap1","mac":"02:00:00:00:00:11","addresses":["203.0.113.11"]}]}`)
	require.Equal(t, 200, put.code, put.out)
	assert.Contains(t, put.out, `1 port new: tap1 of web-1`)
	exported := call(t, "export", "--db", s.db.endpoint)
	assert.Contains(t, exported.out, "web-1")
	assert.Equal(t, exported.out, s.get(operator, "/v1/policy").out)

	why := s.get(operator, "/v1/explain?from=198.51.100.7&to=web-1&service=tcp/80")
	require.Equal(t, 200, why.code, why.out)
	assert.Contains(t, why.out, `"admitted":true`)
	why = s.get(operator, "/v1/explain?from=198.51.100.7&to=web-1&service=tcp/81")
	assert.Contains(t, why.out, `"admitted":false`)
	assert.Equal(t, 400, s.get(operator, "/v1/explain?from=nobody&to=web-1&service=tcp/80").code)

	_, viewer := s.token("--role", "viewer", "--expires", "30d")
	assert.Equal(t, 200, s.get(viewer, "/v1/groups").code)
	assert.Equal(t, 403, s.ask(viewer, http.MethodPut, "/v1/groups/db", `{}`).code)
	assert.Contains(t, call(t, "token", "list", "--db", s.db.endpoint).out, id)
	require.Equal(t, 0, call(t, "token", "revoke", id, "--db", s.db.endpoint).code)
	require.Eventually(t, func() bool { return s.get(operator, "/v1/whoami").code == 401 }, generous,
		10*time.Millisecond)

	assert.Equal(t, 401, s.get("", "/v1/whoami").code)
	assert.Equal(t, 200, s.get("", "/openapi.json").code)
}

// TestServeAtTheSocket lets root in by its credentials, and nobody else who is not of the group.
func TestServeAtTheSocket(t *testing.T) {
	s := newServer(t)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _,
		_ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
	}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://socket/v1/whoami", nil)
	require.NoError(t, err)
	got := answered(t, client, req)
	assert.Equal(t, 200, got.code, got.errOut)
	assert.Contains(t, got.out, `"name":"root","how":"socket","role":"operator"`)

	require.NoError(t, os.Chmod(s.socket, 0o666), "as if its mode were wrong")
	for _, dir := range []string{filepath.Dir(s.db.dir), s.db.dir} {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	nobody := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-s",
		"--unix-socket", s.socket, "http://socket/v1/whoami")
	out, err := nobody.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), `"status":403`)
	assert.Contains(t, string(out), "for root and the members of the group portcullis")
}

// TestServeRefusesToBeOpen does not start where tokens would be sent in the open, or without what
// it needs.
func TestServeRefusesToBeOpen(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.sock")
	for _, c := range []struct {
		flags []string
		say   string
	}{
		{[]string{"--listen", "0.0.0.0:0"}, "send their tokens in the open"},
		{[]string{"--listen", ":0"}, "send their tokens in the open"},
		{[]string{"--listen", "192.0.2.1:80"}, "send their tokens in the open"},
		{[]string{"--listen", "nonsense"}, "ADDRESS:PORT"},
		{[]string{"--listen", "", "--socket", ""}, "nobody could ask"},
		{[]string{"--listen", "127.0.0.1:0", "--tls-cert", "x"}, "belong together"},
		{[]string{"--listen", "0.0.0.0:0", "--tls-cert", "/none", "--tls-key", "/none"}, "/none"},
	} {
		got := call(t, append([]string{"serve", "--db", "unix:" + none, "--socket", none}, c.flags...)...)
		assert.Equal(t, 1, got.code, c.flags)
		assert.Contains(t, got.errOut, c.say)
	}
	got := call(t, "serve", "--config", filepath.Join(t.TempDir(), "none.yaml"))
	assert.NotEqual(t, 0, got.code)
	for _, c := range [][]string{{"--role", "root"}, {"--role", "viewer", "--expires", "tomorrow"},
		{"--role", "viewer", "--expires", "0d"}, {}} {
		got := call(t, append([]string{"token", "create", "--db", "unix:" + none}, c...)...)
		assert.NotEqual(t, 0, got.code, c)
		assert.Empty(t, got.out)
	}
}
