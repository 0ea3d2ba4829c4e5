package agent_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/flows/policy"
)

const openEgress = "reg1=0x1 actions=set_field:0x1/0x1->reg0,set_field:0x1->reg3"

// A rule that cannot be compiled is denied and named, as check names it; what the same change takes
// from others is taken within the turn, and what the rule itself had admitted is judged again.
func TestRuleThatCannotBeCompiledHoldsUpNobody(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443", "b: 22 23"), func(w *agenttest.World) {
		a, b := w.Database.Row("a").Epoch, w.Database.Row("b").Epoch
		w.Policy.Spoil = func(p *policy.Policy) { p.Groups[0].Rules[1].Peers = nil }
		w.Policy.Set(agenttest.File("a: 80 443", "b: 22"))
		w.Settle()
		status := w.Ctl.Snapshot()
		require.Equal(w.T, agent.StateDegraded, status.State)
		require.Empty(w.T, status.Error, "the rest is in force")
		require.Equal(w.T, []string{"policy.yaml:5:9: group g-a: ingress tcp 443 from nobody: " +
			"left out: it names neither a group nor a network"}, status.Policy.Refused)
		for _, name := range []string{"a", "b"} {
			require.Equal(w.T, agent.PortApplied, w.Port(name).State)
		}
		require.True(w.T, holds(w, "tp_dst=80"))
		require.False(w.T, holds(w, "tp_dst=443"), "what is left out is denied")
		require.False(w.T, holds(w, "tp_dst=23"), "what was taken from b")
		require.Greater(w.T, w.Database.Row("a").Epoch, a,
			"connections of the rule are judged again")
		require.Greater(w.T, w.Database.Row("b").Epoch, b)
		applies := w.Sw.Applies.Load()
		w.Pass(10 * time.Minute)
		require.Equal(w.T, applies, w.Sw.Applies.Load(), "nothing is sent for it")

		w.Policy.Spoil = nil
		w.Policy.Set(agenttest.File("a: 80 443", "b: 22") + "\n")
		w.InSync()
		require.True(w.T, holds(w, "tp_dst=443"))
		require.Empty(w.T, w.Ctl.Snapshot().Policy.Refused)
	})
}

// An egress rule that cannot be compiled must not open what it closed.
func TestEgressRuleThatCannotBeCompiledOpensNothing(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		require.True(w.T, holds(w, openEgress), "egress is open")
		w.Policy.Spoil = func(p *policy.Policy) { p.Groups[0].Rules[0].Peers = nil }
		w.Policy.Set(strings.Replace(agenttest.File("a: 80"), "direction: ingress",
			"direction: egress", 1))
		w.Settle()
		require.Len(w.T, w.Ctl.Snapshot().Policy.Refused, 1)
		require.False(w.T, holds(w, openEgress), "egress is closed")
		require.False(w.T, holds(w, "tp_dst=80"))
	})
}

// A port that cannot be compiled passes nothing and is named; all others are programmed.
func TestPortThatCannotBeCompiledHoldsUpNobody(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22 23"), func(w *agenttest.World) {
		require.True(w.T, holds(w, "dl_src=02:00:00:00:00:01"))
		w.Policy.Spoil = func(p *policy.Policy) {
			port := &p.Instances[0].Ports[0]
			port.Addresses = append(port.Addresses, netip.Prefix{})
		}
		w.Policy.Set(agenttest.File("a: 80", "b: 22"))
		w.Settle()
		require.Equal(w.T, agent.PortError, w.Port("a").State)
		require.Regexp(w.T, `^policy\.yaml:\d+:\d+: port a: left out: "invalid Prefix" is no address$`,
			w.Port("a").Reason)
		require.Equal(w.T, agent.PortApplied, w.Port("b").State)
		require.False(w.T, holds(w, "dl_src=02:00:00:00:00:01"), "nothing passes it")
		require.False(w.T, holds(w, "tp_dst=23"))
		w.Policy.Spoil = nil
		w.Policy.Set(agenttest.File("a: 80", "b: 22") + "\n")
		w.InSync()
	})
}
