package ofswitch

import (
	"encoding/binary"

	"github.com/portcullis/portcullis/flows/openflow"
)

// This file frames OpenFlow messages. Flows in them are package openflow's.

// The messages (OpenFlow 1.5, section 7.1.1) that we say and understand.
const (
	typeHello            = 0
	typeError            = 1
	typeEchoRequest      = 2
	typeEchoReply        = 3
	typeExperimenter     = 4
	typeSetConfig        = 9
	typePacketOut        = 13
	typeMultipartRequest = 18
	typeMultipartReply   = 19
	typeBarrier          = 20
	typeBarrierReply     = 21
	typeMeterMod         = 29
	typeBundleControl    = 33
	typeBundleAdd        = 34

	headerSize    = openflow.HeaderSize
	multipartSize = 8 // of the head of a multipart message, behind the header
)

// The controls of a bundle (OpenFlow 1.5, section 7.3.9.4), and its flags.
const (
	openRequest    = 0
	commitRequest  = 4
	commitReply    = 5
	discardRequest = 6

	atomicOrdered = 1<<0 | 1<<1
)

// appendHello offers the one version that we speak (OpenFlow 1.5, section 7.5.1).
func appendHello(b []byte, xid uint32) []byte {
	const bitmap, size = 1, 8
	at := len(b)
	b = append(openflow.AppendHeader(b, typeHello, xid), 0, bitmap, 0, size, 0, 0, 0,
		1<<openflow.Version)
	return openflow.PutLength(b, at)
}

// appendControl appends a control of a connection's only bundle.
func appendControl(b []byte, xid uint32, control uint16) []byte {
	at := len(b)
	b = append(openflow.AppendHeader(b, typeBundleControl, xid), 0, 0, 0, 0) // its number is 0
	b = binary.BigEndian.AppendUint16(b, control)
	return openflow.PutLength(binary.BigEndian.AppendUint16(b, atomicOrdered), at)
}

// appendBarrier asks for an answer to all that came before (OpenFlow 1.5, section 7.3.7).
func appendBarrier(b []byte, xid uint32) []byte {
	at := len(b)
	return openflow.PutLength(openflow.AppendHeader(b, typeBarrier, xid), at)
}

// appendBundled appends a flow mod as a part of the bundle.
func appendBundled(b []byte, xid uint32, command uint8, f openflow.Flow) ([]byte, error) {
	at := len(b)
	b = append(openflow.AppendHeader(b, typeBundleAdd, xid), 0, 0, 0, 0, 0, 0, 0, atomicOrdered)
	b, err := openflow.AppendFlowMod(b, xid, command, f)
	return openflow.PutLength(b, at), err
}

// appendMultipart appends a multipart request, or a part of the answer to one (OpenFlow 1.5, section
// 7.3.5).
func appendMultipart(b []byte, message uint8, xid uint32, kind uint16, body []byte) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint16(openflow.AppendHeader(b, message, xid), kind)
	return openflow.PutLength(append(append(b, 0, 0, 0, 0, 0, 0), body...), at)
}
