package upkeep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// The loop. It looks whenever rows changed, and when something is due. Invariant: nothing here
// depends on what the clock says, but how long a trial goes on that began before this one looked.

// The times of upkeep; hosts call a database stale that is silent for longer.
const (
	beatAfter       = 30 * time.Second // without a commit: then comes a beat
	spread          = 2 * time.Second  // members do not all come at one time
	transactionTime = 10 * time.Second // bounds one transaction
	again           = time.Second      // after one that failed
)

// Run keeps the database of a client in order until ctx ends; then it returns nil. Somebody else
// runs the client, whose Changed is Run's alone. Failures are logged and tried again: while there
// is no database there is nothing to be kept.
func Run(ctx context.Context, c *policydb.Client, log *logrus.Entry) error {
	u := &upkeep{client: c, log: log, now: time.Now}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.Changed():
		case <-timer.C:
		}
		timer.Reset(u.runDue(ctx))
	}
}

type upkeep struct {
	client *policydb.Client
	log    *logrus.Entry
	now    func() time.Time // with the monotonic reading, by which times are measured

	isLooking bool // the last look saw the database
	pulse     policydb.Pulse
	moved     time.Time     // when the pulse was seen to move last
	patience  time.Duration // from then to a beat
	trial     *trial        // nil = none is seen
}

// trial is one that goes on.
type trial struct {
	policydb.Trial
	ends     time.Time // monotonic
	wasFound bool      // it had begun before this upkeep looked: its age is what clocks say
}

// runDue does what is due and returns when to look again at the latest.
func (u *upkeep) runDue(ctx context.Context) time.Duration {
	pulse, err := u.client.Pulse()
	if err != nil {
		u.isLooking, u.moved = false, time.Time{}
		return beatAfter
	}
	if now := u.now(); pulse != u.pulse || u.moved.IsZero() {
		u.pulse, u.moved, u.patience = pulse, now, beatAfter+rand.N(spread)
	}
	ctx, cancel := context.WithTimeout(ctx, transactionTime)
	defer cancel()
	next := min(u.watchTrial(ctx), u.beat(ctx))
	u.report("forget old changes", u.client.Forget(ctx))
	u.isLooking = true
	return next
}

// beat writes a beat if nothing was committed for long.
func (u *upkeep) beat(ctx context.Context) time.Duration {
	if u.pulse == (policydb.Pulse{}) {
		return beatAfter
	}
	if left := u.patience - u.now().Sub(u.moved); left > 0 {
		return left
	}
	if !u.report("beat", u.client.Beat(ctx, u.pulse, u.now())) {
		return again
	}
	return beatAfter
}

// watchTrial takes a change back whose trial is over.
func (u *upkeep) watchTrial(ctx context.Context) time.Duration {
	found, err := u.client.OnTrial()
	if err != nil || found == nil {
		u.trial = nil
		return beatAfter
	}
	if u.trial == nil || u.trial.ID != found.ID {
		u.trial = u.begin(*found)
	}
	if left := u.trial.ends.Sub(u.now()); left > 0 {
		return left
	}
	made, err := u.client.Abandon(ctx, u.abandoning(), u.trial.Generation, u.trial.why())
	if !u.report("take a change back that was on trial", err) {
		return again
	}
	u.log.WithFields(logrus.Fields{"generation": made, "not_confirmed": u.trial.Generation}).
		Warn("a change was not confirmed in time and is taken back")
	return beatAfter
}

// begin says when a trial ends. One that began while this upkeep looked is measured by its own
// clock that nobody sets. One that was found is as old as the clock says, but never too young for
// it nor older than its window: a clock that is wrong ends it early, or has it go on for one window
// more, and that is said.
func (u *upkeep) begin(found policydb.Trial) *trial {
	t := &trial{Trial: found, wasFound: !u.isLooking}
	age := time.Duration(0)
	if t.wasFound {
		byClock := u.now().Round(0).Sub(found.At.Round(0))
		age = min(max(byClock, 0), found.Window())
		if byClock < 0 {
			u.log.WithField("generation", found.Generation).Warnf("a change on trial was made in "+
				"%s by the clock of this member: it may go on for longer than it was to, from now "+
				"for %s", -byClock, found.Window())
		}
	}
	t.ends = u.now().Add(found.Window() - age)
	return t
}

// why says what happened, for the history.
func (t *trial) why() string {
	words := fmt.Sprintf("not confirmed within %s", t.Window())
	if t.wasFound {
		words += " by the clock of a member that came to it later"
	}
	return words
}

// abandoning is the change by which a trial ends. All members call it the same, so it is made once.
func (u *upkeep) abandoning() policydb.Change {
	sum := sha256.Sum256([]byte("not confirmed: " + u.trial.ID))
	by := "upkeep"
	if host, err := os.Hostname(); err == nil {
		by += "@" + host
	}
	return policydb.Change{ID: hex.EncodeToString(sum[:]), At: u.now(), By: by, From: "trial"}
}

// report logs a failure and says whether there is none. That somebody else was quicker is none, nor
// that there is no database.
func (u *upkeep) report(what string, err error) bool {
	refused := (*client.RefusedError)(nil)
	switch {
	case err == nil, errors.As(err, &refused):
	case errors.Is(err, client.ErrNotConnected), errors.Is(err, policydb.ErrNoTrial):
	default:
		u.log.WithError(err).Error("cannot " + what)
		return false
	}
	return err == nil
}
