package openflow

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// Bits are some bits of a field, or all of them.
type Bits struct {
	Field        Field
	First, Count uint8 // from the lowest
}

// All returns all bits of a field.
func All(f Field) Bits { return Bits{f, 0, uint8(8 * specs[f].size)} }

// Some returns the bits of a field from the first to the last.
func Some(f Field, first, last uint8) Bits { return Bits{f, first, last - first + 1} }

// appendText appends "NXM_NX_REG1[0..15]", or "[]" for all.
func (s Bits) appendText(b []byte) []byte {
	b = append(append(b, s.Field.Operand()...), '[')
	if s != All(s.Field) {
		b = strconv.AppendUint(b, uint64(s.First), 10)
		if s.Count > 1 {
			b = strconv.AppendUint(append(b, ".."...), uint64(s.First+s.Count-1), 10)
		}
	}
	return append(b, ']')
}

// readBits reads what appendText appends.
func readBits(text string) (Bits, bool) {
	name, some, _ := strings.Cut(text, "[")
	some, closed := strings.CutSuffix(some, "]")
	f, known := byOperand[name]
	if !known || !closed {
		return Bits{}, false
	}
	if some == "" {
		return All(f), true
	}
	first, last, isRange := strings.Cut(some, "..")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 7)
	if err != nil {
		return Bits{}, false
	}
	to, err := strconv.ParseUint(last, 10, 7)
	if err != nil || from > to || int(to) >= 8*specs[f].size {
		return Bits{}, false
	}
	return Some(f, uint8(from), uint8(to)), true
}

// NoTable stands for none (ovs-actions(7)).
const NoTable = 0xff

// Track sends the packet through a zone of the connection tracker.
type Track struct {
	Commit bool  // remember the connection
	Table  uint8 // where a copy that knows the state goes on; [NoTable] = there is none
	Zone   Bits  // where the number of the zone is: 16 bits
	Exec   Actions
}

func (a Track) appendText(b []byte) []byte {
	b = append(b, "ct("...)
	if a.Commit {
		b = append(b, "commit,"...)
	}
	if a.Table != NoTable {
		b = append(strconv.AppendUint(append(b, "table="...), uint64(a.Table), 10), ',')
	}
	b = a.Zone.appendText(append(b, "zone="...))
	if a.Exec != (Actions{}) {
		b = append(a.Exec.AppendText(append(b, ",exec("...)), ')')
	}
	return append(b, ')')
}

// zoneBits is how long the number of a zone is.
const zoneBits = 16

func (a Track) append(b []byte) []byte {
	var flags uint16
	if a.Commit {
		flags = 1
	}
	at := len(b)
	b = binary.BigEndian.AppendUint16(beginNicira(b, niciraTrack), flags)
	b = binary.BigEndian.AppendUint32(b, a.Zone.Field.niciraHeader())
	b = binary.BigEndian.AppendUint16(b, uint16(a.Zone.First)<<6|uint16(a.Zone.Count-1))
	b = append(b, a.Table, 0, 0, 0, 0, 0) // no ALG
	return finish(append(b, a.Exec.wire...), at)
}

// readTrack reads the arguments of ct.
func readTrack(text string) (Action, bool) {
	a := Track{Table: NoTable}
	for part := range SplitSeq(text) {
		name, value, _ := strings.Cut(part, "=")
		inner, isExec := strings.CutPrefix(part, "exec(")
		inner, isClosed := strings.CutSuffix(inner, ")")
		ok := false
		switch {
		case part == "commit":
			a.Commit, ok = true, true
		case name == "table":
			a.Table, ok = readTable(value)
		case name == "zone":
			a.Zone, ok = readBits(value)
		case isExec && isClosed:
			a.Exec, ok = readActions(inner)
		}
		if !ok {
			return nil, false
		}
	}
	return a, a.Zone.Count == zoneBits
}
