package openflow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows"
)

// The actions of OpenFlow (OpenFlow 1.5, section 7.2.6) and those of Nicira (ovs-actions(7)) that the pipeline has.
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
	niciraTrackClear  = 43
)

var errAction = errors.New("no action of the pipeline")

// appendActions appends a list of actions; "drop" is none, and so is no text.
func appendActions(b []byte, list string) ([]byte, error) {
	if list == "drop" || list == "" {
		return b, nil
	}
	for text := range flows.SplitSeq(list) {
		var err error
		if b, err = appendAction(b, text); err != nil {
			return b, fmt.Errorf("action %s: %w", text, err)
		}
	}
	return b, nil
}

func appendAction(b []byte, text string) ([]byte, error) {
	switch text {
	case "ct_clear":
		return finish(beginNicira(b, niciraTrackClear), len(b)), nil
	case "pop_vlan":
		return finish(begin(b, actionPopVLAN), len(b)), nil
	}
	if name, inner, ok := strings.Cut(text, "("); ok && !strings.Contains(name, ":") {
		inner, closed := strings.CutSuffix(inner, ")")
		switch {
		case !closed:
		case name == "conjunction":
			return appendConjunction(b, inner)
		case name == "resubmit":
			return appendResubmit(b, inner)
		case name == "ct":
			return appendTrack(b, inner)
		}
		return b, errAction
	}
	switch name, argument, _ := strings.Cut(text, ":"); name {
	case "set_field":
		return appendSetField(b, argument)
	case "output":
		return appendOutput(b, argument)
	case "CONTROLLER":
		return appendShow(b, argument)
	case "meter":
		return appendMeter(b, argument)
	case "move":
		return appendMove(b, argument)
	case "push":
		return appendStack(b, niciraPush, argument)
	case "pop":
		return appendStack(b, niciraPop, argument)
	}
	return b, errAction
}

// begin appends the head of an action; finish fills in its length.
func begin(b []byte, kind uint16) []byte {
	return append(binary.BigEndian.AppendUint16(b, kind), 0, 0)
}

// beginNicira is begin for an action of Nicira.
func beginNicira(b []byte, subtype uint16) []byte {
	b = binary.BigEndian.AppendUint32(begin(b, actionExperimenter), niciraVendor)
	return binary.BigEndian.AppendUint16(b, subtype)
}

// finish fills the action that begins at a place up to a multiple of 8 bytes, and puts its length in.
func finish(b []byte, at int) []byte { return putLength(pad8(b, at), at) }

// appendConjunction appends "7,2/3": flow 7, the second of three clauses.
func appendConjunction(b []byte, text string) ([]byte, error) {
	id, clause, _ := strings.Cut(text, ",")
	k, n, _ := strings.Cut(clause, "/")
	var v [3]uint64
	for i, part := range []string{id, k, n} {
		var err error
		if v[i], err = strconv.ParseUint(part, 10, []int{32, 8, 8}[i]); err != nil {
			return b, errAction
		}
	}
	if v[1] < 1 || v[1] > v[2] {
		return b, errAction
	}
	at := len(b)
	b = append(beginNicira(b, niciraConjunction), byte(v[1]-1), byte(v[2])) // counted from 0
	return finish(binary.BigEndian.AppendUint32(b, uint32(v[0])), at), nil
}

// appendResubmit appends ",31": go through table 31 and come back.
func appendResubmit(b []byte, text string) ([]byte, error) {
	number, ok := strings.CutPrefix(text, ",")
	table, err := readTable(number)
	if !ok || err != nil {
		return b, errAction
	}
	const inPort = 0xfff8 // as the packet has it
	at := len(b)
	b = binary.BigEndian.AppendUint16(beginNicira(b, niciraResubmit), inPort)
	return finish(append(b, table), at), nil
}

// appendSetField appends "0x7->reg1" or, with a mask, "0x10/0x30->reg0".
func appendSetField(b []byte, text string) ([]byte, error) {
	value, name, _ := strings.Cut(text, "->")
	f, known := fields[name]
	if !known {
		return b, errField
	}
	at := len(b)
	b, err := f.append(begin(b, actionSetField), value)
	if err != nil {
		return b, err
	}
	return finish(b, at), nil
}

func appendOutput(b []byte, text string) ([]byte, error) {
	if text == "LOCAL" || text == "CONTROLLER" {
		return b, errAction
	}
	at := len(b)
	b, err := readPort(begin(b, actionOutput), text, 4)
	return finish(append(b, 0, 0), at), err
}

// appendShow appends the output of so many bytes of the packet to who asked the switch for such.
func appendShow(b []byte, text string) ([]byte, error) {
	length, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return b, errAction
	}
	at := len(b)
	b = binary.BigEndian.AppendUint32(begin(b, actionOutput), portController)
	return finish(binary.BigEndian.AppendUint16(b, uint16(length)), at), nil
}

func appendMeter(b []byte, text string) ([]byte, error) {
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return b, errAction
	}
	at := len(b)
	return finish(binary.BigEndian.AppendUint32(begin(b, actionMeter), uint32(id)), at), nil
}

// appendMove appends "NXM_NX_REG3[]->NXM_NX_CT_LABEL[0..31]".
func appendMove(b []byte, text string) ([]byte, error) {
	from, into, _ := strings.Cut(text, "->")
	source, err := readBits(from)
	if err != nil {
		return b, err
	}
	target, err := readBits(into)
	if err != nil {
		return b, err
	}
	if source.count != target.count {
		return b, errOperand
	}
	at := len(b)
	b = begin(b, actionCopyField)
	for _, v := range []uint16{source.count, source.offset, target.offset, 0} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, source.moved.header())
	return finish(binary.BigEndian.AppendUint32(b, target.moved.header()), at), nil
}

// appendStack appends a push of some bits of a field, or a pop into them.
func appendStack(b []byte, subtype uint16, text string) ([]byte, error) {
	o, err := readBits(text)
	if err != nil {
		return b, err
	}
	at := len(b)
	b = binary.BigEndian.AppendUint16(beginNicira(b, subtype), o.offset)
	b = binary.BigEndian.AppendUint32(b, o.named.header())
	return finish(binary.BigEndian.AppendUint16(b, o.count), at), nil
}
