// Package telemetry tells what happens on a host: the switch's counters added up over restarts, the
// metrics of Prometheus, live connections and the log of denied packets.
//
// It reads snapshots of the agent and asks the switch by itself; the loop neither knows of it nor
// waits for it. Nothing here changes anything.
//
// Start with counters.go (the counters) and metrics.go.
package telemetry

//go:generate go test -run TestMetricsPage . -update
