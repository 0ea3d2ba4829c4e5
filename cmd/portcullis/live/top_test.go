package live

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/telemetry"
)

// busyHour is counts with something of everything, n times.
func busyHour(n uint64, at time.Time) *api.Counts {
	traffic := func(packets uint64) telemetry.Traffic {
		return telemetry.Traffic{Packets: packets * n, Bytes: 60 * packets * n}
	}
	return &api.Counts{Version: "v1", Counts: telemetry.Counts{Since: time.Unix(1000, 0), At: at,
		Connections: &telemetry.ConnectionFill{Known: 7, Limit: 1000},
		Rules: []telemetry.RuleCount{{ID: 17, Group: "web", Rule: "ingress tcp 80 from 0.0.0.0/0",
			At: "/etc/portcullis/policy.yaml:4:9", Admitted: traffic(100)},
			{ID: 1, Rule: "egress is open", Admitted: traffic(40)},
			{ID: 18, Group: "web", Rule: "ingress tcp 22 from 192.0.2.0/24",
				At: "/etc/portcullis/policy.yaml:5:9"}},
		Ports: []telemetry.PortCount{{Port: "tap1", Instance: "a",
			Egress: telemetry.DirectionCount{Established: traffic(5)}},
			{Port: "tap2", Instance: "b", Ingress: telemetry.DirectionCount{Denied: traffic(10)},
				Zone: &telemetry.ConnectionFill{Known: 5, Limit: 10}}},
		Dropped: []telemetry.TableCount{{Table: "source_guard", Count: 6}, {Table: "nd_guard"}}}}
}

// topOf is what top prints of counts, after others.
func topOf(before, now *api.Counts, rows int) string {
	t := topText{rows: rows, places: places{[]string{"/etc/portcullis/"}}}
	if before != nil {
		t.next(before)
	}
	return t.next(now).Text()
}

func TestTopText(t *testing.T) {
	first := busyHour(1, time.Unix(2000, 0))
	inOrder(t, topOf(nil, first, 20), "counted:      since ", "connections:  7 of at most 1000\n",
		"dropped:      without a rule being asked: source_guard 6\n",
		"ADMITTED  BYTES  RULE                                   AT\n",
		"     100   6000  web: ingress tcp 80 from 0.0.0.0/0     policy.yaml:4:9\n",
		"      40   2400  egress is open\n",
		"PORT  INSTANCE  DENIED IN  DENIED OUT  ESTABLISHED IN  ESTABLISHED OUT  CONNECTIONS\n",
		"tap2  b                10           0               0                0      5 of 10\n",
		"tap1  a                 0           0               0                5\n")
	second := busyHour(2, time.Unix(2002, 0))
	second.Rules[2].Admitted.Packets = 1000
	second.Error = "connection refused"
	inOrder(t, topOf(first, second, 1),
		"error:        the counters cannot be read, these are old: connection refused\n",
		"ADMITTED  PER SECOND  BYTES",
		"    1000       500.0      0  web: ingress tcp 22 from 192.0.2.0/24  policy.yaml:5:9\n"+
			"and 2 more rules: --rows, or -o json\n",
		"DENIED/S", "20           0       5.0", "and 1 more port: --rows, or -o json\n")
	for name, other := range map[string]*api.Counts{"the same reading": second,
		"another run of the daemon": {Counts: telemetry.Counts{Since: time.Unix(1500, 0),
			At: time.Unix(1990, 0)}}} {
		require.NotContains(t, topOf(other, second, 20), "PER SECOND", name)
	}
	require.Contains(t, topOf(second, busyHour(3, time.Unix(2004, 0)), 20),
		"       0         0.0      0  web: ingress tcp 22", "nothing is below zero")
	require.Contains(t, topOf(nil, &api.Counts{Counts: telemetry.Counts{Dropped: []telemetry.
		TableCount{}}}, 20), "asked: nothing\n")
}

func TestTopFilters(t *testing.T) {
	for filter, want := range map[topFilter][]string{
		{}: {"17", "1", "18"}, {group: "web"}: {"17", "18"}, {group: "db"}: nil,
		{protocol: "TCP"}: {"17", "18"}, {protocol: "udp"}: nil, {peer: "192.0.2.9"}: {"17", "18"},
		{peer: "203.0.113.9"}: {"17"}, {peer: "192.0.2.0/24"}: {"18"}, {peer: "web"}: nil} {
		var got []string
		for _, r := range busyHour(1, time.Unix(2000, 0)).Rules {
			if filter.wantsRule(r) {
				got = append(got, fmt.Sprint(r.ID))
			}
		}
		require.Equal(t, want, got, "%+v", filter)
	}
	require.True(t, isPeer("10.0.0.0/8, group web", "web"))
	require.True(t, isPeer("10.0.0.0/8, network offices", "10.9.9.9"))
	require.True(t, isPeer("10.0.0.0/8, network offices", "offices"))
	require.False(t, isPeer("10.0.0.0/8, group web", "web-1"))
	counts := busyHour(1, time.Unix(2000, 0))
	require.NoError(t, topFilter{port: "tap2"}.apply(t.Context(), nil, counts))
	require.Len(t, counts.Ports, 1)
}
