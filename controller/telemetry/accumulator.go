package telemetry

import (
	"time"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// This file adds readings up to totals: pure. The counter reader calls it. Invariant: a total
// never goes down, and counts no packet twice.

// Traffic is a number of packets, and of the bytes in them: whole Ethernet frames, without the
// checksum.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Plus returns the sum.
func (t Traffic) Plus(u Traffic) Traffic {
	return Traffic{t.Packets + u.Packets, t.Bytes + u.Bytes}
}

// Sample is one flow's counters.
type Sample struct {
	Flow    openflow.Key
	Subject flows.CounterSubject
	Traffic Traffic // since the flow was installed, as the switch says
}

// Reading is one look at all counters of a switch. The times are of one monotonic clock.
type Reading struct {
	Began, Ended time.Time
	Samples      []Sample
	// Oldest is the age of the oldest of all flows of the switch, counted or not. If even that was
	// installed after the last reading, every counter has begun anew: the switch had lost all its
	// flows, or had none yet.
	Oldest time.Duration
}

// Accumulator holds the totals. It is for one goroutine.
type Accumulator struct {
	seen   map[openflow.Key]seen // by the last reading; nil = there was none
	ended  time.Time             // of the last reading
	since  time.Time
	totals map[flows.CounterSubject]Traffic
	known  map[flows.CounterSubject]time.Time // since when at the latest each is counted
}

// NewAccumulator returns an accumulator that counts from a time on, as far as it can be known.
func NewAccumulator(since time.Time) *Accumulator {
	return &Accumulator{ended: since, since: since}
}

// Since is what the totals begin at.
func (a *Accumulator) Since() time.Time { return a.since }

// Known is since when, at the latest, what is counted for a subject is all that there was: it was
// there then.
func (a *Accumulator) Known(s flows.CounterSubject) time.Time { return a.known[s] }

// seen is what a flow's counters were, and whose.
type seen struct {
	subject flows.CounterSubject
	traffic Traffic
}

// Observe adds what was counted since the last reading. If the first reading finds flows that are
// older than the accumulator, it is what the totals begin at: nobody knows when they have counted
// what they have.
func (a *Accumulator) Observe(r Reading) {
	isFirst := a.seen == nil
	// A flow was installed when the reading took place, somewhere between its two ends, less its
	// age.
	isAnew := r.Oldest < r.Began.Sub(a.ended)
	now := make(map[openflow.Key]seen, len(r.Samples))
	totals := make(map[flows.CounterSubject]Traffic, len(a.totals))
	for subject, total := range a.totals {
		totals[subject] = total
	}
	for _, s := range r.Samples {
		before, known := a.seen[s.Flow]
		now[s.Flow] = seen{s.Subject, s.Traffic}
		var more Traffic
		switch {
		case isAnew:
			more = s.Traffic
		case isFirst:
			a.since = r.Ended
		case !known:
			more = s.Traffic
		default:
			more = s.since(before)
		}
		totals[s.Subject] = totals[s.Subject].Plus(more)
	}
	a.seen, a.ended, a.totals = now, r.Ended, totals
	if isFirst {
		a.learn(a.since)
		return
	}
	a.learn(r.Began)
}

// learn notes the subjects that are new at a time.
func (a *Accumulator) learn(at time.Time) {
	known := make(map[flows.CounterSubject]time.Time, len(a.totals))
	for subject := range a.totals {
		since, isOld := a.known[subject]
		if !isOld {
			since = at
		}
		known[subject] = since
	}
	a.known = known
}

// since returns what a flow has counted since it was seen before.
//
// A smaller counter is that of a flow that was deleted and installed again. A flow that was only
// replaced goes on counting where the one before stopped, but its age begins anew (measured, Open
// vSwitch 3.1): so its age says nothing. One that counts for somebody else now gets nothing of the
// difference, because nobody knows when the change was.
func (s Sample) since(before seen) Traffic {
	switch {
	case s.Traffic.Packets < before.traffic.Packets || s.Traffic.Bytes < before.traffic.Bytes:
		return s.Traffic
	case s.Subject != before.subject:
		return Traffic{}
	}
	return Traffic{s.Traffic.Packets - before.traffic.Packets,
		s.Traffic.Bytes - before.traffic.Bytes}
}

// last returns what a flow counted for when it was seen last: nothing, if it was not.
func (a *Accumulator) last(flow openflow.Key) flows.CounterSubject { return a.seen[flow].subject }

// Totals returns the totals by subject, also those that are zero. The map is never changed later.
func (a *Accumulator) Totals() map[flows.CounterSubject]Traffic { return a.totals }

// Retain forgets the totals of subjects that no longer exist. One that comes back begins at zero.
func (a *Accumulator) Retain(exists func(flows.CounterSubject) bool) {
	totals := make(map[flows.CounterSubject]Traffic, len(a.totals))
	for subject, total := range a.totals {
		if exists(subject) {
			totals[subject] = total
		}
	}
	a.totals = totals
	a.learn(a.ended)
}
