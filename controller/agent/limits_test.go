package agent_test

import (
	"errors"
	"maps"
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
)

// limit gives every port of a policy limits.
func limit(text, limits string) string {
	return strings.ReplaceAll(text, "]}]}", "], limits: {"+limits+"}}]}")
}

const everyLimit = "connections: 100, new_connections_per_second: 20, arp_nd_dhcp_per_second: 10"

// runLimited is run with a switch that can limit.
func runLimited(t *testing.T, text string, prepare func(*agenttest.MeterTable),
	test func(w *agenttest.World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, text)
		w.Meters = agenttest.NewMeterTable(w)
		w.Sw.Lacks = w.Meters.Lacks
		prepare(w.Meters)
		// until the ports have their numbers: else a first bundle without them may come, or not
		w.Sw.Stop()
		w.Start()
		defer func() { w.Cancel() }()
		w.Settle()
		w.Sw.Start()
		w.Pass(2 * time.Second)
		test(w)
		w.Stop()
	})
}

func asIs(*agenttest.MeterTable) {}

func TestLimitsComeBeforeTheFlowsAndGoAfter(t *testing.T) {
	runLimited(t, limit(agenttest.File("a: 80", "b: 80"), everyLimit), asIs,
		func(w *agenttest.World) {
			meters, zones := w.Meters.Holds()
			require.Equal(t, []uint32{1, 2, 3, 4, 5, 6}, meters)
			require.Equal(t, map[uint16]uint32{1: 100, 2: 100}, zones)
			w.InSync()
			entries := w.Journal.Take()
			last := len(entries) - 1 // the ports may come after a first bundle without them
			require.True(t, strings.HasPrefix(entries[last], "bundle"), entries)
			require.Contains(t, entries[:last], "meters +6 ~0")
			require.Contains(t, entries[:last], "zones +2 -0")

			w.Policy.Set(limit(agenttest.File("a: 80", "b: 80"), "arp_nd_dhcp_per_second: 11"))
			w.InSync()
			meters, zones = w.Meters.Holds()
			require.Equal(t, []uint32{1, 4}, meters)
			require.Empty(t, zones)
			entries = w.Journal.Take()
			require.Equal(t, "meters +0 ~2", entries[0])
			require.True(t, strings.HasPrefix(entries[1], "bundle"), entries)
			require.Equal(t, []string{"meters -4", "zones +0 -2"}, entries[2:])
			require.Empty(t, w.Ctl.Snapshot().Warnings)
		})
}

// A limit that is new or lower is there before the flows of its policy; that of a zone that is to
// have none goes after them.
func TestZonesAreLimitedBeforeTheyAreFilled(t *testing.T) {
	both := agenttest.File("a: 80", "b: 80")
	runLimited(t, both, asIs, func(w *agenttest.World) {
		w.InSync()
		w.Journal.Take()
		first := strings.Replace(limit(agenttest.File("a: 443", "b: 443"), "connections: 100"),
			", limits: {connections: 100}", "", 1) // b alone
		for _, step := range []struct{ policy, before, after string }{
			{first, "zones +1 -0", ""},
			{limit(both, "connections: 50"), "zones +2 -0", ""},
			{first, "zones +1 -0", "zones +0 -1"},
			{both, "", "zones +0 -1"},
		} {
			w.Policy.Set(step.policy)
			w.InSync()
			entries := slices.DeleteFunc(w.Journal.Take(), func(e string) bool {
				return strings.HasPrefix(e, "database")
			})
			at := slices.IndexFunc(entries, func(e string) bool { return strings.HasPrefix(e, "bundle") })
			require.GreaterOrEqual(t, at, 0, entries)
			require.Equal(t, []string{step.before, step.after},
				[]string{strings.Join(entries[:at], ";"), strings.Join(entries[at+1:], ";")})
		}
		require.Empty(t, w.Ctl.Snapshot().Warnings)
	})
}

// A limit that cannot be set holds no revocation up, whether that is said or nothing is; it is told,
// and set as soon as it can be.
func TestLimitsHoldNoRevocationUp(t *testing.T) {
	for name, spoil := range map[string]func(*agenttest.MeterTable){
		"refused": func(f *agenttest.MeterTable) { f.Failing = errors.New("no such command") },
		"hangs":   func(f *agenttest.MeterTable) { f.Hanging = true },
	} {
		t.Run(name, func(t *testing.T) {
			runLimited(t, agenttest.File("a: 80"), asIs, func(w *agenttest.World) {
				w.InSync()
				w.Meters.Edit(spoil)
				admits := func(port string) bool {
					held, _ := w.Sw.Holds()
					return slices.ContainsFunc(held, func(f openflow.Flow) bool {
						return strings.Contains(f.Match.String(), "tp_dst="+port)
					})
				}
				// the first waits for the limit, the next one does not any more
				for _, step := range []struct {
					policy, gone string
					within       time.Duration
				}{
					{limit(agenttest.File("a: 443"), "connections: 100"), "80", 2 * time.Second},
					{limit(agenttest.File("a: 22"), "connections: 90"), "443", 500 * time.Millisecond},
				} {
					require.True(t, admits(step.gone))
					w.Policy.Set(step.policy)
					w.Pass(step.within)
					require.False(t, admits(step.gone), "revoked: %s", step.gone)
					w.Pass(30 * time.Second) // and not while it is tried again
					require.Contains(t, strings.Join(w.Ctl.Snapshot().Warnings, ";"),
						"connections are not limited")
				}
				w.Meters.Edit(func(f *agenttest.MeterTable) { f.Failing, f.Hanging = nil, false })
				w.Pass(3 * time.Minute)
				_, zones := w.Meters.Holds()
				require.Equal(t, map[uint16]uint32{1: 90}, zones)
				require.Empty(t, w.Ctl.Snapshot().Warnings)
			})
		})
	}
}

// A change of a rate alone touches no flow, and a start that finds everything in place changes
// nothing.
func TestLimitsChangeAlone(t *testing.T) {
	runLimited(t, limit(agenttest.File("a: 80"), everyLimit), asIs, func(w *agenttest.World) {
		w.Journal.Take()
		w.Policy.Set(limit(agenttest.File("a: 80"), strings.Replace(everyLimit, "20", "21", 1)))
		w.InSync()
		require.Equal(t, []string{"meters +0 ~2"}, w.Journal.Take())
		w.Policy.Set(limit(agenttest.File("a: 80"), strings.Replace(everyLimit, "100,", "101,", 1)))
		w.InSync()
		require.Equal(t, []string{"meters +0 ~2", "zones +1 -0"}, w.Journal.Take())
		w.Restart()
		w.InSync()
		require.Empty(t, w.Journal.Take())
		w.Pass(3 * time.Minute) // it looks without a cause, too
		require.Empty(t, w.Journal.Take())
	})
}

// Without limits nothing is written, but what an earlier run left is taken away.
func TestLimitsAreOff(t *testing.T) {
	leave := func(f *agenttest.MeterTable) {
		f.Metered[2], f.Metered[flows.MaxMeter+1] = flows.Meter{ID: 2, Rate: 5},
			flows.Meter{ID: flows.MaxMeter + 1}
		f.Zones[1], f.Zones[77] = 5, 7
	}
	for name, prepare := range map[string]func(*agenttest.MeterTable){"clean": asIs,
		"left over": leave} {
		t.Run(name, func(t *testing.T) {
			runLimited(t, agenttest.File("a: 80"), prepare, func(w *agenttest.World) {
				w.InSync()
				entries := strings.Join(w.Journal.Take(), ";")
				held, _ := w.Sw.Holds()
				for _, f := range held {
					require.NotContains(t, f.Actions.String(), "meter")
				}
				if name == "clean" {
					require.NotContains(t, entries, "meters")
					require.NotContains(t, entries, "zones")
					return
				}
				meters, zones := w.Meters.Holds()
				require.Equal(t, []uint32{flows.MaxMeter + 1}, meters, "not ours")
				require.Equal(t, map[uint16]uint32{77: 7}, zones, "not ours")
			})
		})
	}
}

func TestLimitsSurviveTheSwitch(t *testing.T) {
	runLimited(t, limit(agenttest.File("a: 80"), everyLimit), asIs, func(w *agenttest.World) {
		w.Sw.Stop()
		w.Meters.Edit(func(f *agenttest.MeterTable) { clear(f.Metered); clear(f.Zones) })
		w.Settle()
		w.Sw.Start()
		w.Pass(5 * time.Second)
		w.InSync()
		meters, zones := w.Meters.Holds()
		require.Len(t, meters, 3)
		require.Equal(t, map[uint16]uint32{1: 100}, zones)
	})
}

// A meter that somebody deletes takes flows along: both come back, and nobody is left out for it.
func TestLimitsAreRepaired(t *testing.T) {
	runLimited(t, limit(agenttest.File("a: 80"), everyLimit), asIs, func(w *agenttest.World) {
		w.Meters.Edit(func(f *agenttest.MeterTable) {
			delete(f.Metered, 1)
			f.Metered[2] = flows.Meter{ID: 2, Rate: 1}
		})
		w.Sw.Operate(func(held map[openflow.Key]openflow.Flow) {
			maps.DeleteFunc(held, func(_ openflow.Key,
				f openflow.Flow) bool {
				return strings.HasPrefix(f.Actions.String(), "meter:1,")
			})
		})
		w.InSync()
		meters, _ := w.Meters.Holds()
		require.Len(t, meters, 3)
		require.Equal(t, uint32(20), w.Meters.Metered[2].Rate)
		require.Equal(t, agent.PortApplied, w.Port("a").State)

		// nobody tells
		w.Meters.Edit(func(f *agenttest.MeterTable) {
			clear(f.Zones)
			f.Metered[3] = flows.Meter{ID: 3, Rate: 1}
		})
		w.Pass(2 * time.Minute)
		_, zones := w.Meters.Holds()
		require.Equal(t, map[uint16]uint32{1: 100}, zones)
		require.Equal(t, uint32(20), w.Meters.Metered[3].Rate)
	})
}

// A meter may go between the look and the bundle: the port is not to blame, and is not left out.
func TestMeterThatGoesMeanwhile(t *testing.T) {
	runLimited(t, limit(agenttest.File("a: 80"), everyLimit), asIs, func(w *agenttest.World) {
		w.Meters.Edit(func(f *agenttest.MeterTable) { delete(f.Metered, 1) }) // nobody tells
		w.Sw.Operate(func(held map[openflow.Key]openflow.Flow) {})
		w.Policy.Set(limit(agenttest.File("a: 80", "b: 80"), everyLimit))
		w.InSync()
		w.Meters.Edit(func(f *agenttest.MeterTable) { delete(f.Metered, 1); delete(f.Metered, 2) })
		// flows with meters change
		w.Policy.Set(strings.Replace(limit(agenttest.File("a: 80 443"), everyLimit), "192.0.2.1]",
			"192.0.2.77]", 1))
		w.Pass(3 * time.Second)
		require.Equal(t, agent.PortApplied, w.Port("a").State)
		w.InSync()
		meters, _ := w.Meters.Holds()
		require.Len(t, meters, 3)
	})
}

// However many meters there are, a switch that holds nothing gets them in one conversation, and
// then one bundle.
func TestManyMetersAreOneConversation(t *testing.T) {
	var many []string
	for n := range 20 {
		many = append(many, string(rune('a'+n))+": 80")
	}
	runLimited(t, limit(agenttest.File(many...), everyLimit), asIs, func(w *agenttest.World) {
		w.InSync()
		require.Empty(t, w.Ctl.Snapshot().Warnings)
		entries := w.Journal.Take()
		count := func(prefix string) (n int) {
			for _, e := range entries {
				if strings.HasPrefix(e, prefix) {
					n++
				}
			}
			return n
		}
		require.Equal(t, []int{1, 1}, []int{count("meters"), count("bundle")}, entries)
		w.Restart() // it holds something
		w.InSync()
		require.Empty(t, w.Journal.Take())
	})
}

// What the switch cannot limit holds nobody up: all is programmed, and the status says what is
// missing.
func TestLimitsThatCannotBeHad(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*agenttest.MeterTable)
		meters  int
		says    string
	}{
		"no meters":      {func(f *agenttest.MeterTable) { f.Max = 0 }, 0, "no meters for a, b"},
		"few meters":     {func(f *agenttest.MeterTable) { f.Max = 3 }, 3, "no meters for b"},
		"meters refused": {func(f *agenttest.MeterTable) { f.Room = 4 }, 4, "OFPMMFC_OUT_OF_METERS"},
		"nothing at all": {func(f *agenttest.MeterTable) { f.Room = 0 }, 0, "OFPMMFC_OUT_OF_METERS"},
		"no zone limits": {func(f *agenttest.MeterTable) { f.Failing = errors.New("no such command") },
			6, "connections are not limited: no such command"},
		"no room": {func(f *agenttest.MeterTable) {
			f.Narrow = errors.New("net.ipv4.ipfrag_high_thresh is 4194304")
		}, 6, "ipfrag_high_thresh"},
		"neither of them": {func(f *agenttest.MeterTable) {
			f.Max, f.Failing = 0, errors.New("no such command")
		}, 0, "no such command"},
	} {
		t.Run(name, func(t *testing.T) {
			runLimited(t, limit(agenttest.File("a: 80", "b: 80"), everyLimit), c.prepare,
				func(w *agenttest.World) {
					w.InSync()
					meters, _ := w.Meters.Holds()
					require.Len(t, meters, c.meters)
					require.Contains(t, strings.Join(w.Ctl.Snapshot().Warnings, ";"), c.says)
					require.True(t, w.Ctl.Snapshot().Settled())
					w.Journal.Take()

					// Nothing flaps while it is tried again; then it works.
					w.Pass(3 * time.Minute)
					w.InSync()
					require.NotContains(t, strings.Join(w.Journal.Take(), ";"), "bundle")
					w.Meters.Edit(func(f *agenttest.MeterTable) {
						f.Max, f.Room, f.Failing, f.Narrow = flows.MaxMeter, flows.MaxMeter, nil,
							nil
					})
					w.Pass(2 * time.Minute)
					w.InSync()
					require.Empty(t, w.Ctl.Snapshot().Warnings)
					meters, zones := w.Meters.Holds()
					require.Len(t, meters, 6)
					require.Equal(t, map[uint16]uint32{1: 100, 2: 100}, zones)
				})
		})
	}
}
