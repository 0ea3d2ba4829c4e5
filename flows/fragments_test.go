package flows_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
)

// outsideOf is somebody beyond the uplink.
func outsideOf(in flows.Input) end {
	return end{mac: policy.MAC{2, 0xee, 0, 0, 0, 9}, ofport: in.Uplinks[0].OFPort,
		v4: netip.MustParseAddr("8.8.8.8"), v6: netip.MustParseAddr("2001:4860::8")}
}

func fragment(p flowtest.Packet, f flowtest.Fragment) flowtest.Packet {
	p.Fragment = f
	return p
}

// Each number of a meter is for one thing, and those of the kinds that were first never change.
func TestMeterNumbers(t *testing.T) {
	seen := map[flows.MeterUse]int{}
	for id := range flows.MaxMeter {
		seen[flows.MeterOf(id+1)]++
	}
	for use, n := range seen {
		if use.Zone != 0 {
			require.Equal(t, 1, n, use)
		}
	}
	require.Len(t, seen, 5*65535+2)
	require.Equal(t, flows.MeterUse{}, flows.MeterOf(0))
	require.Equal(t, flows.MeterUse{}, flows.MeterOf(flows.MaxMeter+1))
	require.Equal(t, flows.MeterUse{Of: flows.MeterOfDiscovery, Zone: 7}, flows.MeterOf(19))
	require.Equal(t, flows.MeterUse{Of: flows.MeterOfOpened, Zone: 65535}, flows.MeterOf(196605))
	require.Equal(t, uint32(196606), flows.FirstDeniedMeter)
}

// metersOf returns what the meters hold that a packet meets, and of which zone.
func metersOf(r flowtest.Result) []flows.MeterUse {
	var out []flows.MeterUse
	for _, id := range r.Meters {
		out = append(out, flows.MeterOf(id))
	}
	return out
}

// What may belong to something admitted is held to the limits of the port that sends it and of the
// one it is sent to, and, if it comes from outside, to that of all ports together; and nothing else
// is.
func TestFragmentsAreMetered(t *testing.T) {
	in := limited(policy.Limits{Fragments: 10})
	in.Site.OutsideFragments = 20
	in.Policy.Instances[4].Ports[0].Limits.Fragments = 30 // mgmt-1
	program := mustCompile(t, in)
	sw, err := flowtest.New(program.Flows)
	require.NoError(t, err)
	web, db, db2, mgmt, out := endOf(in, "web-1"), endOf(in, "db-1"), endOf(in, "db-2"),
		endOf(in, "mgmt-1"), outsideOf(in)
	use := func(of string,
		e end) flows.MeterUse {
		return flows.MeterUse{Of: of, Zone: uint16(e.ofport)}
	}
	shared := flows.MeterUse{Of: flows.MeterOfOutside}
	for name, c := range map[string]struct {
		packet flowtest.Packet
		meters []flows.MeterUse
	}{
		"first": {fragment(udp(db, db2, 4000, 53), flowtest.FirstFragment),
			[]flows.MeterUse{use(flows.MeterOfFragmentsOut, db), use(flows.MeterOfFragmentsIn, db2)}},
		"later": {fragment(udp(db, db2, 4000, 53), flowtest.LaterFragment),
			[]flows.MeterUse{use(flows.MeterOfFragmentsOut, db), use(flows.MeterOfFragmentsIn, db2)}},
		"to the outside": {fragment(udp(web, out, 4000, 53), flowtest.FirstFragment),
			[]flows.MeterUse{use(flows.MeterOfFragmentsOut, web)}},
		"from the outside": {fragment(udp(out, web, 53, 4000), flowtest.FirstFragment),
			[]flows.MeterUse{use(flows.MeterOfFragmentsIn, web), shared}},
		"to a port with an own limit": {fragment(udp(out, mgmt, 53, 4000), flowtest.LaterFragment),
			[]flows.MeterUse{use(flows.MeterOfFragmentsIn, mgmt)}},
		"whole":                   {udp(db, db2, 4000, 53), nil},
		"whole, from the outside": {udp(out, web, 53, 4000), nil},
		"that no rule admits":     {fragment(udp(out, db, 53, 4000), flowtest.FirstFragment), nil},
		"that no rule lets out":   {fragment(udp(db, out, 4000, 53), flowtest.LaterFragment), nil},
		"that the receiver's refuse": {fragment(udp(web, db, 4000, 53), flowtest.FirstFragment),
			[]flows.MeterUse{use(flows.MeterOfFragmentsOut, web)}},
		"of an answer that may be one": {fragment(udp(db, web, 3306, 4000), flowtest.LaterFragment), nil},
	} {
		t.Run(name, func(t *testing.T) {
			sw.Exhaust()
			r := forward(t, sw, c.packet)
			require.Equal(t, c.meters, metersOf(r), strings.Join(r.Trace, "\n"))
			for _, id := range r.Meters {
				sw.Exhaust(id)
				require.Empty(t, forward(t, sw, c.packet).Outputs)
				sw.Exhaust()
			}
		})
	}
	burst := map[uint32]uint32{}
	for _, m := range program.Meters {
		burst[m.Rate] = m.Burst
	}
	require.Equal(t, map[uint32]uint32{10: 100, 20: 100, 30: 100}, burst,
		"two datagrams of 64 KiB pass at once")
	in.Site.Limits.Fragments, in.Site.OutsideFragments = 1000, 2000
	for _, m := range mustCompile(t, in).Meters {
		require.Equal(t, max(m.Rate, 100), m.Burst)
	}
}

// What no rule of the port could admit in either direction never reaches the connection tracker;
// what one could does.
func TestFragmentsAreJudgedBeforeTheyAreHeld(t *testing.T) {
	in := flowtest.Seed()
	sw, err := flowtest.New(mustCompile(t, in).Flows)
	require.NoError(t, err)
	web, db, out := endOf(in, "web-1"), endOf(in, "db-1"), outsideOf(in)
	near := out
	near.v4 = netip.MustParseAddr("203.0.113.99")
	tcp := func(from, to end, src, dst uint16) flowtest.Packet {
		p := udp(from, to, src, dst)
		p.Proto = uint8(policy.TCP)
		return p
	}
	icmp := func(from, to end, kind uint8) flowtest.Packet {
		p := udp(from, to, 0, 0)
		p.Proto, p.ICMPType = uint8(policy.ICMP), kind
		return p
	}
	const first, later = flowtest.FirstFragment, flowtest.LaterFragment
	for name, c := range map[string]struct {
		packet flowtest.Packet
		held   bool
	}{
		"from outside, to a port that nothing admits": {fragment(udp(out, db, 4000, 4000), first),
			false},
		"from outside, a later one": {fragment(udp(out, db, 4000, 4000), later), false},
		"from outside, to a port whose egress is open": {fragment(udp(out, web, 4000, 4000), first),
			true},
		"from an instance whose rules do not let it out": {fragment(udp(db, out, 4000, 4000), first),
			false},
		"what a rule lets out":                          {fragment(tcp(db, out, 4000, 80), first), true},
		"another port":                                  {fragment(tcp(db, out, 4000, 444), first), false},
		"the answer to what a rule lets out":            {fragment(tcp(out, db, 80, 4000), first), true},
		"an answer from another port":                   {fragment(tcp(out, db, 444, 4000), first), false},
		"a later one of that protocol":                  {fragment(tcp(out, db, 444, 4000), later), true},
		"the answer to what a rule lets in":             {fragment(tcp(db, web, 3306, 4000), first), true},
		"an answer of another service":                  {fragment(tcp(db, web, 3307, 4000), first), false},
		"an echo reply to an echo that a rule lets out": {fragment(icmp(near, db, 0), first), true},
		"an echo reply that nobody may have asked for":  {fragment(icmp(out, db, 0), first), false},
		"an echo request that nothing admits":           {fragment(icmp(web, db, 8), first), false},
		"a timestamp reply":                             {fragment(icmp(near, db, 14), first), false},
		"a fragment behind any message":                 {fragment(icmp(near, db, 0), later), true},
	} {
		t.Run(name, func(t *testing.T) {
			r := forward(t, sw, c.packet)
			// Its sender's own stage is met first, if it has one; what is looked at is the port db-1, or the
			// only one.
			trace := strings.Join(r.Trace, "\n")
			held := strings.Contains(trace, "table 51") || strings.Contains(trace, "table=51")
			if c.packet.InPort == db.ofport {
				held = strings.Contains(trace, "table 31") || strings.Contains(trace, "table=31")
			}
			require.Equal(t, c.held, held, trace)
		})
	}
}
