package ofswitch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/portcullis/portcullis/flows/openflow"
)

// Watch listens to the switch until the connection to it ends or ctx does. It calls changed as soon as it listens, and then whenever
// flows of our tables were changed that Apply did not change. changed must not block. It is a hint: look at Dump.
//
// The result is never nil; after the end of ctx it wraps ctx's error.
//
// An ovs-vswitchd that restarts ends the connection, and so does the removal of the bridge.
func (s *Switch) Watch(ctx context.Context, changed func()) error {
	defer s.ledger.close()
	begun := func() {
		s.ledger.open()
		changed()
	}
	// Not ovs-ofctl: its monitor loses what is changed while it sets the format of packets, right after it says that it listens.
	err := Watch(ctx, s.opts.Target, begun, func(c Change) {
		if s.isForeign(c) {
			changed()
		}
	})
	return fmt.Errorf("listen to the switch: %w", err)
}

// isForeign says whether a change is one of our tables that is not ours. Changes that the switch had no room to report one by one count as
// foreign.
func (s *Switch) isForeign(c Change) bool {
	switch c.Event {
	case Added, Removed, Modified:
		return s.tables[c.Table] && !s.ledger.strike(address{c.Table, c.Cookie})
	case Paused:
		s.ledger.forget()
	}
	return true
}

// ledger knows which events our own bundles will cause, so that they are not taken for somebody else's. The zero ledger is closed: it
// expects nothing.
type ledger struct {
	mu       sync.Mutex
	isOpen   bool
	expected map[address]int
	expires  time.Time // zero while a bundle is under way
}

// settleTime is how long after a bundle its events may arrive. What is still expected then never comes.
const settleTime = 2 * time.Second

func (l *ledger) open()  { l.reset(true) }
func (l *ledger) close() { l.reset(false) }

func (l *ledger) reset(isOpen bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isOpen, l.expected = isOpen, nil
}

// forget expects nothing any more: whatever comes is looked at.
func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expected = nil
}

// expect enters the changes of a bundle that is about to be sent.
func (l *ledger) expect(lists ...[]openflow.Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isOpen {
		return
	}
	if l.expected == nil || l.expired() {
		l.expected = map[address]int{}
	}
	l.expires = time.Time{}
	for _, list := range lists {
		for _, f := range list {
			l.expected[addressOf(f)]++
		}
	}
}

// settle notes the end of a bundle.
func (l *ledger) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expires = time.Now().Add(settleTime)
}

func (l *ledger) expired() bool { return !l.expires.IsZero() && time.Now().After(l.expires) }

// strike takes an event off the list and says whether it was on it.
func (l *ledger) strike(at address) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expired() {
		l.expected = nil
	}
	n := l.expected[at]
	if n == 0 {
		return false
	}
	if n > 1 {
		l.expected[at] = n - 1
		return true
	}
	delete(l.expected, at)
	if len(l.expected) == 0 {
		l.expected = nil // a map keeps the room of the largest bundle
	}
	return true
}
