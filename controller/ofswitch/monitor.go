package ofswitch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/portcullis/portcullis/flows/openflow"
)

// Change is what a switch tells of its flows (OpenFlow 1.5, section 7.3.5.17).
type Change struct {
	Event  Event
	Table  uint8  // of a flow that was added, removed or modified; and so is the next
	Cookie uint64 // as it is now
}

// Event is what happened.
type Event uint16

// The events. After Paused the switch tells only of flows that are removed, until it has room again and tells what has become of the others.
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

// Watch listens to what is changed in all tables of a switch until the conversation ends or ctx does. It calls begun when every later
// change will be told, and told for each. The result is never nil; after the end of ctx it wraps ctx's error.
func Watch(ctx context.Context, target string, begun func(), told func(Change)) error {
	conn, err := dial(ctx, target)
	if err != nil {
		return ended(ctx, err)
	}
	defer conn.Close()
	defer endWith(ctx, conn)()
	const request = 2
	if _, err := conn.Write(appendMonitor(appendHello(nil, 1), request)); err != nil {
		return ended(ctx, err)
	}
	for {
		m, err := receive(conn)
		if err == nil {
			err = m.refusal()
		}
		if err == nil && m.kind() == typeMultipartReply {
			if m.xid() == request {
				begun()
			}
			err = m.eachChange(told)
		}
		if err != nil {
			return ended(ctx, err)
		}
	}
}

// appendMonitor asks for what is added, removed and modified in all tables from now on (OpenFlow 1.5, section 7.3.5.17).
func appendMonitor(b []byte, xid uint32) []byte {
	const (
		flowMonitor = 16
		any4        = 0xffffffff
		allTables   = 0xff
		add         = 1 << 1
		removed     = 1 << 2
		modify      = 1 << 3
	)
	at := len(b)
	b = append(openflow.AppendHeader(b, typeMultipartRequest, xid), 0, flowMonitor, 0, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, 0) // its number
	b = binary.BigEndian.AppendUint32(b, any4)
	b = binary.BigEndian.AppendUint32(b, any4)
	b = append(b, 0, add|removed|modify, allTables, 0)
	b, _ = openflow.Match{}.Append(b) // of every flow
	return openflow.PutLength(b, at)
}

// eachChange tells the changes of a multipart reply: struct ofp_flow_update_full, or shorter ones that name no flow.
func (m message) eachChange(told func(Change)) error {
	const updateSize, fullSize = 4, 24
	updates := m.body()
	if len(updates) < multipartSize {
		return fmt.Errorf("%w: %x", errUpdate, m)
	}
	for updates = updates[multipartSize:]; len(updates) > 0; {
		if len(updates) < updateSize {
			return fmt.Errorf("%w: %x", errUpdate, updates)
		}
		length, c := int(binary.BigEndian.Uint16(updates)), Change{Event: Event(binary.BigEndian.Uint16(updates[2:]))}
		if length < updateSize || length > len(updates) || c.Event <= Modified && length < fullSize {
			return fmt.Errorf("%w: %x", errUpdate, updates)
		}
		if c.Event <= Modified {
			c.Table, c.Cookie = updates[4], binary.BigEndian.Uint64(updates[16:])
		}
		told(c)
		updates = updates[length:]
	}
	return nil
}
