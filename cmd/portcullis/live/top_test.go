package live

import (
	"strings"
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
			At: "policy.yaml:4:9", Admitted: traffic(100)},
			{ID: 1, Rule: "egress is open", Admitted: traffic(40)},
			{ID: 18, Group: "web", Rule: "ingress tcp 22 from 192.0.2.0/24",
				At: "policy.yaml:5:9"}},
		Ports: []telemetry.PortCount{{Port: "tap1", Instance: "a",
			Egress: telemetry.DirectionCount{Established: traffic(5)}},
			{Port: "tap2", Instance: "b", Ingress: telemetry.DirectionCount{Denied: traffic(10)},
				Zone: &telemetry.ConnectionFill{Known: 5, Limit: 10}}},
		Dropped: []telemetry.TableCount{{Table: "source_guard", Count: 6}, {Table: "nd_guard"}}}}
}

func TestTopText(t *testing.T) {
	first := busyHour(1, time.Unix(2000, 0))
	text := topText(nil, first, 20)
	last := -1
	for _, part := range []string{"connections: 7 of at most 1000\n",
		"dropped without a rule being asked: source_guard 6\n",
		"ADMITTED  PER SECOND  BYTES  RULE\n",
		"100       -           6000   web: ingress tcp 80 from 0.0.0.0/0 (policy.yaml:4:9)\n",
		"40        -           2400   egress is open\n",
		"tap2  b         10         0           -           0               0                5 " +
			"of 10\n",
		"tap1  a         0          0           -           0               5                -\n"} {
		at := strings.Index(text, part)
		require.Greater(t, at, last, "%q in\n%s", part, text)
		last = at
	}
	second := busyHour(2, time.Unix(2002, 0))
	second.Rules[2].Admitted.Packets = 1000
	second.Error = "connection refused"
	text = topText(first, second, 1)
	require.Contains(t, text, "the counters cannot be read, these are old: connection refused\n")
	require.Contains(t, text,
		"1000      500.0       0      web: ingress tcp 22 from 192.0.2.0/24 "+
			"(policy.yaml:5:9)\nand 2 more rules: --rows, or -o json\n")
	require.Contains(t, text, "tap2  b         20         0           5.0 ")
	require.Contains(t, text, "and 1 more ports: --rows, or -o json\n")
	for name, other := range map[string]*api.Counts{"the same reading": second,
		"another run of the daemon": {Counts: telemetry.Counts{Since: time.Unix(1500, 0),
			At: time.Unix(1990, 0)}}} {
		require.Contains(t, topText(other, second, 20), "200       -  ", name)
	}
	require.Contains(t, topText(second, busyHour(3, time.Unix(2004, 0)), 20),
		"0         0.0         0      web: ingress tcp 22", "nothing is below zero")
	require.Contains(t, topText(nil, &api.Counts{}, 20), "asked: nothing\n")
}
