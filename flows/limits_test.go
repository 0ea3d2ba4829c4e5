package flows_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"

	"github.com/portcullis/portcullis/flows/policytest"
)

// limited is the test policy with limits for every port, on a switch that can meter.
func limited(l policy.Limits) flows.Input {
	in := flowtest.Seed()
	in.Site.Limits, in.LastMeter = l, flows.MaxMeter
	return in
}

var someLimits = policy.Limits{Connections: 1000, NewConnections: 100, ARPNDDHCP: 10}

// Limits that are off leave no trace, whether the switch can meter or not; nor do those of packets
// where it cannot.
func TestWithoutLimitsNothingIsMetered(t *testing.T) {
	plain := mustCompile(t, flowtest.Seed())
	require.Empty(t, plain.Meters)
	require.Empty(t, plain.ZoneLimits)
	require.NotContains(t, plain.String(), "meter")
	for _, l := range []policy.Limits{{},
		{Connections: policy.Unlimited, NewConnections: policy.Unlimited, ARPNDDHCP: policy.Unlimited}} {
		require.Equal(t, plain.String(), mustCompile(t, limited(l)).String())
	}
	in := limited(someLimits)
	in.LastMeter = 0
	unable := mustCompile(t, in)
	require.Equal(t, plain.Flows, unable.Flows)
	require.Empty(t, unable.Meters)
	require.Equal(t, []string{"tap-db-1", "tap-db-2", "tap-mgmt-1", "tap-web-1"}, unable.Unmetered)
	require.Len(t, unable.ZoneLimits, 4, "connections are not counted by meters")
}

func TestMeters(t *testing.T) {
	p := mustCompile(t, limited(someLimits))
	require.NoError(t, flowtest.Lint(p.Flows, oppositeRules...))
	require.Len(t, p.Meters, 3*4, "the router is trusted")
	require.Empty(t, p.Unmetered)
	require.Equal(t, "meter=1,pktps,burst,stats,bands=type=drop,rate=10,burst_size=10",
		p.Meters[0].String())
	require.Equal(t, "meter=2,pktps,burst,stats,bands=type=drop,rate=100,burst_size=100",
		p.Meters[1].String())
	require.Equal(t, "zone=1,limit=1000", p.ZoneLimits[0].String())
	require.True(t, strings.HasPrefix(p.String(), "# meter=1,"))
	require.Equal(t, metersIn(p.Flows), p.Meters, "each meter is used, and each that is used is there")
	for _, f := range p.Flows {
		require.NotRegexp(t, `meter:1[345]\b`, f.Actions.String(), "a trusted port is not limited")
	}
}

// metersIn returns the meters that flows name, with the rates of someLimits.
func metersIn(fs []openflow.Flow) []flows.Meter {
	ids := map[uint32]bool{}
	for _, f := range fs {
		for _, m := range regexp.MustCompile(`meter:(\d+)`).FindAllStringSubmatch(f.Actions.String(),
			-1) {
			n, _ := strconv.ParseUint(m[1], 10, 32)
			ids[uint32(n)] = true
		}
	}
	var out []flows.Meter
	for id := range ids {
		rate := uint32(100)
		if id%3 == 1 {
			rate = 10
		}
		out = append(out, flows.Meter{ID: id, Rate: rate, Burst: rate})
	}
	slices.SortFunc(out, func(a, b flows.Meter) int { return int(a.ID) - int(b.ID) })
	return out
}

// The limits of a port stand before those of the settings, each for itself; none is one of them.
func TestLimitsOfAPort(t *testing.T) {
	in := limited(someLimits)
	in.Policy.Instances[0].Ports[0].Limits = policy.Limits{ARPNDDHCP: 7,
		NewConnections: policy.Unlimited}
	p := mustCompile(t, in)
	require.Equal(t, flows.Meter{ID: 1, Rate: 7, Burst: 7}, p.Meters[0])
	require.Equal(t, uint32(4), p.Meters[1].ID, "the first port has no other meter")
	require.Equal(t, flows.ZoneLimit{Zone: 1, Connections: 1000}, p.ZoneLimits[0])
}

// A meter that the switch is too small for is left out, the others are not.
func TestLastMeter(t *testing.T) {
	in := limited(someLimits)
	in.LastMeter = 4
	p := mustCompile(t, in)
	require.Len(t, p.Meters, 4)
	require.Equal(t, []string{"tap-db-1", "tap-db-2", "tap-mgmt-1"}, p.Unmetered)
	require.NotContains(t, p.String(), "meter:5")
	in.Bindings[0].Zone = 65535
	in.LastMeter = flows.MaxMeter
	p = mustCompile(t, in)
	require.Less(t, p.Meters[len(p.Meters)-1].ID, flows.MaxMeter,
		"behind it are those of denied packets")
}

// Limits change nothing of what is admitted: while no meter drops, every packet goes where it goes
// without them.
func TestLimitsAdmitNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		plain, err := flowtest.New(compile(t, in).Flows)
		require.NoError(t, err)
		in.LastMeter = flows.MaxMeter
		in.Site.Limits = policy.Limits{NewConnections: policy.Limit(rapid.IntRange(0, 2).Draw(t, "openings")), ARPNDDHCP: policy.Limit(rapid.IntRange(0, 2).Draw(t, "arp")),
			Fragments: policy.Limit(rapid.IntRange(0, 2).Draw(t, "fragments"))}
		in.Site.OutsideFragments = policy.Limit(rapid.IntRange(0, 1).Draw(t, "outside fragments"))
		metered := compile(t, in)
		require.NoError(t, flowtest.Lint(metered.Flows, oppositeRules...))
		sw, err := flowtest.New(metered.Flows)
		require.NoError(t, err)
		for range 20 {
			p := flowtest.FromPolicy(policytest.DrawPacket(t, w), in)
			want, err := plain.Forward(p)
			require.NoError(t, err)
			got, err := sw.Forward(p)
			require.NoError(t, err)
			require.Equal(t, want.Outputs, got.Outputs, "%s", strings.Join(got.Trace, "\n"))
			require.Empty(t, want.Meters)
		}
	})
}

// What an exhausted meter stops: that of its port and kind, and nothing of the neighbour's.
func TestExhaustedMeters(t *testing.T) {
	in := limited(someLimits)
	sw, err := flowtest.New(mustCompile(t, in).Flows)
	require.NoError(t, err)
	web, db, db2 := endOf(in, "web-1"), endOf(in, "db-1"), endOf(in, "db-2")
	for _, c := range []struct {
		name   string
		packet func(from, to end) flowtest.Packet
		meter  int // of its sender
	}{
		{"ARP request", arpRequest, 1},
		{"ARP probe", arpProbe, 1},
		{"neighbour solicitation", solicitation, 1},
		{"DHCP discover", discover, 1},
		{"DHCP renewal", renewal, 1},
		{"DHCPv6", solicit6, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, sender := range []end{web, db} {
				zone := int(sender.ofport)
				own := uint32(3*(zone-1) + c.meter)
				sw.Exhaust()
				r := forward(t, sw, c.packet(sender, db2))
				require.NotEmpty(t, r.Outputs)
				require.Equal(t, []uint32{own}, r.Meters, "once")
				sw.Exhaust(own+1, own+2)
				require.NotEmpty(t, forward(t, sw, c.packet(sender, db2)).Outputs)
				sw.Exhaust(own)
				require.Empty(t, forward(t, sw, c.packet(sender, db2)).Outputs)
			}
			sw.Exhaust(1) // web-1's
			require.NotEmpty(t, forward(t, sw, c.packet(db, db2)).Outputs)
		})
	}
}

// The first packet of an admitted connection is metered at both ends; neither a later one nor one
// that no rule admits is.
func TestOpeningsAreMetered(t *testing.T) {
	in := limited(someLimits)
	in.Policy.Groups[1].Rules = append(in.Policy.Groups[1].Rules,
		policytest.Rule("egress udp 1-65535", "backend"))
	db, db2, web := endOf(in, "db-1"), endOf(in, "db-2"), endOf(in, "web-1")
	egress, ingress := uint32(3*(db.ofport-1)+2), uint32(3*(db2.ofport-1)+3)
	fresh := func() *flowtest.Switch {
		sw, err := flowtest.New(mustCompile(t, in).Flows)
		require.NoError(t, err)
		return sw
	}
	sw := fresh()
	require.Equal(t, []uint32{egress, ingress}, forward(t, sw, udp(db, db2, 4000, 53)).Meters)
	sw.Exhaust(egress, ingress)
	for range 3 { // nobody answers: to conntrack each is new
		r := forward(t, sw, udp(db, db2, 4000, 53))
		require.Empty(t, r.Meters)
		require.Equal(t, []uint32{db2.ofport}, r.Outputs)
	}
	require.Equal(t, []uint32{db.ofport}, forward(t, sw, udp(db2, db, 53, 4000)).Outputs, "a reply")
	require.Empty(t, forward(t, sw, udp(db, db2, 4001, 53)).Outputs)
	require.Empty(t, forward(t, sw, udp(db, web, 4000, 53)).Meters,
		"what no rule admits is not counted")

	for _, spent := range []uint32{egress, ingress} {
		sw := fresh()
		sw.Exhaust(spent)
		r := forward(t, sw, udp(db, db2, 4000, 53))
		require.Empty(t, r.Outputs)
		require.Contains(t, r.Meters, spent)
		sw.Exhaust()
		require.NotEmpty(t, forward(t, sw, udp(db, db2, 4000, 53)).Outputs, "it may be tried again")
	}
}

// A connection that is judged again after a revocation is none that is new.
func TestJudgingAgainIsNotMetered(t *testing.T) {
	in := limited(someLimits)
	sw, err := flowtest.New(mustCompile(t, in).Flows)
	require.NoError(t, err)
	db, db2 := endOf(in, "db-1"), endOf(in, "db-2")
	require.NotEmpty(t, forward(t, sw, udp(db, db2, 4000, 53)).Outputs)
	for i := range in.Bindings {
		in.Bindings[i].Epoch++
	}
	require.NoError(t, sw.Replace(mustCompile(t, in).Flows))
	r := forward(t, sw, udp(db2, db, 53, 4000))
	require.NotEmpty(t, r.Outputs)
	require.Empty(t, r.Meters)
}

func TestDiffMeters(t *testing.T) {
	m := func(id, rate uint32) flows.Meter { return flows.Meter{ID: id, Rate: rate, Burst: rate} }
	list := func(ms ...flows.Meter) []flows.Meter { return ms }
	stranger := m(flows.MaxMeter+1, 5)
	for _, c := range []struct {
		name       string
		want, have []flows.Meter
		delta      flows.MeterDelta
	}{
		{"nothing", nil, nil, flows.MeterDelta{}},
		{"equal", list(m(1, 5)), list(m(1, 5)), flows.MeterDelta{}},
		{"lost", list(m(2, 5), m(1, 5)), nil, flows.MeterDelta{Add: list(m(1, 5), m(2, 5))}},
		{"changed", list(m(1, 6)), list(m(1, 5)), flows.MeterDelta{Change: list(m(1, 6))}},
		{"edited by hand to what no meter of ours is", list(m(1, 6)), list(flows.Meter{ID: 1}),
			flows.MeterDelta{Change: list(m(1, 6))}},
		{"left over", nil, list(m(2, 5), m(1, 5)), flows.MeterDelta{Delete: list(m(1, 5), m(2, 5))}},
		{"somebody else's", nil, list(stranger), flows.MeterDelta{}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.delta, flows.DiffMeters(c.want, c.have)) })
	}
}

// Open vSwitch prints metered flows as we do.
func TestMeteredFlowsAreCanonical(t *testing.T) {
	requireOVS(t, "ovs-ofctl")
	p := mustCompile(t, limited(someLimits))
	printed := parseFlows(t, p.String())
	require.Len(t, printed, len(p.Flows))
	for i, f := range p.Flows {
		if strings.HasPrefix(f.Actions.String(), "meter:") {
			require.Equal(t, fmt.Sprintf("ADD table:%d priority=%d,%s cookie:0x%x actions=%s", f.Table,
				f.Priority, f.Match, f.Cookie, f.Actions), printed[i])
		}
	}
}
