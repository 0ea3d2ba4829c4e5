package api_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/controller/api"
)

func TestAPITellsTheStatus(t *testing.T) {
	w, client := agenttest.Served(t, agenttest.File("a: 80"))
	status, err := client.Settle(context.Background(), agenttest.Generous)
	require.NoError(t, err)
	require.Equal(t, agent.StateInSync, status.State)
	require.Equal(t, agent.PortApplied, status.Ports[0].State)
	now, err := client.Status(context.Background())
	require.NoError(t, err)
	require.Equal(t, w.Ctl.Snapshot().Revision, now.Revision)
}

func TestAPIWaits(t *testing.T) {
	w, client := agenttest.Served(t, agenttest.File("a: 80"))
	_, err := client.Settle(context.Background(), agenttest.Generous)
	require.NoError(t, err)
	w.Policy.Write("groups: 3\n")
	status, err := client.Settle(context.Background(), agenttest.Generous)
	require.ErrorIs(t, err, api.ErrInvalidPolicy)
	require.NotEmpty(t, status.Policy.Errors)
	w.Database.Edit(func(f *agenttest.Database) { f.Absent["b"] = "" })
	w.Policy.Write(agenttest.File("a: 80", "b: 80"))
	require.Eventually(t, func() bool {
		status, err = client.Settle(context.Background(), 50*time.Millisecond)
		return status != nil && status.State == agent.StatePending
	}, agenttest.Generous, time.Millisecond)
	require.ErrorIs(t, err, api.ErrNotSettled)
}

func TestAPIRefuses(t *testing.T) {
	w, _ := agenttest.Served(t, agenttest.File("a: 80"))
	for url, code := range map[string]int{
		"/v1/status?wait=soon": http.StatusBadRequest, "/v1/status?wait=-1s": http.StatusBadRequest,
		"/v1/status?wait=2h": http.StatusBadRequest, "/v2/status": http.StatusNotFound,
		"/": http.StatusNotFound,
	} {
		answer := httptest.NewRecorder()
		w.Api().Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, url, nil))
		require.Equal(t, code, answer.Code, url)
	}
	answer := httptest.NewRecorder()
	w.Api().Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/v1/status", nil))
	require.Equal(t, http.StatusMethodNotAllowed, answer.Code)
}

func TestClientWithoutADaemon(t *testing.T) {
	_, err := api.NewClient(filepath.Join(t.TempDir(), "none")).Status(context.Background())
	require.ErrorContains(t, err, "no such file")
	require.NotContains(t, err.Error(), "http://")
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "api.sock")
	l, err := api.Listen(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = api.Listen(path)
	require.ErrorContains(t, err, "another daemon")
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	dead := l
	go func() { // it takes connections as long as anybody has it, and answers none
		conn, err := dead.Accept()
		if err == nil {
			_ = errors.Join(dead.Close(), conn.Close())
		}
	}()
	l, err = api.Listen(path)
	require.NoError(t, err, "a daemon that was killed just now")
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, path, "as a daemon that was killed leaves it")
	l, err = api.Listen(path)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.NoFileExists(t, path)
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err = api.Listen(path)
	require.ErrorContains(t, err, "no socket")
	require.FileExists(t, path)
}
