package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestServeTellsOfItself writes, is refused, and asks, and finds all of it in the log of requests
// and in the metrics.
func TestServeTellsOfItself(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := free.Addr().String()
	require.NoError(t, free.Close())
	log := filepath.Join(t.TempDir(), "access.log")
	s := newServer(t, "--metrics", at, "--access-log", log)
	_, operator := s.token("--role", "operator")
	_, viewer := s.token("--role", "viewer")
	require.Equal(t, 200, s.ask(operator, http.MethodPut, "/v1/groups/web", `{}`).code)
	require.Equal(t, 403, s.ask(viewer, http.MethodPut, "/v1/groups/db", `{}`).code)
	require.Equal(t, 401, s.ask("pc_x_y", http.MethodPut, "/v1/groups/db", `{}`).code)
	require.Equal(t, 200, s.get(viewer, "/v1/groups/web").code)

	text, err := os.ReadFile(log)
	require.NoError(t, err)
	var lines []map[string]any
	for _, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		var one map[string]any
		require.NoError(t, json.Unmarshal(line, &one), string(line))
		lines = append(lines, one)
	}
	require.Len(t, lines, 4)
	wrote, refused, unknown, read := lines[0], lines[1], lines[2], lines[3]
	assert.Equal(t, []any{"token", "127.0.0.1", "PUT", "/v1/groups/web", 200., 0., 1.},
		[]any{wrote["how"], wrote["from"], wrote["method"], wrote["path"], wrote["status"],
			wrote["before"], wrote["after"]})
	assert.Contains(t, wrote["change"], "PUT group web: 0 gained, 0 lost")
	assert.NotEmpty(t, wrote["request"])
	assert.Contains(t, wrote["by"], "token ")
	assert.Contains(t, refused["refused"], "this needs the role editor")
	assert.Equal(t, []any{401., ""}, []any{unknown["status"], unknown["by"]})
	assert.Equal(t, 200., read["status"])
	assert.NotContains(t, string(text), operator)

	res, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + at + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	var page bytes.Buffer
	_, err = page.ReadFrom(res.Body)
	require.NoError(t, err)
	for _, line := range []string{
		`portcullis_api_requests_total{method="PUT",route="/v1/groups/{name}",status="200"} 1`,
		`portcullis_api_requests_total{method="PUT",route="/v1/groups/{name}",status="401"} 1`,
		`portcullis_api_requests_total{method="PUT",route="/v1/groups/{name}",status="403"} 1`,
		`portcullis_api_request_seconds_count{method="GET",route="/v1/groups/{name}"} 1`,
		`portcullis_api_database_connected 1`, `portcullis_api_policy_generation 1`,
		`portcullis_api_streams 0`, `portcullis_api_conflicts_total 0`,
	} {
		assert.Regexp(t, regexp.QuoteMeta(line)+"\n", page.String())
	}
	s.db.kill()
	require.Eventually(t, func() bool { return s.get("", "/healthz").code == 503 }, generous,
		20*time.Millisecond)
}

// TestServePage is the page for people, which asks nobody else for anything.
func TestServePage(t *testing.T) {
	s := newServer(t)
	page := s.get("", "/docs")
	require.Equal(t, 200, page.code)
	assert.Contains(t, page.out, "/v1/projects/{project}/groups/{name}")
	assert.NotRegexp(t, `(src|href)="(https?:)?//`, page.out)
	assert.NotContains(t, page.out, "<script")
	assert.Equal(t, 200, s.get("", "/docs/style.css").code)
	assert.Equal(t, 404, s.get("", "/docs/nothing").code)
}
