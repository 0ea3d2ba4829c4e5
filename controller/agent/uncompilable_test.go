package agent_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/flows/policy"
)

const openEgress = "reg1=0x1 actions=set_field:0x1/0x1->reg0,set_field:0x1->reg3"

// A rule that cannot be compiled is denied and named, as check names it; what the same change takes from
// others is taken within the turn, and what the rule itself had admitted is judged again.
func TestRuleThatCannotBeCompiledHoldsUpNobody(t *testing.T) {
	run(t, file("a: 80 443", "b: 22 23"), func(w *world) {
		a, b := w.database.row("a").Epoch, w.database.row("b").Epoch
		w.policy.spoil = func(p *policy.Policy) { p.Groups[0].Rules[1].Peer = policy.Peer{} }
		w.policy.set(file("a: 80 443", "b: 22"))
		w.settle()
		status := w.ctl.Snapshot()
		require.Equal(w.t, agent.StateDegraded, status.State)
		require.Empty(w.t, status.Error, "the rest is in force")
		require.Equal(w.t, []string{"policy.yaml:5:9: group g-a: ingress tcp 443 from nobody: left out: it names neither a group nor a network"}, status.Policy.Refused)
		for _, name := range []string{"a", "b"} {
			require.Equal(w.t, agent.PortApplied, w.port(name).State)
		}
		require.True(w.t, w.holds("tp_dst=80"))
		require.False(w.t, w.holds("tp_dst=443"), "what is left out is denied")
		require.False(w.t, w.holds("tp_dst=23"), "what was taken from b")
		require.Greater(w.t, w.database.row("a").Epoch, a, "connections of the rule are judged again")
		require.Greater(w.t, w.database.row("b").Epoch, b)
		applies := w.sw.applies.Load()
		w.pass(10 * time.Minute)
		require.Equal(w.t, applies, w.sw.applies.Load(), "nothing is sent for it")

		w.policy.spoil = nil
		w.policy.set(file("a: 80 443", "b: 22") + "\n")
		w.inSync()
		require.True(w.t, w.holds("tp_dst=443"))
		require.Empty(w.t, w.ctl.Snapshot().Policy.Refused)
	})
}

// An egress rule that cannot be compiled must not open what it closed.
func TestEgressRuleThatCannotBeCompiledOpensNothing(t *testing.T) {
	run(t, file("a: 80"), func(w *world) {
		require.True(w.t, w.holds(openEgress), "egress is open")
		w.policy.spoil = func(p *policy.Policy) { p.Groups[0].Rules[0].Peer = policy.Peer{} }
		w.policy.set(strings.Replace(file("a: 80"), "direction: ingress", "direction: egress", 1))
		w.settle()
		require.Len(w.t, w.ctl.Snapshot().Policy.Refused, 1)
		require.False(w.t, w.holds(openEgress), "egress is closed")
		require.False(w.t, w.holds("tp_dst=80"))
	})
}

// A port that cannot be compiled passes nothing and is named; all others are programmed.
func TestPortThatCannotBeCompiledHoldsUpNobody(t *testing.T) {
	run(t, file("a: 80", "b: 22 23"), func(w *world) {
		require.True(w.t, w.holds("dl_src=02:00:00:00:00:01"))
		w.policy.spoil = func(p *policy.Policy) {
			port := &p.Instances[0].Ports[0]
			port.Addresses = append(port.Addresses, netip.Prefix{})
		}
		w.policy.set(file("a: 80", "b: 22"))
		w.settle()
		require.Equal(w.t, agent.PortError, w.port("a").State)
		require.Regexp(w.t, `^policy\.yaml:\d+:\d+: port a: left out: "invalid Prefix" is no address$`, w.port("a").Reason)
		require.Equal(w.t, agent.PortApplied, w.port("b").State)
		require.False(w.t, w.holds("dl_src=02:00:00:00:00:01"), "nothing passes it")
		require.False(w.t, w.holds("tp_dst=23"))
		w.policy.spoil = nil
		w.policy.set(file("a: 80", "b: 22") + "\n")
		w.inSync()
	})
}
