package controller

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeTimeout bounds the wait for the counters of the switch. It is below what Prometheus waits for an answer, 10 seconds: without
// counters the rest is still told.
const scrapeTimeout = 5 * time.Second

// Metrics returns the handler of /metrics. version is the daemon's own. Every value is read when it is asked for; see metriclist.go.
func (c *Controller) Metrics(version string) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(newCollector(func() *view { return c.view(version) }))
	for _, h := range c.board.latencies.all() {
		registry.MustRegister(h)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// view is what one answer is made of.
type view struct {
	version, goVersion string
	status             *Status
	counts             *Counts // nil = there are none
}

func (c *Controller) view(version string) *view {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	v := &view{version: version, goVersion: runtime.Version()}
	if counts, err := c.Counts(ctx); err == nil && !counts.At.IsZero() {
		v.counts = counts
	}
	v.status = c.Status()
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
		m.tell(v, func(value float64, labels ...string) {
			for j := range labels {
				labels[j] = strings.ToValidUTF8(labels[j], "?") // what else would be refused
			}
			out <- prometheus.MustNewConstMetric(c.descs[i], m.kind, value, labels...)
		})
	}
}

// latencies are histograms of what the loop spends its time on.
type latencies struct{ reload, compile, apply, turn prometheus.Histogram }

func newLatencies() latencies {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	histogram := func(h metricText) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: h.fullName(), Help: h.help, Buckets: buckets})
	}
	return latencies{histogram(reloadText), histogram(compileText), histogram(applyText), histogram(turnText)}
}

func (l latencies) all() []prometheus.Histogram {
	return []prometheus.Histogram{l.reload, l.compile, l.apply, l.turn}
}

// observe notes one turn.
func (l latencies) observe(t took) {
	l.turn.Observe(t.turn.Seconds())
	for _, step := range []struct {
		histogram prometheus.Histogram
		took      time.Duration
	}{{l.reload, t.reload}, {l.compile, t.compile}, {l.apply, t.apply}} {
		if step.took > 0 {
			step.histogram.Observe(step.took.Seconds())
		}
	}
}
