package agent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

func TestRuleWhoseFlowIsRefusedHoldsUpNobody(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80", "b: 22"), func(w *agenttest.World) {
		w.Sw.Refuse("tp_dst=443")
		w.Policy.Set(agenttest.File("a: 80 443", "b: 22 23"))
		w.Pass(time.Second)
		status := w.Ctl.Snapshot()
		require.Equal(w.T, agent.StateDegraded, status.State)
		require.Empty(w.T, status.Error, "the rest is in force")
		require.Len(w.T, status.Policy.Refused, 1)
		require.Regexp(w.T, `^policy\.yaml:5:9: group g-a: ingress tcp 443 .*OFPBMC_BAD_FIELD.*tp_dst=443`, status.Policy.Refused[0])
		for _, name := range []string{"a", "b"} {
			require.Equal(w.T, agent.PortApplied, w.Port(name).State)
		}
		require.True(w.T, holds(w, "tp_dst=80"))
		require.True(w.T, holds(w, "tp_dst=23"))
		require.False(w.T, holds(w, "tp_dst=443"), "what is left out is denied")
		applies := w.Sw.Applies.Load()
		w.Pass(10 * time.Minute)
		require.InDelta(w.T, 10, w.Sw.Applies.Load()-applies, 2,
			"tried again at each regular look, and not in between")
		w.Sw.Refuse("")
		w.Pass(2 * time.Minute)
		w.InSync()
		require.Empty(w.T, w.Ctl.Snapshot().Policy.Refused)
	})
}

// An egress rule that is left out must not open what it closed.
func TestRefusedEgressRuleOpensNothing(t *testing.T) {
	closed := strings.Replace(agenttest.File("a: 80"), "direction: ingress", "direction: egress", 1)
	agenttest.Run(t, agenttest.File("a: 80"), func(w *agenttest.World) {
		require.True(w.T, holds(w, "reg1=0x1 actions=set_field:0x1/0x1->reg0,set_field:0x1->reg3"),
			"egress is open")
		w.Sw.Refuse("tp_dst=80")
		w.Policy.Set(closed)
		w.Pass(time.Second)
		require.Len(w.T, w.Ctl.Snapshot().Policy.Refused, 1)
		require.False(w.T, holds(w, "reg1=0x1 actions=set_field:0x1/0x1->reg0,set_field:0x1->reg3"),
			"egress is closed")
		require.False(w.T, holds(w, "tp_dst=80"))
	})
}

// What is in force without an egress rule that is left out can be read by others, too.
func TestPolicyWithoutARefusedRuleIsTold(t *testing.T) {
	w, client := agenttest.Served(t, agenttest.File("a: 80"))
	_, err := client.Settle(t.Context(), 10*time.Second)
	require.NoError(t, err)
	w.Sw.Refuse("tp_dst=80")
	w.Policy.Set(strings.Replace(agenttest.File("a: 80"), "direction: ingress", "direction: egress",
		1))
	_, err = w.Ctl.Hub().Await(t.Context(),
		func(s *agent.Snapshot) bool { return len(s.Policy.Refused) == 1 && s.Error == "" })
	require.NoError(t, err)
	told, err := client.InForce(t.Context())
	require.NoError(t, err)
	in, err := told.Input()
	require.NoError(t, err)
	program, err := flows.Compile(in)
	require.NoError(t, err)
	held, _ := w.Sw.Holds()
	require.True(t, openflow.Diff(program.Flows, held).Empty())
}

// A rule that is left out takes a permission away: connections that it admitted are judged again.
func TestRefusedRuleRevokes(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 80 443", "b: 22"), func(w *agenttest.World) {
		a, b := w.Database.Row("a").Epoch, w.Database.Row("b").Epoch
		w.Sw.Refuse("tp_dst=443")
		w.Sw.Stop() // all flows are sent again
		w.Sw.Start()
		w.Pass(10 * time.Second)
		require.Len(w.T, w.Ctl.Snapshot().Policy.Refused, 1)
		require.Greater(w.T, w.Database.Row("a").Epoch, a)
		require.Equal(w.T, b, w.Database.Row("b").Epoch)
	})
}

// holds says whether the switch holds a flow with this text.
func holds(w *agenttest.World, part string) bool {
	held, _ := w.Sw.Holds()
	for _, f := range held {
		if strings.Contains(f.String(), part) {
			return true
		}
	}
	return false
}
