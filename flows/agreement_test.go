package flows_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/spec"

	"github.com/portcullis/portcullis/flows/policytest"
)

// The flows do what the specification says, for random policies and packets.
func TestFlowsAgreeWithTheSpecification(t *testing.T) {
	counts := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		program := compileNarrow(t, drawNarrow(t), in)
		sw, err := flowtest.New(program.Flows)
		if err != nil {
			t.Fatal(err)
		}
		if err := flowtest.Lint(program.Flows,
			slices.Concat(oppositeRules, furtherPages)...); err != nil {
			t.Fatal(err)
		}
		for range 150 {
			p := policytest.DrawPacket(t, w)
			counts[agree(t, w, in, sw, p)]++
		}
	})
	t.Logf("packets by outcome: %v", counts)
	total := 0
	for _, n := range counts {
		total += n
	}
	require.GreaterOrEqual(t, total, 10_000)
	require.Greater(t, counts["delivered"], total/50,
		"too few packets get anywhere for this test to mean much")
}

// A reply is judged by the rules of the other direction, which are in an earlier table.
var oppositeRules = []flowtest.Edge{{From: 51, To: 32}, {From: 48, To: 32}}

// furtherPages are the tables that are asked again where something is too long for one flow.
var furtherPages = []flowtest.Edge{{From: 20, To: 20}, {From: 21, To: 21}, {From: 22, To: 22},
	{From: 32, To: 32}, {From: 40, To: 40},
	{From: 43, To: 43}, {From: 52, To: 52}}

// agree fails unless the switch does with the packet what must be done, and returns the outcome.
func agree(t *rapid.T, w spec.World, in flows.Input, sw *flowtest.Switch, p spec.Packet) string {
	want := spec.Decide(w, p)
	seen := flowtest.FromPolicy(p, in)
	markCurrent(t, in, p, want, seen)
	got, err := sw.Forward(seen)
	if err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	if has, expect := flowtest.Receivers(in, got.Outputs), flowtest.ReceiversOf(want); has != expect {
		t.Fatalf("packet %+v\nspecification: %q, %s\nflows: %q\n%s", p, expect, want.Reason, has,
			strings.Join(got.Trace, "\n"))
	}
	if len(got.Rewritten) > 0 {
		t.Fatalf("packet %+v leaves rewritten by %v", p, got.Rewritten)
	}
	if len(got.Outputs) == 0 {
		return "dropped"
	}
	return "delivered"
}

// markCurrent gives some of the connections that are admitted the mark of the port's epoch: what
// was admitted in this epoch still is. The others are out of date. An ICMP error passes only by an
// up-to-date connection.
func markCurrent(t *rapid.T, in flows.Input, p spec.Packet, d spec.Decision, seen flowtest.Packet) {
	for _, b := range in.Bindings {
		known := seen.Known[b.Zone]
		admitted := slices.Contains(d.Ports, b.Port) || b.Port == p.From && d.Egress.Admitted
		related := known.Side == spec.RelatedOriginal || known.Side == spec.RelatedReply
		tracked := related || known.Side == spec.OriginalSide || known.Side == spec.ReplySide
		if tracked && admitted && (related || rapid.Bool().Draw(t, "current")) {
			known.Mark = b.Epoch
			seen.Known[b.Zone] = known
		}
	}
}
