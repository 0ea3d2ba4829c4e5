package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// link listens to the switch for as long as the controller runs. It only notes what it hears.
type link struct {
	sw      Switch
	log     *logrus.Entry
	changed signal

	mu      sync.Mutex
	heard   heard
	lastErr string
}

// heard is what the link has noted.
type heard struct {
	up      bool   // the switch is there
	session uint64 // counts connections
	touched bool   // the flows are to be looked at: there is a new connection, or somebody else may have changed some
	foreign bool   // somebody else may have changed some since the last look
	err     error  // why it is not up
}

// away says why the switch is not there.
func (h heard) away() error {
	if h.err == nil {
		return errors.New("the switch: not connected yet")
	}
	return fmt.Errorf("the switch: %w", h.err)
}

func newLink(sw Switch, log *logrus.Entry) *link {
	return &link{sw: sw, log: log, changed: newSignal()}
}

// run listens, again and again, until ctx ends.
func (l *link) run(ctx context.Context) {
	for pause := minRetry; ctx.Err() == nil; pause = min(2*pause, maxRelink) {
		wasUp := false
		err := l.sw.Watch(ctx, func() {
			l.hear(!wasUp)
			wasUp = true
		})
		if ctx.Err() != nil {
			return
		}
		l.lose(err)
		if wasUp {
			pause = minRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// hear notes a connection, or a change by somebody else.
func (l *link) hear(isNew bool) {
	l.mu.Lock()
	if isNew {
		l.heard.up, l.heard.err, l.lastErr = true, nil, ""
		l.heard.session++
	}
	l.heard.touched = true
	l.heard.foreign = l.heard.foreign || !isNew
	l.mu.Unlock()
	if isNew {
		l.log.Info("connected to the switch")
	}
	l.changed.set()
}

// lose notes that there is no connection. A failure that repeats itself is told once.
func (l *link) lose(err error) {
	l.mu.Lock()
	known := l.lastErr == err.Error()
	l.heard.up, l.heard.err, l.lastErr = false, err, err.Error()
	l.mu.Unlock()
	if !known {
		l.log.WithError(err).Warn("no connection to the switch")
		l.changed.set()
	}
}

// isUp says whether the switch is there.
func (l *link) isUp() bool {
	return l.now().up
}

// now returns what was heard.
func (l *link) now() heard {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard
}

// take returns what was heard and begins a new look.
func (l *link) take() heard {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.heard
	l.heard.touched, l.heard.foreign = false, false
	return h
}

// untake undoes a take: the look failed, and what was heard still stands.
func (l *link) untake(h heard) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard.touched = l.heard.touched || h.touched
	l.heard.foreign = l.heard.foreign || h.foreign
}
