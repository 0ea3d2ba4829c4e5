package agent

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// briefTime is how long the loop waits for the files, so that one turn answers a change of them and all else.
const briefTime = 100 * time.Millisecond

// readTime is how long reading the policy may take before the status tells of it.
const readTime = 15 * time.Second

// loading is what goes on with the policy's files. They are read beside the loop, as a file server may hang: ports, revocations and the
// watchdog do not wait for it. At most one goroutine reads at a time.
type loading struct {
	stale bool        // the files are to be read again, when what goes on is over
	since time.Time   // when what goes on began; the zero Time = nothing does
	done  chan loaded // has one slot
	late  *time.Timer // fires when it has taken too long
}

func newLoading() loading {
	late := time.NewTimer(readTime)
	late.Stop()
	return loading{done: make(chan loaded, 1), late: late}
}

// begin has the policy read if it is to be and nobody does. It says whether it does.
func (l *loading) begin(read func() loaded) bool {
	if !l.stale || !l.since.IsZero() {
		return false
	}
	l.stale, l.since = false, time.Now()
	l.late.Reset(readTime)
	done := l.done
	go func() { done <- read() }()
	return true
}

// end notes that what went on is over.
func (l *loading) end() {
	l.since = time.Time{}
	l.late.Stop()
}

// lateness says that the files are not read to their end within their time; "" = they are, or may be.
func (l *loading) lateness() string {
	if l.since.IsZero() || time.Since(l.since) < readTime {
		return ""
	}
	return fmt.Sprintf("the policy's files have been read since %s and are not read yet: does their file system hang? What was read before is in force",
		l.since.Format(time.RFC3339))
}

// load reads the policy if it is to be. What takes longer is taken up when it is done.
func (r *reconciler) load() {
	if !r.loading.begin(r.ctl.readPolicy) {
		return
	}
	brief := time.NewTimer(briefTime)
	defer brief.Stop()
	select {
	case read := <-r.loading.done:
		r.loaded(read)
	case <-brief.C:
	}
}

// loaded takes up what was read.
func (r *reconciler) loaded(read loaded) {
	r.loading.end()
	_ = r.accept(read) // what is wrong is in the status
}

// loaded is what came of reading the policy.
type loaded struct {
	policy   *policy.Policy
	warnings strictyaml.Warnings
	err      error
	digest   string
	ticket   uint64 // the last request that it answers
	at       time.Time
	took     time.Duration
}

// readPolicy reads the policy; it may take long.
func (c *Agent) readPolicy() loaded {
	r, began := loaded{ticket: c.tickets.Load()}, time.Now()
	r.policy, r.warnings, r.err = c.opts.Policy.Load()
	r.digest, r.at = c.opts.Policy.Digest(), time.Now()
	r.took = r.at.Sub(began)
	return r
}
