package agent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every state but "in sync" says why, in one line, the worst first.
func TestSummaryIsOneLineThatSaysWhy(t *testing.T) {
	port := func(name string, state PortState, reason string) PortStatus {
		return PortStatus{Name: name, State: state, Reason: reason}
	}
	applied, absent := port("a", PortApplied, ""), port("b", PortAbsent, "no device")
	for want, s := range map[string]*Snapshot{
		"starting":                        {State: StateStarting},
		"starting: no bridge":             {State: StateStarting, Error: "no bridge"},
		"in sync (no ports on this host)": {State: StateInSync},
		"in sync (1 of 1 port in force)":  {State: StateInSync, Ports: []PortStatus{applied}},
		"in sync (0 of 0 ports in force, 1 absent)": {State: StateInSync,
			Ports: []PortStatus{absent}},
		"in sync (2 of 2 ports in force, 1 absent)": {State: StateInSync,
			Ports: []PortStatus{applied, absent, applied}},
		"pending (1 of 2 ports in force): port c: not yet": {State: StatePending,
			Ports: []PortStatus{applied, port("c", PortPending, "not yet")}},
		"degraded (1 of 3 ports in force): port d: bond (and 1 more)": {State: StateDegraded,
			Ports: []PortStatus{applied, port("d", PortError, "bond"),
				port("e", PortError, "bridge")}},
		"degraded (1 of 1 port in force): this; and that; the policy's files are not valid, the " +
			"last valid policy is in force: x (and 1 more); left out: y": {State: StateDegraded,
			Error: "this\nand that", Ports: []PortStatus{applied},
			Policy: PolicyStatus{Errors: []string{"x", "z"}, Refused: []string{"y"}}},
		"degraded (no ports on this host): the policy's files are not in force, generation 7 of " +
			"1970-01-01T00:00:05Z is in their place: x": {State: StateDegraded,
			Policy: PolicyStatus{Errors: []string{"x"}, Kept: KeptStatus{7, time.Unix(5, 0)}}},
	} {
		require.Equal(t, want, s.summary())
	}
}

// Since when something is as it is does not move while it stays so.
func TestSnapshotsSaySinceWhen(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	ports := func(a, b PortState) []PortStatus {
		return []PortStatus{{Name: "a", State: a}, {Name: "b", State: b}}
	}
	first := &Snapshot{State: StatePending, Ports: ports(PortApplied, PortPending)}
	first.date(&Snapshot{State: StateStarting, Since: at(1)}, at(2))
	second := &Snapshot{State: StatePending, Ports: ports(PortApplied, PortApplied)}
	second.date(first, at(3))
	third := &Snapshot{State: StateInSync, Ports: ports(PortAbsent, PortApplied)}
	third.date(second, at(4))
	for _, c := range []struct {
		s           *Snapshot
		state, a, b int64
	}{{first, 2, 2, 2}, {second, 2, 2, 3}, {third, 4, 4, 3}} {
		require.Equal(t, at(c.state), c.s.Since)
		require.Equal(t, at(c.a), c.s.Ports[0].Since)
		require.Equal(t, at(c.b), c.s.Ports[1].Since)
	}
}
