package agent

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// This file is what is known of the flows of the switch: how they are read, recognised and told of.
// sync.go calls it.

const (
	// maxLogged is how many flows that somebody else has changed are logged one by one.
	maxLogged = 20
	// restPerReadBack bounds what looking without a cause costs: after a look that took a second, this
	// many seconds go by before the next. Reading back keeps this process and the switch busy for
	// as long as it takes, together one processor.
	restPerReadBack = 200
)

// installed is what is known of the flows of the switch. Their text is not kept: the compiler has
// that of its program.
type installed struct {
	known       bool              // it is not only what was thought before
	fingerprint flows.Fingerprint // of the flows
	flows       int
	pending     openflow.Delta // what turns them into the program of the compiler
}

// recognise finds out which program of ours the switch holds. If it is none, what it held may have
// admitted connections that nothing admits. Only a switch that was restarted, and that nobody had
// touched before, holds nothing without having admitted anything.
func (r *reconciler) recognise(found flows.Difference, events switchEvents) {
	if found.Fingerprint == r.installed.fingerprint {
		return
	}
	r.done = flows.Input{}
	for _, a := range r.epochs.running {
		if a.fingerprint == found.Fingerprint {
			return
		}
	}
	if !r.isDone && len(r.epochs.running) == 0 {
		if r.compiled.fingerprint == found.Fingerprint {
			r.epochs.acknowledged(r.compiled) // an earlier run left it
		}
		return
	}
	if events.session != r.session && found.Held == 0 {
		r.log.Warn("the switch has lost its flows; installing them again")
		if !events.foreign {
			return
		}
	} else {
		r.drift = logDrift(r.log, found, r.installed.pending)
	}
	r.epochs.invalidate()
}

// prepare makes the switch ready for a program: once in a session, and whenever that is in doubt.
func (r *reconciler) prepare(ctx context.Context, events switchEvents) error {
	if r.prepared == events.session {
		return nil
	}
	if err := r.opts.Switch.Prepare(ctx); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	r.prepared = events.session
	r.installer.Begin(ctx)
	return nil
}

// compare says how the flows of the switch differ from the program. Before there was one they are
// held against that of the rows as they are, which is compiled while they are read; prefetched is
// where that has begun, or nil.
func (r *reconciler) compare(ctx context.Context, p *plan, prefetched *prefetch) (flows.Difference,
	error) {
	if r.isDone || len(r.epochs.running) > 0 {
		return r.compiler.Compare(r.opts.Switch.Flows(ctx))
	}
	if prefetched == nil {
		prefetched = newPrefetch(ctx, r.opts.Switch, r.prepared)
		defer prefetched.stop()
	}
	if !prefetched.isEmpty() {
		// an earlier run may have left it; what cannot be compiled nobody has left
		_, _ = r.compile(p.asStored())
	}
	return r.compiler.Compare(prefetched.flows())
}

// prefetchedFlows is how many flows are read before they are asked for, some 10 MB of them.
const prefetchedFlows = 1 << 15

// prefetch is the flows of a switch, read before they are asked for.
type prefetch struct {
	session uint64 // of the watcher, when it was begun
	read    chan readFlow
	first   []readFlow // taken from read already; at most one
	stop    context.CancelFunc
	ended   func() error // not nil = it was stopped, or took too long
}

// readFlow is a flow, or the error that ends the flows.
type readFlow struct {
	flow openflow.Flow
	err  error
}

// newPrefetch begins to read the flows of a switch. It ends with ctx, or when it has taken as long
// as a call may, and must be stopped.
func newPrefetch(ctx context.Context, sw Switch, session uint64) *prefetch {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	a := &prefetch{session: session, read: make(chan readFlow, prefetchedFlows), stop: cancel,
		ended: ctx.Err}
	go func() {
		defer close(a.read)
		for f, err := range sw.Flows(ctx) {
			select {
			case a.read <- readFlow{f, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return a
}

// isEmpty says whether the switch has no flow. It waits for the first.
func (a *prefetch) isEmpty() bool {
	if len(a.first) == 0 {
		if f, ok := <-a.read; ok {
			a.first = append(a.first, f)
		}
	}
	return len(a.first) == 0
}

// flows tells the flows, once.
func (a *prefetch) flows() iter.Seq2[openflow.Flow, error] {
	return func(yield func(openflow.Flow, error) bool) {
		if a.isEmpty() {
			return
		}
		for f := a.first[0]; yield(f.flow, f.err); {
			var more bool
			if f, more = <-a.read; !more {
				return
			}
		}
	}
}

// logDrift logs what somebody else has done to flows of ours, and returns how many that were. What
// the loop knew to differ is not drift.
func logDrift(log *logrus.Entry, found flows.Difference, known openflow.Delta) int {
	expected := map[openflow.Key]bool{}
	for _, f := range slices.Concat(known.Delete, known.Add) {
		expected[f.Key()] = true
	}
	type change struct {
		what string
		flow openflow.Flow
	}
	var changes []change
	note := func(what string, f openflow.Flow) {
		if !expected[f.Key()] {
			changes = append(changes, change{what, f})
		}
	}
	for _, f := range found.Foreign {
		note("added", f)
	}
	for _, a := range found.Altered {
		note("altered", a.Held)
	}
	for _, f := range found.Missing {
		note("deleted", f)
	}
	log.WithField("flows", len(changes)).
		Warn("somebody else has changed flows of ours; repairing them")
	for _, c := range changes[:min(len(changes), maxLogged)] {
		log.WithField("flow", c.flow.String()).Warn("a flow was " + c.what + " by somebody else")
	}
	if more := len(changes) - maxLogged; more > 0 {
		log.WithField("flows", more).Warn("and more were changed by somebody else")
	}
	return len(changes)
}

// auditAfter says when flows are to be looked at again without a cause, after a look that began and
// ended at these times.
func auditAfter(began, ended time.Time) time.Time {
	return ended.Add(restPerReadBack * ended.Sub(began))
}
