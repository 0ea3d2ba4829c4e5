package openflow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// This file reads flows as a switch describes them. What reads them back calls it. Invariant: a
// flow that has what no flow of a program has is not taken for one.

// Description is one flow as a switch describes it (OpenFlow 1.5, section 7.3.5.2: struct
// ofp_flow_desc).
type Description []byte

// ErrDescription says that a switch describes flows in a way that is not understood.
var ErrDescription = errors.New("a description of flows that is not understood")

// Where a description has what is before the match: its flags, timeouts and importance lie between
// the priority and the cookie.
const (
	descTable    = 4
	descPriority = 6
	descExtras   = 8
	descCookie   = 16
	descMatch    = 24
	descLeast    = descMatch + 8 + 8 // with a match and statistics of nothing
)

// CutDescription cuts the first description off.
func CutDescription(b []byte) (d Description, rest []byte, err error) {
	if len(b) < descLeast {
		return nil, nil, fmt.Errorf("%w: %x", ErrDescription, b)
	}
	length := int(binary.BigEndian.Uint16(b))
	if length < descLeast || length > len(b) {
		return nil, nil, fmt.Errorf("%w: %x", ErrDescription, b)
	}
	return Description(b[:length]), b[length:], nil
}

// Table is that of the flow.
func (d Description) Table() uint8 { return d[descTable] }

// parts returns the fields of the match, the statistics and the instructions.
func (d Description) parts() (match, stats, instructions []byte, ok bool) {
	if match, stats, ok = cutPadded(d[descMatch:]); !ok {
		return nil, nil, nil, false
	}
	stats, instructions, ok = cutPadded(stats)
	return match, stats, instructions, ok
}

// cutPadded cuts off what says its length, with its head of 4 bytes, and is filled up to a multiple
// of 8 bytes; the head is left out.
func cutPadded(b []byte) (inner, rest []byte, ok bool) {
	const head = 4
	if len(b) < head {
		return nil, nil, false
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	padded := (length + 7) &^ 7
	if length < head || padded > len(b) {
		return nil, nil, false
	}
	return b[head:length], b[padded:], true
}

// Counts are what a flow has counted.
type Counts struct {
	Packets uint64
	Bytes   uint64 // of whole Ethernet frames, without the checksum
	// since it was installed, or replaced by another of its key: that one's packets are counted on
	Age time.Duration
}

// Counts returns the counters. What the switch does not know is 0. (OpenFlow 1.5, section 7.2.4.2:
// OXS fields.)
func (d Description) Counts() (c Counts, err error) {
	const class, duration, packets, bytes = 0x8002, 0, 4, 5
	_, stats, _, ok := d.parts()
	for ok && len(stats) > 0 {
		var header uint32
		var value []byte
		if header, value, stats, ok = cutField(stats); !ok {
			break
		}
		isNumber := header>>16 == class && len(value) == 8
		switch field := header >> 9 & 0x7f; {
		case !isNumber:
		case field == duration:
			c.Age = time.Duration(binary.BigEndian.Uint32(value))*time.Second +
				time.Duration(binary.BigEndian.Uint32(value[4:]))
		case field == packets:
			c.Packets = binary.BigEndian.Uint64(value)
		case field == bytes:
			c.Bytes = binary.BigEndian.Uint64(value)
		}
	}
	if !ok {
		return Counts{}, fmt.Errorf("%w: %x", ErrDescription, []byte(d))
	}
	return c, nil
}

// cutField cuts off a field of a match or of statistics: a header, whose last byte is the length of
// what follows, and that.
func cutField(b []byte) (header uint32, value, rest []byte, ok bool) {
	const head = 4
	if len(b) < head || len(b) < head+int(b[3]) {
		return 0, nil, nil, false
	}
	end := head + int(b[3])
	return binary.BigEndian.Uint32(b), b[head:end], b[end:], true
}

// Reader reads flows that a switch describes, and each list of actions once: there are fewer of
// them than flows by orders of magnitude. The zero Reader is ready.
type Reader struct{ lists map[string]actionList }

type actionList struct {
	actions Actions
	isKnown bool
}

// Flow returns the flow; false if it has what no flow of a program has (another field or action, a
// timeout, an importance, a flag), so that only its text tells what it is.
func (r *Reader) Flow(d Description) (Flow, bool) {
	f := Flow{Table: d.Table(), Priority: binary.BigEndian.Uint16(d[descPriority:]),
		Cookie: binary.BigEndian.Uint64(d[descCookie:])}
	match, _, instructions, ok := d.parts()
	if !ok || binary.BigEndian.Uint64(d[descExtras:]) != 0 {
		return f, false
	}
	if f.Match, ok = describedMatch(match); !ok {
		return f, false
	}
	f.Actions, ok = r.actions(instructions)
	return f, ok
}

// describedMatch reads the fields of a match, in whatever order the switch has them. Of registers
// Open vSwitch makes pairs (ovs-fields(7), xreg0).
func describedMatch(b []byte) (Match, bool) {
	var space [maxFields]OXM
	fields := space[:0]
	for len(b) > 0 {
		header, value, rest, ok := cutField(b)
		if !ok || len(fields)+2 > maxFields {
			return Match{}, false
		}
		b = rest
		if header>>16 == registerPairs {
			fields = appendPair(fields, header, value)
			continue
		}
		o, ok := describedOXM(header, value)
		if !ok {
			return Match{}, false
		}
		fields = append(fields, o)
	}
	m, err := NewMatch(fields...)
	return m, err == nil
}

// registerPairs is the class of pairs of registers (OpenFlow 1.5, section 7.2.3.3).
const registerPairs = 0x8001

// appendPair appends the registers of a pair of which something counts. What is not in the table
// of fields is no field, which no match can have.
func appendPair(fields []OXM, header uint32, value []byte) []OXM {
	const half = 4
	value, mask := cutMask(header, value)
	if len(value) != 2*half {
		return append(fields, OXM{})
	}
	for n := range uint32(2) {
		at := n * half
		var counts []byte
		if mask != nil {
			counts = mask[at : at+half]
			if binary.BigEndian.Uint32(counts) == 0 {
				continue
			}
		}
		f := byHeader[nxmNX+(header>>9&0x7f*2+n)*number+half]
		fields = append(fields, newOXM(f, value[at:at+half], counts))
	}
	return fields
}

// cutMask parts what follows a header into value and mask; nil = all of the value counts.
func cutMask(header uint32, b []byte) (value, mask []byte) {
	if header&hasMask == 0 {
		return b, nil
	}
	return b[:len(b)/2], b[len(b)/2:]
}

// describedOXM reads a field that is in the table of fields, and of which the text can be read
// again.
func describedOXM(header uint32, value []byte) (OXM, bool) {
	value, mask := cutMask(header, value)
	if mask != nil {
		header -= hasMask + uint32(len(mask))
	}
	f := byHeader[header]
	if f == 0 || specs[f].form == unread {
		return OXM{}, false
	}
	o := newOXM(f, value, mask)
	return o, o.Field != 0 && o.isPlain()
}

// isPlain says whether a port is one that can be, or that of the host, and a tag is none or that
// of a VLAN. Of others Open vSwitch has names and forms of its own.
func (o *OXM) isPlain() bool {
	const lastPort = 0xfeff // OpenFlow 1.5, section 7.2.1, of OpenFlow 1.0's 16 bits
	value, _ := o.Uint()
	switch specs[o.Field].form {
	case ports:
		return !o.masked && (value <= lastPort || value == portLocal)
	case vlans:
		return !o.masked && (value == 0 || value&vlanPresent != 0)
	}
	return true
}

// actions reads instructions: none, or one to apply actions.
func (r *Reader) actions(instructions []byte) (Actions, bool) {
	if len(instructions) == 0 {
		return Actions{}, true
	}
	list, known := r.lists[string(instructions)]
	if !known {
		if r.lists == nil {
			r.lists = map[string]actionList{}
		}
		list.actions, list.isKnown = describedActions(instructions)
		r.lists[string(instructions)] = list
	}
	return list.actions, list.isKnown
}

// describedActions reads an instruction to apply actions. They are known if what their text says is
// what was described.
func describedActions(instructions []byte) (Actions, bool) {
	if len(instructions) < HeaderSize {
		return Actions{}, false
	}
	as := Actions{string(instructions[HeaderSize:])}
	if !areWhole(as.wire) {
		return Actions{}, false
	}
	again := ParseActions(as.String())
	b, err := appendInstructions(nil, again)
	return again, err == nil && string(b) == string(instructions)
}

// areWhole says whether a list has nothing but actions that can be read.
func areWhole(list string) bool {
	for rest := wireAction(list); rest != ""; {
		if len(rest) < HeaderSize {
			return false
		}
		length := int(rest.u16(2))
		if length < HeaderSize || length%8 != 0 || length > len(rest) || !rest[:length].isWhole() {
			return false
		}
		rest = rest[length:]
	}
	return true
}

// isWhole says whether an action is as long as what is read of it.
func (w wireAction) isWhole() bool {
	const short, long, longest = 8, 16, 24
	if w.u16(0) == actionExperimenter && len(w) < long {
		return false
	}
	switch w.kind() {
	case actionPopVLAN, actionMeter:
		return len(w) >= short
	case actionOutput, nicira + niciraResubmit, nicira + niciraConjunction,
		nicira + niciraClearTrack:
		return len(w) >= long
	case actionSetField:
		return len(w) >= short+int(w[7])
	case actionCopyField, nicira + niciraPush, nicira + niciraPop:
		return len(w) >= longest
	case nicira + niciraTrack:
		return len(w) >= longest && areWhole(string(w[longest:]))
	}
	return false
}
