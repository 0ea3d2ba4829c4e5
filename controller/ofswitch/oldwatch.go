package ofswitch

import "encoding/binary"

// This file is the flow monitor of Open vSwitch before 3.0, which takes that of OpenFlow 1.5 for
// its own, and refuses it. listen asks by it then. Invariant: it tells what the other one tells.

// Before 3.0 Open vSwitch reads the request of OpenFlow 1.4 and later as Nicira's (nicira-ext.h of
// Open vSwitch, NXST_FLOW_MONITOR), answers it in that version, and tells of changes as OpenFlow
// 1.0 has it. The numbers of messages and events there are not those of OpenFlow 1.5.
const (
	version10 = 1
	nicira    = 0x2320

	typeVendor10     = 4
	typeStatsReply10 = 17

	monitorPaused  = 22
	monitorResumed = 23

	vendorSize = 8  // of the head of an extension's message, behind the header
	statsSize  = 16 // of the head of an extension's statistics
)

// old is Nicira's flow monitor.
func old() monitor {
	const table = 14
	return monitor{appendOldMonitor, message.oldUpdates, Added, table}
}

// appendOldMonitor asks for what is added, removed and modified in all tables from now on.
func appendOldMonitor(b []byte, xid uint32) []byte {
	const anyPort = 0xffff
	body := binary.BigEndian.AppendUint16([]byte{0, 0, 0, 0, 0, watchAdded | watchRemoved | watchModified}, anyPort)
	body = append(body, 0, 0, allTables, 0, 0, 0, 0, 0) // of every flow
	return appendMultipart(b, typeMultipartRequest, xid, flowMonitor, body)
}

// oldUpdates returns the updates that a message has, if it is one that has them; nil = it is too
// short for any. A pause and its end, which are messages of their own, are updates like others.
func (m message) oldUpdates() (updates []byte, ok bool) {
	body := m.body()
	switch {
	case m.kind() == typeMultipartReply && m[0] != version10:
		return after(body, multipartSize), true
	case m.kind() == typeStatsReply10 && m[0] == version10:
		return after(body, statsSize), true
	case m.kind() == typeVendor10 && len(body) >= vendorSize &&
		binary.BigEndian.Uint32(body) == nicira:
		switch binary.BigEndian.Uint32(body[4:]) {
		case monitorPaused:
			return []byte{0, 4, 0, byte(Paused - Added)}, true
		case monitorResumed:
			return []byte{0, 4, 0, byte(Resumed - Added)}, true
		}
	}
	return nil, false
}

// after returns what is behind a head, not nil; nil = it is shorter than that.
func after(b []byte, head int) []byte {
	if len(b) < head {
		return nil
	}
	return b[head:]
}
