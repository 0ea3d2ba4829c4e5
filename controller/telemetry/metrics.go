package telemetry

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/portcullis/portcullis/controller/agent"
)

// This file serves /metrics. The daemon mounts [Metrics]. Invariant: every value is read when it
// is asked for.

// scrapeTimeout bounds the wait for the counters of the switch. It is below what Prometheus waits
// for an answer, 10 seconds: without counters the rest is still told.
const scrapeTimeout = 5 * time.Second

// Metrics returns the handler of /metrics. version is the daemon's own. Every value is read when it
// is asked for; see metriclist.go.
func Metrics(version string, hub *agent.Hub, counters *CounterReader, l *Latencies) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(newCollector(func() *view { return newView(version, hub, counters) }))
	for _, h := range l.all() {
		registry.MustRegister(h)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, front)
	})
	return mux
}

// front is what a browser sees that was given the address alone.
const front = `<!DOCTYPE html>
<html lang="en">
<title>Portcullis</title>
<h1>Portcullis</h1>
<p><a href="metrics">Metrics</a> of the daemon of this bridge, for Prometheus.</p>
<p>What each means, alerts and a dashboard: /usr/share/doc/portcullis/monitoring.</p>
`

// view is what one answer is made of.
type view struct {
	version, goVersion string
	status             *agent.Snapshot
	counts             *Counts // nil = there are none
}

func newView(version string, hub *agent.Hub, counters *CounterReader) *view {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	v := &view{version: version, goVersion: runtime.Version()}
	if counters != nil {
		if counts, err := counters.Counts(ctx); err == nil && !counts.At.IsZero() {
			v.counts = counts
		}
	}
	v.status = hub.Snapshot()
	return v
}

// collector turns a view into metrics.
type collector struct {
	view  func() *view
	descs []*prometheus.Desc // of each metric
}

func newCollector(of func() *view) *collector {
	c := &collector{view: of}
	for _, m := range metrics() {
		c.descs = append(c.descs, prometheus.NewDesc(m.fullName(), m.help, m.labels, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	v := c.view()
	for i, m := range metrics() {
		m.collect(v, func(value float64, labels ...string) {
			for j := range labels {
				labels[j] = strings.ToValidUTF8(labels[j], "?") // what else would be refused
			}
			out <- prometheus.MustNewConstMetric(c.descs[i], m.kind, value, labels...)
		})
	}
}

// Latencies are histograms of what the loop spends its time on.
type Latencies struct{ reload, compile, apply, turn prometheus.Histogram }

// NewLatencies returns histograms of nothing yet.
func NewLatencies() *Latencies {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	histogram := func(h metricText) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: h.fullName(), Help: h.help,
			Buckets: buckets})
	}
	return &Latencies{histogram(reloadText), histogram(compileText), histogram(applyText),
		histogram(turnText)}
}

func (l *Latencies) all() []prometheus.Histogram {
	return []prometheus.Histogram{l.reload, l.compile, l.apply, l.turn}
}

// Observe notes one turn of the loop.
func (l *Latencies) Observe(t agent.Durations) {
	l.turn.Observe(t.Turn.Seconds())
	for _, step := range []struct {
		histogram prometheus.Histogram
		elapsed   time.Duration
	}{{l.reload, t.Reload}, {l.compile, t.Compile}, {l.apply, t.Apply}} {
		if step.elapsed > 0 {
			step.histogram.Observe(step.elapsed.Seconds())
		}
	}
}
