package telemetry

import (
	"time"
)

// This file is what is told of the counters, as JSON of the API.

// Counts is what the switch has counted since the daemon began, as JSON of the API. It is never
// changed after it was made. What each number means is said in docs/monitoring/README.md.
type Counts struct {
	// what the totals begin at: the daemon's start, or its first reading
	Since   time.Time    `json:"since"`
	At      time.Time    `json:"at"` // the last reading; zero = there was none
	Error   string       `json:"error,omitempty"`
	Rules   []RuleCount  `json:"rules"`   // those that have flows here, or had, busiest first
	Ports   []PortCount  `json:"ports"`   // those that are filtered, by name
	Dropped []TableCount `json:"dropped"` // packets that no rule was asked about, by table
	Flows   []TableCount `json:"flows"`   // that the switch holds, by table
	// Connections is how full the connection tracker is; nil = not known.
	Connections *ConnectionFill `json:"connections,omitempty"`
	// Fragments is how much waits to be put together: fragments in the userspace datapath, bytes in
	// the kernel's; nil = not known.
	Fragments *ConnectionFill `json:"fragments,omitempty"`
	// OutsideLimited is how many fragments the limit of those from outside has dropped.
	OutsideLimited uint64 `json:"outside_fragments_limited"`

	others Traffic // of the rules that have no series of their own: see series.go
}

// RuleCount is what a rule has admitted.
type RuleCount struct {
	ID       uint32  `json:"id"`
	Group    string  `json:"group"` // "" = no rule: egress is open
	Rule     string  `json:"rule"`
	At       string  `json:"at,omitempty"` // file:line:column
	Admitted Traffic `json:"admitted"`
	// since when, at the latest, that is all that it admitted: later than the others' if the rule is
	// newer
	Since time.Time `json:"since"`

	hasSeries bool
}

// PortCount is what the rules had to do with at one port.
type PortCount struct {
	Port     string         `json:"port"`
	Instance string         `json:"instance"`
	Ingress  DirectionCount `json:"ingress"`
	Egress   DirectionCount `json:"egress"`
	// DeniedPerSecond is in both directions, on average since the reading before this one; nil =
	// there was none.
	DeniedPerSecond *float64 `json:"denied_per_second,omitempty"`
	// nil = the port has no limit, and nobody counts
	Zone *ConnectionFill `json:"connections,omitempty"`
}

// DirectionCount is the traffic of one direction, which is that of the packets, as seen from the
// instance.
type DirectionCount struct {
	Established Traffic      `json:"established"`
	Denied      Traffic      `json:"denied"`
	Limited     LimitedCount `json:"limited"`
}

// LimitedCount is how many packets the limits of a port have dropped.
type LimitedCount struct {
	ARPNDDHCP      uint64 `json:"arp_nd_dhcp"` // egress alone
	NewConnections uint64 `json:"new_connections"`
	Fragments      uint64 `json:"fragments"`
}

// TableCount is a number of one table.
type TableCount struct {
	Table string `json:"table"`
	Count uint64 `json:"count"`
}

// ConnectionFill is how many connections there are, and how many there can be.
type ConnectionFill struct {
	Known uint64 `json:"known"`
	Limit uint64 `json:"limit"`
}
