package agent_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// served is a world whose daemon runs in real time and answers on a socket.
func served(t *testing.T, text string, with ...func(*world)) (*world, *api.Client) {
	t.Helper()
	w := newWorld(t, text)
	for _, change := range with {
		change(w)
	}
	w.start()
	socket := filepath.Join(t.TempDir(), "api.sock")
	l, err := api.Listen(socket)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, l, w.api().Handler()) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		w.stop()
	})
	return w, api.NewClient(socket)
}

func TestAPITellsTheStatus(t *testing.T) {
	w, client := served(t, file("a: 80"))
	status, err := client.Settle(context.Background(), generous)
	require.NoError(t, err)
	require.Equal(t, agent.StateInSync, status.State)
	require.Equal(t, agent.PortApplied, status.Ports[0].State)
	now, err := client.Status(context.Background())
	require.NoError(t, err)
	require.Equal(t, w.ctl.Snapshot().Revision, now.Revision)
}

func TestAPIWaits(t *testing.T) {
	w, client := served(t, file("a: 80"))
	_, err := client.Settle(context.Background(), generous)
	require.NoError(t, err)
	w.policy.write("groups: 3\n")
	status, err := client.Settle(context.Background(), generous)
	require.ErrorIs(t, err, api.ErrInvalidPolicy)
	require.NotEmpty(t, status.Policy.Errors)
	w.database.edit(func(f *fakeDatabase) { f.absent["b"] = "" })
	w.policy.write(file("a: 80", "b: 80"))
	require.Eventually(t, func() bool {
		status, err = client.Settle(context.Background(), 50*time.Millisecond)
		return status != nil && status.State == agent.StatePending
	}, generous, time.Millisecond)
	require.ErrorIs(t, err, api.ErrNotSettled)
}

func TestAPIRefuses(t *testing.T) {
	w, _ := served(t, file("a: 80"))
	for url, code := range map[string]int{
		"/v1/status?wait=soon": http.StatusBadRequest, "/v1/status?wait=-1s": http.StatusBadRequest,
		"/v1/status?wait=2h": http.StatusBadRequest, "/v2/status": http.StatusNotFound, "/": http.StatusNotFound,
	} {
		answer := httptest.NewRecorder()
		w.api().Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, url, nil))
		require.Equal(t, code, answer.Code, url)
	}
	answer := httptest.NewRecorder()
	w.api().Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/v1/status", nil))
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

func TestMetrics(t *testing.T) {
	w, client := served(t, file("a: 80"))
	w.database.edit(func(f *fakeDatabase) { f.absent["b"] = "No such device" })
	w.policy.write(file("a: 80", "b: 80"))
	_, err := client.Settle(context.Background(), generous)
	require.NoError(t, err)
	answer := httptest.NewRecorder()
	telemetry.Metrics("v9", w.ctl.Hub(), w.counters, w.latencies).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, answer.Code)
	for _, line := range []string{
		`portcullis_build_info{goversion="` + runtime.Version() + `",version="v9"} 1`, `portcullis_ports{state="applied"} 1`, `portcullis_ports{state="error"} 1`,
		`portcullis_ports{state="pending"} 0`, `portcullis_state{state="in sync"} 1`, `portcullis_state{state="degraded"} 0`,
		`portcullis_policy_valid 1`, `portcullis_reloads_total{result="failed"} 0`,
		`portcullis_in_sync 1`, `portcullis_switch_connected 1`, "# TYPE portcullis_apply_duration_seconds histogram", "go_goroutines ",
		`portcullis_counters_readable 0`,
	} {
		require.Contains(t, answer.Body.String(), line)
	}
}
