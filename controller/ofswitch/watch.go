package ofswitch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/portcullis/portcullis/flows/openflow"
)

// This file hears what others change. The agent's watcher calls [Switch.Watch]. Invariant: a
// change that is not certainly ours is told.

// Watch listens to the switch until the connection to it ends or ctx does. It calls changed as soon
// as it listens, and then whenever flows of our tables were changed that Apply did not change.
// changed must not block. It is a hint: look at Dump.
//
// The result is never nil; after the end of ctx it wraps ctx's error.
//
// An ovs-vswitchd that restarts ends the connection, and so does the removal of the bridge.
func (s *Switch) Watch(ctx context.Context, changed func()) error {
	defer s.expected.close()
	begun := func() {
		s.expected.open()
		changed()
	}
	// Not ovs-ofctl: its monitor loses what is changed while it sets the format of packets, right
	// after it says that it listens.
	err := Watch(ctx, s.opts.Target, begun, func(c Change) {
		if s.isForeign(c) {
			changed()
		}
	})
	return fmt.Errorf("listen to the switch: %w", s.worded(ctx, err))
}

// isForeign says whether a change is one of our tables that is not ours. Changes that the switch
// had no room to report one by one count as foreign.
func (s *Switch) isForeign(c Change) bool {
	switch c.Event {
	case Added, Removed, Modified:
		return s.tables[c.Table] && !s.expected.consume(address{c.Table, c.Cookie})
	case Paused:
		s.expected.forget()
	}
	return true
}

// expectedEvents knows which events our own bundles will cause, so that they are not taken for
// somebody else's. The zero value is closed: it expects nothing.
type expectedEvents struct {
	mu      sync.Mutex
	isOpen  bool
	counts  map[address]int
	expires time.Time // zero while a bundle is under way
}

// lateEvents is how long after a bundle its events may arrive. What is still expected then never
// comes.
const lateEvents = 2 * time.Second

func (e *expectedEvents) open()  { e.reset(true) }
func (e *expectedEvents) close() { e.reset(false) }

func (e *expectedEvents) reset(isOpen bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.isOpen, e.counts = isOpen, nil
}

// forget expects nothing any more: whatever comes is looked at.
func (e *expectedEvents) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts = nil
}

// expect enters the changes of a bundle that is about to be sent.
func (e *expectedEvents) expect(lists ...[]openflow.Flow) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.isOpen {
		return
	}
	if e.counts == nil || e.expired() {
		e.counts = map[address]int{}
	}
	e.expires = time.Time{}
	for _, list := range lists {
		for _, f := range list {
			e.counts[addressOf(f)]++
		}
	}
}

// sent notes the end of a bundle.
func (e *expectedEvents) sent() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expires = time.Now().Add(lateEvents)
}

func (e *expectedEvents) expired() bool {
	return !e.expires.IsZero() && time.Now().After(e.expires)
}

// consume takes an event off the list and says whether it was on it.
func (e *expectedEvents) consume(at address) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.expired() {
		e.counts = nil
	}
	n := e.counts[at]
	if n == 0 {
		return false
	}
	if n > 1 {
		e.counts[at] = n - 1
		return true
	}
	delete(e.counts, at)
	if len(e.counts) == 0 {
		e.counts = nil // a map keeps the room of the largest bundle
	}
	return true
}

// Change is what a switch tells of its flows (OpenFlow 1.5, section 7.3.5.17).
type Change struct {
	Event  Event
	Table  uint8  // of a flow that was added, removed or modified; and so is the next
	Cookie uint64 // as it is now
}

// Event is what happened.
type Event uint16

// The events. After Paused the switch tells only of flows that are removed, until it has room again
// and tells what has become of the others.
const (
	Initial  Event = 0
	Added    Event = 1
	Removed  Event = 2
	Modified Event = 3
	Brief    Event = 4 // of a change by this connection
	Paused   Event = 5
	Resumed  Event = 6
)

var errUpdate = errors.New("an update of flows that is not understood")

// monitor is a way to ask a switch for what is changed, and to read what it tells then.
type monitor struct {
	request []byte // a hello, and the request, numbered monitorRequest
	// updates returns the updates that a message has, if it is one that has them; nil = it is too
	// short for any
	updates func(message) (updates []byte, ok bool)
	first   Event // what is numbered 0 here
	table   int   // where an update has the table of a flow
}

const monitorRequest = 2

// specified is the flow monitor of OpenFlow 1.5.
func specified() monitor {
	updates := func(m message) ([]byte, bool) {
		return after(m.body(), multipartSize), m.kind() == typeMultipartReply
	}
	return monitor{appendMonitor(appendHello(nil, 1), monitorRequest), updates, Initial, 4}
}

// Watch listens to what is changed in all tables of a switch until the conversation ends or ctx
// does. It calls begun when every later change will be told, and told for each. The result is never
// nil; after the end of ctx it wraps ctx's error.
//
// A switch that refuses the flow monitor of OpenFlow 1.5 is asked for Nicira's.
func Watch(ctx context.Context, target string, begun func(), told func(Change)) error {
	hasBegun := false
	err := watch(ctx, target, specified(), func() {
		hasBegun = true
		begun()
	}, told)
	// What is refused cannot be told by a number: Open vSwitch 2.15 gives none here.
	if hasBegun || !errors.As(err, new(*RefusedError)) {
		return err
	}
	return watchOld(ctx, target, begun, told)
}

func watch(ctx context.Context, target string, by monitor, begun func(), told func(Change)) error {
	conn, err := dial(ctx, target)
	if err != nil {
		return ended(ctx, err)
	}
	defer conn.Close()
	defer endWith(ctx, conn)()
	if _, err := conn.Write(by.request); err != nil {
		return ended(ctx, err)
	}
	for {
		m, err := receive(conn)
		if err == nil {
			err = m.refusal()
		}
		if err != nil {
			return ended(ctx, err)
		}
		updates, ok := by.updates(m)
		if !ok {
			continue
		}
		if m.xid() == monitorRequest {
			begun()
		}
		if err := by.eachChange(updates, told); err != nil {
			return fmt.Errorf("%w: %x", err, m)
		}
	}
}

// What both flow monitors are asked for by.
const (
	flowMonitor   = 16
	allTables     = 0xff
	watchAdded    = 1 << 1
	watchRemoved  = 1 << 2
	watchModified = 1 << 3
)

// appendMonitor asks for what is added, removed and modified in all tables from now on (OpenFlow
// 1.5, section 7.3.5.17).
func appendMonitor(b []byte, xid uint32) []byte {
	const any4 = 0xffffffff
	at := len(b)
	b = append(openflow.AppendHeader(b, typeMultipartRequest, xid), 0, flowMonitor, 0, 0, 0, 0, 0,
		0)
	b = binary.BigEndian.AppendUint32(b, 0) // its number
	b = binary.BigEndian.AppendUint32(b, any4)
	b = binary.BigEndian.AppendUint32(b, any4)
	b = append(b, 0, watchAdded|watchRemoved|watchModified, allTables, 0)
	b, _ = openflow.Match{}.Append(b) // of every flow
	return openflow.PutLength(b, at)
}

// eachChange tells the changes of a message: struct ofp_flow_update_full, or shorter ones that name
// no flow.
func (by monitor) eachChange(updates []byte, told func(Change)) error {
	const updateSize, fullSize, cookie = 4, 24, 16
	if updates == nil {
		return errUpdate
	}
	for len(updates) > 0 {
		if len(updates) < updateSize {
			return errUpdate
		}
		length, c := int(binary.BigEndian.Uint16(updates)),
			Change{Event: Event(binary.BigEndian.Uint16(updates[2:])) + by.first}
		if length < updateSize || length > len(updates) || c.Event <= Modified &&
			length < fullSize {
			return errUpdate
		}
		if c.Event <= Modified {
			c.Table, c.Cookie = updates[by.table], binary.BigEndian.Uint64(updates[cookie:])
		}
		told(c)
		updates = updates[length:]
	}
	return nil
}
