package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/integration/sandbox"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// serveSchema serves a database of some schema.
func serveSchema(t *testing.T, schema []byte) (*apiServer, string) {
	t.Helper()
	o := sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
	o.AddDatabase(policydb.Name, schema)
	s := &apiServer{t: t, client: http.DefaultClient}
	s.cmd = exec.Command(command, "serve", "--db", o.DB, "--listen", "127.0.0.1:0", "--socket", "")
	log, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		assert.NoError(t, s.cmd.Wait())
	})
	lines := bufio.NewScanner(log)
	for s.url == "" && lines.Scan() {
		if found := servingAt.FindStringSubmatch(lines.Text()); found != nil {
			s.url = "http://" + found[1]
		}
	}
	require.NotEmpty(t, s.url, "it does not say where it listens")
	go func() { _, _ = io.Copy(io.Discard, log) }()
	return s, o.DB
}

// says waits until the server answers with a status and words, whatever is asked.
func (s *apiServer) says(code int, words ...string) {
	s.t.Helper()
	token := access.Draw().Text // that nobody has
	for _, path := range []string{"/healthz", "/v1/groups"} {
		require.Eventually(s.t, func() bool {
			got := s.get(token, path)
			for _, w := range words {
				if !strings.Contains(got.out, w) {
					return false
				}
			}
			return got.code == code || code == 200 && got.code == 401
		}, generous, 20*time.Millisecond, path)
	}
}

// A server of a database with a former schema answers 503, and says what to do; when that is done,
// it serves, without a restart.
func TestServeOfAFormerSchema(t *testing.T) {
	t.Parallel()
	former, err := os.ReadFile("../../ovsdb/policydb/testdata/0.1.0.ovsschema")
	require.NoError(t, err)
	s, db := serveSchema(t, former)
	own, err := policydb.VersionOf(policydb.Schema)
	require.NoError(t, err)
	s.says(503, "schema 0.1.0", "needs "+own, "'portcullis db upgrade'")
	got := call(t, "db", "upgrade", "--db", db)
	require.Equal(t, 0, got.code, got.out+got.errOut)
	s.says(200)
}

// One that does not understand a newer schema says so, and whose program does; one that is newer
// and has all that is needed is served.
func TestServeOfANewerSchema(t *testing.T) {
	t.Parallel()
	own, err := policydb.VersionOf(policydb.Schema)
	require.NoError(t, err)
	newer := strings.Replace(string(policydb.Schema), `"`+own+`"`, `"99.0.0"`, 1)
	require.NotEqual(t, string(policydb.Schema), newer)
	s, _ := serveSchema(t, []byte(newer))
	s.says(200)
	other := strings.ReplaceAll(newer, `"generation_at"`, `"generation_made"`)
	require.NotEqual(t, newer, other)
	s, _ = serveSchema(t, []byte(other))
	s.says(503, "schema 99.0.0", "with "+own+" does not understand", "use that of its members")
}
