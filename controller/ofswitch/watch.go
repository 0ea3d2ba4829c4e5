package ofswitch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

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
	// Not ovs-ofctl: its monitor loses what is changed while it sets the format of packets, right
	// after it says that it listens.
	err := listen(ctx, s.opts.Target, changed, func(c Change) {
		if s.isForeign(c) {
			changed()
		}
	}, s.shared.Store)
	return fmt.Errorf("listen to the switch: %w", s.worded(ctx, err))
}

// isForeign says whether a change is one of our tables that is not ours. Of ours, which are made on
// the same connection, only is told that there are some. Changes that the switch had no room to
// report one by one count as foreign.
func (s *Switch) isForeign(c Change) bool {
	switch c.Event {
	case Added, Removed, Modified:
		return s.tables[c.Table]
	case Brief:
		return false
	}
	return true
}

// shared is the connection on which the switch is listened to, for who says something on it
// meanwhile: one at a time. The zero shared has none.
type shared struct {
	atomic.Pointer[conn]
	saying sync.Mutex
}

// lend returns the connection, which is to be given back; nil = there is none.
func (s *shared) lend() *conn {
	s.saying.Lock()
	c := s.Load()
	if c == nil {
		s.saying.Unlock()
	}
	return c
}

func (s *shared) giveBack() { s.saying.Unlock() }

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
	// request appends the request
	request func(b []byte, xid uint32) []byte
	// updates returns the updates that a message has, if it is one that has them; nil = it is too
	// short for any
	updates func(message) (updates []byte, ok bool)
	first   Event // what is numbered 0 here
	table   int   // where an update has the table of a flow
}

// specified is the flow monitor of OpenFlow 1.5.
func specified() monitor {
	updates := func(m message) ([]byte, bool) {
		return after(m.body(), multipartSize), m.kind() == typeMultipartReply
	}
	return monitor{appendMonitor, updates, Initial, 4}
}

// listen listens to what is changed in all tables of a switch until the conversation ends or ctx
// does. It calls begun when every later change will be told, and told for each. From lend(c) to
// lend(nil) others may say something on the connection. The result is never nil; after the end of
// ctx it wraps ctx's error.
//
// A switch that refuses the flow monitor of OpenFlow 1.5 is asked for Nicira's.
func listen(ctx context.Context, target string, begun func(), told func(Change),
	lend func(*conn)) error {
	hasBegun := false
	err := watch(ctx, target, specified(), func() {
		hasBegun = true
		begun()
	}, told, lend)
	// What is refused cannot be told by a number: Open vSwitch 2.15 gives none here.
	if hasBegun || !errors.As(err, new(*RefusedError)) {
		return err
	}
	return watch(ctx, target, old(), begun, told, lend)
}

// monitorRequest is the number of the request: that of what follows the hello.
const monitorRequest = 2

func watch(ctx context.Context, target string, by monitor, begun func(), told func(Change),
	lend func(*conn)) error {
	hasBegun := false
	hear := func(c *conn, m message) (is bool, err error) {
		if err := m.refusal(); err != nil && !hasBegun {
			return true, err
		}
		updates, ok := by.updates(m)
		if !ok {
			return false, nil
		}
		if m.xid() == monitorRequest && !hasBegun {
			hasBegun = true
			lend(c)
			begun()
		}
		if err := by.eachChange(updates, told); err != nil {
			return true, fmt.Errorf("%w: %x", err, m)
		}
		return true, nil
	}
	defer lend(nil)
	return withListener(ctx, target, hear, func(c *conn) error {
		request := by.request(c.pending, c.next())
		c.pending = nil
		if _, err := c.nc.Write(request); err != nil { // others may use c from here on
			return err
		}
		<-c.over
		return c.why
	})
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
	body := binary.BigEndian.AppendUint32(nil, 0) // its number
	body = binary.BigEndian.AppendUint32(body, any4)
	body = binary.BigEndian.AppendUint32(body, any4)
	body = append(body, 0, watchAdded|watchRemoved|watchModified, allTables, 0)
	body, _ = openflow.Match{}.Append(body) // of every flow
	return appendMultipart(b, typeMultipartRequest, xid, flowMonitor, body)
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
