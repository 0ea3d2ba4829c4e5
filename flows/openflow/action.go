package openflow

import "encoding/binary"

// Action is one thing that is done to a packet. The actions are those of this file and of track.go.
// All are comparable.
type Action interface {
	// append appends the action as OpenFlow has it.
	append(b []byte) []byte
}

type (
	// Output sends the packet out of a port.
	Output struct{ Port uint32 }
	// Show sends so many bytes of the packet to who asked the switch for such.
	Show struct{ Bytes uint16 }
	// Meter drops what is above the rate of a meter. Open vSwitch takes it as the first action only.
	Meter struct{ ID uint32 }
	// Resubmit goes through a table and comes back.
	Resubmit struct{ Table uint8 }
	// SetField writes a field, or those of its bits that are not masked.
	SetField struct{ OXM }
	// Move copies bits.
	Move struct{ From, To Bits }
	// Push saves bits on the stack.
	Push struct{ Bits }
	// Pop takes them back.
	Pop struct{ Bits }
	// PopVLAN takes the outermost tag off.
	PopVLAN struct{}
	// ClearTrack forgets what the connection tracker said.
	ClearTrack struct{}
	// Conjunction says that the flow is one of the clauses of a conjunction: the first has number 1.
	Conjunction struct {
		ID         uint32
		Clause, Of uint8
	}
)

// The numbers of the actions of OpenFlow (OpenFlow 1.5, section 7.2.6) and of those of Nicira
// (ovs-actions(7)).
const (
	actionOutput       = 0
	actionPopVLAN      = 18
	actionSetField     = 25
	actionCopyField    = 28
	actionMeter        = 29
	actionExperimenter = 0xffff

	niciraVendor      = 0x00002320
	niciraResubmit    = 14
	niciraPush        = 27
	niciraPop         = 28
	niciraConjunction = 34
	niciraTrack       = 35
	niciraClearTrack  = 43
)

// begin appends the head of an action; finish fills in its length.
func begin(b []byte, kind uint16) []byte {
	return append(binary.BigEndian.AppendUint16(b, kind), 0, 0)
}

// beginNicira is begin for an action of Nicira.
func beginNicira(b []byte, subtype uint16) []byte {
	b = binary.BigEndian.AppendUint32(begin(b, actionExperimenter), niciraVendor)
	return binary.BigEndian.AppendUint16(b, subtype)
}

// finish fills the action that begins at a place up to a multiple of 8 bytes, and puts its length
// in.
func finish(b []byte, at int) []byte { return PutLength(pad8(b, at), at) }

func (a Output) append(b []byte) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint32(begin(b, actionOutput), a.Port)
	return finish(append(b, 0, 0), at)
}

func (a Show) append(b []byte) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint32(begin(b, actionOutput), PortController)
	return finish(binary.BigEndian.AppendUint16(b, a.Bytes), at)
}

func (a Meter) append(b []byte) []byte {
	return finish(binary.BigEndian.AppendUint32(begin(b, actionMeter), a.ID), len(b))
}

func (a Resubmit) append(b []byte) []byte {
	const inPort = 0xfff8 // as the packet has it
	at := len(b)
	b = binary.BigEndian.AppendUint16(beginNicira(b, niciraResubmit), inPort)
	return finish(append(b, a.Table), at)
}

func (a SetField) append(b []byte) []byte {
	return finish(a.OXM.append(begin(b, actionSetField)), len(b))
}

// append of a move, which is OpenFlow's, names the fields as OpenFlow does; push, pop and ct, which
// are Nicira's, name them as Nicira did.
func (a Move) append(b []byte) []byte {
	at := len(b)
	b = begin(b, actionCopyField)
	for _, v := range []uint16{uint16(a.From.Count), uint16(a.From.First), uint16(a.To.First), 0} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, a.From.Field.header())
	return finish(binary.BigEndian.AppendUint32(b, a.To.Field.header()), at)
}

func (a Push) append(b []byte) []byte { return a.appendStack(b, niciraPush) }
func (a Pop) append(b []byte) []byte  { return a.appendStack(b, niciraPop) }

func (s Bits) appendStack(b []byte, subtype uint16) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint16(beginNicira(b, subtype), uint16(s.First))
	b = binary.BigEndian.AppendUint32(b, s.Field.niciraHeader())
	return finish(binary.BigEndian.AppendUint16(b, uint16(s.Count)), at)
}

func (PopVLAN) append(b []byte) []byte { return finish(begin(b, actionPopVLAN), len(b)) }

func (ClearTrack) append(b []byte) []byte {
	return finish(beginNicira(b, niciraClearTrack), len(b))
}

func (a Conjunction) append(b []byte) []byte {
	at := len(b)
	b = append(beginNicira(b, niciraConjunction), a.Clause-1, a.Of) // counted from 0
	return finish(binary.BigEndian.AppendUint32(b, a.ID), at)
}
