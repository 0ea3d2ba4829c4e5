package telemetry

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portcullis/portcullis/controller/agent"
)

// This file is the list of metrics: name, help, labels and where the value comes from.
// docs/monitoring/metrics.md is made of it.

// metricText is what a metric is called, and what it says.
type metricText struct{ name, help string }

// fullName is the name with the prefix of all.
func (t metricText) fullName() string { return "portcullis_" + t.name }

// The histograms, in seconds.
var (
	reloadText = metricText{"reload_duration_seconds",
		"Time to read and validate the policy's files."}
	compileText = metricText{"compile_duration_seconds",
		"Time that one turn of the loop took to compile the policy to flows."}
	applyText = metricText{"apply_duration_seconds",
		"Time until the switch acknowledged or refused a bundle of flows."}
	turnText = metricText{"turn_duration_seconds",
		"Time of one turn of the loop, with everything in it."}
)

// collect hands each value of a metric to set, with the values of its labels.
type collect func(v *view, set func(value float64, labels ...string))

// metric is one metric and where its values come from.
type metric struct {
	metricText
	kind    prometheus.ValueType
	labels  []string
	collect collect
}

// metrics are all metrics but the histograms. docs/monitoring/metrics.md is made of them.
func metrics() []metric {
	return slices.Concat(policyMetrics(), stateMetrics(), countMetrics(), portMetrics(), fillMetrics())
}

func gauge(name, help string, c collect, labels ...string) metric {
	return metric{metricText{name, help}, prometheus.GaugeValue, labels, c}
}

func counter(name, help string, c collect, labels ...string) metric {
	return metric{metricText{name, help}, prometheus.CounterValue, labels, c}
}

// one is the value of a metric without labels.
func one(of func(*agent.Snapshot) float64) collect {
	return func(v *view, set func(float64, ...string)) { set(of(v.status)) }
}

func isTrue(of func(*agent.Snapshot) bool) collect {
	return one(func(s *agent.Snapshot) float64 { return number(of(s)) })
}

// results are two counters of one kind.
func results(of func(agent.Counters) (ok, failed int)) collect {
	return func(v *view, set func(float64, ...string)) {
		ok, failed := of(v.status.Counters)
		set(float64(ok), "ok")
		set(float64(failed), "failed")
	}
}

// policyMetrics are read from the snapshot: versions, and the policy.
func policyMetrics() []metric {
	return []metric{
		gauge("build_info", "Always 1; the labels name the version of Portcullis and of Go.",
			func(v *view, set func(float64, ...string)) { set(1, v.version, v.goVersion) },
			"version", "goversion"),
		gauge("ovs_info", "Always 1; the label names the version of Open vSwitch.",
			func(v *view, set func(float64, ...string)) { set(1, v.status.OVS) }, "version"),
		gauge("ovs_warnings", "Holes that this release of Open vSwitch is known to have.",
			one(func(s *agent.Snapshot) float64 { return float64(len(s.OVSWarnings)) })),
		gauge("policy_info", "Always 1; the label names the content of the policy in force.",
			func(v *view, set func(float64, ...string)) { set(1, v.status.Policy.Digest) },
			"digest"),
		gauge("policy_valid", "1 if the policy's files were valid when they were read last.",
			isTrue(func(s *agent.Snapshot) bool { return len(s.Policy.Errors) == 0 })),
		gauge("policy_kept_generation", "The number of the kept policy that is in force in the "+
			"place of the policy's files; 0 = the files' own is.",
			one(func(s *agent.Snapshot) float64 { return float64(s.Policy.Kept.Generation) })),
		gauge("policy_generation", "Generation of the policy database that is in force at every port "+
			"that can be programmed; 0 = none yet, or the policy is in files.",
			one(func(s *agent.Snapshot) float64 { return float64(s.Policy.Generation) })),
		gauge("policy_generation_timestamp_seconds", "When the generation was committed that was "+
			"read last, by the clock of who wrote it; seconds since 1970.",
			func(v *view, set func(float64, ...string)) {
				if at := v.status.Policy.Database.CommittedAt; !at.IsZero() {
					set(seconds(at))
				}
			}),
		gauge("policy_stale_since_timestamp_seconds", "Since when it is not certain that the policy "+
			"in force is what the policy database says; seconds since 1970. There is none while it is.",
			func(v *view, set func(float64, ...string)) {
				if at := v.status.Policy.Database.StaleSince; !at.IsZero() {
					set(seconds(at))
				}
			}),
		gauge("policy_last_reload_success_timestamp_seconds",
			"When the policy's files were read last and were valid; seconds since 1970.",
			func(v *view, set func(float64, ...string)) {
				if !v.status.ValidAt.IsZero() {
					set(seconds(v.status.ValidAt))
				}
			}),
		gauge("policy_refused_rules",
			"Rules, members and instances of the policy in force that are left out: the switch "+
				"refuses flows of theirs, or they cannot be compiled.",
			one(func(s *agent.Snapshot) float64 { return float64(len(s.Policy.Refused)) })),
		gauge("in_sync", "1 if what the files say is in force at every port that has a device.",
			isTrue(func(s *agent.Snapshot) bool { return s.State == agent.StateInSync })),
	}
}

// stateMetrics are read from the snapshot: the database, the switch and what the loop has done.
func stateMetrics() []metric {
	return []metric{
		gauge("state", "1 for the state of the daemon, 0 for the others.", collectState, "state"),
		gauge("database_connected", "1 if the rows of the bridge in OVSDB are known.",
			isTrue(func(s *agent.Snapshot) bool { return s.DatabaseConnected })),
		gauge("switch_connected", "1 if there is an OpenFlow connection to the bridge.",
			isTrue(func(s *agent.Snapshot) bool { return s.SwitchConnected })),
		gauge("ports", "Local ports of the policy by state.", collectPorts, "state"),
		gauge("program_flows", "Flows of the program that the switch is known to hold.",
			one(func(s *agent.Snapshot) float64 { return float64(s.Flows) })),
		gauge("revision", "Policy revision of the bridge: it grows whenever a port loses a "+
			"permission.",
			one(func(s *agent.Snapshot) float64 { return float64(s.Revision) })),
		gauge("limits_missing", "Kinds of limits that ports have and the switch cannot hold.",
			one(func(s *agent.Snapshot) float64 { return float64(len(s.Warnings)) })),
		counter("reloads_total", "Readings of the policy's files; failed = they were not valid.",
			results(func(c agent.Counters) (int, int) { return c.Reloads, c.ReloadsFailed }),
			"result"),
		counter("applies_total",
			"Bundles of flows that were sent; failed = the switch did not acknowledge them.",
			results(func(c agent.Counters) (int, int) { return c.Applies, c.AppliesFailed }),
			"result"),
		counter("drift_repaired_flows_total",
			"Flows that somebody else had changed, and that are as they were again.",
			one(func(s *agent.Snapshot) float64 { return float64(s.Counters.DriftRepaired) })),
	}
}

func collectState(v *view, set func(float64, ...string)) {
	for _, s := range []agent.State{agent.StateStarting, agent.StateInSync, agent.StatePending,
		agent.StateDegraded} {
		set(number(v.status.State == s), string(s))
	}
}

func collectPorts(v *view, set func(float64, ...string)) {
	for _, state := range []agent.PortState{agent.PortApplied, agent.PortPending, agent.PortAbsent,
		agent.PortError, agent.PortStandby, agent.PortElsewhere} {
		count := 0
		for _, p := range v.status.Ports {
			if p.State == state {
				count++
			}
		}
		set(float64(count), string(state))
	}
}

// countMetrics are read from the counters of the switch. Where these cannot be read they stay as
// they were, and where they never were read there are none.
func countMetrics() []metric {
	return []metric{
		gauge("counters_readable", "1 if the counters of the switch could be read for this answer.",
			func(v *view, set func(float64, ...string)) {
				set(number(v.counts != nil && v.counts.Error == ""))
			}),
		gauge("counters_last_read_timestamp_seconds",
			"When the counters of the switch were read last; seconds since 1970.",
			withCounts(func(c *Counts, set func(float64, ...string)) { set(seconds(c.At)) })),
		gauge("flows", "Flows that the switch holds, by table.",
			withCounts(func(c *Counts, set func(float64, ...string)) { collectTables(c.Flows, set) }),
			"table"),
		counter("rule_admitted_packets_total",
			"Packets that a rule was asked about and admitted: about one for each connection.",
			rules(packets), "group", "rule"),
		counter("rule_admitted_bytes_total",
			"Bytes of the packets that a rule was asked about and admitted.", rules(octets), "group",
			"rule"),
	}
}

// portMetrics are of each port, by direction.
func portMetrics() []metric {
	established := func(d DirectionCount) Traffic { return d.Established }
	denied := func(d DirectionCount) Traffic { return d.Denied }
	return []metric{
		counter("port_established_packets_total",
			"Packets of known connections of a port, which pass without a rule being asked.",
			ports(established, packets), "port", "direction"),
		counter("port_established_bytes_total",
			"Bytes of known connections of a port, which pass without a rule being asked.",
			ports(established, octets), "port", "direction"),
		counter("port_denied_packets_total", "Packets of a port that no rule admitted.",
			ports(denied, packets), "port", "direction"),
		counter("port_denied_bytes_total", "Bytes of a port that no rule admitted.",
			ports(denied, octets), "port", "direction"),
		counter("port_limited_packets_total", "Packets that a limit of a port dropped.", limited,
			"port", "direction", "limit"),
		counter("outside_fragments_limited_packets_total",
			"IP fragments from outside that the limit of all ports together dropped.",
			withCounts(func(c *Counts, set func(float64, ...string)) {
				set(float64(c.OutsideLimited))
			})),
	}
}

// fillMetrics say how full the memories of the switch are.
func fillMetrics() []metric {
	return []metric{
		gauge("fragments_held",
			"What waits for the rest of its datagram: fragments in the userspace datapath; in "+
				"the kernel's bytes of memory, of IPv4 alone.",
			fill(fragmentsOf, fillKnown)),
		gauge("fragments_held_limit",
			"What may wait for the rest of its datagram, in the same unit.",
			fill(fragmentsOf, fillLimit)),
		counter("dropped_packets_total",
			"Packets that were dropped without a rule being asked: by a guard, or because they "+
				"go nowhere.",
			withCounts(func(c *Counts, set func(float64, ...string)) {
				collectTables(c.Dropped, set)
			}), "table"),
		gauge("conntrack_entries",
			"Connections that the tracker of the datapath knows; of the kernel's also those of "+
				"others on this host.",
			fill(connectionsOf, fillKnown)),
		gauge("conntrack_entries_limit", "Connections that the tracker of the datapath can know.",
			fill(connectionsOf, fillLimit)),
		gauge("port_connections",
			"Connections in the zone of a port that has a limit; nobody counts those of others.",
			zones(fillKnown), "port"),
		gauge("port_connections_limit",
			"Connections that the zone of a port can have, where it has a limit.",
			zones(fillLimit), "port"),
	}
}

// withCounts leaves a metric out while there are no counts.
func withCounts(t func(*Counts, func(float64, ...string))) collect {
	return func(v *view, set func(float64, ...string)) {
		if v.counts != nil {
			t(v.counts, set)
		}
	}
}

func collectTables(tables []TableCount, set func(float64, ...string)) {
	for _, t := range tables {
		set(float64(t.Count), t.Table)
	}
}

func packets(t Traffic) uint64 { return t.Packets }
func octets(t Traffic) uint64  { return t.Bytes }

// rules tells of the rules that have series of their own, and of the others together.
func rules(of func(Traffic) uint64) collect {
	return withCounts(func(c *Counts, set func(float64, ...string)) {
		for _, r := range c.Rules {
			if r.hasSeries {
				set(float64(of(r.Admitted)), r.Group, r.Rule)
			}
		}
		set(float64(of(c.others)), "", otherRules)
	})
}

// ports tells of both directions of each port.
func ports(what func(DirectionCount) Traffic, of func(Traffic) uint64) collect {
	return withCounts(func(c *Counts, set func(float64, ...string)) {
		for _, p := range c.Ports {
			set(float64(of(what(p.Ingress))), p.Port, "ingress")
			set(float64(of(what(p.Egress))), p.Port, "egress")
		}
	})
}

// limited tells of each limit of packets of each port.
var limited = withCounts(func(c *Counts, set func(float64, ...string)) {
	for _, p := range c.Ports {
		set(float64(p.Egress.Limited.ARPNDDHCP), p.Port, "egress", "arp_nd_dhcp")
		set(float64(p.Egress.Limited.NewConnections), p.Port, "egress", "new_connections")
		set(float64(p.Ingress.Limited.NewConnections), p.Port, "ingress", "new_connections")
		set(float64(p.Egress.Limited.Fragments), p.Port, "egress", "fragments")
		set(float64(p.Ingress.Limited.Fragments), p.Port, "ingress", "fragments")
	}
})

func connectionsOf(c *Counts) *ConnectionFill { return c.Connections }
func fragmentsOf(c *Counts) *ConnectionFill   { return c.Fragments }
func fillKnown(f *ConnectionFill) uint64      { return f.Known }
func fillLimit(f *ConnectionFill) uint64      { return f.Limit }

func fill(what func(*Counts) *ConnectionFill, of func(*ConnectionFill) uint64) collect {
	return withCounts(func(c *Counts, set func(float64, ...string)) {
		if f := what(c); f != nil {
			set(float64(of(f)))
		}
	})
}

func zones(of func(*ConnectionFill) uint64) collect {
	return withCounts(func(c *Counts, set func(float64, ...string)) {
		for _, p := range c.Ports {
			if p.Zone != nil {
				set(float64(of(p.Zone)), p.Port)
			}
		}
	})
}

// seconds is a time as metrics have it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
