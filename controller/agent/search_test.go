package agent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// rules returns "a: 80 1000 1001 ...": a policy's entry with many rules.
func rules(entry string, first, n int) string {
	for i := range n {
		entry += fmt.Sprintf(" %d", first+i)
	}
	return entry
}

// bundleCount counts the bundles until the switch holds no flow with a text any more, and requires
// that those with others are always there.
type bundleCount struct {
	gone   int64 // the bundles until then; 0 = it is not gone
	always []string
	lost   []string
}

func watch(w *agenttest.World, gone string, always ...string) *bundleCount {
	out := &bundleCount{always: always}
	began := w.Sw.Applies.Load()
	before := w.Sw.OnCommit
	w.Sw.OnCommit = func(held []openflow.Flow) {
		if before != nil {
			before(held)
		}
		has := func(text string) bool {
			return slices.ContainsFunc(held,
				func(f openflow.Flow) bool { return strings.Contains(f.String(), text) })
		}
		if gone != "" && out.gone == 0 && !has(gone) {
			out.gone = w.Sw.Applies.Load() - began
		}
		for _, text := range always {
			if !has(text) {
				out.lost = append(out.lost, text)
			}
		}
	}
	return out
}

// A full table, and one change that adds sixty rules to one port and takes a rule of another group:
// the rule that is taken is gone with the third bundle, no time goes by until all that does not fit
// is named, and nothing that is admitted throughout is missing for a moment.
func TestFullTableHoldsUpNoRevocation(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 22", "b: 80 443"), func(w *agenttest.World) {
		k := remembering(w)
		w.Sw.Limit(52, 2)
		seen := watch(w, "tp_dst=443", "tp_dst=22", "tp_dst=80")
		began := time.Now()
		w.Policy.Set(agenttest.File(rules("a: 22", 1000, 60), "b: 80"))
		w.Settle()
		require.Zero(w.T, time.Since(began),
			"no turn that learned something is followed by a pause")
		status := w.Ctl.Snapshot()
		require.Empty(w.T, status.Error)
		require.Len(w.T, status.Policy.Refused, 57,
			"two fit, and one more for the one that was taken")
		for _, line := range status.Policy.Refused {
			require.Regexp(w.T, `^policy\.yaml:\d+:9: group g-a: ingress tcp 10\d\d from 0\.0\.0\.0/0: left out: .*OFPFMFC_TABLE_FULL`, line)
		}
		require.LessOrEqual(w.T, seen.gone, int64(3))
		require.NotZero(w.T, seen.gone)
		require.Less(w.T, w.Sw.Applies.Load(), int64(150))
		require.Empty(w.T, seen.lost)
		require.Empty(w.T, k.wrong)

		// What is known is kept: the next change needs one bundle, and trying again costs few and
		// harms nobody.
		seen = watch(w, "tp_dst=80", "tp_dst=22", "tp_dst=23")
		w.Policy.Set(agenttest.File(rules("a: 22", 1000, 60), "b: 23"))
		w.Settle()
		require.Equal(w.T, int64(1), seen.gone)
		require.Empty(w.T, w.Ctl.Snapshot().Error)
		applies := w.Sw.Applies.Load()
		w.Pass(10 * time.Minute)
		require.Less(w.T, w.Sw.Applies.Load()-applies, int64(10*20))
		require.Len(w.T, w.Ctl.Snapshot().Policy.Refused, 57)
		require.Empty(w.T, seen.lost)
		w.Sw.Accept()
		w.Pass(2 * time.Minute)
		w.InSync()
		require.Empty(w.T, w.Ctl.Snapshot().Policy.Refused)
		require.Empty(w.T, k.wrong)
	})
}

// However many are refused, those of them that the switch takes meanwhile are in force within the
// next minutes.
func TestRoomIsUsed(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 22"), func(w *agenttest.World) {
		w.Sw.Limit(52, 0)
		w.Policy.Set(agenttest.File(rules("a: 22", 1000, 60)))
		w.Settle()
		require.Len(w.T, w.Ctl.Snapshot().Policy.Refused, 60)
		w.Sw.Limit(52, 7)
		w.Pass(30 * time.Minute)
		require.Len(w.T, w.Ctl.Snapshot().Policy.Refused, 53)
	})
}

// A change that comes while it is still looked for what the switch refuses does not wait for the
// end of that.
func TestRevocationInTheCourseOfASearch(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 22", "b: 80 443"), func(w *agenttest.World) {
		k := remembering(w)
		w.Sw.Limit(52, 2)
		var seen *bundleCount
		left := 20
		w.Sw.OnApply = func() {
			if left--; left == 0 {
				w.Policy.Set(agenttest.File(rules("a: 22", 1000, 60), "b: 80"))
			}
		}
		seen = watch(w, "tp_dst=443", "tp_dst=22", "tp_dst=80")
		w.Policy.Set(agenttest.File(rules("a: 22", 1000, 60), "b: 80 443"))
		w.Settle()
		require.LessOrEqual(w.T, seen.gone, int64(22),
			"the second bundle after the change, of many")
		require.NotZero(w.T, seen.gone)
		require.Greater(w.T, w.Sw.Applies.Load(), int64(40))
		require.Empty(w.T, seen.lost)
		require.Empty(w.T, k.wrong)
		require.Len(w.T, w.Ctl.Snapshot().Policy.Refused, 57)
	})
}

// peered is a policy of one port each for a and b. Group members is a peer of a's rules, with n
// external sources.
func peered(members int, rulesOfA, rulesOfB string) string {
	sources := make([]string, members)
	for n := range sources {
		sources[n] = fmt.Sprintf("198.51.100.%d/32", n+1)
	}
	text := fmt.Sprintf("groups:\n  - name: members\n    external_sources: [%s]\n  - name: "+
		"g-a\n    rules:\n", strings.Join(sources, ", "))
	for _, p := range strings.Fields(rulesOfA) {
		text += fmt.Sprintf("      - {direction: ingress, protocol: tcp, ports: %s, group: "+
			"members}\n", p)
	}
	_, b, _ := strings.Cut(agenttest.File("b: "+rulesOfB), "groups:\n")
	return strings.Replace(text+b, "instances:\n",
		"instances:\n  - {name: i-a, groups: [g-a], ports: [{name: a, mac: 02:00:00:00:00:01, "+
			"addresses: [192.0.2.1]}]}\n", 1)
}

// Members that do not fit are left out, not the rules that they are peers of.
func TestMembersThatDoNotFit(t *testing.T) {
	agenttest.Run(t, peered(20, "80", "22 23"), func(w *agenttest.World) {
		k := remembering(w)
		w.Sw.Limit(52, 4)
		always := []string{"tp_dst=22"}
		for n := range 20 {
			always = append(always, fmt.Sprintf("nw_src=198.51.100.%d ", n+1))
		}
		seen := watch(w, "tp_dst=23", always...)
		w.Policy.Set(peered(50, "80", "22"))
		w.Settle()
		status := w.Ctl.Snapshot()
		require.Empty(w.T, status.Error)
		require.Len(w.T, status.Policy.Refused, 25)
		require.Regexp(w.T, `^policy\.yaml:2:\d+: group members: external source 198\.51\.100\.\d+/32: left out: .*TABLE_FULL`, status.Policy.Refused[0])
		require.LessOrEqual(w.T, seen.gone, int64(3))
		require.NotZero(w.T, seen.gone)
		require.Empty(w.T, seen.lost)
		require.Empty(w.T, k.wrong)
	})
}

// A rejected action: of the rules that share a flow, the new one is to blame.
func TestNewRuleIsToBlameForASharedFlow(t *testing.T) {
	agenttest.Run(t, peered(20, "80", "22 23"), func(w *agenttest.World) {
		pol, _, err := w.Policy.Load()
		require.NoError(w.T, err)
		rule := pol.Groups[1].Rules[0]
		rule.Ports = []policy.PortRange{{First: 443, Last: 443}}
		pol.Groups[1].Rules = append(pol.Groups[1].Rules, rule)
		bad := fmt.Sprintf("conjunction(%d,", flows.RuleIDs(pol)[flows.RuleKey("g-a", rule)])
		w.Sw.Refusing = func(f openflow.Flow) bool {
			return strings.Contains(f.Actions.String(), bad)
		}
		seen := watch(w, "tp_dst=23", "tp_dst=80 ", "tp_dst=22", "nw_src=198.51.100.7 ")
		w.Policy.Set(peered(20, "80 443 8080", "22"))
		w.Settle()
		status := w.Ctl.Snapshot()
		require.Empty(w.T, status.Error)
		require.Len(w.T, status.Policy.Refused, 1)
		require.Contains(w.T, status.Policy.Refused[0], "group g-a: ingress tcp 443")
		require.True(w.T, holds(w, "tp_dst=8080"))
		require.Equal(w.T, int64(2), seen.gone,
			"of two that share a flow neither is to blame by its name")
		require.Empty(w.T, seen.lost)
	})
}

// A bundle that is too large names nothing: all of it is in force in pieces, and what takes
// permissions first.
func TestBundleThatIsTooLarge(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 22", "b: 80 443"), func(w *agenttest.World) {
		k := remembering(w)
		w.Sw.Longest = 20
		seen := watch(w, "tp_dst=443", "tp_dst=22", "tp_dst=80")
		w.Policy.Set(agenttest.File(rules("a: 22", 1000, 100), "b: 80"))
		w.InSync()
		require.Equal(w.T, int64(2), seen.gone)
		require.Empty(w.T, seen.lost)
		require.Empty(w.T, w.Ctl.Snapshot().Policy.Refused)
		require.Empty(w.T, k.wrong)
	})
}

// A port whose flows the switch refuses, and that goes while it is looked for them: nothing of it
// is left, and the rest is in force.
func TestPortVanishesInTheCourseOfASearch(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 22", "b: 80 443"), func(w *agenttest.World) {
		k := remembering(w)
		n := 0
		w.Sw.Refusing = func(f openflow.Flow) bool {
			return strings.Contains(f.Match.String(), "in_port=3,") ||
				strings.Contains(f.Match.String(), "tp_dst=10")
		}
		w.Sw.OnApply = func() {
			if n++; n == 4 {
				go w.Database.SetAbsent("c", "No such device")
			}
		}
		seen := watch(w, "tp_dst=443", "tp_dst=22", "tp_dst=80")
		w.Policy.Set(agenttest.File(rules("a: 22", 1000, 30), "b: 80", "c: 5"))
		w.Pass(time.Second)
		status := w.Ctl.Snapshot()
		require.Empty(w.T, status.Error)
		require.Len(w.T, status.Policy.Refused, 30)
		require.Equal(w.T, agent.PortAbsent, w.Port("c").State)
		require.False(w.T, holds(w, "reg1=0x3"))
		require.LessOrEqual(w.T, seen.gone, int64(3))
		require.NotZero(w.T, seen.gone)
		require.Empty(w.T, seen.lost)
		w.Sw.Accept()
		w.Database.SetPresent("c")
		w.Pass(5 * time.Minute)
		w.InSync()
		require.Empty(w.T, k.wrong)
	})
}

// A daemon that starts with a table that is full knows nothing of what was refused. What is in
// force stays, and a rule that was taken while it was away is gone with the third bundle.
func TestRestartWithAFullTable(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 22", "b: 80 443"), func(w *agenttest.World) {
		k := remembering(w)
		w.Sw.Limit(52, 2)
		w.Policy.Set(agenttest.File(rules("a: 22", 1000, 60), "b: 80 443"))
		w.Settle()
		require.Len(w.T, w.Ctl.Snapshot().Policy.Refused, 58)
		seen := watch(w, "tp_dst=443", "tp_dst=22", "tp_dst=80", "tp_dst=1000", "tp_dst=1001")
		w.Stop()
		w.Policy.Write(agenttest.File(rules("a: 22", 1000, 60), "b: 80"))
		w.Start()
		w.Settle()
		require.LessOrEqual(w.T, seen.gone, int64(3))
		require.NotZero(w.T, seen.gone)
		require.Empty(w.T, seen.lost)
		require.Empty(w.T, w.Ctl.Snapshot().Error)
		require.Len(w.T, w.Ctl.Snapshot().Policy.Refused, 57)
		require.Empty(w.T, k.wrong)
	})
}

// A switch that takes no flow at all still gives up what it holds.
func TestSwitchThatTakesNothing(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 22", "b: 80 443"), func(w *agenttest.World) {
		k := remembering(w)
		w.Sw.Refusing = func(openflow.Flow) bool { return true }
		w.Policy.Set(agenttest.File("a: 22 23", "b: 80"))
		w.Pass(10 * time.Second)
		require.False(w.T, holds(w, "tp_dst=443"))
		require.True(w.T, holds(w, "tp_dst=22"), "what did not change stays")
		require.Equal(w.T, agent.StateDegraded, w.Ctl.Snapshot().State)
		epoch := w.Database.Row("b").Epoch
		w.Pass(10 * time.Minute)
		require.Equal(w.T, epoch, w.Database.Row("b").Epoch,
			"looking at the flows finds what was left there")
		w.Sw.Accept()
		w.Pass(2 * time.Minute)
		w.InSync()
		require.Zero(w.T, w.Ctl.Snapshot().Counters.DriftRepaired)
		require.Empty(w.T, k.wrong)
	})
}

// A table of states that holds more than it may takes no flow for a new epoch: the port does
// without, and the status says so.
func TestFullTableOfStates(t *testing.T) {
	agenttest.Run(t, agenttest.File("a: 22", "b: 80 443"), func(w *agenttest.World) {
		k := remembering(w)
		w.Sw.Limit(51, -2)
		seen := watch(w, "tp_dst=443", "tp_dst=22", "tp_dst=80")
		w.Policy.Set(agenttest.File("a: 22", "b: 80"))
		w.Settle()
		require.LessOrEqual(w.T, seen.gone, int64(3))
		require.NotZero(w.T, seen.gone)
		require.Empty(w.T, seen.lost)
		require.Empty(w.T, w.Ctl.Snapshot().Error)
		require.Empty(w.T, w.Ctl.Snapshot().Policy.Refused)
		require.Equal(w.T, agent.PortApplied, w.Port("b").State)
		require.Contains(w.T, strings.Join(w.Ctl.Snapshot().Warnings, ""), "judged by the rules")
		epoch := w.Database.Row("b").Epoch
		w.Pass(10 * time.Minute)
		require.Equal(w.T, epoch, w.Database.Row("b").Epoch,
			"looking at the flows finds what was left there")
		w.Sw.Accept()
		w.Pass(2 * time.Minute)
		w.InSync()
		require.Empty(w.T, w.Ctl.Snapshot().Warnings)
		require.Empty(w.T, k.wrong)
	})
}

// A start on an empty switch whose table is too small: what fits is in force.
func TestStartWithATableThatIsTooSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, agenttest.File(rules("a: 22", 1000, 60), "b: 80"))
		w.Sw.Limits = map[uint8]int{52: 30}
		w.Start()
		defer func() { w.Cancel() }()
		w.Settle()
		require.Empty(t, w.Ctl.Snapshot().Error)
		held, admitting := 0, 0
		for key := range w.Sw.Held {
			if key.Table == 52 {
				held++
				admitting += strings.Count(key.Match.String(), "tp_dst=")
			}
		}
		require.Equal(t, 30, held)
		require.Len(t, w.Ctl.Snapshot().Policy.Refused, 62-admitting)
		w.Sw.Accept()
		w.Pass(2 * time.Minute)
		w.InSync()
		w.Stop()
	})
}

// A start with bundles that may not be large: all of it is in force in pieces, and no port is left
// out for its rules.
func TestStartWithBundlesThatAreTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, agenttest.File(rules("a: 22", 1000, 600), "b: 80"))
		w.Sw.Longest = 400 // what is of no port in particular is one piece
		w.Start()
		defer func() { w.Cancel() }()
		w.Settle()
		w.InSync()
		require.Empty(t, w.Ctl.Snapshot().Policy.Refused)
		w.Stop()
	})
}
