package agent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/flows"
)

func TestRuleWhoseFlowIsRefusedHoldsUpNobody(t *testing.T) {
	run(t, file("a: 80", "b: 22"), func(w *world) {
		w.sw.refuse("tp_dst=443")
		w.policy.set(file("a: 80 443", "b: 22 23"))
		w.pass(time.Second)
		status := w.ctl.Snapshot()
		require.Equal(w.t, agent.StateDegraded, status.State)
		require.Empty(w.t, status.Error, "the rest is in force")
		require.Len(w.t, status.Policy.Refused, 1)
		require.Regexp(w.t, `^policy\.yaml:5:9: group g-a: ingress tcp 443 .*OFPBMC_BAD_FIELD.*tp_dst=443`, status.Policy.Refused[0])
		for _, name := range []string{"a", "b"} {
			require.Equal(w.t, agent.PortApplied, w.port(name).State)
		}
		require.True(w.t, w.holds("tp_dst=80"))
		require.True(w.t, w.holds("tp_dst=23"))
		require.False(w.t, w.holds("tp_dst=443"), "what is left out is denied")
		applies := w.sw.applies.Load()
		w.pass(10 * time.Minute)
		require.InDelta(w.t, 10, w.sw.applies.Load()-applies, 2, "tried again at each regular look, and not in between")
		w.sw.refuse("")
		w.pass(2 * time.Minute)
		w.inSync()
		require.Empty(w.t, w.ctl.Snapshot().Policy.Refused)
	})
}

// An egress rule that is left out must not open what it closed.
func TestRefusedEgressRuleOpensNothing(t *testing.T) {
	closed := strings.Replace(file("a: 80"), "direction: ingress", "direction: egress", 1)
	run(t, file("a: 80"), func(w *world) {
		require.True(w.t, w.holds("reg1=0x1 actions=set_field:0x1/0x1->reg0,set_field:0x1->reg3"), "egress is open")
		w.sw.refuse("tp_dst=80")
		w.policy.set(closed)
		w.pass(time.Second)
		require.Len(w.t, w.ctl.Snapshot().Policy.Refused, 1)
		require.False(w.t, w.holds("reg1=0x1 actions=set_field:0x1/0x1->reg0,set_field:0x1->reg3"), "egress is closed")
		require.False(w.t, w.holds("tp_dst=80"))
	})
}

// What is in force without an egress rule that is left out can be read by others, too.
func TestPolicyWithoutARefusedRuleIsTold(t *testing.T) {
	w, client := served(t, file("a: 80"))
	_, err := client.Settle(t.Context(), 10*time.Second)
	require.NoError(t, err)
	w.sw.refuse("tp_dst=80")
	w.policy.set(strings.Replace(file("a: 80"), "direction: ingress", "direction: egress", 1))
	_, err = w.ctl.Hub().Await(t.Context(), func(s *agent.Snapshot) bool { return len(s.Policy.Refused) == 1 && s.Error == "" })
	require.NoError(t, err)
	told, err := client.InForce(t.Context())
	require.NoError(t, err)
	in, err := told.Input()
	require.NoError(t, err)
	program, err := flows.Compile(in)
	require.NoError(t, err)
	held, _ := w.sw.holds()
	require.True(t, flows.Diff(program.Flows, held).Empty())
}

// A rule that is left out takes a permission away: connections that it admitted are judged again.
func TestRefusedRuleRevokes(t *testing.T) {
	run(t, file("a: 80 443", "b: 22"), func(w *world) {
		a, b := w.database.row("a").Epoch, w.database.row("b").Epoch
		w.sw.refuse("tp_dst=443")
		w.sw.stop() // all flows are sent again
		w.sw.start()
		w.pass(10 * time.Second)
		require.Len(w.t, w.ctl.Snapshot().Policy.Refused, 1)
		require.Greater(w.t, w.database.row("a").Epoch, a)
		require.Equal(w.t, b, w.database.row("b").Epoch)
	})
}

// holds says whether the switch holds a flow with this text.
func (w *world) holds(part string) bool {
	held, _ := w.sw.holds()
	for _, f := range held {
		if strings.Contains(f.String(), part) {
			return true
		}
	}
	return false
}
