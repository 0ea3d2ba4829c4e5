package telemetry

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

var update = flag.Bool("update", false, "write docs/monitoring/metrics.md anew")

// known is a state with something of everything in it.
func known() *view {
	at := time.Unix(1_700_000_000, 250_000_000)
	traffic := func(n uint64) Traffic { return Traffic{Packets: n, Bytes: 60 * n} }
	return &view{version: "v1.2.3", goVersion: "go1.26.0",
		status: &agent.Snapshot{State: agent.StatePending, OVS: "3.1.0",
			OVSWarnings: []string{"a hole"}, Revision: 42, Flows: 1234, DatabaseConnected: true,
			SwitchConnected: true, Policy: agent.PolicyStatus{Digest: "00ff",
				Refused: []string{"a rule"}, Generation: 6,
				Database: policydb.Following{CommittedAt: at, StaleSince: at}},
			Ports: []agent.PortStatus{{State: agent.PortApplied}, {State: agent.PortApplied},
				{State: agent.PortPending}, {State: agent.PortError},
				{State: agent.PortAbsent}, {State: agent.PortAbsent}, {State: agent.PortAbsent}},
			Counters: agent.Counters{Reloads: 5, ReloadsFailed: 2, Applies: 4, AppliesFailed: 1,
				DriftRepaired: 7}, Warnings: []string{"no meters"}, ValidAt: at},
		counts: &Counts{At: at, Rules: []RuleCount{
			{Group: "web", Rule: "ingress tcp 80 from 0.0.0.0/0", Admitted: traffic(10),
				hasSeries: true}, {Group: "many", Rule: "left out", Admitted: traffic(3)}},
			Ports: []PortCount{{Port: "tap1", Ingress: DirectionCount{traffic(100), traffic(9),
				LimitedCount{0, 1, 2}}, Egress: DirectionCount{traffic(90), traffic(0),
				LimitedCount{3, 4, 5}},
				Zone: &ConnectionFill{8, 10}}, {Port: "tap2\xff"}},
			Dropped: []TableCount{{"source_guard", 6}}, Flows: []TableCount{{"ingress_rules", 77}},
			Connections: &ConnectionFill{300, 3_000_000}, Fragments: &ConnectionFill{40, 5000},
			OutsideLimited: 6,
			others:         traffic(3)}}
}

func TestExposition(t *testing.T) {
	want, err := os.ReadFile("testdata/metrics.txt")
	require.NoError(t, err)
	require.NoError(t, testutil.CollectAndCompare(newCollector(known),
		strings.NewReader(string(want))))
}

// The names are as Prometheus wants them; each metric has values, and nobody has two of one name.
func TestMetricsAreWellNamed(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newCollector(known))
	for _, h := range NewLatencies().all() {
		registry.MustRegister(h)
	}
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
	families, err := registry.Gather()
	require.NoError(t, err)
	var got []string
	for _, f := range families {
		got = append(got, f.GetName())
	}
	var want []string
	for _, line := range pageLines() {
		want = append(want, line.name)
	}
	require.ElementsMatch(t, want, got)
}

// Without counters, and before anything is known, what is known is told.
func TestMetricsWithoutCounters(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(
		newCollector(func() *view { return &view{status: &agent.Snapshot{State: agent.StateStarting}} }))
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, f := range families {
		require.NotContains(t, f.GetName(), "packets")
		require.NotContains(t, f.GetName(), "timestamp", "nothing was at a time of 0")
		values[f.GetName()] = f.Metric[0].Gauge.GetValue()
	}
	require.Contains(t, values, "portcullis_counters_readable")
	require.Zero(t, values["portcullis_counters_readable"])
	require.Zero(t, values["portcullis_in_sync"])
	old := known()
	old.counts.Error = "connection refused"
	require.NoError(t, testutil.CollectAndCompare(newCollector(func() *view { return old }),
		strings.NewReader(
			"# HELP portcullis_counters_readable 1 if the counters of the switch could be read "+
				"for this answer.\n"+
				"# TYPE portcullis_counters_readable gauge\nportcullis_counters_readable 0\n"),
		"portcullis_counters_readable"))
}

func TestLatencies(t *testing.T) {
	l := NewLatencies()
	l.Observe(agent.Durations{Turn: 20 * time.Millisecond, Apply: 2 * time.Millisecond})
	l.Observe(agent.Durations{Turn: time.Millisecond})
	for i, want := range []int{0, 0, 1, 2} {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(l.all()[i])
		families, err := registry.Gather()
		require.NoError(t, err)
		require.Equal(t, uint64(want), families[0].Metric[0].Histogram.GetSampleCount(),
			families[0].GetName())
	}
}

// pageLine is one line of the page.
type pageLine struct{ name, kind, labels, help string }

func pageLines() (out []pageLine) {
	for _, m := range metrics() {
		kind := "gauge"
		if m.kind == prometheus.CounterValue {
			kind = "counter"
		}
		labels := ""
		for _, l := range m.labels {
			labels += " `" + l + "`"
		}
		out = append(out, pageLine{m.fullName(), kind, strings.TrimSpace(labels), m.help})
	}
	for _, h := range []metricText{reloadText, compileText, applyText, turnText} {
		out = append(out, pageLine{h.fullName(), "histogram", "", h.help})
	}
	return out
}

// docs/monitoring/metrics.md is what metriclist.go says. `go generate ./controller/telemetry`
// writes it anew.
func TestMetricsPage(t *testing.T) {
	const file = "../../docs/monitoring/metrics.md"
	var b strings.Builder
	b.WriteString("# Metrics\n\nGenerated from controller/telemetry/metriclist.go; `go generate " +
		"./controller/telemetry`\nwrites it anew. What the counters mean: [README](README.md).\n\n" +
		"| metric | type | labels | what it says |\n| --- | --- | --- | --- |\n")
	for _, l := range pageLines() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", l.name, l.kind, l.labels, l.help)
	}
	b.WriteString("\nBeside them those of the process and of Go's runtime that every exporter " +
		"has: `process_*`, `go_*`.\n")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	have, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(have), "stale: run go generate ./controller/telemetry")
}
