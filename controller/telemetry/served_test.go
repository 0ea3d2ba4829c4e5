package telemetry_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// Who opens the address alone finds the metrics; what there is not is not found.
func TestMetricsFront(t *testing.T) {
	w, _ := agenttest.Served(t, agenttest.File("a: 80"))
	handler := telemetry.Metrics("v9", w.Ctl.Hub(), w.Counters, w.Latencies)
	for path, want := range map[string]int{"/": http.StatusOK, "/metrics": http.StatusOK,
		"/nothing": http.StatusNotFound} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, want, answer.Code, path)
		if path == "/" {
			require.Contains(t, answer.Body.String(), `<a href="metrics">`)
			require.Equal(t, "text/html; charset=utf-8", answer.Header().Get("Content-Type"))
		}
	}
}

func TestMetrics(t *testing.T) {
	w, client := agenttest.Served(t, agenttest.File("a: 80"))
	w.Database.Edit(func(f *agenttest.Database) { f.Absent["b"] = "No such device" })
	w.Policy.Write(agenttest.File("a: 80", "b: 80"))
	_, err := client.Settle(context.Background(), agenttest.Generous)
	require.NoError(t, err)
	answer := httptest.NewRecorder()
	telemetry.Metrics("v9", w.Ctl.Hub(), w.Counters, w.Latencies).ServeHTTP(answer,
		httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, answer.Code)
	for _, line := range []string{
		`portcullis_build_info{goversion="` + runtime.Version() + `",version="v9"} 1`,
		`portcullis_ports{state="applied"} 1`, `portcullis_ports{state="absent"} 1`,
		`portcullis_ports{state="error"} 0`,
		`portcullis_ports{state="pending"} 0`, `portcullis_state{state="in sync"} 1`,
		`portcullis_state{state="degraded"} 0`,
		`portcullis_policy_valid 1`, `portcullis_reloads_total{result="failed"} 0`,
		`portcullis_in_sync 1`, `portcullis_switch_connected 1`,
		"# TYPE portcullis_apply_duration_seconds histogram", "go_goroutines ",
		`portcullis_counters_readable 0`,
	} {
		require.Contains(t, answer.Body.String(), line)
	}
}
