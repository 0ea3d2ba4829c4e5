package plan_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/plan"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/flows/spec"
)

func running(in flows.Input) plan.Running {
	return plan.Running{Input: in, Index: explain.NewIndex(in.Policy), Revision: 7, Bridge: "br-int",
		Uplinks: []string{"eth1"}}
}

func proposal(p *policy.Policy, s policy.Site) plan.Proposal {
	return plan.Proposal{Policy: p, Site: s, Bridge: "br-int", Uplinks: []string{"eth1"}}
}

func never() bool { return false }

// A maker that is kept says what one says that is new, and the flows that it counts are what tells
// the two programs apart.
func TestPlanIsWhatTellsTheProgramsApart(t *testing.T) {
	met := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		var kept plan.Maker
		for range rapid.IntRange(1, 4).Draw(t, "plans") {
			next := policytest.DrawSuccessor(t, in.Policy)
			got, after, err := kept.Make(running(in), proposal(next, w.Site), never)
			require.NoError(t, err)
			fresh, _, err := new(plan.Maker).Make(running(in), proposal(next, w.Site), never)
			require.NoError(t, err)
			require.Equal(t, fresh, got)

			require.Equal(t, explain.CompareAccess(in.Policy, next), *got.Access)
			was, err := flows.Compile(in)
			require.NoError(t, err)
			is, err := flows.Compile(after)
			require.NoError(t, err)
			delta := openflow.Diff(is.Flows, was.Flows)
			require.Equal(t, [2]int{len(delta.Add), len(delta.Delete)}, [2]int{got.Added.Count,
				got.Removed.Count})
			for _, b := range after.Bindings {
				if slices.Contains(got.Cut, b.Port) {
					require.EqualValues(t, 8, b.Epoch)
					met["cut"]++
				}
			}
			if got.InSync {
				require.True(t, delta.Empty())
				met["in sync"]++
			}
			if rapid.Bool().Draw(t, "in force") {
				in = flowtest.Bound(next, w.Site)
			}
		}
	})
	t.Log(met)
	require.Positive(t, met["cut"])
	require.Positive(t, met["in sync"])
}

// A live connection is cut if the specification lets its packets pass before and not after.
func TestCutsAreWhatTheSpecificationDeniesThen(t *testing.T) {
	met := map[bool]int{}
	one := func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		in := flowtest.Bound(w.Policy, w.Site)
		next := spec.World{Policy: policytest.DrawSuccessor(t, w.Policy), Site: w.Site}
		var m plan.Maker
		p, after, err := m.Make(running(in), proposal(next.Policy, w.Site), never)
		require.NoError(t, err)
		endangered := p.Endangered(in, after)
		for range 8 {
			packet := policytest.DrawPacket(t, w)
			packet.Conntrack, packet.Fragment = nil, spec.Whole
			at, d, ok := judgedAt(w, packet)
			if !ok || packet.FromDHCPServer() || packet.FromDHCPClient() {
				continue
			}
			before := verdict(spec.Decide(w, packet), d)
			if !before.Admitted {
				continue
			}
			then := spec.Decide(next, packet)
			_, _, stillJudged := judgedAt(next, packet)
			passes := verdict(then, d).Admitted || len(then.Ports) > 0 || then.Uplink
			p.Connections = nil
			if slices.Contains(endangered, at) {
				p.Cuts(running(in), after, []plan.LiveConnection{{Port: at, Direction: d,
					Tuple: packet.Tuple, Rule: "r"}})
			}
			if stillJudged || passes {
				require.Equal(t, passes, len(p.Connections) == 0, "%+v at %s %s: %+v", packet, at, d, then)
				met[passes]++
			}
		}
	}
	for range 4 {
		rapid.Check(t, one)
	}
	t.Log(met)
	require.Positive(t, met[true])
	require.Positive(t, met[false])
}

// judgedAt returns the port whose rules decide about a packet, and in which direction: the
// sender's, or that of the one receiver of what comes from an uplink.
func judgedAt(w spec.World, p spec.Packet) (port string, d policy.Direction, ok bool) {
	decision := spec.Decide(w, p)
	switch {
	case decision.Egress != (spec.Verdict{}) && decision.Ingress == (spec.Verdict{}):
		return p.From, policy.Egress, true
	case p.FromUplink && decision.Ingress != (spec.Verdict{}) && len(decision.Ports) == 1:
		return decision.Ports[0], policy.Ingress, true
	}
	return "", 0, false
}

func verdict(d spec.Decision, direction policy.Direction) spec.Verdict {
	if direction == policy.Egress {
		return d.Egress
	}
	return d.Ingress
}

// One between two ports of this host is remembered at both and told of once, with both names.
func TestConnectionOfTwoPortsIsCutOnce(t *testing.T) {
	in := flowtest.Seed()
	next := in.Policy.Clone()
	next.Groups[1].Rules = nil
	r := running(in)
	var m plan.Maker
	p, after, err := m.Make(r, proposal(next, in.Site), never)
	require.NoError(t, err)
	tuple := spec.Tuple{Src: netip.MustParseAddr("203.0.113.11"), SrcPort: 41166,
		Dst: netip.MustParseAddr("203.0.113.21"), DstPort: 3306, Protocol: uint8(policy.TCP)}
	rule := plan.LiveConnection{Port: "tap-db-1", Direction: policy.Ingress, Tuple: tuple,
		Group: "backend", Rule: "ingress tcp 3306 from group frontend", At: "policy.yaml:15:9"}
	sender := plan.LiveConnection{Port: "tap-web-1", Direction: policy.Egress, Tuple: tuple,
		Rule: "egress is open"}
	p.Cuts(r, after, []plan.LiveConnection{sender, rule, rule})
	require.Len(t, p.Connections, 1)
	require.Equal(t, "web-1 203.0.113.11:41166 → db-1:3306", p.Connections[0].String())
	require.Equal(t, "rule backend: ingress tcp 3306 from group frontend, policy.yaml:15:9",
		p.Connections[0].By())
	require.Contains(t, p.Summary.String(), "1 connection cut, ")
	require.Positive(t, p.Summary.AccessLost)
}

func TestPlanThatNobodyWaitsFor(t *testing.T) {
	in := flowtest.Seed()
	next := in.Policy.Clone()
	next.Groups[1].Rules = nil
	_, _, err := new(plan.Maker).Make(running(in), proposal(next, in.Site), func() bool { return true })
	require.ErrorIs(t, err, plan.ErrOver)
}
