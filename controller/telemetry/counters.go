package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file reads the counters of the switch when somebody asks. api and metrics call
// [CounterReader.Counts]. Invariant: however often somebody asks, reading costs a bounded part
// of the time.

// CountSource is where the counters are read.
type CountSource interface {
	// Counts hands every flow with its counters to take.
	Counts(ctx context.Context, take func(ofswitch.FlowCount)) error
	// Entries says how full the connection tracker is.
	Entries(ctx context.Context) (ofswitch.Entries, error)
	// Reassembly says how full the room for incomplete datagrams is.
	Reassembly(ctx context.Context) (ofswitch.Reassembly, error)
	// MeterCounts returns what every meter has dropped.
	MeterCounts(ctx context.Context) ([]ofswitch.MeterCount, error)
}

const (
	// freshFor is how long a reading serves everybody who asks.
	freshFor = time.Second
	// restPerReading bounds what reading costs, however often somebody asks: after a reading that
	// took a second, this many seconds go by before the next.
	restPerReading = 10
	// readTimeout bounds one reading.
	readTimeout = 30 * time.Second
)

// CounterReader reads the counters when somebody asks, and adds them up. The loop knows nothing of
// it. All its fields but asks belong to the goroutine that runs it.
type CounterReader struct {
	source CountSource
	hub    *agent.Hub
	log    *logrus.Entry
	asks   chan chan<- *Counts

	totals *Accumulator
	meters meterTotals
	latest *Counts
	due    time.Time // before this the latest is good enough
	rules  ruleIndex
	series series
}

// NewCounterReader returns a reader that answers while Run runs.
func NewCounterReader(source CountSource, hub *agent.Hub, log *logrus.Entry) *CounterReader {
	return &CounterReader{source: source, hub: hub, log: log, asks: make(chan chan<- *Counts),
		totals: NewAccumulator(time.Now()), latest: &Counts{}}
}

// Run answers until ctx ends, and returns nil then. The first reading is as soon as the daemon has
// programmed the switch, because the totals may begin there.
func (t *CounterReader) Run(ctx context.Context) error {
	retry := time.NewTimer(0)
	defer retry.Stop()
	for ctx.Err() == nil {
		status, next := t.hub.Watch()
		begins := retry.C
		switch {
		case !t.latest.At.IsZero():
			next, begins = nil, nil
		case status.State == agent.StateStarting:
			begins = nil
		}
		select {
		case <-ctx.Done():
		case <-next:
		case <-begins:
			t.latestCounts(ctx)
			retry.Reset(freshFor)
		case reply := <-t.asks:
			reply <- t.latestCounts(ctx)
		}
	}
	return nil
}

// Counts returns what the switch has counted. It is read anew unless that was done a moment ago.
// The error is ctx's.
func (t *CounterReader) Counts(ctx context.Context) (*Counts, error) {
	reply := make(chan *Counts, 1)
	select {
	case t.asks <- reply:
	case <-ctx.Done():
		return nil, fmt.Errorf("read the counters: %w", ctx.Err())
	}
	select {
	case counts := <-reply:
		return counts, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("read the counters: %w", ctx.Err())
	}
}

// latestCounts returns the latest counts, read anew if they are old.
func (t *CounterReader) latestCounts(ctx context.Context) *Counts {
	began := time.Now()
	if began.Before(t.due) {
		return t.latest
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	next, err := t.read(ctx, began)
	if err != nil {
		t.log.WithError(err).Debug("the counters cannot be read")
		old := *t.latest
		old.Error = err.Error()
		next = &old
	}
	t.latest = next
	t.due = time.Now().Add(max(freshFor, restPerReading*time.Since(began)))
	return next
}

// reading is what one look at the switch has found, before it is known whose it is.
type reading struct {
	Reading
	flows map[flows.TableID]uint64
}

// read reads the switch.
func (t *CounterReader) read(ctx context.Context, began time.Time) (*Counts, error) {
	r := reading{flows: map[flows.TableID]uint64{}}
	r.Began = began
	err := t.source.Counts(ctx, func(f ofswitch.FlowCount) {
		r.flows[flows.TableID(f.Flow.Table)]++
		r.Oldest = max(r.Oldest, f.Age)
		if c := t.subject(f.Flow); c.Verdict != flows.VerdictNone {
			r.Samples = append(r.Samples, Sample{Flow: f.Flow.Key(), Subject: c,
				Traffic: Traffic{Packets: f.Packets, Bytes: f.Bytes}})
		}
	})
	if err != nil {
		return nil, err
	}
	r.Ended = time.Now()
	status := t.hub.Snapshot()
	t.observe(r, status)
	counts := t.report(r, status)
	counts.addRates(t.latest)
	if entries, err := t.source.Entries(ctx); err != nil {
		t.log.WithError(err).Debug("connections cannot be counted")
	} else {
		counts.addEntries(entries, status)
	}
	t.addLimited(ctx, counts, status)
	return counts, nil
}

// subject is what a flow counts for: by the program, or, while the switch has one that the program
// has no more or has in another form, what it counted for last.
func (t *CounterReader) subject(f openflow.Flow) flows.CounterSubject {
	if of, isOurs := t.hub.Origin(f); isOurs {
		return of.CounterSubject
	}
	return t.totals.last(f.Key())
}

// observe adds a reading to the totals, and forgets what is there no more.
func (t *CounterReader) observe(r reading, status *agent.Snapshot) {
	local := map[string]bool{}
	for _, p := range status.Ports {
		local[p.Name] = true
	}
	t.totals.Observe(r.Reading)
	t.rules.learn(status.InForce)
	t.totals.Retain(func(s flows.CounterSubject) bool {
		switch s.Verdict {
		case flows.VerdictAdmitted:
			return t.rules.names[s.Rule].Rule != ""
		case flows.VerdictEstablished, flows.VerdictDenied:
			return local[s.Port]
		}
		return true
	})
}

// report puts the totals into words.
func (t *CounterReader) report(r reading, status *agent.Snapshot) *Counts {
	c := &Counts{Since: t.totals.Since(), At: r.Ended}
	ports := map[string]*PortCount{}
	dropped := map[flows.TableID]uint64{}
	for subject, total := range t.totals.Totals() {
		switch subject.Verdict {
		case flows.VerdictAdmitted:
			rule := t.rules.names[subject.Rule]
			rule.Admitted, rule.Since = total, t.totals.Known(subject)
			c.Rules = append(c.Rules, rule)
		case flows.VerdictDropped:
			dropped[subject.Table] += total.Packets
		default:
			if ports[subject.Port] == nil {
				ports[subject.Port] = &PortCount{Port: subject.Port}
			}
			ports[subject.Port].set(subject, total)
		}
	}
	for _, p := range status.Ports {
		if count := ports[p.Name]; count != nil {
			count.Instance = p.Instance
			c.Ports = append(c.Ports, *count)
		}
	}
	slices.SortFunc(c.Rules, func(a, b RuleCount) int {
		return cmp.Or(cmp.Compare(b.Admitted.Packets, a.Admitted.Packets),
			cmp.Compare(a.Group, b.Group), cmp.Compare(a.Rule, b.Rule))
	})
	for _, table := range flows.Pipeline() {
		c.Dropped = append(c.Dropped, TableCount{table.Name, dropped[table.ID]})
		c.Flows = append(c.Flows, TableCount{table.Name, r.flows[table.ID]})
	}
	c.others = t.series.assign(c.Rules)
	return c
}

// set enters one total of the port.
func (p *PortCount) set(s flows.CounterSubject, total Traffic) {
	direction := &p.Ingress
	if s.Direction == policy.Egress {
		direction = &p.Egress
	}
	if s.Verdict == flows.VerdictDenied {
		direction.Denied = total
	} else {
		direction.Established = total
	}
}

// addRates enters how much the ports were denied since the counts before.
func (c *Counts) addRates(before *Counts) {
	seconds := c.At.Sub(before.At).Seconds()
	if before.At.IsZero() || !before.Since.Equal(c.Since) || seconds <= 0 {
		return
	}
	denied := make(map[string]uint64, len(before.Ports))
	for _, p := range before.Ports {
		denied[p.Port] = p.denied()
	}
	for i, p := range c.Ports {
		if was, ok := denied[p.Port]; ok && p.denied() >= was {
			rate := float64(p.denied()-was) / seconds
			c.Ports[i].DeniedPerSecond = &rate
		}
	}
}

// denied is how many packets a port was denied, in both directions.
func (p *PortCount) denied() uint64 { return p.Ingress.Denied.Packets + p.Egress.Denied.Packets }

// addEntries enters how full the connection tracker is.
func (c *Counts) addEntries(e ofswitch.Entries, status *agent.Snapshot) {
	c.Connections = &ConnectionFill{e.Known, e.Limit}
	zones := map[uint16]*ConnectionFill{}
	for _, z := range e.Zones {
		zones[z.Zone] = &ConnectionFill{uint64(z.Known), uint64(z.Connections)}
	}
	byPort := map[string]*ConnectionFill{}
	for _, p := range status.Ports {
		byPort[p.Name] = zones[p.Zone]
	}
	for i := range c.Ports {
		c.Ports[i].Zone = byPort[c.Ports[i].Port]
	}
}
