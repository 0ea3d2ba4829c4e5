package agent

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// This file is how the policy comes into force. The loop calls it. Invariant: a policy that is
// not valid leaves the last valid one in force, and a file system that hangs holds up no turn.

// briefTime is how long the loop waits for the files, so that one turn answers a change of them and
// all else.
const briefTime = 100 * time.Millisecond

// readTime is how long reading the policy may take before the status tells of it.
const readTime = 15 * time.Second

// loading is what goes on with the policy's files. They are read beside the loop, as a file server
// may hang: ports, revocations and the watchdog do not wait for it. At most one goroutine reads at
// a time.
type loading struct {
	stale bool        // the files are to be read again, when what goes on is over
	since time.Time   // when what goes on began; the zero Time = nothing does
	done  signal      // what went on is over
	read  loaded      // what came of it
	late  *time.Timer // fires when it has taken too long
}

func newLoading() loading {
	late := time.NewTimer(readTime)
	late.Stop()
	return loading{done: newSignal(), late: late}
}

// begin has the policy read if it is to be and nobody does. It says whether it does.
func (l *loading) begin(read func() loaded) bool {
	if !l.stale || !l.since.IsZero() {
		return false
	}
	l.stale, l.since = false, time.Now()
	l.late.Reset(readTime)
	go func() {
		l.read = read()
		l.done.set() // nobody looks at read before
	}()
	return true
}

// end notes that what went on is over.
func (l *loading) end() {
	l.since = time.Time{}
	l.late.Stop()
}

// lateness says that the files are not read to their end within their time; "" = they are, or may
// be.
func (l *loading) lateness() string {
	if l.since.IsZero() || time.Since(l.since) < readTime {
		return ""
	}
	return fmt.Sprintf("the policy's files have been read since %s and are not read yet: does "+
		"their file system hang? What was read before is in force",
		l.since.Format(time.RFC3339))
}

// load reads the policy if it is to be. What takes longer than a moment is taken up when it is
// done.
func (r *reconciler) load() {
	if !r.loading.begin(r.ctl.readPolicy) || r.policy == nil {
		return
	}
	brief := time.NewTimer(briefTime)
	defer brief.Stop()
	select {
	case <-r.loading.done:
		r.loaded()
	case <-brief.C:
	}
}

// loaded takes up what was read.
func (r *reconciler) loaded() {
	r.loading.end()
	r.invalid = r.accept(r.loading.read) // what is wrong is in the status
}

// accept puts a policy that was read into force if it is valid and another one.
func (r *reconciler) accept(read loaded) error {
	r.durations.Reload = read.elapsed
	r.ticket, r.policyStat.ReadAt = max(r.ticket, read.ticket), read.at
	r.policyStat.Database = read.database
	known := r.policyStat.Errors
	r.policyStat.Warnings, r.policyStat.Errors = nil, nil
	for _, w := range read.warnings {
		r.policyStat.Warnings = append(r.policyStat.Warnings, w.String())
	}
	if read.err != nil {
		r.counters.ReloadsFailed++
		r.policyStat.Errors = messages(read.err)
		isNews := !slices.Equal(known, r.policyStat.Errors)
		if r.noteKept(read); isNews && (r.policy != nil || read.policy != nil) {
			r.logMistakes()
		}
		if read.policy != nil {
			r.enforce(read)
		}
		return read.err
	}
	if r.policyStat.Kept != (KeptStatus{}) {
		r.policyStat.Kept = KeptStatus{}
		r.log.Info("the policy's files are valid, and are in force again")
	}
	r.counters.Reloads++
	r.validAt = read.at
	r.enforce(read)
	return nil
}

// noteKept notes that a kept policy is in force in the place of files, if it is so from now on.
func (r *reconciler) noteKept(read loaded) {
	var instead *history.Instead
	if read.policy != nil && errors.As(read.err, &instead) {
		r.policyStat.Kept = KeptStatus{Generation: instead.Generation.Number,
			Since: instead.Generation.At}
	}
}

// mostMistakes is how many mistakes are logged of one reading.
const mostMistakes = 20

// logMistakes says that the files are not valid, what is in force instead, and each mistake.
func (r *reconciler) logMistakes() {
	kept := r.policyStat.Kept
	switch {
	case kept.Generation > 0:
		r.log.WithFields(logrus.Fields{"generation": kept.Generation,
			"since": kept.Since.Format(time.RFC3339)}).
			Error("the policy's files are not in force: a kept policy runs in their place")
	case r.policyStat.Database.Standing != "":
		r.log.WithField("generation", r.policyStat.Database.Generation).
			Error("rows of the policy database are not valid: they are left out, all others are in force")
	default:
		r.log.Error("the policy is not valid; the last valid one stays in force")
	}
	for n, message := range r.policyStat.Errors {
		if n == mostMistakes {
			r.log.Errorf("and %d more mistakes: portcullis check", len(r.policyStat.Errors)-n)
			return
		}
		r.log.Error(message)
	}
}

// enforce puts a policy that was read into force, if it is another one.
func (r *reconciler) enforce(read loaded) {
	r.generation = read.database.Generation
	if read.digest == r.policyStat.Digest {
		return
	}
	r.policy, r.uncompilable = read.policy, uncompilable{}
	r.quarantine.renew(read.policy)
	r.policyStat.Digest, r.policyStat.LoadedAt = read.digest, time.Now()
	r.policyStat.Groups, r.policyStat.Instances = len(r.policy.Groups), len(r.policy.Instances)
	r.log.WithFields(logrus.Fields{"digest": read.digest, "groups": len(r.policy.Groups),
		"instances": len(r.policy.Instances)}).Info("policy loaded")
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

// loaded is what came of reading the policy.
type loaded struct {
	policy   *policy.Policy
	warnings strictyaml.Warnings
	err      error
	digest   string
	ticket   uint64 // the last request that it answers; 0 = none, for not all was read
	at       time.Time
	elapsed  time.Duration
	database policydb.Following
}

// readPolicy reads the policy; it may take long.
func (c *Agent) readPolicy() loaded {
	r, began := loaded{ticket: c.tickets.Load()}, time.Now()
	r.policy, r.warnings, r.err = c.opts.Policy.Load()
	r.digest, r.at = c.opts.Policy.Digest(), time.Now()
	r.elapsed = r.at.Sub(began)
	if followed, ok := c.opts.Policy.(Followed); ok {
		r.database = followed.Following()
	}
	if !c.opts.Policy.Whole() {
		r.ticket = 0
	}
	return r
}
