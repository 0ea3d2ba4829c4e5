package openflow

import (
	"encoding/binary"
)

const (
	// Version is that of every message: OpenFlow 1.5.
	Version = 6
	// HeaderSize is the size of the header of a message.
	HeaderSize = 8

	typeFlowMod = 14
)

// The commands of a flow mod (OpenFlow 1.5, section 7.3.4.2).
const (
	Add          = 0
	DeleteStrict = 4
)

// AppendHeader appends the header of a message, whose length is filled in by [PutLength].
func AppendHeader(b []byte, kind uint8, xid uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, Version, kind, 0, 0), xid)
}

// PutLength puts in the length of what begins at a place: of a message, a match, an instruction or
// an action, all of which have it there.
func PutLength(b []byte, at int) []byte {
	binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at))
	return b
}

// AppendFlowMod appends a flow mod (OpenFlow 1.5, section 7.3.4.2). A delete has no cookie and no
// actions: it takes the flow of the key.
func AppendFlowMod(b []byte, xid uint32, command uint8, f Flow) ([]byte, error) {
	const any4 = 0xffffffff // no buffered packet; whatever the port and the group of its outputs
	at := len(b)
	b = AppendHeader(b, typeFlowMod, xid)
	if command == DeleteStrict {
		f.Cookie = 0
	}
	b = binary.BigEndian.AppendUint64(b, f.Cookie)
	b = binary.BigEndian.AppendUint64(b, 0) // mask of the cookie
	b = append(b, f.Table, command, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, f.Priority)
	for range 3 {
		b = binary.BigEndian.AppendUint32(b, any4)
	}
	b = append(b, 0, 0, 0, 0) // flags, importance
	b, err := f.Match.Append(b)
	if err == nil && command != DeleteStrict {
		b, err = appendInstructions(b, f.Actions)
	}
	return PutLength(b, at), err
}

// appendInstructions appends the instruction to apply actions (OpenFlow 1.5, section 7.2.5), unless
// there are none.
func appendInstructions(b []byte, actions Actions) ([]byte, error) {
	const apply = 4
	at := len(b)
	b, err := actions.Append(append(b, 0, apply, 0, 0, 0, 0, 0, 0))
	if len(b) == at+HeaderSize {
		return b[:at], err
	}
	return PutLength(b, at), err
}
