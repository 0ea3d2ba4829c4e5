package flows_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/spec"
	"github.com/portcullis/portcullis/integration/trace"

	"github.com/portcullis/portcullis/flows/policytest"
)

// A real switch takes the flows as they are, prints them as they are, and does what the
// specification and the fake say: random worlds, a sample of packets, new ones, invalid ones and
// those of connections that are out of date.
func TestSwitchAgreesWithTheSpecification(t *testing.T) {
	bridge, _ := trace.Start(t, 6)
	counts := map[string]int{}
	for n := range 30 {
		rapid.Custom(func(t *rapid.T) bool {
			w := policytest.DrawWorld(t)
			in := flowtest.Bound(w.Policy, w.Site)
			program := compileNarrow(t, drawNarrow(t), in).Flows
			require.NoError(t, bridge.Install(context.Background(), program))
			have, err := bridge.Dump(context.Background())
			require.NoError(t, err)
			require.Empty(t, openflow.Diff(program, have), "the switch prints the flows in another way")
			sw, err := flowtest.New(program)
			require.NoError(t, err)
			for range 40 {
				p := policytest.DrawPacket(t, w)
				counts[triangle(t, bridge, sw, w, in, p)]++
			}
			return true
		}).Example(n)
	}
	t.Logf("packets by outcome: %v", counts)
	require.Greater(t, counts["delivered"], 100)
	require.Greater(t, counts["dropped"], 200)
}

// triangle compares the specification, the fake and the switch. The trace does not know whose
// connection a packet is part of, so that all zones say the same, and replies are left to the fake.
func triangle(t *rapid.T, b *trace.Bridge, sw *flowtest.Switch, w spec.World, in flows.Input,
	p spec.Packet) string {
	side := rapid.SampledFrom([]spec.Side{spec.Unknown, spec.Unknown, spec.OriginalSide,
		spec.Invalid}).Draw(t, "side")
	state := map[spec.Side]string{spec.Unknown: "trk,new", spec.OriginalSide: "trk,est",
		spec.Invalid: "trk,inv"}[side]
	p.Conntrack = map[string]spec.Connection{}
	for _, binding := range in.Bindings {
		p.Conntrack[binding.Port] = spec.Connection{Side: side, Original: p.Tuple}
	}
	want := spec.Decide(w, p)
	seen := flowtest.FromPolicy(p, in)
	fake, err := sw.Forward(seen)
	require.NoError(t, err)
	real, err := b.Trace(context.Background(), seen, slices.Repeat([]string{state}, 8)...)
	require.NoError(t, err)
	require.Equal(t, flowtest.ReceiversOf(want), flowtest.Receivers(in, real.Outputs),
		"packet %+v\n%s\nspecification: %s\n%s", p, trace.Spec(seen), want.Reason, real.Text)
	require.Equal(t, flowtest.ReceiversOf(want), flowtest.Receivers(in, fake.Outputs),
		"packet %+v\n%s", p, strings.Join(fake.Trace, "\n"))
	if len(real.Outputs) == 0 {
		return "dropped"
	}
	return "delivered"
}
