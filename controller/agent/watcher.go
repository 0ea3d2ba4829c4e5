package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/controller/advisory"
)

// This file listens to the switch, in a goroutine of its own. sync drains what it has noted.
// Invariant: it decides nothing.

// switchWatcher listens to the switch for as long as the agent runs. It only notes what it hears.
type switchWatcher struct {
	sw      Switch
	version func(context.Context) (string, error) // nil = nobody tells
	log     *logrus.Entry
	changed signal

	mu      sync.Mutex
	events  switchEvents
	lastErr string
	began   time.Time // when it was looked for first
	warned  bool      // that it is not there
}

// startTime is how long a start waits for the switch before that is worth a warning: the bridge may
// be yet to be made.
const startTime = 10 * time.Second

// answerTime is how long a version is waited for, which nothing depends on.
const answerTime = time.Second

// switchEvents are what the watcher has noted.
type switchEvents struct {
	up      bool   // the switch is there
	session uint64 // counts connections
	// the flows are to be looked at: there is a new connection, or somebody else may have changed
	// some
	touched bool
	foreign bool   // somebody else may have changed some since the last look
	err     error  // why it is not up
	version string // that it has said last; "" = none
}

// away says why the switch is not there.
func (e switchEvents) away() error {
	if e.err == nil {
		return errors.New("the switch: not connected yet")
	}
	return fmt.Errorf("the switch: %w", e.err)
}

func newSwitchWatcher(sw Switch, version func(context.Context) (string, error),
	log *logrus.Entry) *switchWatcher {
	return &switchWatcher{sw: sw, version: version, log: log, changed: newSignal(),
		began: time.Now()}
}

// run listens, again and again, until ctx ends.
func (w *switchWatcher) run(ctx context.Context) {
	for pauses := NewBackOff(minRetry, maxReconnect); ctx.Err() == nil; {
		wasUp := false
		w.readVersion(ctx)
		err := w.sw.Watch(ctx, func() {
			w.note(!wasUp)
			wasUp = true
		})
		if ctx.Err() != nil {
			return
		}
		w.disconnected(err)
		if wasUp {
			pauses.Reset()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pauses.NextBackOff()):
		}
	}
}

// note notes a connection, or a change by somebody else.
func (w *switchWatcher) note(isNew bool) {
	w.mu.Lock()
	if isNew {
		w.events.up, w.events.err, w.lastErr = true, nil, ""
		w.events.session++
	}
	w.events.touched = true
	w.events.foreign = w.events.foreign || !isNew
	w.mu.Unlock()
	if isNew {
		w.log.Info("connected to the switch")
	}
	w.changed.set()
}

// disconnected notes that there is no connection. A failure that repeats itself is told once.
func (w *switchWatcher) disconnected(err error) {
	w.mu.Lock()
	isNews := w.lastErr != err.Error()
	w.events.up, w.events.err, w.lastErr = false, err, err.Error()
	isStarting := w.events.session == 0 && time.Since(w.began) < startTime
	warns := !isStarting && (isNews || !w.warned)
	w.warned = w.warned || warns
	w.mu.Unlock()
	switch log := w.log.WithError(err); {
	case warns:
		log.Warn("no connection to the switch")
	case isNews:
		log.Debug("no connection to the switch yet")
	}
	if isNews {
		w.changed.set()
	}
}

// isUp says whether the switch is there.
func (w *switchWatcher) isUp() bool {
	return w.now().up
}

// now returns what was noted.
func (w *switchWatcher) now() switchEvents {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events
}

// drain returns what was noted, and begins anew.
func (w *switchWatcher) drain() switchEvents {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.events
	w.events.touched, w.events.foreign = false, false
	return e
}

// requeue undoes a drain: the flows could not be read, and what was noted still stands.
func (w *switchWatcher) requeue(e switchEvents) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events.touched = w.events.touched || e.touched
	w.events.foreign = w.events.foreign || e.foreign
}

// readVersion asks Open vSwitch for its version before it is listened to: one that is too old for
// that is told of then, too.
func (w *switchWatcher) readVersion(ctx context.Context) {
	if w.version == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	version, err := w.version(ctx)
	if err != nil {
		w.log.WithError(err).Debug("the version of Open vSwitch is not known")
		return
	}
	w.mu.Lock()
	isNews := w.events.version != version
	w.events.version = version
	w.mu.Unlock()
	if isNews {
		w.changed.set()
	}
}

// noteVersion notes the version of Open vSwitch, and logs what is known against a new one. It is
// what the start scripts have recorded or else, with "", what ovs-vswitchd has said.
func (r *reconciler) noteVersion(recorded string) {
	version := cmp.Or(recorded, r.watcher.now().version)
	if version == r.ovs {
		return
	}
	r.ovs = version
	for _, w := range advisory.Against(version) {
		r.log.Warn(w)
	}
}
