package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// This file is one turn of the loop, top to bottom. [Agent.Run] calls turn whenever a source has
// signalled. Invariant: the switch is shown no epoch that the database does not hold.

// reconciler is the state of the loop. Only the loop's goroutine touches it.
type reconciler struct {
	opts Options
	ctl  *Agent
	log  *logrus.Entry

	// What is wanted.
	loading    loading
	policy     *policy.Policy // in force: the last valid one
	invalid    error          // why the policy that was read last is not valid
	policyStat PolicyStatus
	generation int       // of the policy database, of what was read last
	validAt    time.Time // when the files were read last and were valid
	ticket     uint64    // the last request that policyStat answers
	locals     localInstances
	places     places
	guards     guards
	plan       *plan // of the last turn that came that far

	// What the switch holds.
	watcher   *switchWatcher
	installer *ofswitch.Installer
	session   uint64 // of the watcher, when the flows were read
	// the last session in which the switch was prepared; 0 = none, or that is in doubt
	prepared   uint64
	prefetched *prefetch // begun before anything else was known
	nextAudit  time.Time // not before this, without a cause
	installed  installed
	epochs     epochs
	drift      int         // flows found wrong and not repaired yet
	last       flows.Input // what the switch held last, whatever became of it since
	done       flows.Input // what the switch is known to run
	isDone     bool        // something was programmed in this run

	// What turns one into the other.
	compiler     *program
	compiled     candidate // what the compiler holds
	quarantine   quarantine
	uncompilable uncompilable
	moves        moves
	zones        zoneMemory
	// something was learned from a refusal: the next turn follows without a pause
	learned bool
	// what failed in this turn was tried again and changes nothing: it is not told
	muted bool
	again signal // the next turn is to follow

	// What is told of it.
	ovs       string // version
	offload   bool   // Open vSwitch hands flows to hardware
	rows      map[string]bridge.Port
	lastApply ApplyStatus
	counters  Counters
	durations Durations // of this turn
	lastErr   string
}

func newReconciler(c *Agent, w *switchWatcher) *reconciler {
	return &reconciler{opts: c.opts, ctl: c, log: c.opts.Log, watcher: w, guards: newGuards(c.opts),
		installer: ofswitch.NewInstaller(c.opts.Switch, c.opts.Meters, c.opts.Log),
		compiler:  &c.hub.program,
		loading:   newLoading(), again: newSignal(), zones: newZoneMemory(c.opts)}
}

// turn does all that is to be done now, and publishes what came of it. An error means: try again
// soon.
func (r *reconciler) turn(ctx context.Context) error {
	began := time.Now()
	err := r.sync(ctx)
	for errors.Is(err, errOtherProgram) {
		err = r.sync(ctx)
	}
	if ctx.Err() != nil {
		return nil // stopping: what failed, failed of that
	}
	if r.muted {
		r.muted = false
		return err
	}
	r.logTransition(err)
	r.durations.Turn = time.Since(began)
	r.opts.Observe(r.durations)
	r.durations = Durations{}
	r.ctl.hub.Publish(r.snapshot(err))
	return err
}

// errOtherProgram says that the program has to be another one, of which less is left out or more.
var errOtherProgram = errors.New("the program is another one now")

// sync makes the database and the switch what the policy wants.
func (r *reconciler) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	snap, err := r.opts.Database.Snapshot()
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	p, err := r.desire(ctx, snap)
	if err != nil {
		return err
	}
	r.plan = p
	events := r.watcher.drain()
	if err := r.readBack(ctx, p, events); err != nil {
		r.watcher.requeue(events)
		return err
	}
	r.epochs.decide(p, events.up)
	if snap, err = r.writeAhead(ctx, p); err != nil {
		return err
	}
	if !events.up {
		return events.away()
	}
	r.zones.flush(ctx, p)
	next, err := r.program(p.input(snap))
	if err != nil {
		return err
	}
	if err := r.apply(ctx, p, next); err != nil {
		return err
	}
	r.announce(ctx, next.input)
	r.zones.sweep(ctx, p, snap.Neighbours)
	if r.quarantine.search.active {
		return errSearching
	}
	return nil
}

// desire plans what is wanted of the rows as they are: the policy, without what is left out.
func (r *reconciler) desire(ctx context.Context, snap bridge.Snapshot) (*plan, error) {
	stored, now := snap.Revision, r.opts.Clock()
	if snap = r.epochs.believed(snap, now); snap.Revision == 0 {
		snap.Revision = r.firstRevision(ctx, now)
	}
	r.rows = snap.Ports
	r.noteVersion(snap.OVSVersion)
	r.offload = snap.Offload
	locals := r.locals.of(r.policy, r.opts.Site.Host) // also of what is left out: its rows stay
	at := r.places.place(r.policy, locals, r.opts, snap)
	snap = at.snap
	if err := r.checkHost(locals, snap.Ports); err != nil {
		return nil, err
	}
	r.guards.judge(r.policy, locals, snap.Ports)
	r.widen()
	before, _ := r.before()
	wanted := r.uncompilable.reduced(r.policy)
	p := newPlan(r.quarantine.reduced(before.Policy, wanted), locals, r.watched(), at,
		r.guards.refused, r.epochs.zonesInUse())
	if stored > snap.Revision {
		p.unbelieved = stored
	}
	p.isNew = stored == 0
	r.zones.judge(p)
	r.quarantine.withhold(p, wanted)
	return p, nil
}

// watched are the options, with denied packets shown while somebody watches them.
func (r *reconciler) watched() Options {
	opts := r.opts
	opts.Site.LogDenied = opts.Site.LogDenied || r.ctl.shown.Load() > 0
	return opts
}

// readBack reads the flows if it is not certain what the switch holds.
func (r *reconciler) readBack(ctx context.Context, p *plan, events switchEvents) error {
	if !events.up {
		r.watcher.requeue(events)
		r.installed.known = false
		return nil
	}
	prefetched := r.prefetched
	r.prefetched = nil
	if prefetched != nil {
		defer prefetched.stop()
	}
	if events.session != r.session || events.touched {
		r.installed.known = false
	}
	if prefetched != nil && (prefetched.session != events.session || events.foreign ||
		prefetched.ended() != nil) {
		prefetched = nil // what it read is not so any more, or not all
	}
	if !r.installed.known && prefetched == nil {
		r.installer.Invalidate()
	}
	if err := r.prepare(ctx, events); err != nil {
		return err
	}
	p.lastMeter = r.installer.LastMeter()
	if r.installed.known {
		return nil
	}
	began := time.Now()
	found, err := r.compare(ctx, p, prefetched)
	if err != nil {
		return fmt.Errorf("switch: %w", err)
	}
	r.nextAudit = auditAfter(began, time.Now())
	r.recognise(found, events)
	r.session = events.session
	r.installed = installed{known: true, fingerprint: found.Fingerprint, flows: found.Held,
		pending: found.Delta()}
	return nil
}

// writeAhead writes what is wanted to the database, the epochs before the switch may use them, and
// returns the rows as they are then. Meanwhile what is likely to follow is compiled.
func (r *reconciler) writeAhead(ctx context.Context, p *plan) (bridge.Snapshot, error) {
	desired, written := p.desired(), make(chan error, 1)
	go func() { written <- r.opts.Database.Ensure(ctx, desired) }()
	if r.installed.known {
		_, _ = r.compile(p.expected()) // who needs it compiles it again, and sees why it cannot be
	}
	if err := r.refusedRows(p, <-written); err != nil {
		return bridge.Snapshot{}, fmt.Errorf("database: %w", err)
	}
	snap, err := r.opts.Database.Snapshot()
	if err != nil {
		return snap, fmt.Errorf("database: %w", err)
	}
	r.rows = snap.Ports
	locals := r.locals.of(r.policy, r.opts.Site.Host)
	return r.places.place(r.policy, locals, r.opts, snap).snap, nil
}

// compile makes the program that of an input. After an error it is that of the last one.
func (r *reconciler) compile(in flows.Input) (candidate, error) {
	if r.compiled.input.Same(in) {
		return r.compiled, nil
	}
	began := time.Now()
	delta, err := r.compiler.Update(in)
	r.durations.Compile += time.Since(began)
	if err != nil {
		return candidate{}, &compileError{err}
	}
	r.installed.pending = r.installed.pending.Then(delta)
	r.compiled = newCandidate(in, &r.compiler.Compiler)
	return r.compiled, nil
}

// program compiles the input, and notes what cannot be compiled of it.
func (r *reconciler) program(in flows.Input) (candidate, error) {
	next, err := r.compile(in)
	if err != nil {
		return next, err
	}
	if r.uncompilable.note(r.compiler.LeftOut(), r.log) {
		return next, errOtherProgram // without the rules that are left out
	}
	r.uncompilable.refuse(r.plan)
	return next, nil
}

// apply makes the switch hold a program, and takes it for the truth only when that was
// acknowledged.
func (r *reconciler) apply(ctx context.Context, p *plan, next candidate) error {
	delta, rest := r.installed.pending.Without(r.isSpared)
	began, last := time.Now(), r.lastApply
	elapsed, err := r.installer.Apply(ctx, ofswitch.Program{Delta: delta, Limits: next.Limits,
		Zones: p.zonesEver(), ZonesMoved: p.moves()})
	if errors.Is(err, ofswitch.ErrFewerMeters) {
		return errOtherProgram
	}
	if notBegun := new(ofswitch.NotBegunError); errors.As(err, &notBegun) {
		return fmt.Errorf("switch: %w", err)
	}
	if elapsed > 0 {
		r.durations.Apply = elapsed
		r.lastApply = ApplyStatus{At: began, Adds: len(delta.Add), Deletes: len(delta.Delete),
			Seconds: elapsed.Seconds()}
	}
	if err != nil {
		r.counters.AppliesFailed++
		r.lastApply.Error = err.Error()
		if r.failed(ctx, next, err); r.muted {
			r.lastApply = last
		}
		return fmt.Errorf("switch: %w", err)
	}
	if elapsed > 0 {
		r.counters.Applies++
		r.log.WithFields(logrus.Fields{"adds": len(delta.Add), "deletes": len(delta.Delete),
			"seconds": elapsed.Seconds(), "revision": p.revision}).Info("switch programmed")
	}
	r.acknowledged(next, rest)
	return nil
}

// acknowledged notes that the switch holds a program, but for the rest.
func (r *reconciler) acknowledged(now candidate, rest openflow.Delta) {
	r.epochs.acknowledged(now)
	r.setInstalled(now, rest)
	r.done, r.last, r.isDone = now.input, now.input, true
	r.taken(now)
	r.counters.DriftRepaired += r.drift
	r.drift = 0
}

// logTransition logs the beginning and the end of trouble, not its repetition.
func (r *reconciler) logTransition(err error) {
	var uncompilable *compileError
	var elsewhere *hostError
	switch {
	case err == nil && r.lastErr != "":
		r.log.Info("in sync again")
		r.lastErr = ""
	// what a start has to wait for
	case err != nil && !r.isDone && !errors.As(err, &uncompilable) && !errors.As(err, &elsewhere):
		r.log.WithError(err).Debug("nothing programmed yet")
	case errors.Is(err, bridge.ErrZonesTaken): // the next turn has others
		r.log.WithError(err).Debug("conntrack zones are given out again")
	case err != nil && err.Error() != r.lastErr:
		r.log.WithError(err).Warn("not in sync")
		r.lastErr = err.Error()
	}
}

// compileError says why a policy that is valid cannot be compiled. Nothing that happens outside
// will change that.
type compileError struct{ err error }

func (e *compileError) Error() string { return "compile: " + e.err.Error() }
func (e *compileError) Unwrap() error { return e.err }
