package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// reconciler is the state of the loop. Only the loop's goroutine touches it.
type reconciler struct {
	opts Options
	ctl  *Agent
	log  *logrus.Entry
	link *link

	loading    loading
	policy     *policy.Policy // in force: the last valid one
	policyStat PolicyStatus
	validAt    time.Time // when the files were read last and were valid
	ticket     uint64    // the last request that policyStat answers
	locals     localInstances
	guards     guards

	session   uint64    // of the link, when the flows were read
	prepared  uint64    // the last session in which the switch was prepared; 0 = none, or that is in doubt
	early     *ahead    // of the switch, begun before anything else was known
	lookAgain time.Time // not before this, without a cause
	compiler  flows.Compiler
	compiled  attempt // what the compiler holds
	held      held    // what the switch holds
	epochs    epochs
	drift     int // flows found wrong and not repaired yet
	poison    poison
	unfit     unfit
	learned   bool        // something was learned from a refusal: the next turn follows without a pause
	quiet     bool        // what failed in this turn was tried again and changes nothing: it is not told
	again     signal      // the next turn is to follow
	last      flows.Input // what the switch held last, whatever became of it since

	limits limits
	moves  moves
	zones  zoning

	plan     *plan       // of the last turn that came that far
	done     flows.Input // what the switch is known to run
	ovs      string      // version
	rows     map[string]bridge.Port
	apply    ApplyStatus
	counters Counters
	took     Durations // in this turn
	isDone   bool      // something was programmed in this run
	lastErr  string
}

func newReconciler(c *Agent, l *link) *reconciler {
	return &reconciler{opts: c.opts, ctl: c, log: c.opts.Log, link: l, limits: limits{limiter: c.opts.Limiter, log: c.opts.Log},
		guards: newGuards(c.opts), loading: newLoading(), again: newSignal(), zones: newZoning(c.opts)}
}

// turn does all that is to be done now, and publishes what came of it. An error means: try again soon.
func (r *reconciler) turn(ctx context.Context) error {
	began := time.Now()
	err := r.reconcile(ctx)
	if ctx.Err() != nil {
		return nil // stopping: what failed, failed of that
	}
	if r.quiet {
		r.quiet = false
		return err
	}
	r.tell(err)
	r.took.Turn = time.Since(began)
	r.opts.Observe(r.took)
	r.took = Durations{}
	r.ctl.hub.Publish(r.snapshot(err))
	return err
}

// tell logs the beginning and the end of trouble, not its repetition.
func (r *reconciler) tell(err error) {
	var unfit *compileError
	var elsewhere *hostError
	switch {
	case err == nil && r.lastErr != "":
		r.log.Info("in sync again")
		r.lastErr = ""
	case err != nil && !r.isDone && !errors.As(err, &unfit) && !errors.As(err, &elsewhere): // what a start has to wait for
		r.log.WithError(err).Debug("nothing programmed yet")
	case errors.Is(err, bridge.ErrZonesTaken): // the next turn has others
		r.log.WithError(err).Debug("conntrack zones are given out again")
	case err != nil && err.Error() != r.lastErr:
		r.log.WithError(err).Warn("not in sync")
		r.lastErr = err.Error()
	}
}

// accept puts a policy that was read into force if it is valid and another one.
func (r *reconciler) accept(read loaded) error {
	r.took.Reload = read.took
	r.ticket, r.policyStat.ReadAt = read.ticket, read.at
	known := r.policyStat.Errors
	r.policyStat.Warnings, r.policyStat.Errors = nil, nil
	for _, w := range read.warnings {
		r.policyStat.Warnings = append(r.policyStat.Warnings, w.String())
	}
	if read.err != nil {
		r.counters.ReloadsFailed++
		r.policyStat.Errors = messages(read.err)
		if r.policy != nil && !slices.Equal(known, r.policyStat.Errors) {
			r.log.WithField("errors", r.policyStat.Errors).Error("the policy is not valid; the last valid one stays in force")
		}
		return read.err
	}
	r.counters.Reloads++
	r.validAt = read.at
	if read.digest == r.policyStat.Digest {
		return nil
	}
	r.policy, r.unfit = read.policy, unfit{}
	r.poison.renew(read.policy)
	r.policyStat.Digest, r.policyStat.LoadedAt = read.digest, time.Now()
	r.policyStat.Groups, r.policyStat.Instances = len(r.policy.Groups), len(r.policy.Instances)
	r.log.WithFields(logrus.Fields{"digest": read.digest, "groups": len(r.policy.Groups), "instances": len(r.policy.Instances)}).Info("policy loaded")
	return nil
}

// messages returns one line for each mistake.
func messages(err error) []string {
	var list strictyaml.Errors
	if !errors.As(err, &list) {
		return []string{err.Error()}
	}
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.Error()
	}
	return out
}

// reconcile makes the database and the switch what the policy wants.
func (r *reconciler) reconcile(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	p, err := r.aim(ctx)
	if err != nil {
		return err
	}
	r.plan = p
	heard := r.link.take()
	if heard.up {
		if err := r.look(ctx, p, heard); err != nil {
			r.link.untake(heard)
			return err
		}
		r.epochs.renew(p)
	} else {
		r.link.untake(heard)
		r.held.known = false
		r.epochs.complete(p)
	}
	snap, err := r.ensure(ctx, p)
	if err != nil {
		return err
	}
	if !heard.up {
		return heard.away()
	}
	r.zones.flush(ctx, p)
	if err := r.program(ctx, p.input(snap)); err != nil {
		return err
	}
	r.zones.sweep(ctx, p, snap.Neighbours)
	if r.poison.search.active {
		return errSearching
	}
	return nil
}

// aim plans what is wanted of the rows as they are: the policy, without what is left out.
func (r *reconciler) aim(ctx context.Context) (*plan, error) {
	snap, err := r.opts.Database.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	stored, now := snap.Revision, r.opts.Clock()
	if snap = r.epochs.believed(snap, now); snap.Revision == 0 {
		snap.Revision = r.firstRevision(ctx, now)
	}
	r.rows = snap.Ports
	r.meet(snap.OVSVersion)
	locals := r.locals.of(r.policy, r.opts.Site.Host) // also of what is left out: its rows stay
	if err := r.checkHost(locals, snap.Ports); err != nil {
		return nil, err
	}
	r.guards.judge(r.policy, locals, snap.Ports)
	r.widen()
	before, _ := r.before()
	wanted := r.unfit.reduced(r.policy)
	p := newPlan(r.poison.reduced(before.Policy, wanted), locals, r.opts, snap, r.guards.refused, r.epochs.zonesInUse())
	if stored > snap.Revision {
		p.unbelieved = stored
	}
	p.isNew = stored == 0
	r.zones.judge(p)
	r.poison.withhold(p, wanted)
	return p, nil
}

// ensure writes what is wanted to the database, the epochs before the switch may use them, and returns the rows as they are then.
// Meanwhile what is likely to follow is compiled.
func (r *reconciler) ensure(ctx context.Context, p *plan) (bridge.Snapshot, error) {
	desired, written := p.desired(), make(chan error, 1)
	go func() { written <- r.opts.Database.Ensure(ctx, desired) }()
	if r.held.known {
		_, _ = r.compile(p.expected()) // who needs it compiles it again, and sees why it cannot be
	}
	err := <-written
	for _, e := range flatten(err) {
		var port *bridge.PortError
		switch {
		case errors.As(e, &port):
			p.refuse(port.Port, port.Reason)
		case errors.Is(e, bridge.ErrDatapathType):
			r.log.WithError(e).Debug("the bridge is used as it is")
		default:
			return bridge.Snapshot{}, fmt.Errorf("database: %w", e)
		}
	}
	snap, err := r.opts.Database.Snapshot()
	if err != nil {
		return snap, fmt.Errorf("database: %w", err)
	}
	r.rows = snap.Ports
	return snap, nil
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // the outermost is meant
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}

// held is what is known of the flows of the switch. Their text is not kept: the compiler has that of its program.
type held struct {
	known  bool       // it is not only what was thought before
	mark   flows.Mark // of the flows
	flows  int
	behind flows.Delta // what turns them into the program of the compiler
}

// recognise finds out which program of ours the switch holds. If it is none, what it held may have admitted connections that nothing
// admits. Only a switch that was restarted, and that nobody had touched before, holds nothing without having admitted anything.
func (r *reconciler) recognise(found flows.Difference, heard heard) {
	if found.Mark == r.held.mark {
		return
	}
	r.done = flows.Input{}
	for _, a := range r.epochs.running {
		if a.mark == found.Mark {
			return
		}
	}
	if !r.isDone && len(r.epochs.running) == 0 {
		if r.compiled.mark == found.Mark {
			r.epochs.acknowledged(r.compiled) // an earlier run left it
		}
		return
	}
	if heard.session != r.session && found.Held == 0 {
		r.log.Warn("the switch has lost its flows; installing them again")
		if !heard.foreign {
			return
		}
	} else {
		r.drift = tellDrift(r.log, found, r.held.behind)
	}
	r.epochs.doubt()
}

// compile makes the program that of an input. After an error it is that of the last one.
func (r *reconciler) compile(in flows.Input) (attempt, error) {
	if r.compiled.input.Same(in) {
		return r.compiled, nil
	}
	began := time.Now()
	delta, err := r.compiler.Update(in)
	r.took.Compile += time.Since(began)
	if err != nil {
		return attempt{}, &compileError{err}
	}
	r.held.behind = r.held.behind.Then(delta)
	r.compiled = newAttempt(in, &r.compiler)
	return r.compiled, nil
}

// compileError says why a policy that is valid cannot be compiled. Nothing that happens outside will change that.
type compileError struct{ err error }

func (e *compileError) Error() string { return "compile: " + e.err.Error() }
func (e *compileError) Unwrap() error { return e.err }

// program makes the switch hold the program of an input, by one bundle, and takes it for the truth only when that was acknowledged.
func (r *reconciler) program(ctx context.Context, in flows.Input) error {
	a, err := r.compile(in)
	if err != nil {
		return err
	}
	if r.unfit.note(r.compiler.LeftOut(), r.log) {
		return r.reconcile(ctx) // without the rules that are left out
	}
	r.unfit.refuse(r.plan)
	if a, err = r.meter(ctx, a); err != nil {
		return err
	}
	if err = r.install(ctx, a); err != nil {
		return err
	}
	r.limits.settle(ctx, a, r.plan)
	r.announce(ctx, a.input)
	return nil
}

// install makes the switch hold the flows of a program whose meters it has.
func (r *reconciler) install(ctx context.Context, a attempt) error {
	delta, rest := r.held.behind.Without(func(f flows.Flow) bool { return f.IsShortcut() && r.poison.spared[f.Table] })
	if delta.Empty() {
		r.acknowledged(a, rest)
		return nil
	}
	began, last := time.Now(), r.apply
	err := r.opts.Switch.Apply(ctx, delta)
	r.took.Apply = time.Since(began)
	r.apply = ApplyStatus{At: began, Adds: len(delta.Add), Deletes: len(delta.Delete), Seconds: r.took.Apply.Seconds()}
	if err != nil {
		r.counters.AppliesFailed++
		r.apply.Error = err.Error()
		if r.failed(ctx, a, err); r.quiet {
			r.apply = last
		}
		return fmt.Errorf("switch: %w", err)
	}
	r.counters.Applies++
	r.log.WithFields(logrus.Fields{"adds": len(delta.Add), "deletes": len(delta.Delete), "seconds": r.apply.Seconds,
		"revision": r.plan.revision}).Info("switch programmed")
	r.acknowledged(a, rest)
	return nil
}

// acknowledged notes that the switch holds a program, but for the rest.
func (r *reconciler) acknowledged(a attempt, rest flows.Delta) {
	r.epochs.acknowledged(a)
	r.hold(a, rest)
	r.done, r.last, r.isDone = a.input, a.input, true
	r.taken(a)
	r.counters.DriftRepaired += r.drift
	r.drift = 0
}
