package ofswitch_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// frame is what the simulated device of the tests receives, as Open vSwitch writes packets.
const frame = "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800)," +
	"ipv4(src=192.0.2.1,dst=192.0.2.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)"

// counts reads the counters by flow.
func counts(t *testing.T, sw *ofswitch.Switch) map[openflow.Flow]ofswitch.FlowCount {
	t.Helper()
	got := map[openflow.Flow]ofswitch.FlowCount{}
	require.NoError(t, sw.Counts(within(t), func(c ofswitch.FlowCount) { got[c.Flow] = c }))
	return got
}

// receive lets the bridge have packets, and waits until the flow has counted them: Open vSwitch
// adds up twice a second.
func receive(t *testing.T, vs *sandbox.OVS, sw *ofswitch.Switch, f openflow.Flow, packets int) {
	t.Helper()
	want := counts(t, sw)[f].Packets + uint64(packets)
	for range packets {
		vs.Appctl("netdev-dummy/receive", "p1", frame)
	}
	require.Eventually(t, func() bool { return counts(t, sw)[f].Packets == want }, 2*time.Minute,
		10*time.Millisecond)
}

func TestCounts(t *testing.T) {
	vs, sw := start(t)
	vs.Vsctl("add-port", bridge, "p1", "--", "set", "Interface", "p1", "type=dummy",
		"ofport_request=1")
	held := program()
	require.NoError(t, sw.Apply(within(t), openflow.Diff(held, nil)))
	vs.Ofctl("add-flow", bridge, "table=200,actions=drop") // nobody's business
	vs.Ofctl("add-flow", bridge,
		"table=41,idle_timeout=3000,send_flow_rem,importance=6,priority=7,ip,actions=drop")
	got := counts(t, sw)
	require.Len(t, got, len(held)+1)
	for _, f := range held {
		require.Contains(t, got, f, "the same text as without counters")
		require.Zero(t, got[f].Packets)
		require.Less(t, got[f].Age, time.Hour)
	}
	first := held[1]
	receive(t, vs, sw, first, 3)
	age := counts(t, sw)[first].Age
	require.NotZero(t, age)
	require.Zero(t, counts(t, sw)[first].Bytes%3)
	require.GreaterOrEqual(t, counts(t, sw)[first].Bytes, uint64(3*42))

	// A flow that is replaced takes its counters along, and begins a new age: the accumulator
	// relies on the one and not on the other.
	other := first
	other.Actions = openflow.ParseActions("set_field:0x8->reg1,resubmit(,10)")
	require.NoError(t, sw.Apply(within(t), openflow.Delta{Add: []openflow.Flow{other}}))
	require.Equal(t, uint64(3), counts(t, sw)[other].Packets)
	require.Less(t, counts(t, sw)[other].Age, age)
	receive(t, vs, sw, other, 2)
	require.Equal(t, uint64(5), counts(t, sw)[other].Packets)

	// One that is deleted and added begins anew.
	require.NoError(t, sw.Apply(within(t), openflow.Delta{Delete: []openflow.Flow{other}}))
	require.NoError(t, sw.Apply(within(t), openflow.Delta{Add: []openflow.Flow{other}}))
	require.Zero(t, counts(t, sw)[other].Packets)
}

func TestCountsRefused(t *testing.T) {
	gone := ofswitch.New(ofswitch.Options{Target: "unix:" + filepath.Join(t.TempDir(), "none.mgmt"),
		DatapathType: "dummy"})
	require.Error(t, gone.Counts(within(t),
		func(ofswitch.FlowCount) { t.Error("a flow of nowhere") }))
	_, err := gone.Entries(within(t))
	require.ErrorContains(t, err, "count connections")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, gone.Counts(ctx, nil), context.Canceled)
}

func TestEntries(t *testing.T) {
	o := newOpener(t)
	o.vs.Appctl("dpctl/ct-set-maxconns", "dummy@ovs-dummy", "1234")
	e, err := o.Entries(within(t))
	require.NoError(t, err)
	require.Equal(t, ofswitch.Entries{Limit: 1234}, e)
	o.vs.Appctl("dpctl/ct-set-limits", "dummy@ovs-dummy", "zone=3,limit=10")
	o.open(3, 1)
	e, err = o.Entries(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 1, e.Known)
	require.Equal(t, []ofswitch.ZoneEntries{{ZoneLimit: flows.ZoneLimit{Zone: 3, Connections: 10},
		Known: 1}}, e.Zones)
}
