package benchfleet

import "math"

// What follows from the figures for fleets that were not measured. The page calls this. Invariant:
// every number is of the machine that was measured, and of straight lines through what it measured.

// The assumptions.
const (
	// A server, which has one thread, is busy half of the time: the other half is for who reads
	// everything, for compaction, and for what was not thought of.
	busy = 0.5
	// How many hosts follow one relay. It is what was measured.
	hostsPerRelay = 1_000
)

// Capacity is what a number of hosts needs.
type Capacity struct {
	Hosts     int
	Relays    int
	SourceCPU float64 // ms, of a change: the server that is written to
	RelayCPU  float64 // ms, of a change: each relay, or 0
	Rate      float64 // changes a second that the busiest of them carries
	Last      float64 // ms, until the last host has a change
	Traffic   float64 // megabytes of a change, to all of them
	Resume    float64 // s of processor time of the busiest, when all come back after a restart
	Read      float64 // the same, when all have to read everything
}

// PerClient is what a change costs a server for each of its clients, in ms, and for none.
func (r *Result) PerClient() (each, none float64) {
	if len(r.Fans) < 2 {
		return 0, 0
	}
	few, many := r.Fans[0], r.Fans[len(r.Fans)-1]
	each = (many.CPU - few.CPU) / float64(many.Clients-few.Clients)
	return each, max(0, few.CPU-each*float64(few.Clients))
}

// PerServer is how many hosts one server carries that is written to so often a second.
func (r *Result) PerServer(rate float64) int {
	each, none := r.PerClient()
	if each <= 0 {
		return 0
	}
	return int(max(0, (1000*busy/rate-none)/each))
}

// Microseconds is what a change costs a server for each client.
func (r *Result) Microseconds() float64 {
	each, _ := r.PerClient()
	return 1000 * each
}

// Limit is how many hosts one server carries where the policy changes so often.
type Limit struct {
	Often string
	Hosts int
}

// Limits are those that the page tells of.
func (r *Result) Limits() []Limit {
	return []Limit{{"once in ten seconds", r.PerServer(0.1)}, {"once a second", r.PerServer(1)},
		{"ten times a second", r.PerServer(10)}}
}

// Capacities are those that the page tells of.
func (r *Result) Capacities() (out []Capacity) {
	if len(r.Fans) < 2 || r.Restart == nil {
		return nil
	}
	for _, hosts := range []int{100, 1_000, 3_000, 10_000} {
		out = append(out, r.Capacity(hosts))
	}
	return out
}

// Capacity calculates what a number of hosts needs.
func (r *Result) Capacity(hosts int) Capacity {
	each, none := r.PerClient()
	many, restart := r.Fans[len(r.Fans)-1], r.Restart
	c := Capacity{Hosts: hosts, Traffic: many.Bytes * float64(hosts) / 1e6}
	followers := hosts // of the busiest
	if hosts > hostsPerRelay {
		c.Relays = int(math.Ceil(float64(hosts) / hostsPerRelay))
		followers = int(math.Ceil(float64(hosts) / float64(c.Relays)))
		c.RelayCPU = none + each*float64(followers)
		c.SourceCPU = none + each*float64(c.Relays)
		c.Last = many.Commit.Median // the way to the relays
	} else {
		c.SourceCPU = none + each*float64(hosts)
	}
	c.Rate = 1000 * busy / max(c.SourceCPU, c.RelayCPU, 1e-9)
	c.Last += many.Last.Median * float64(followers) / float64(many.Clients)
	c.Resume = restart.CPU / float64(max(1, restart.Clients)) * float64(followers)
	c.Read = restart.ReadCPU * float64(followers)
	return c
}
