package agent

import (
	"context"
	"reflect"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// This file is what the loop waits for. [Agent.Run] calls it. Invariant: a signal says nothing but
// "look", so that it may be lost, doubled or late.

// source is one thing that the loop waits for.
type source struct {
	channel any // what can be received from
	// takes a signal, and says whether there is to be a turn; nil = there is none
	due func() bool
}

// sources are all of them.
type sources []source

func (c *Agent) sources(r *reconciler, t *timers) sources {
	always := func() bool { return true }
	reread := func() bool { r.loading.stale = true; return true }
	return sources{
		{c.asked, nil}, // that it was received is the answer
		{c.reload, reread},
		{c.opts.Policy.Changed(), reread},
		{c.opts.Database.Changed(), always},
		{r.watcher.changed, always},
		{r.again, always},
		{c.nextTurn, always},
		{r.loading.done, func() bool { r.loaded(); return true }},
		{r.loading.late.C, func() bool { r.log.Warn(r.loading.lateness()); return true }},
		{t.retry.C, always},
		{t.judge.C, func() bool { return r.guards.waiting }},
		{t.audit.C, func() bool { r.audit(); return true }},
	}
}

// wait returns true when a turn is due, and false when ctx ends. It takes what else has been
// signalled, so that one turn answers all of it.
func (s sources) wait(ctx context.Context) bool {
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
	for _, one := range s {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv,
			Chan: reflect.ValueOf(one.channel)})
	}
	for isDue := false; !isDue; {
		n, _, _ := reflect.Select(cases)
		if n == 0 {
			return false
		}
		one := s[n-1]
		isDue = one.due != nil && one.due()
	}
	for i, one := range s {
		if one.due == nil {
			continue // whoever asks now is answered after the turn
		}
		if _, ok := cases[i+1].Chan.TryRecv(); ok {
			one.due()
		}
	}
	return true
}

// timers are the sources that are clocks.
type timers struct {
	audit, judge *time.Ticker
	retry        *time.Timer
}

func newTimers() *timers {
	return &timers{audit: time.NewTicker(resyncEvery), judge: time.NewTicker(judgeEvery),
		retry: time.NewTimer(0)}
}

func (t *timers) stop() {
	t.audit.Stop()
	t.judge.Stop()
	t.retry.Stop()
}

// audit has everything looked at without a cause, unless that was done a moment ago.
func (r *reconciler) audit() {
	r.quarantine.due, r.guards.stale = true, true
	if time.Now().After(r.nextAudit) {
		r.loading.stale, r.prepared, r.installed.known = true, 0, false
	}
}

// begin gets the switch ready, if it is there, while the policy is read for the first time.
func (r *reconciler) begin(ctx context.Context) {
	if r.loading.lateness() != "" {
		r.ctl.hub.Publish(r.snapshot(nil))
	}
	events := r.watcher.now()
	if events.up && r.prefetched == nil && r.prepare(ctx, events) == nil {
		r.prefetched = newPrefetch(ctx, r.opts.Switch, events.session)
	}
}

// NewBackOff returns pauses that double from the first to the longest, for ever.
func NewBackOff(first, longest time.Duration) *backoff.ExponentialBackOff {
	b := &backoff.ExponentialBackOff{InitialInterval: first, MaxInterval: longest, Multiplier: 2,
		Stop: backoff.Stop, Clock: backoff.SystemClock}
	b.Reset()
	return b
}

// signal has one slot: however often it is set, it is received once.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) set() {
	select {
	case s <- struct{}{}:
	default:
	}
}
