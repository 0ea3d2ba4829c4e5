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
	"github.com/portcullis/portcullis/flows"
)

// rules returns "a: 80 1000 1001 ...": a policy's entry with many rules.
func rules(entry string, first, n int) string {
	for i := range n {
		entry += fmt.Sprintf(" %d", first+i)
	}
	return entry
}

// witness counts the bundles until the switch holds no flow with a text any more, and requires that those with others are always there.
type witness struct {
	gone   int64 // the bundles until then; 0 = it is not gone
	always []string
	lost   []string
}

func (w *world) watch(gone string, always ...string) *witness {
	out := &witness{always: always}
	began := w.sw.applies.Load()
	before := w.sw.onCommit
	w.sw.onCommit = func(held []flows.Flow) {
		if before != nil {
			before(held)
		}
		has := func(text string) bool {
			return slices.ContainsFunc(held, func(f flows.Flow) bool { return strings.Contains(f.String(), text) })
		}
		if gone != "" && out.gone == 0 && !has(gone) {
			out.gone = w.sw.applies.Load() - began
		}
		for _, text := range always {
			if !has(text) {
				out.lost = append(out.lost, text)
			}
		}
	}
	return out
}

// A full table, and one change that adds sixty rules to one port and takes a rule of another group: the rule that is taken is gone with the
// third bundle, no time goes by until all that does not fit is named, and nothing that is admitted throughout is missing for a moment.
func TestFullTableHoldsUpNoRevocation(t *testing.T) {
	run(t, file("a: 22", "b: 80 443"), func(w *world) {
		k := remembering(w)
		w.sw.limit(52, 2)
		seen := w.watch("tp_dst=443", "tp_dst=22", "tp_dst=80")
		began := time.Now()
		w.policy.set(file(rules("a: 22", 1000, 60), "b: 80"))
		w.settle()
		require.Zero(w.t, time.Since(began), "no turn that learned something is followed by a pause")
		status := w.ctl.Snapshot()
		require.Empty(w.t, status.Error)
		require.Len(w.t, status.Policy.Refused, 57, "two fit, and one more for the one that was taken")
		for _, line := range status.Policy.Refused {
			require.Regexp(w.t, `^policy\.yaml:\d+:9: group g-a: ingress tcp 10\d\d from 0\.0\.0\.0/0: left out: .*OFPFMFC_TABLE_FULL`, line)
		}
		require.LessOrEqual(w.t, seen.gone, int64(3))
		require.NotZero(w.t, seen.gone)
		require.Less(w.t, w.sw.applies.Load(), int64(150))
		require.Empty(w.t, seen.lost)
		require.Empty(w.t, k.wrong)

		// What is known is kept: the next change needs one bundle, and trying again costs few and harms nobody.
		seen = w.watch("tp_dst=80", "tp_dst=22", "tp_dst=23")
		w.policy.set(file(rules("a: 22", 1000, 60), "b: 23"))
		w.settle()
		require.Equal(w.t, int64(1), seen.gone)
		require.Empty(w.t, w.ctl.Snapshot().Error)
		applies := w.sw.applies.Load()
		w.pass(10 * time.Minute)
		require.Less(w.t, w.sw.applies.Load()-applies, int64(10*20))
		require.Len(w.t, w.ctl.Snapshot().Policy.Refused, 57)
		require.Empty(w.t, seen.lost)
		w.sw.accept()
		w.pass(2 * time.Minute)
		w.inSync()
		require.Empty(w.t, w.ctl.Snapshot().Policy.Refused)
		require.Empty(w.t, k.wrong)
	})
}

// However many are refused, those of them that the switch takes meanwhile are in force within the next minutes.
func TestRoomIsUsed(t *testing.T) {
	run(t, file("a: 22"), func(w *world) {
		w.sw.limit(52, 0)
		w.policy.set(file(rules("a: 22", 1000, 60)))
		w.settle()
		require.Len(w.t, w.ctl.Snapshot().Policy.Refused, 60)
		w.sw.limit(52, 7)
		w.pass(30 * time.Minute)
		require.Len(w.t, w.ctl.Snapshot().Policy.Refused, 53)
	})
}

// A change that comes while it is still looked for what the switch refuses does not wait for the end of that.
func TestRevocationInTheCourseOfASearch(t *testing.T) {
	run(t, file("a: 22", "b: 80 443"), func(w *world) {
		k := remembering(w)
		w.sw.limit(52, 2)
		var seen *witness
		left := 20
		w.sw.onApply = func() {
			if left--; left == 0 {
				w.policy.set(file(rules("a: 22", 1000, 60), "b: 80"))
			}
		}
		seen = w.watch("tp_dst=443", "tp_dst=22", "tp_dst=80")
		w.policy.set(file(rules("a: 22", 1000, 60), "b: 80 443"))
		w.settle()
		require.LessOrEqual(w.t, seen.gone, int64(22), "the second bundle after the change, of many")
		require.NotZero(w.t, seen.gone)
		require.Greater(w.t, w.sw.applies.Load(), int64(40))
		require.Empty(w.t, seen.lost)
		require.Empty(w.t, k.wrong)
		require.Len(w.t, w.ctl.Snapshot().Policy.Refused, 57)
	})
}

// peered is a policy of one port each for a and b. Group members is a peer of a's rules, with n external sources.
func peered(members int, rulesOfA, rulesOfB string) string {
	sources := make([]string, members)
	for n := range sources {
		sources[n] = fmt.Sprintf("198.51.100.%d/32", n+1)
	}
	text := fmt.Sprintf("groups:\n  - name: members\n    external_sources: [%s]\n  - name: g-a\n    rules:\n", strings.Join(sources, ", "))
	for _, p := range strings.Fields(rulesOfA) {
		text += fmt.Sprintf("      - {direction: ingress, protocol: tcp, ports: %s, group: members}\n", p)
	}
	_, b, _ := strings.Cut(file("b: "+rulesOfB), "groups:\n")
	return strings.Replace(text+b, "instances:\n", "instances:\n  - {name: i-a, groups: [g-a], ports: [{name: a, mac: 02:00:00:00:00:01, addresses: [192.0.2.1]}]}\n", 1)
}

// Members that do not fit are left out, not the rules that they are peers of.
func TestMembersThatDoNotFit(t *testing.T) {
	run(t, peered(20, "80", "22 23"), func(w *world) {
		k := remembering(w)
		w.sw.limit(52, 4)
		always := []string{"tp_dst=22"}
		for n := range 20 {
			always = append(always, fmt.Sprintf("nw_src=198.51.100.%d ", n+1))
		}
		seen := w.watch("tp_dst=23", always...)
		w.policy.set(peered(50, "80", "22"))
		w.settle()
		status := w.ctl.Snapshot()
		require.Empty(w.t, status.Error)
		require.Len(w.t, status.Policy.Refused, 25)
		require.Regexp(w.t, `^policy\.yaml:2:\d+: group members: external source 198\.51\.100\.\d+/32: left out: .*TABLE_FULL`, status.Policy.Refused[0])
		require.LessOrEqual(w.t, seen.gone, int64(3))
		require.NotZero(w.t, seen.gone)
		require.Empty(w.t, seen.lost)
		require.Empty(w.t, k.wrong)
	})
}

// A rejected action: of the rules that share a flow, the new one is to blame.
func TestNewRuleIsToBlameForASharedFlow(t *testing.T) {
	run(t, peered(20, "80", "22 23"), func(w *world) {
		pol, _, err := w.policy.Load()
		require.NoError(w.t, err)
		rule := pol.Groups[1].Rules[0]
		rule.Ports.First, rule.Ports.Last = 443, 443
		pol.Groups[1].Rules = append(pol.Groups[1].Rules, rule)
		bad := fmt.Sprintf("conjunction(%d,", flows.RuleIDs(pol)[flows.RuleKey("g-a", rule)])
		w.sw.refusing = func(f flows.Flow) bool { return strings.Contains(f.Actions, bad) }
		seen := w.watch("tp_dst=23", "tp_dst=80 ", "tp_dst=22", "nw_src=198.51.100.7 ")
		w.policy.set(peered(20, "80 443 8080", "22"))
		w.settle()
		status := w.ctl.Snapshot()
		require.Empty(w.t, status.Error)
		require.Len(w.t, status.Policy.Refused, 1)
		require.Contains(w.t, status.Policy.Refused[0], "group g-a: ingress tcp 443")
		require.True(w.t, w.holds("tp_dst=8080"))
		require.Equal(w.t, int64(2), seen.gone, "of two that share a flow neither is to blame by its name")
		require.Empty(w.t, seen.lost)
	})
}

// A bundle that is too large names nothing: all of it is in force in pieces, and what takes permissions first.
func TestBundleThatIsTooLarge(t *testing.T) {
	run(t, file("a: 22", "b: 80 443"), func(w *world) {
		k := remembering(w)
		w.sw.longest = 20
		seen := w.watch("tp_dst=443", "tp_dst=22", "tp_dst=80")
		w.policy.set(file(rules("a: 22", 1000, 100), "b: 80"))
		w.inSync()
		require.Equal(w.t, int64(2), seen.gone)
		require.Empty(w.t, seen.lost)
		require.Empty(w.t, w.ctl.Snapshot().Policy.Refused)
		require.Empty(w.t, k.wrong)
	})
}

// A port whose flows the switch refuses, and that goes while it is looked for them: nothing of it is left, and the rest is in force.
func TestPortVanishesInTheCourseOfASearch(t *testing.T) {
	run(t, file("a: 22", "b: 80 443"), func(w *world) {
		k := remembering(w)
		n := 0
		w.sw.refusing = func(f flows.Flow) bool {
			return strings.Contains(f.Match, "in_port=3,") || strings.Contains(f.Match, "tp_dst=10")
		}
		w.sw.onApply = func() {
			if n++; n == 4 {
				go w.database.setAbsent("c", "No such device")
			}
		}
		seen := w.watch("tp_dst=443", "tp_dst=22", "tp_dst=80")
		w.policy.set(file(rules("a: 22", 1000, 30), "b: 80", "c: 5"))
		w.pass(time.Second)
		status := w.ctl.Snapshot()
		require.Empty(w.t, status.Error)
		require.Len(w.t, status.Policy.Refused, 30)
		require.Equal(w.t, agent.PortError, w.port("c").State)
		require.False(w.t, w.holds("reg1=0x3"))
		require.LessOrEqual(w.t, seen.gone, int64(3))
		require.NotZero(w.t, seen.gone)
		require.Empty(w.t, seen.lost)
		w.sw.accept()
		w.database.setPresent("c")
		w.pass(5 * time.Minute)
		w.inSync()
		require.Empty(w.t, k.wrong)
	})
}

// A daemon that starts with a table that is full knows nothing of what was refused. What is in force stays, and a rule that was taken
// while it was away is gone with the third bundle.
func TestRestartWithAFullTable(t *testing.T) {
	run(t, file("a: 22", "b: 80 443"), func(w *world) {
		k := remembering(w)
		w.sw.limit(52, 2)
		w.policy.set(file(rules("a: 22", 1000, 60), "b: 80 443"))
		w.settle()
		require.Len(w.t, w.ctl.Snapshot().Policy.Refused, 58)
		seen := w.watch("tp_dst=443", "tp_dst=22", "tp_dst=80", "tp_dst=1000", "tp_dst=1001")
		w.stop()
		w.policy.write(file(rules("a: 22", 1000, 60), "b: 80"))
		w.start()
		w.settle()
		require.LessOrEqual(w.t, seen.gone, int64(3))
		require.NotZero(w.t, seen.gone)
		require.Empty(w.t, seen.lost)
		require.Empty(w.t, w.ctl.Snapshot().Error)
		require.Len(w.t, w.ctl.Snapshot().Policy.Refused, 57)
		require.Empty(w.t, k.wrong)
	})
}

// A switch that takes no flow at all still gives up what it holds.
func TestSwitchThatTakesNothing(t *testing.T) {
	run(t, file("a: 22", "b: 80 443"), func(w *world) {
		k := remembering(w)
		w.sw.refusing = func(flows.Flow) bool { return true }
		w.policy.set(file("a: 22 23", "b: 80"))
		w.pass(10 * time.Second)
		require.False(w.t, w.holds("tp_dst=443"))
		require.True(w.t, w.holds("tp_dst=22"), "what did not change stays")
		require.Equal(w.t, agent.StateDegraded, w.ctl.Snapshot().State)
		epoch := w.database.row("b").Epoch
		w.pass(10 * time.Minute)
		require.Equal(w.t, epoch, w.database.row("b").Epoch, "looking at the flows finds what was left there")
		w.sw.accept()
		w.pass(2 * time.Minute)
		w.inSync()
		require.Zero(w.t, w.ctl.Snapshot().Counters.DriftRepaired)
		require.Empty(w.t, k.wrong)
	})
}

// A table of states that holds more than it may takes no flow for a new epoch: the port does without, and the status says so.
func TestFullTableOfStates(t *testing.T) {
	run(t, file("a: 22", "b: 80 443"), func(w *world) {
		k := remembering(w)
		w.sw.limit(51, -2)
		seen := w.watch("tp_dst=443", "tp_dst=22", "tp_dst=80")
		w.policy.set(file("a: 22", "b: 80"))
		w.settle()
		require.LessOrEqual(w.t, seen.gone, int64(3))
		require.NotZero(w.t, seen.gone)
		require.Empty(w.t, seen.lost)
		require.Empty(w.t, w.ctl.Snapshot().Error)
		require.Empty(w.t, w.ctl.Snapshot().Policy.Refused)
		require.Equal(w.t, agent.PortApplied, w.port("b").State)
		require.Contains(w.t, strings.Join(w.ctl.Snapshot().Warnings, ""), "judged by the rules")
		epoch := w.database.row("b").Epoch
		w.pass(10 * time.Minute)
		require.Equal(w.t, epoch, w.database.row("b").Epoch, "looking at the flows finds what was left there")
		w.sw.accept()
		w.pass(2 * time.Minute)
		w.inSync()
		require.Empty(w.t, w.ctl.Snapshot().Warnings)
		require.Empty(w.t, k.wrong)
	})
}

// A start on an empty switch whose table is too small: what fits is in force.
func TestStartWithATableThatIsTooSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, file(rules("a: 22", 1000, 60), "b: 80"))
		w.sw.limits = map[uint8]int{52: 30}
		w.start()
		defer func() { w.cancel() }()
		w.settle()
		require.Empty(t, w.ctl.Snapshot().Error)
		held, admitting := 0, 0
		for key := range w.sw.held {
			if key.Table == 52 {
				held++
				admitting += strings.Count(key.Match, "tp_dst=")
			}
		}
		require.Equal(t, 30, held)
		require.Len(t, w.ctl.Snapshot().Policy.Refused, 62-admitting)
		w.sw.accept()
		w.pass(2 * time.Minute)
		w.inSync()
		w.stop()
	})
}

// A start with bundles that may not be large: all of it is in force in pieces, and no port is left out for its rules.
func TestStartWithBundlesThatAreTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, file(rules("a: 22", 1000, 600), "b: 80"))
		w.sw.longest = 400 // what is of no port in particular is one piece
		w.start()
		defer func() { w.cancel() }()
		w.settle()
		w.inSync()
		require.Empty(t, w.ctl.Snapshot().Policy.Refused)
		w.stop()
	})
}
