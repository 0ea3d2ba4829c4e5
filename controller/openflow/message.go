package openflow

import (
	"encoding/binary"

	"github.com/portcullis/portcullis/flows"
)

// The messages (OpenFlow 1.5, section 7.1.1) that we say and understand.
const (
	version = 6 // OpenFlow 1.5

	typeHello            = 0
	typeError            = 1
	typeEchoRequest      = 2
	typeEchoReply        = 3
	typeSetConfig        = 9
	typePacketOut        = 13
	typeFlowMod          = 14
	typeMultipartRequest = 18
	typeMultipartReply   = 19
	typeBarrier          = 20
	typeBarrierReply     = 21
	typeMeterMod         = 29
	typeBundleControl    = 33
	typeBundleAdd        = 34

	headerSize    = 8
	multipartSize = 8 // of the head of a multipart message, behind the header
)

// The controls of a bundle (OpenFlow 1.5, section 7.3.9.4), and its flags.
const (
	openRequest   = 0
	commitRequest = 4
	commitReply   = 5

	atomicOrdered = 1<<0 | 1<<1
)

// The commands of a flow mod (OpenFlow 1.5, section 7.3.4.2).
const (
	flowAdd          = 0
	flowDeleteStrict = 4
)

// appendHeader appends the header of a message, whose length is filled in by putLength.
func appendHeader(b []byte, kind uint8, xid uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, version, kind, 0, 0), xid)
}

// putLength puts in the length of what begins at a place: of a message, a match, an instruction or an action, all of which have it there.
func putLength(b []byte, at int) []byte {
	binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at))
	return b
}

// appendHello offers the one version that we speak (OpenFlow 1.5, section 7.5.1).
func appendHello(b []byte, xid uint32) []byte {
	const bitmap, size = 1, 8
	at := len(b)
	b = append(appendHeader(b, typeHello, xid), 0, bitmap, 0, size, 0, 0, 0, 1<<version)
	return putLength(b, at)
}

// appendControl appends a control of a connection's only bundle.
func appendControl(b []byte, xid uint32, control uint16) []byte {
	at := len(b)
	b = append(appendHeader(b, typeBundleControl, xid), 0, 0, 0, 0) // its number is 0
	b = binary.BigEndian.AppendUint16(b, control)
	return putLength(binary.BigEndian.AppendUint16(b, atomicOrdered), at)
}

// appendBarrier asks for an answer to all that came before (OpenFlow 1.5, section 7.3.7).
func appendBarrier(b []byte, xid uint32) []byte {
	at := len(b)
	return putLength(appendHeader(b, typeBarrier, xid), at)
}

// appendBundled appends a flow mod as a part of the bundle.
func appendBundled(b []byte, xid uint32, command uint8, f flows.Flow) ([]byte, error) {
	at := len(b)
	b = append(appendHeader(b, typeBundleAdd, xid), 0, 0, 0, 0, 0, 0, 0, atomicOrdered)
	b, err := appendFlowMod(b, xid, command, f)
	return putLength(b, at), err
}

// appendFlowMod appends a flow mod (OpenFlow 1.5, section 7.3.4.2). A delete has no cookie and no actions: it takes the flow of the key.
func appendFlowMod(b []byte, xid uint32, command uint8, f flows.Flow) ([]byte, error) {
	const any4 = 0xffffffff // no buffered packet; whatever the port and the group of its outputs
	at := len(b)
	b = appendHeader(b, typeFlowMod, xid)
	if command == flowDeleteStrict {
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
	b, err := appendMatch(b, f.Match)
	if err == nil && command != flowDeleteStrict {
		b, err = appendInstructions(b, f.Actions)
	}
	return putLength(b, at), err
}

// appendInstructions appends the instruction to apply actions (OpenFlow 1.5, section 7.2.5), unless there are none.
func appendInstructions(b []byte, actions string) ([]byte, error) {
	const apply = 4
	at := len(b)
	b, err := appendActions(append(b, 0, apply, 0, 0, 0, 0, 0, 0), actions)
	if len(b) == at+headerSize {
		return b[:at], err
	}
	return putLength(b, at), err
}
