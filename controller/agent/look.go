package agent

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/portcullis/portcullis/flows"
)

// start reads the policy for the first time, and meanwhile gets the switch ready, if it is there. The error is that of the policy.
func (r *reconciler) start(ctx context.Context) error {
	r.loading.stale = true
	r.loading.begin(r.ctl.readPolicy)
	for linked := r.link.changed; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.ctl.asked:
		case first := <-r.loading.done:
			r.loading.end()
			return r.accept(first)
		case <-r.loading.late.C:
			r.log.Warn(r.loading.lateness())
			r.ctl.hub.Publish(r.snapshot(nil))
		case <-linked:
			linked = nil
			r.link.changed.set()                                                 // the loop is to hear of it too
			if heard := r.link.now(); heard.up && r.prepare(ctx, heard) == nil { // else it is tried again later
				r.early = readAhead(ctx, r.opts.Switch, heard.session)
			}
		}
	}
}

// prepare makes the switch ready for a program: once in a session, and whenever that is in doubt.
func (r *reconciler) prepare(ctx context.Context, heard heard) error {
	if r.prepared == heard.session {
		return nil
	}
	if err := r.opts.Switch.Prepare(ctx); err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	r.prepared = heard.session
	r.limits.begin(ctx)
	return nil
}

// look reads the flows back if it is not certain what the switch holds.
func (r *reconciler) look(ctx context.Context, p *plan, heard heard) error {
	early := r.early
	r.early = nil
	if early != nil {
		defer early.stop()
	}
	if heard.session != r.session || heard.touched {
		r.held.known = false
	}
	if early != nil && (early.session != heard.session || heard.foreign) {
		early = nil // what it told is not so any more
	}
	if !r.held.known && early == nil {
		r.limits.metersKnown = false
	}
	if err := r.prepare(ctx, heard); err != nil {
		return err
	}
	p.lastMeter = r.limits.lastMeter
	if r.held.known {
		return nil
	}
	began := time.Now()
	found, err := r.compare(ctx, p, early)
	if err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	r.lookAgain = dueAt(began, time.Now())
	r.recognise(found, heard)
	r.held, r.session = held{known: true, mark: found.Mark, flows: found.Held, behind: found.Delta()}, heard.session
	return nil
}

// compare says how the flows of the switch differ from the program. Before there was one they are held against that of the rows as they
// are, which is compiled while they are read; early is where that has begun, or nil.
func (r *reconciler) compare(ctx context.Context, p *plan, early *ahead) (flows.Difference, error) {
	if r.isDone || len(r.epochs.running) > 0 {
		return r.compiler.Compare(r.opts.Switch.Flows(ctx))
	}
	if early == nil {
		early = readAhead(ctx, r.opts.Switch, r.prepared)
		defer early.stop()
	}
	if !early.isEmpty() {
		_, _ = r.compile(p.asStored()) // an earlier run may have left it; what cannot be compiled nobody has left
	}
	return r.compiler.Compare(early.flows())
}

// aheadFlows is how many flows are read before they are asked for, some 10 MB of them.
const aheadFlows = 1 << 15

// ahead is the flows of a switch, read before they are asked for.
type ahead struct {
	session uint64 // of the link, when it was begun
	told    chan toldFlow
	first   []toldFlow // taken from told already; at most one
	stop    context.CancelFunc
}

// toldFlow is a flow, or the error that ends the flows.
type toldFlow struct {
	flow flows.Flow
	err  error
}

// readAhead begins to read the flows of a switch. It ends with ctx, and must be stopped.
func readAhead(ctx context.Context, sw Switch, session uint64) *ahead {
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{session: session, told: make(chan toldFlow, aheadFlows), stop: cancel}
	go func() {
		defer close(a.told)
		for f, err := range sw.Flows(ctx) {
			select {
			case a.told <- toldFlow{f, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return a
}

// isEmpty says whether the switch has no flow. It waits for the first.
func (a *ahead) isEmpty() bool {
	if len(a.first) == 0 {
		if f, ok := <-a.told; ok {
			a.first = append(a.first, f)
		}
	}
	return len(a.first) == 0
}

// flows tells the flows, once.
func (a *ahead) flows() iter.Seq2[flows.Flow, error] {
	return func(yield func(flows.Flow, error) bool) {
		if a.isEmpty() {
			return
		}
		for f := a.first[0]; yield(f.flow, f.err); {
			var more bool
			if f, more = <-a.told; !more {
				return
			}
		}
	}
}
