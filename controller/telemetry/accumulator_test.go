package telemetry_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// epoch is when the clock of the tests begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func rule(id uint32) flows.CounterSubject {
	return flows.CounterSubject{Verdict: flows.VerdictAdmitted, Table: 52,
		Direction: policy.Ingress, Rule: id}
}

func key(n int) openflow.Key {
	return openflow.Key{Table: 52, Priority: 300,
		Match: openflow.ParseMatch(fmt.Sprintf("conj_id=%d", n))}
}

func packets(n uint64) telemetry.Traffic { return telemetry.Traffic{Packets: n, Bytes: 100 * n} }

// Each line is what two readings say of one flow, and what was counted in between.
func TestOneFlow(t *testing.T) {
	second := func(n time.Duration) time.Time { return epoch.Add(n * time.Second) }
	for name, c := range map[string]struct {
		before, after telemetry.Traffic
		from, to      flows.CounterSubject
		oldest        time.Duration // at second 10; the reading before ended at second 2
		want          uint64        // for the subject at the end
	}{
		"goes on":                         {packets(5), packets(8), rule(1), rule(1), time.Hour, 3},
		"stands still":                    {packets(5), packets(5), rule(1), rule(1), time.Hour, 0},
		"was deleted and installed again": {packets(5), packets(2), rule(1), rule(1), time.Hour, 2},
		"was replaced and goes on":        {packets(5), packets(8), rule(1), rule(1), 9 * time.Second, 3},
		"the switch has lost all":         {packets(5), packets(8), rule(1), rule(1), 7 * time.Second, 8},
		"the switch may have lost all": {packets(5), packets(8), rule(1), rule(1),
			8 * time.Second, 3},
		"is somebody else's now": {packets(5), packets(8), rule(1), rule(2), time.Hour, 0},
		"is somebody else's, and began anew": {packets(5), packets(3), rule(1), rule(2),
			time.Hour, 3},
		"is somebody else's on a switch anew": {packets(5), packets(8), rule(1), rule(2),
			time.Second, 8},
		"fewer bytes, so it is another flow": {telemetry.Traffic{Packets: 5, Bytes: 500},
			telemetry.Traffic{Packets: 5, Bytes: 50}, rule(1), rule(1), time.Hour, 5},
		"nothing before and nothing afterwards": {packets(0), packets(0), rule(1), rule(1),
			time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := telemetry.NewAccumulator(second(0))
			a.Observe(telemetry.Reading{Began: second(1), Ended: second(2), Oldest: time.Hour,
				Samples: []telemetry.Sample{{Flow: key(1), Subject: c.from, Traffic: c.before}}})
			require.Zero(t, a.Totals()[c.from],
				"what was counted before the first reading does not count")
			a.Observe(telemetry.Reading{Began: second(10), Ended: second(11), Oldest: c.oldest,
				Samples: []telemetry.Sample{{Flow: key(1), Subject: c.to, Traffic: c.after}}})
			require.Equal(t, c.want, a.Totals()[c.to].Packets)
			if c.to != c.from {
				require.Zero(t, a.Totals()[c.from].Packets)
			}
		})
	}
}

// Where all flows are younger than the accumulator, nothing was counted before it.
func TestFirstReading(t *testing.T) {
	for oldest, want := range map[time.Duration]uint64{9 * time.Second: 7, 10 * time.Second: 0,
		time.Hour: 0} {
		a := telemetry.NewAccumulator(epoch)
		a.Observe(telemetry.Reading{Began: epoch.Add(10 * time.Second),
			Ended: epoch.Add(11 * time.Second), Oldest: oldest,
			Samples: []telemetry.Sample{{Flow: key(1), Subject: rule(1), Traffic: packets(7)}}})
		require.Equal(t, packets(want), a.Totals()[rule(1)], oldest)
		require.Equal(t, want > 0, a.Since().Equal(epoch))
	}
}

// A rule that came later is known since then, and one that comes back since it is back.
func TestKnownSince(t *testing.T) {
	a := telemetry.NewAccumulator(epoch)
	read := func(at int, ids ...uint32) {
		r := telemetry.Reading{Began: epoch.Add(time.Duration(at)), Ended: epoch.Add(time.Duration(at) + 1),
			Oldest: time.Hour}
		for _, id := range ids {
			r.Samples = append(r.Samples, telemetry.Sample{Flow: key(int(id)), Subject: rule(id)})
		}
		a.Observe(r)
	}
	read(10, 1)
	require.Equal(t, epoch.Add(11), a.Known(rule(1)), "the flows are older than the count")
	read(20, 1, 2)
	require.Equal(t, epoch.Add(11), a.Known(rule(1)))
	require.Equal(t, epoch.Add(20), a.Known(rule(2)))
	a.Retain(func(s flows.CounterSubject) bool { return s == rule(2) })
	read(30, 1, 2)
	require.Equal(t, epoch.Add(30), a.Known(rule(1)))
	require.Equal(t, epoch.Add(20), a.Known(rule(2)))
	require.Zero(t, a.Known(rule(3)))
}

func TestRetain(t *testing.T) {
	a := telemetry.NewAccumulator(epoch)
	read := func(at int, n uint64) {
		a.Observe(telemetry.Reading{Began: epoch.Add(time.Duration(at)),
			Ended: epoch.Add(time.Duration(at)), Oldest: time.Hour,
			Samples: []telemetry.Sample{{Flow: key(1), Subject: rule(1), Traffic: packets(n)},
				{Flow: key(2), Subject: rule(2), Traffic: packets(n)}}})
	}
	read(1, 10)
	read(2, 15)
	held := a.Totals()
	a.Retain(func(s flows.CounterSubject) bool { return s == rule(2) })
	require.Equal(t, map[flows.CounterSubject]telemetry.Traffic{rule(2): packets(5)}, a.Totals())
	require.Len(t, held, 2, "what was handed out stays")
	read(3, 16)
	require.Equal(t, packets(1), a.Totals()[rule(1)], "it is back, and begins at zero")
	require.Equal(t, packets(6), a.Totals()[rule(2)])
}

// flow is a flow of the model.
type flow struct {
	subject flows.CounterSubject
	counted telemetry.Traffic // as the switch shows it
	unread  telemetry.Traffic // since the last reading, of this subject
	since   time.Duration     // installed at
}

// model is a switch that knows the truth.
type model struct {
	now   time.Duration
	flows map[openflow.Key]*flow
	read  map[openflow.Key]bool // by the last reading
	// all packets since the first reading that some reading could see
	truth map[flows.CounterSubject]telemetry.Traffic
}

func (m *model) reading(took time.Duration) telemetry.Reading {
	r := telemetry.Reading{Began: epoch.Add(m.now), Ended: epoch.Add(m.now + took)}
	m.read = map[openflow.Key]bool{}
	for k, f := range m.flows {
		m.read[k] = true
		r.Samples = append(r.Samples, telemetry.Sample{Flow: k, Subject: f.subject,
			Traffic: f.counted})
		r.Oldest = max(r.Oldest, m.now-f.since)
		m.truth[f.subject] = m.truth[f.subject].Plus(f.unread)
		f.unread = telemetry.Traffic{}
	}
	m.now += took
	return r
}

// Whatever happens to the flows, no total goes down, none is above the truth, and nothing is lost
// but what no reading could see.
func TestTotalsAreTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{flows: map[openflow.Key]*flow{},
			truth: map[flows.CounterSubject]telemetry.Traffic{}}
		a := telemetry.NewAccumulator(epoch)
		install := func(n int) {
			m.flows[key(n)] = &flow{subject: rule(rapid.Uint32Range(1, 3).Draw(t, "rule")),
				since: m.now}
		}
		static := openflow.Key{Table: 52} // the last flow of a table, which nobody replaces
		base := func() { m.flows[static] = &flow{subject: flows.CounterSubject{}, since: m.now} }
		isCold := rapid.Bool().Draw(t, "a switch without flows")
		if isCold {
			m.now += time.Millisecond
		}
		base()
		for n := range 3 {
			install(n)
			m.flows[key(n)].counted = packets(rapid.Uint64Range(0, 9).Draw(t, "before"))
			if isCold {
				m.flows[key(n)].unread = m.flows[key(n)].counted
			}
		}
		m.now += time.Second
		a.Observe(m.reading(0))
		last := map[flows.CounterSubject]telemetry.Traffic{}
		// A flow that is deleted, comes back and counts more than it had before cannot be told from
		// one that went on; and nobody knows whose the packets are of one that counts for somebody
		// else now. These may be lost, and must not be counted twice.
		isExact := true
		t.Repeat(map[string]func(*rapid.T){
			"packets": func(t *rapid.T) {
				if f := m.flows[key(rapid.IntRange(0, 4).Draw(t, "flow"))]; f != nil {
					p := packets(rapid.Uint64Range(1, 5).Draw(t, "n"))
					f.counted, f.unread = f.counted.Plus(p), f.unread.Plus(p)
				}
			},
			"time": func(t *rapid.T) {
				m.now += time.Duration(rapid.Int64Range(1, 1e10).Draw(t, "ns"))
			},
			"delete": func(t *rapid.T) {
				delete(m.flows, key(rapid.IntRange(0, 4).Draw(t, "flow")))
			},
			"install": func(t *rapid.T) {
				n := rapid.IntRange(0, 4).Draw(t, "flow")
				if m.flows[key(n)] == nil {
					install(n)
					isExact = isExact && !m.read[key(n)]
				}
			},
			"replace": func(t *rapid.T) { // goes on counting, with a new age
				if f := m.flows[key(rapid.IntRange(0, 4).Draw(t, "flow"))]; f != nil {
					f.since = m.now
				}
			},
			"hand over": func(t *rapid.T) { // the same flow goes on counting, for another subject
				k := key(rapid.IntRange(0, 4).Draw(t, "flow"))
				if f := m.flows[k]; f != nil {
					f.subject, f.since = rule(rapid.Uint32Range(1, 3).Draw(t, "rule")), m.now
					isExact = isExact && !m.read[k]
				}
			},
			"restart": func(t *rapid.T) {
				m.now += time.Second
				for k, f := range m.flows {
					m.flows[k] = &flow{subject: f.subject, since: m.now}
				}
			},
			"read": func(t *rapid.T) {
				a.Observe(m.reading(time.Duration(rapid.Int64Range(0, 1e8).Draw(t, "took"))))
				for subject, total := range last {
					require.GreaterOrEqual(t, a.Totals()[subject].Packets, total.Packets)
					require.GreaterOrEqual(t, a.Totals()[subject].Bytes, total.Bytes)
				}
				for subject, total := range a.Totals() {
					require.LessOrEqual(t, total.Packets, m.truth[subject].Packets, "counted twice")
					require.Equal(t, 100*total.Packets, total.Bytes)
					if isExact {
						require.Equal(t, m.truth[subject], total)
					}
				}
				last = maps.Clone(a.Totals())
			},
		})
	})
}
