package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/controller/apiserver"
)

// What serve tells of itself: metrics at a port of their own, and a log of all requests. Invariant:
// labels have few values: a route is its pattern, never a path that somebody has asked for.

// watching is the flags.
type watching struct{ metrics, access string }

func (o *watching) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.metrics, "metrics", "", "serve metrics for Prometheus at this "+
		"`ADDRESS:PORT`, for whoever can reach it; \"\" = nowhere")
	cmd.Flags().StringVar(&o.access, "access-log", "", "add a line of JSON for each request to this "+
		"`FILE`, also for those that only read; \"\" = none")
}

// attach has a server tell of its requests, and returns what serves the metrics; nil = nothing
// does.
func (o *watching) attach(s *apiserver.Server) (func(context.Context) error, error) {
	if o.access != "" {
		const mode = 0o640
		f, err := os.OpenFile(o.access, os.O_APPEND|os.O_CREATE|os.O_WRONLY, mode)
		if err != nil {
			return nil, fmt.Errorf("--access-log: %w", err)
		}
		log := logrus.New()
		log.SetOutput(f)
		log.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
		s.Access = logrus.NewEntry(log)
	}
	if o.metrics == "" {
		return nil, nil //nolint:nilnil // nothing is served
	}
	l, err := net.Listen("tcp", o.metrics)
	if err != nil {
		return nil, fmt.Errorf("--metrics: %w", err)
	}
	registry := prometheus.NewRegistry()
	registerMetrics(registry, s)
	const headerTime = 10 * time.Second
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	web := &http.Server{Handler: mux, ReadHeaderTimeout: headerTime}
	s.Log.WithField("at", l.Addr().String()).Info("metrics")
	return func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { _ = web.Close() })
		defer stop()
		if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("--metrics %s: %w", o.metrics, err)
		}
		return nil
	}, nil
}

// registerMetrics registers all metrics of a server.
func registerMetrics(r *prometheus.Registry, s *apiserver.Server) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "portcullis_api_requests_total",
		Help: "Requests by method, route and status."}, []string{"method", "route", "status"})
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "portcullis_api_request_seconds", Help: "How long answers took; streams are none.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 10)}, []string{"method", "route"})
	retries := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "portcullis_api_conflicts_total",
		Help: "Changes that were made anew, as somebody else was quicker."})
	s.Observe = func(o apiserver.Observed) {
		requests.WithLabelValues(o.Method, o.Route, strconv.Itoa(o.Status)).Inc()
		if !o.IsStream {
			took.WithLabelValues(o.Method, o.Route).Observe(o.Took.Seconds())
		}
		retries.Add(float64(o.Retries))
	}
	r.MustRegister(requests, took, retries)
	gauges(r, s)
}

// gauges registers what is read from a server when somebody asks.
func gauges(r *prometheus.Registry, s *apiserver.Server) {
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "portcullis_api_streams",
			Help: "Streams of events that are open."}, func() float64 {
			return float64(s.OpenStreams())
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "portcullis_api_hosts_unanswered",
			Help: "Hosts that did not answer when all of them were asked last."}, func() float64 {
			return float64(s.SilentHosts())
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "portcullis_api_database_connected",
			Help: "1 if the policy database answers."}, func() float64 {
			if _, _, err := s.DB.Policy(); err != nil {
				return 0
			}
			return 1
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "portcullis_api_policy_generation",
			Help: "The present generation of the policy database; 0 = it does not answer."},
			func() float64 {
				_, generation, err := s.DB.Policy()
				if err != nil {
					return 0
				}
				return float64(generation)
			}))
}
