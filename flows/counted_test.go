package flows_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// Every flow of a program that ends a packet's way, or lets it pass a judgement, is counted for
// something, and nothing else is.
func TestEveryVerdictIsCounted(t *testing.T) {
	in := flowtest.Seed()
	program, err := flows.Compile(in)
	require.NoError(t, err)
	ids := flows.RuleIDs(in.Policy)
	var known []uint32
	for _, id := range ids {
		known = append(known, id)
	}
	seen := map[flows.Verdict]int{}
	ports := map[flows.Counted]bool{}
	for _, f := range program.Flows {
		c := flows.CountedOf(f)
		seen[c.Verdict]++
		switch c.Verdict {
		case flows.VerdictAdmitted:
			require.True(t, c.Rule == flows.RuleOpen || slices.Contains(known, c.Rule), f)
			require.Contains(t, f.Actions.String(), "->reg3")
		case flows.VerdictEstablished:
			require.Contains(t, f.Match.String(), "ct_mark=")
		case flows.VerdictDropped:
			require.Equal(t, "drop", f.Actions.String())
			require.Zero(t, c.Direction)
			require.Zero(t, c.Zone, f)
		case flows.VerdictNone:
			require.True(t, !f.Actions.IsDrop() || f.Table == 32 || f.Table == 52, f)
			require.NotContains(t, f.Actions.String(), "set_field:0x1/0x1->reg0", f)
		}
		if c.Zone != 0 {
			require.False(t, ports[c], "two flows count one thing of a port: %s", f)
			ports[c] = true
		}
	}
	judged := 0
	for _, b := range in.Bindings {
		if !isTrusted(in, b.Port) {
			judged++
		}
	}
	require.Equal(t, 2*judged, seen[flows.VerdictDenied])
	require.Equal(t, 2*judged, seen[flows.VerdictEstablished])
	require.NotZero(t, seen[flows.VerdictAdmitted])
	require.GreaterOrEqual(t, seen[flows.VerdictDropped], len(flows.Pipeline())-2)
	for _, b := range in.Bindings {
		for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
			denied := slices.ContainsFunc(slices.Collect(maps.Keys(ports)), func(c flows.Counted) bool {
				return c.Zone == b.Zone && c.Direction == d && c.Verdict == flows.VerdictDenied
			})
			require.Equal(t, !isTrusted(in, b.Port), denied, "%s %s", b.Port, d)
		}
	}
}

func isTrusted(in flows.Input, port string) bool {
	for _, i := range in.Policy.Instances {
		for _, p := range i.Ports {
			if p.Name == port {
				return p.Trusted
			}
		}
	}
	return false
}

// What somebody has put into our tables by hand is not taken for what it is not.
func TestForeignFlowsAreNotCountedAsRules(t *testing.T) {
	for _, f := range []openflow.Flow{
		{Table: 52, Actions: openflow.ParseActions("set_field:0x1/0x1->reg0")},
		{Table: 52, Actions: openflow.ParseActions("set_field:0x1/0x1->reg0,set_field:0x77->reg4")},
		{Table: 52, Actions: openflow.ParseActions("set_field:0x1/0x1->reg0,set_field:bogus->reg3")},
		{Table: 40, Actions: openflow.ParseActions("set_field:0x1/0x1->reg0,set_field:0x77->reg3")},
		{Table: 53, Match: openflow.ParseMatch("reg1=0x7"), Actions: openflow.ParseActions("output:1")},
		{Table: 53, Match: openflow.ParseMatch("reg1=bogus"),
			Actions: openflow.ParseActions("resubmit(,60)")},
		{Table: 51, Match: openflow.ParseMatch("reg1=0x7"),
			Actions: openflow.ParseActions("resubmit(,60)")},
	} {
		require.Equal(t, flows.VerdictNone, flows.CountedOf(f).Verdict, f)
	}
	for _, f := range []openflow.Flow{{Table: 53, Match: openflow.ParseMatch("reg1=0x1ffff"),
		Actions: openflow.ParseActions("drop")}, {Table: 53, Actions: openflow.ParseActions("drop")},
		{Table: 99, Actions: openflow.ParseActions("drop")}} {
		require.Equal(t, flows.VerdictDropped, flows.CountedOf(f).Verdict, f)
	}
}
