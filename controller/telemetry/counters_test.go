package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/agenttest"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// fakeCounts counts for the flows of a fakeSwitch, as Open vSwitch does: a flow that is replaced
// goes on, one that is deleted takes its counters along.
type fakeCounts struct {
	sw *agenttest.Switch

	mu       sync.Mutex
	counted  map[openflow.Key]telemetry.Traffic
	seen     map[openflow.Key]time.Time
	takes    time.Duration
	failing  error
	readings int
	entries  ofswitch.Entries
	held     ofswitch.Reassembly
	dropped  []ofswitch.MeterCount

	heldFailing error
}

func newFakeCounts(sw *agenttest.Switch) *fakeCounts {
	return &fakeCounts{sw: sw, counted: map[openflow.Key]telemetry.Traffic{},
		seen: map[openflow.Key]time.Time{}}
}

// follow makes the counters those of the flows that the switch holds now.
func (f *fakeCounts) follow() []openflow.Flow {
	held, _ := f.sw.Holds()
	counted, seen := map[openflow.Key]telemetry.Traffic{}, map[openflow.Key]time.Time{}
	for _, flow := range held {
		k := flow.Key()
		counted[k], seen[k] = f.counted[k], time.Now()
		if at, ok := f.seen[k]; ok {
			seen[k] = at
		}
	}
	f.counted, f.seen = counted, seen
	return held
}

func (f *fakeCounts) Counts(_ context.Context, take func(ofswitch.FlowCount)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readings++
	if f.failing != nil {
		return f.failing
	}
	for _, flow := range f.follow() {
		c := f.counted[flow.Key()]
		take(ofswitch.FlowCount{Flow: flow, Counts: openflow.Counts{Packets: c.Packets,
			Bytes: c.Bytes, Age: time.Since(f.seen[flow.Key()])}})
	}
	time.Sleep(f.takes)
	return nil
}

func (f *fakeCounts) Entries(context.Context) (ofswitch.Entries, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entries, nil
}

func (f *fakeCounts) Reassembly(context.Context) (ofswitch.Reassembly, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held, f.heldFailing
}

func (f *fakeCounts) MeterCounts(context.Context) ([]ofswitch.MeterCount, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped, nil
}

// count lets packets of 100 bytes meet all flows that a text stands in.
func (f *fakeCounts) count(packets uint64, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, flow := range f.follow() {
		if strings.Contains(flow.String(), text) {
			f.counted[flow.Key()] = f.counted[flow.Key()].Plus(telemetry.Traffic{Packets: packets,
				Bytes: 100 * packets})
			n++
		}
	}
	if n == 0 {
		panic("no flow: " + text)
	}
}

func (f *fakeCounts) edit(change func(*fakeCounts)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// restart is what ovs-vswitchd forgets.
func (f *fakeCounts) restart() {
	f.edit(func(f *fakeCounts) {
		f.counted, f.seen = map[openflow.Key]telemetry.Traffic{}, map[openflow.Key]time.Time{}
	})
}

// counting is a world with counters, and one second gone, so that the next to ask gets a new
// reading.
func counting(t *testing.T, text string, test func(w *agenttest.World, f *fakeCounts)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := agenttest.NewWorld(t, text)
		f := newFakeCounts(w.Sw)
		w.Counts = f
		w.Start()
		defer func() { w.Cancel() }()
		w.Pass(2 * time.Second)
		test(w, f)
		w.Stop()
	})
}

// counted reads anew and returns the packets by rule ("group: words") and, of ports, by "port
// direction denied" or "… established".
func counted(w *agenttest.World) map[string]uint64 {
	w.T.Helper()
	w.Pass(2 * time.Second)
	c, err := w.Counters.Counts(context.Background())
	require.NoError(w.T, err)
	require.Empty(w.T, c.Error)
	out := map[string]uint64{}
	for _, r := range c.Rules {
		require.Equal(w.T, 100*r.Admitted.Packets, r.Admitted.Bytes)
		out[strings.TrimPrefix(r.Group+": "+r.Rule, ": ")] = r.Admitted.Packets
	}
	for _, p := range c.Ports {
		out[p.Port+" ingress denied"], out[p.Port+" egress denied"] = p.Ingress.Denied.Packets,
			p.Egress.Denied.Packets
		out[p.Port+" ingress established"],
			out[p.Port+" egress established"] = p.Ingress.Established.Packets,
			p.Egress.Established.Packets
	}
	for _, d := range c.Dropped {
		if d.Count > 0 {
			out["dropped in "+d.Table] = d.Count
		}
	}
	return out
}

const ruleA, ruleB = "g-a: ingress tcp 80 from 0.0.0.0/0", "g-b: ingress tcp 81 from 0.0.0.0/0"

func TestCountsByRuleAndPort(t *testing.T) {
	counting(t, agenttest.File("a: 80", "b: 81"), func(w *agenttest.World, f *fakeCounts) {
		a, b := w.Port("a"), w.Port("b")
		require.Equal(t, []uint16{1, 2}, []uint16{a.Zone, b.Zone})
		require.Equal(t, 1, f.readings, "the totals begin with the daemon")
		f.count(3, "table=52, priority=501,tcp,reg1=0x1,tp_dst=80")
		f.count(4, "table=32, priority=600,reg1=0x2")
		f.count(5, "table=53, priority=50,reg1=0x1")
		f.count(6, "table=33, priority=50,reg1=0x2")
		f.count(7, "table=51, priority=200,ct_state=-new-inv+trk,ct_mark="+fmt.Sprintf("0x%x",
			a.Epoch)+",reg1=0x1")
		f.count(8, "table=31, priority=200,ct_state=-new-inv+trk,ct_mark="+fmt.Sprintf("0x%x",
			b.Epoch)+",reg1=0x2")
		f.count(9, "table=10, priority=0 actions=drop")
		require.Equal(t, map[string]uint64{ruleA: 3, ruleB: 0, "egress is open": 4,
			"a ingress denied": 5, "a egress denied": 0, "a ingress established": 7,
			"a egress established": 0,
			"b ingress denied":     0, "b egress denied": 6, "b ingress established": 0,
			"b egress established": 8, "dropped in source_guard": 9}, counted(w))
		c, err := w.Counters.Counts(context.Background())
		require.NoError(t, err)
		require.Equal(t, []string{"egress is open", "ingress tcp 80 from 0.0.0.0/0",
			"ingress tcp 81 from 0.0.0.0/0"},
			[]string{c.Rules[0].Rule, c.Rules[1].Rule, c.Rules[2].Rule}, "busiest first")
		require.Equal(t, "policy.yaml:4:9", c.Rules[1].At)
		require.Equal(t, "i-a", c.Ports[0].Instance)
		sum := uint64(0)
		for _, table := range c.Flows {
			sum += table.Count
		}
		require.Equal(t, w.Ctl.Snapshot().Flows, int(sum))
	})
}

func TestCountsSurvive(t *testing.T) {
	counting(t, agenttest.File("a: 80", "b: 81"), func(w *agenttest.World, f *fakeCounts) {
		meet := func() {
			f.count(1, "table=52, priority=501,tcp,reg1=0x1,tp_dst=80")
			f.count(1, "table=53, priority=50,reg1=0x1")
		}
		meet()
		require.Equal(t, uint64(1), counted(w)[ruleA])
		w.Policy.Set(agenttest.File("a: 80", "b: 81 82")) // somebody else's group
		w.InSync()
		meet()
		got := counted(w)
		require.Equal(t, uint64(2), got[ruleA])
		require.Contains(t, got, "g-b: ingress tcp 82 from 0.0.0.0/0")

		w.Sw.Stop()
		w.Sw.Start()
		f.restart()
		w.Pass(5 * time.Second)
		w.InSync()
		for range 3 {
			meet() // more than it had: the counter of the flow never seems to go back
		}
		require.Equal(t, uint64(5), counted(w)[ruleA])
		require.Equal(t, uint64(5), counted(w)["a ingress denied"])

		w.Policy.Set(agenttest.File("a: 90", "b: 81")) // another rule
		w.InSync()
		f.count(1, "table=52, priority=501,tcp,reg1=0x1,tp_dst=90")
		got = counted(w)
		require.NotContains(t, got, ruleA)
		require.Equal(t, uint64(1), got["g-a: ingress tcp 90 from 0.0.0.0/0"])
		require.Equal(t, uint64(5), got["a ingress denied"])
	})
}

// A daemon that starts beside flows that have counted already begins at zero.
func TestCountsBeginWithTheDaemon(t *testing.T) {
	counting(t, agenttest.File("a: 80"), func(w *agenttest.World, f *fakeCounts) {
		f.count(9, "table=53, priority=50,reg1=0x1")
		w.Restart()
		require.Zero(t, counted(w)["a ingress denied"])
		f.count(2, "table=53, priority=50,reg1=0x1")
		require.Equal(t, uint64(2), counted(w)["a ingress denied"])
	})
}

// A flow that somebody has edited goes on being counted for what it is of, and what was counted
// before is not counted again when it is put back. A flow of somebody else is counted for nothing.
func TestCountsOfFlowsThatSomebodyEdits(t *testing.T) {
	counting(t, agenttest.File("a: 80"), func(w *agenttest.World, f *fakeCounts) {
		f.count(5, "table=53, priority=50,reg1=0x1")
		require.Equal(t, uint64(5), counted(w)["a ingress denied"])
		foreign := openflow.Flow{Table: 53, Priority: 50, Match: openflow.ParseMatch("reg1=0x9"),
			Actions: openflow.ParseActions("drop")}
		edit := func(held map[openflow.Key]openflow.Flow) {
			for k, flow := range held {
				if strings.Contains(flow.String(), "table=53, priority=50,reg1=0x1") {
					flow.Actions = openflow.ParseActions("output:7")
					held[k] = flow
				}
			}
			held[foreign.Key()] = foreign
		}
		w.Sw.Mu.Lock()
		edit(w.Sw.Held) // the switch does not say so: it stays for a while
		w.Sw.Mu.Unlock()
		f.count(2, "actions=output:7")
		f.count(9, "reg1=0x9")
		got := counted(w)
		require.Equal(t, uint64(7), got["a ingress denied"])
		require.NotContains(t, got, "dropped in ingress_verdict")
		w.Sw.Operate(func(map[openflow.Key]openflow.Flow) {}) // now it does
		w.InSync()
		f.count(1, "table=53, priority=50,reg1=0x1")
		require.Equal(t, uint64(8), counted(w)["a ingress denied"])
	})
}

// The zone of a port that has gone is given to the next one; what the flow had counted is not its.
func TestCountsOfAZoneThatIsUsedAgain(t *testing.T) {
	counting(t, agenttest.File("a: 80"), func(w *agenttest.World, f *fakeCounts) {
		f.count(5, "table=53, priority=50,reg1=0x1")
		require.Equal(t, uint64(5), counted(w)["a ingress denied"])
		f.count(5, "table=53, priority=50,reg1=0x1")
		w.Policy.Set(agenttest.File())
		w.InSync()
		w.NextZone(1)
		w.Policy.Set(agenttest.File("b: 80"))
		w.InSync()
		require.Equal(t, uint16(1), w.Port("b").Zone)
		got := counted(w)
		require.Zero(t, got["b ingress denied"])
		require.NotContains(t, got, "a ingress denied")
		f.count(2, "table=53, priority=50,reg1=0x1")
		require.Equal(t, uint64(2), counted(w)["b ingress denied"])
		w.Policy.Set(agenttest.File())
		w.InSync()
		w.NextZone(1)
		w.Policy.Set(agenttest.File("a: 80"))
		w.InSync()
		require.Zero(t, counted(w)["a ingress denied"], "it is another port of this name")
	})
}

// A port that gets another zone keeps what it had.
func TestCountsOfAPortWithAnotherZone(t *testing.T) {
	counting(t, agenttest.File("a: 80"), func(w *agenttest.World, f *fakeCounts) {
		f.count(5, "table=53, priority=50,reg1=0x1")
		require.Equal(t, uint64(5), counted(w)["a ingress denied"])
		w.Database.Edit(func(f *agenttest.Database) {
			row := f.Snap.Ports["a"]
			row.Zone = 7
			f.Snap.Ports["a"] = row
		})
		w.InSync()
		f.count(1, "table=53, priority=50,reg1=0x7")
		require.Equal(t, uint64(6), counted(w)["a ingress denied"])
	})
}

func TestReadingIsBounded(t *testing.T) {
	counting(t, agenttest.File("a: 80"), func(w *agenttest.World, f *fakeCounts) {
		counted(w)
		before := f.readings
		for range 10 {
			_, err := w.Counters.Counts(context.Background())
			require.NoError(t, err)
		}
		require.Equal(t, before, f.readings, "what was read a moment ago is good enough")
		f.edit(func(f *fakeCounts) { f.takes = 3 * time.Second })
		counted(w)
		before = f.readings
		for range 14 {
			counted(w)
		}
		require.Equal(t, before, f.readings,
			"a reading that took three seconds is good for half a minute")
		counted(w)
		require.Equal(t, before+1, f.readings)
	})
}

func TestCountsThatCannotBeRead(t *testing.T) {
	counting(t, agenttest.File("a: 80"), func(w *agenttest.World, f *fakeCounts) {
		f.count(5, "table=53, priority=50,reg1=0x1")
		require.Equal(t, uint64(5), counted(w)["a ingress denied"])
		f.edit(func(f *fakeCounts) { f.failing = errors.New("connection refused") })
		w.Pass(2 * time.Second)
		c, err := w.Counters.Counts(context.Background())
		require.NoError(t, err)
		require.Equal(t, "connection refused", c.Error)
		require.Equal(t, uint64(5), c.Ports[0].Ingress.Denied.Packets, "the totals stay")
		f.edit(func(f *fakeCounts) { f.failing = nil })
		f.count(1, "table=53, priority=50,reg1=0x1")
		require.Equal(t, uint64(6), counted(w)["a ingress denied"])

		// One who has gone away waits for nothing, and holds nobody up.
		f.edit(func(f *fakeCounts) { f.takes = time.Second })
		w.Pass(2 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_, err = w.Counters.Counts(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, uint64(6), counted(w)["a ingress denied"])
	})
}

func TestConnectionsOfPorts(t *testing.T) {
	counting(t, agenttest.File("a: 80", "b: 80"), func(w *agenttest.World, f *fakeCounts) {
		f.edit(func(f *fakeCounts) {
			f.entries = ofswitch.Entries{Known: 7, Limit: 100, Zones: []ofswitch.ZoneEntries{
				{ZoneLimit: flows.ZoneLimit{Zone: w.Port("b").Zone, Connections: 10}, Known: 5},
				{ZoneLimit: flows.ZoneLimit{Zone: 999, Connections: 1}}}}
		})
		counted(w)
		c, err := w.Counters.Counts(context.Background())
		require.NoError(t, err)
		require.Equal(t, &telemetry.ConnectionFill{Known: 7, Limit: 100}, c.Connections)
		require.Nil(t, c.Ports[0].Zone)
		require.Equal(t, &telemetry.ConnectionFill{Known: 5, Limit: 10}, c.Ports[1].Zone)
	})
}

// What limits drop is counted for the port whose meter it is, also when the switch counts anew.
func TestWhatLimitsDrop(t *testing.T) {
	counting(t, agenttest.File("a: 80", "b: 80"), func(w *agenttest.World, f *fakeCounts) {
		meter := func(zone uint16, of string) uint32 {
			for id := range flows.MaxMeter {
				if flows.MeterOf(id+1) == (flows.MeterUse{Of: of, Zone: zone}) {
					return id + 1
				}
			}
			panic(of)
		}
		zone := w.Port("b").Zone
		in, out, arp := meter(zone, flows.MeterOfFragmentsIn),
			meter(zone, flows.MeterOfFragmentsOut), meter(zone, flows.MeterOfDiscovery)
		read := func(held ofswitch.Reassembly, dropped ...ofswitch.MeterCount) *telemetry.Counts {
			f.edit(func(f *fakeCounts) { f.held, f.dropped = held, dropped })
			counted(w)
			c, err := w.Counters.Counts(context.Background())
			require.NoError(t, err)
			return c
		}
		c := read(ofswitch.Reassembly{Held: 5, Limit: 5000}, ofswitch.MeterCount{ID: in,
			Dropped: 7}, ofswitch.MeterCount{ID: out, Dropped: 1},
			ofswitch.MeterCount{ID: arp, Dropped: 3},
			ofswitch.MeterCount{ID: flows.OutsideFragmentsMeter, Dropped: 9},
			ofswitch.MeterCount{ID: flows.MaxMeter + 1, Dropped: 100},
			ofswitch.MeterCount{ID: meter(777, flows.MeterOfDiscovery), Dropped: 100})
		require.Equal(t, &telemetry.ConnectionFill{Known: 5, Limit: 5000}, c.Fragments)
		require.Equal(t, uint64(9), c.OutsideLimited)
		require.Equal(t, telemetry.LimitedCount{}, c.Ports[0].Egress.Limited)
		require.Equal(t, telemetry.LimitedCount{ARPNDDHCP: 3, Fragments: 1},
			c.Ports[1].Egress.Limited)
		require.Equal(t, telemetry.LimitedCount{Fragments: 7}, c.Ports[1].Ingress.Limited)
		c = read(ofswitch.Reassembly{}, ofswitch.MeterCount{ID: in, Dropped: 9},
			ofswitch.MeterCount{ID: out, Dropped: 0}, ofswitch.MeterCount{ID: arp, Dropped: 3})
		require.Equal(t, telemetry.LimitedCount{Fragments: 9}, c.Ports[1].Ingress.Limited)
		c = read(ofswitch.Reassembly{}, ofswitch.MeterCount{ID: in, Dropped: 4})
		require.Equal(t, telemetry.LimitedCount{Fragments: 13}, c.Ports[1].Ingress.Limited,
			"the switch was restarted")
		require.Equal(t, telemetry.LimitedCount{ARPNDDHCP: 3, Fragments: 1},
			c.Ports[1].Egress.Limited, "what is gone goes on counting from there")
		f.edit(func(f *fakeCounts) { f.heldFailing = errors.New("no such command") })
		c = read(ofswitch.Reassembly{})
		require.Nil(t, c.Fragments)
		require.Empty(t, c.Error)
	})
}

// A port without a device has no flows, and comes back with what it had.
func TestCountsOfAPortThatIsAway(t *testing.T) {
	counting(t, agenttest.File("a: 80"), func(w *agenttest.World, f *fakeCounts) {
		f.count(5, "table=53, priority=50,reg1=0x1")
		require.Equal(t, uint64(5), counted(w)["a ingress denied"])
		w.Database.SetAbsent("a", "No such device")
		w.Settle()
		require.Equal(t, uint64(5), counted(w)["a ingress denied"])
		w.Database.SetPresent("a")
		w.InSync()
		f.count(1, "table=53, priority=50,reg1=0x1")
		require.Equal(t, uint64(6), counted(w)["a ingress denied"])
	})
}

func TestAPIOfCounters(t *testing.T) {
	_, client := agenttest.Served(t, agenttest.File("a: 80"),
		func(w *agenttest.World) { w.Counts = newFakeCounts(w.Sw) })
	require.Eventually(t, func() bool {
		c, err := client.Counts(context.Background())
		return err == nil && !c.At.IsZero() && len(c.Ports) == 1
	}, agenttest.Generous, 10*time.Millisecond)
	_, without := agenttest.Served(t, agenttest.File("a: 80"))
	c, err := without.Counts(context.Background())
	require.NoError(t, err)
	require.Contains(t, c.Error, "counts nothing")
	require.True(t, c.At.IsZero())
}
