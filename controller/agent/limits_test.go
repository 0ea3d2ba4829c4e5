package agent_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
)

// fakeLimiter is the meters of a switch, which has so many, and the zones of its datapath.
type fakeLimiter struct {
	journal *journal
	sw      *fakeSwitch

	mu      sync.Mutex
	max     uint32 // meters that it says it has
	room    uint32 // the highest that it really takes
	meters  map[uint32]flows.Meter
	zones   map[uint16]uint32
	failing error // of everything about zones
	narrow  error // too little room for fragments
}

func newFakeLimiter(w *world) *fakeLimiter {
	return &fakeLimiter{journal: w.journal, sw: w.sw, max: flows.MaxMeter, room: flows.MaxMeter, meters: map[uint32]flows.Meter{}, zones: map[uint16]uint32{}}
}

// lacks says whether a flow names a meter that is not there: a switch refuses it.
func (f *fakeLimiter) lacks(flow flows.Flow) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	var id uint32
	_, err := fmt.Sscanf(flow.Actions, "meter:%d,", &id)
	_, ok := f.meters[id]
	return err == nil && !ok
}

// last is the highest meter that flows may name.
func (f *fakeLimiter) last() uint32 {
	if f == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return min(f.max, f.room)
}

func (f *fakeLimiter) LastMeter(context.Context) (uint32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.max, nil
}

func (f *fakeLimiter) Meters(context.Context) ([]flows.Meter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.meters)), nil
}

func (f *fakeLimiter) PutMeters(_ context.Context, d flows.MeterDelta) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journal.write("meters +%d ~%d", len(d.Add), len(d.Change))
	for _, m := range d.Add {
		if m.ID > f.room {
			return &ofswitch.MeterError{Meter: m, Reason: "OFPMMFC_OUT_OF_METERS"}
		}
		if _, ok := f.meters[m.ID]; ok {
			return errors.New("OFPMMFC_METER_EXISTS")
		}
		f.meters[m.ID] = m
	}
	for _, m := range d.Change {
		f.meters[m.ID] = m
	}
	return nil
}

func (f *fakeLimiter) DeleteMeters(_ context.Context, meters []flows.Meter) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journal.write("meters -%d", len(meters))
	for _, m := range meters {
		delete(f.meters, m.ID)
	}
	return nil
}

func (f *fakeLimiter) MakeRoom(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.narrow
}

func (f *fakeLimiter) ZoneLimits(context.Context) ([]flows.ZoneLimit, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []flows.ZoneLimit
	for zone, limit := range f.zones {
		out = append(out, flows.ZoneLimit{Zone: zone, Connections: limit})
	}
	return out, f.failing
}

func (f *fakeLimiter) LimitZones(_ context.Context, limits []flows.ZoneLimit, unlimited []uint16) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journal.write("zones +%d -%d", len(limits), len(unlimited))
	for _, z := range limits {
		f.zones[z.Zone] = z.Connections
	}
	for _, z := range unlimited {
		delete(f.zones, z)
	}
	return f.failing
}

// holds returns the numbers of the meters, sorted, and the limits of the zones.
func (f *fakeLimiter) holds() ([]uint32, map[uint16]uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.meters)), maps.Clone(f.zones)
}

func (f *fakeLimiter) edit(change func(*fakeLimiter)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// limit gives every port of a policy limits.
func limit(text, limits string) string {
	return strings.ReplaceAll(text, "]}]}", "], limits: {"+limits+"}}]}")
}

const everyLimit = "connections: 100, new_connections_per_second: 20, arp_nd_dhcp_per_second: 10"

// runLimited is run with a switch that can limit.
func runLimited(t *testing.T, text string, prepare func(*fakeLimiter), test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, text)
		w.limiter = newFakeLimiter(w)
		w.sw.lacks = w.limiter.lacks
		prepare(w.limiter)
		w.sw.stop() // until the ports have their numbers: else a first bundle without them may come, or not
		w.start()
		defer func() { w.cancel() }()
		w.settle()
		w.sw.start()
		w.pass(2 * time.Second)
		test(w)
		w.stop()
	})
}

func asIs(*fakeLimiter) {}

func TestLimitsComeBeforeTheFlowsAndGoAfter(t *testing.T) {
	runLimited(t, limit(file("a: 80", "b: 80"), everyLimit), asIs, func(w *world) {
		meters, zones := w.limiter.holds()
		require.Equal(t, []uint32{1, 2, 3, 4, 5, 6}, meters)
		require.Equal(t, map[uint16]uint32{1: 100, 2: 100}, zones)
		w.inSync()
		entries := w.journal.take()
		last := len(entries) - 2 // the ports may come after a first bundle without them
		require.True(t, strings.HasPrefix(entries[last], "bundle"), entries)
		require.Less(t, slices.Index(entries, "meters +6 ~0"), last)
		require.Equal(t, "zones +2 -0", entries[len(entries)-1])

		w.policy.set(limit(file("a: 80", "b: 80"), "arp_nd_dhcp_per_second: 11"))
		w.inSync()
		meters, zones = w.limiter.holds()
		require.Equal(t, []uint32{1, 4}, meters)
		require.Empty(t, zones)
		entries = w.journal.take()
		require.Equal(t, "meters +0 ~2", entries[0])
		require.True(t, strings.HasPrefix(entries[1], "bundle"), entries)
		require.Equal(t, []string{"meters -4", "zones +0 -2"}, entries[2:])
		require.Empty(t, w.ctl.Snapshot().Warnings)
	})
}

// A change of a rate alone touches no flow, and a start that finds everything in place changes nothing.
func TestLimitsChangeAlone(t *testing.T) {
	runLimited(t, limit(file("a: 80"), everyLimit), asIs, func(w *world) {
		w.journal.take()
		w.policy.set(limit(file("a: 80"), strings.Replace(everyLimit, "20", "21", 1)))
		w.inSync()
		require.Equal(t, []string{"meters +0 ~2"}, w.journal.take())
		w.policy.set(limit(file("a: 80"), strings.Replace(everyLimit, "100,", "101,", 1)))
		w.inSync()
		require.Equal(t, []string{"meters +0 ~2", "zones +1 -0"}, w.journal.take())
		w.restart()
		w.inSync()
		require.Empty(t, w.journal.take())
		w.pass(3 * time.Minute) // it looks without a cause, too
		require.Empty(t, w.journal.take())
	})
}

// Without limits nothing is written, but what an earlier run left is taken away.
func TestLimitsAreOff(t *testing.T) {
	leave := func(f *fakeLimiter) {
		f.meters[2], f.meters[flows.MaxMeter+1] = flows.Meter{ID: 2, Rate: 5}, flows.Meter{ID: flows.MaxMeter + 1}
		f.zones[1], f.zones[77] = 5, 7
	}
	for name, prepare := range map[string]func(*fakeLimiter){"clean": asIs, "left over": leave} {
		t.Run(name, func(t *testing.T) {
			runLimited(t, file("a: 80"), prepare, func(w *world) {
				w.inSync()
				entries := strings.Join(w.journal.take(), ";")
				held, _ := w.sw.holds()
				for _, f := range held {
					require.NotContains(t, f.Actions, "meter")
				}
				if name == "clean" {
					require.NotContains(t, entries, "meters")
					require.NotContains(t, entries, "zones")
					return
				}
				meters, zones := w.limiter.holds()
				require.Equal(t, []uint32{flows.MaxMeter + 1}, meters, "not ours")
				require.Equal(t, map[uint16]uint32{77: 7}, zones, "not ours")
			})
		})
	}
}

func TestLimitsSurviveTheSwitch(t *testing.T) {
	runLimited(t, limit(file("a: 80"), everyLimit), asIs, func(w *world) {
		w.sw.stop()
		w.limiter.edit(func(f *fakeLimiter) { clear(f.meters); clear(f.zones) })
		w.settle()
		w.sw.start()
		w.pass(5 * time.Second)
		w.inSync()
		meters, zones := w.limiter.holds()
		require.Len(t, meters, 3)
		require.Equal(t, map[uint16]uint32{1: 100}, zones)
	})
}

// A meter that somebody deletes takes flows along: both come back, and nobody is left out for it.
func TestLimitsAreRepaired(t *testing.T) {
	runLimited(t, limit(file("a: 80"), everyLimit), asIs, func(w *world) {
		w.limiter.edit(func(f *fakeLimiter) { delete(f.meters, 1); f.meters[2] = flows.Meter{ID: 2, Rate: 1} })
		w.sw.operate(func(held map[flows.Key]flows.Flow) {
			maps.DeleteFunc(held, func(_ flows.Key, f flows.Flow) bool { return strings.HasPrefix(f.Actions, "meter:1,") })
		})
		w.inSync()
		meters, _ := w.limiter.holds()
		require.Len(t, meters, 3)
		require.Equal(t, uint32(20), w.limiter.meters[2].Rate)
		require.Equal(t, agent.PortApplied, w.port("a").State)

		w.limiter.edit(func(f *fakeLimiter) { clear(f.zones); f.meters[3] = flows.Meter{ID: 3, Rate: 1} }) // nobody tells
		w.pass(2 * time.Minute)
		_, zones := w.limiter.holds()
		require.Equal(t, map[uint16]uint32{1: 100}, zones)
		require.Equal(t, uint32(20), w.limiter.meters[3].Rate)
	})
}

// A meter may go between the look and the bundle: the port is not to blame, and is not left out.
func TestMeterThatGoesMeanwhile(t *testing.T) {
	runLimited(t, limit(file("a: 80"), everyLimit), asIs, func(w *world) {
		w.limiter.edit(func(f *fakeLimiter) { delete(f.meters, 1) }) // nobody tells
		w.sw.operate(func(held map[flows.Key]flows.Flow) {})
		w.policy.set(limit(file("a: 80", "b: 80"), everyLimit))
		w.inSync()
		w.limiter.edit(func(f *fakeLimiter) { delete(f.meters, 1); delete(f.meters, 2) })
		w.policy.set(strings.Replace(limit(file("a: 80 443"), everyLimit), "192.0.2.1]", "192.0.2.77]", 1)) // flows with meters change
		w.pass(3 * time.Second)
		require.Equal(t, agent.PortApplied, w.port("a").State)
		w.inSync()
		meters, _ := w.limiter.holds()
		require.Len(t, meters, 3)
	})
}

// However many meters there are, a switch that holds nothing gets them in one conversation, and then one bundle.
func TestManyMetersAreOneConversation(t *testing.T) {
	var many []string
	for n := range 20 {
		many = append(many, string(rune('a'+n))+": 80")
	}
	runLimited(t, limit(file(many...), everyLimit), asIs, func(w *world) {
		w.inSync()
		require.Empty(t, w.ctl.Snapshot().Warnings)
		entries := w.journal.take()
		count := func(prefix string) (n int) {
			for _, e := range entries {
				if strings.HasPrefix(e, prefix) {
					n++
				}
			}
			return n
		}
		require.Equal(t, []int{1, 1}, []int{count("meters"), count("bundle")}, entries)
		w.restart() // it holds something
		w.inSync()
		require.Empty(t, w.journal.take())
	})
}

// What the switch cannot limit holds nobody up: all is programmed, and the status says what is missing.
func TestLimitsThatCannotBeHad(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*fakeLimiter)
		meters  int
		says    string
	}{
		"no meters":       {func(f *fakeLimiter) { f.max = 0 }, 0, "no meters for a, b"},
		"few meters":      {func(f *fakeLimiter) { f.max = 3 }, 3, "no meters for b"},
		"meters refused":  {func(f *fakeLimiter) { f.room = 4 }, 4, "OFPMMFC_OUT_OF_METERS"},
		"nothing at all":  {func(f *fakeLimiter) { f.room = 0 }, 0, "OFPMMFC_OUT_OF_METERS"},
		"no zone limits":  {func(f *fakeLimiter) { f.failing = errors.New("no such command") }, 6, "connections are not limited: no such command"},
		"no room":         {func(f *fakeLimiter) { f.narrow = errors.New("net.ipv4.ipfrag_high_thresh is 4194304") }, 6, "ipfrag_high_thresh"},
		"neither of them": {func(f *fakeLimiter) { f.max, f.failing = 0, errors.New("no such command") }, 0, "no such command"},
	} {
		t.Run(name, func(t *testing.T) {
			runLimited(t, limit(file("a: 80", "b: 80"), everyLimit), c.prepare, func(w *world) {
				w.inSync()
				meters, _ := w.limiter.holds()
				require.Len(t, meters, c.meters)
				require.Contains(t, strings.Join(w.ctl.Snapshot().Warnings, ";"), c.says)
				require.True(t, w.ctl.Snapshot().Settled())
				w.journal.take()

				// Nothing flaps while it is tried again; then it works.
				w.pass(3 * time.Minute)
				w.inSync()
				require.NotContains(t, strings.Join(w.journal.take(), ";"), "bundle")
				w.limiter.edit(func(f *fakeLimiter) { f.max, f.room, f.failing, f.narrow = flows.MaxMeter, flows.MaxMeter, nil, nil })
				w.pass(2 * time.Minute)
				w.inSync()
				require.Empty(t, w.ctl.Snapshot().Warnings)
				meters, zones := w.limiter.holds()
				require.Len(t, meters, 6)
				require.Equal(t, map[uint16]uint32{1: 100, 2: 100}, zones)
			})
		})
	}
}
