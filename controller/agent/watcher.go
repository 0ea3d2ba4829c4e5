package agent

import (
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

// switchEvents are what the watcher has noted.
type switchEvents struct {
	up      bool   // the switch is there
	session uint64 // counts connections
	// the flows are to be looked at: there is a new connection, or somebody else may have changed
	// some
	touched bool
	foreign bool  // somebody else may have changed some since the last look
	err     error // why it is not up
}

// away says why the switch is not there.
func (e switchEvents) away() error {
	if e.err == nil {
		return errors.New("the switch: not connected yet")
	}
	return fmt.Errorf("the switch: %w", e.err)
}

func newSwitchWatcher(sw Switch, log *logrus.Entry) *switchWatcher {
	return &switchWatcher{sw: sw, log: log, changed: newSignal(), began: time.Now()}
}

// run listens, again and again, until ctx ends.
func (w *switchWatcher) run(ctx context.Context) {
	for pauses := NewBackOff(minRetry, maxReconnect); ctx.Err() == nil; {
		wasUp := false
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
		w.warned = false
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

// noteVersion notes the version of Open vSwitch, and logs what is known against a new one.
func (r *reconciler) noteVersion(ovs string) {
	if ovs == r.ovs {
		return
	}
	r.ovs = ovs
	for _, w := range advisory.Against(ovs) {
		r.log.Warn(w)
	}
}
