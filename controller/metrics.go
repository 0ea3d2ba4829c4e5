package controller

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics returns the handler of /metrics. version is the daemon's own. Every value is read from the status when it is asked for.
func (c *Controller) Metrics(version string) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(c), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "portcullis_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version}},
		func() float64 { return 1 }))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// collector turns a status into metrics.
type collector struct {
	controller *Controller
	state      *prometheus.Desc
	ports      *prometheus.Desc
	values     []value
}

// value is a metric that is one number of the status.
type value struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*Status) float64
}

func newCollector(c *Controller) *collector {
	gauge := func(name, help string, of func(*Status) float64) value {
		return value{prometheus.NewDesc("portcullis_"+name, help, nil, nil), prometheus.GaugeValue, of}
	}
	counter := func(name, help string, of func(*Counters) int) value {
		return value{prometheus.NewDesc("portcullis_"+name, help, nil, nil), prometheus.CounterValue,
			func(s *Status) float64 { return float64(of(&s.Counters)) }}
	}
	return &collector{
		controller: c,
		state:      prometheus.NewDesc("portcullis_state", "1 for the present state, 0 for the others.", []string{"state"}, nil),
		ports:      prometheus.NewDesc("portcullis_ports", "Local ports of the policy by state.", []string{"state"}, nil),
		values: []value{
			gauge("flows", "Flows that the switch is known to hold.", func(s *Status) float64 { return float64(s.Flows) }),
			gauge("revision", "Policy revision of the bridge.", func(s *Status) float64 { return float64(s.Revision) }),
			gauge("policy_valid", "Whether the policy's files were valid when they were read last.",
				func(s *Status) float64 { return number(len(s.Policy.Errors) == 0) }),
			gauge("last_apply_seconds", "Duration of the last bundle.", func(s *Status) float64 { return s.Apply.Seconds }),
			counter("reloads_total", "Readings of valid policy files.", func(c *Counters) int { return c.Reloads }),
			counter("reload_failures_total", "Readings of policy files that were not valid.", func(c *Counters) int { return c.ReloadsFailed }),
			counter("applies_total", "Bundles that the switch acknowledged.", func(c *Counters) int { return c.Applies }),
			counter("apply_failures_total", "Bundles that failed.", func(c *Counters) int { return c.AppliesFailed }),
			counter("drift_repaired_total", "Flows that somebody else had changed.", func(c *Counters) int { return c.DriftRepaired }),
		},
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.state
	out <- c.ports
	for _, v := range c.values {
		out <- v.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	status := c.controller.Status()
	for _, state := range []State{StateStarting, StateInSync, StatePending, StateDegraded} {
		out <- prometheus.MustNewConstMetric(c.state, prometheus.GaugeValue, number(status.State == state), string(state))
	}
	for _, state := range []PortState{PortApplied, PortPending, PortError} {
		count := 0
		for _, p := range status.Ports {
			if p.State == state {
				count++
			}
		}
		out <- prometheus.MustNewConstMetric(c.ports, prometheus.GaugeValue, float64(count), string(state))
	}
	for _, v := range c.values {
		out <- prometheus.MustNewConstMetric(v.desc, v.kind, v.of(status))
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
