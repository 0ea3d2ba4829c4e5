package openflow

import (
	"encoding/binary"
	"strings"

	"github.com/portcullis/portcullis/flows"
)

// track is the arguments of a ct action (ovs-actions(7)).
type track struct {
	flags uint16
	table uint8
	zone  bits
	exec  string // actions
}

const (
	trackCommit = 1
	zoneBits    = 16
)

// appendTrack appends "table=31,zone=NXM_NX_REG1[0..15]" or "commit,zone=NXM_NX_REG1[0..15],exec(...)".
func appendTrack(b []byte, text string) ([]byte, error) {
	t := track{table: noTable}
	for word := range flows.SplitSeq(text) {
		if err := t.read(word); err != nil {
			return b, err
		}
	}
	if t.zone.count != zoneBits {
		return b, errOperand
	}
	at := len(b)
	b = binary.BigEndian.AppendUint16(beginNicira(b, niciraTrack), t.flags)
	b = binary.BigEndian.AppendUint32(b, t.zone.named.header())
	b = binary.BigEndian.AppendUint16(b, t.zone.offset<<6|(t.zone.count-1))
	b = append(b, t.table, 0, 0, 0, 0, 0) // no ALG
	b, err := appendActions(b, t.exec)
	return finish(b, at), err
}

// read takes in one argument.
func (t *track) read(word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	inner, isExec := strings.CutPrefix(word, "exec(")
	inner, isClosed := strings.CutSuffix(inner, ")")
	switch {
	case word == "commit":
		t.flags = trackCommit
	case name == "table":
		t.table, err = readTable(value)
	case name == "zone":
		t.zone, err = readBits(value)
	case isExec && isClosed && inner != "":
		t.exec = inner
	default:
		err = errAction
	}
	return err
}
