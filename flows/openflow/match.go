package openflow

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Match says which packets meet a flow. The zero Match is every packet. It is comparable: two that
// ask for the same are equal.
type Match struct {
	oxm string // the fields in their order, as on the wire; or foreign and a text
}

// foreign begins what is kept as text. No header of OXM and no action begins so.
const foreign = "\xfe"

// maxFields is more than any match has.
const maxFields = 32

var (
	errTwice  = errors.New("matched twice")
	errNeeds  = errors.New("it lacks what the field needs")
	errFields = errors.New("too many fields")
)

// NewMatch returns the match that has all of the fields, in whatever order they are named.
func NewMatch(fields ...OXM) (Match, error) {
	var sorted [maxFields]OXM
	n, err := sortFields(&sorted, fields)
	if err != nil {
		return Match{}, err
	}
	etherType, proto := -1, -1
	var space [256]byte
	b := space[:0]
	for i, o := range sorted[:n] {
		value, _ := o.Uint()
		switch {
		case i > 0 && sorted[i-1].Field == o.Field:
			return Match{}, fmt.Errorf("%s: %w", o.Field, errTwice)
		case o.Field == EtherType:
			etherType = int(value)
		case o.Field == IPProto:
			proto = int(value)
		}
		if !specs[o.Field].needs.isMet(etherType, proto) {
			return Match{}, fmt.Errorf("%s: %w", o.Field, errNeeds)
		}
		b = o.append(b)
	}
	return Match{string(b)}, nil
}

// sortFields puts fields in their order, each protocol that one implies among them, and returns how
// many there are.
func sortFields(sorted *[maxFields]OXM, fields []OXM) (n int, err error) {
	put := func(o OXM) {
		at := n
		for ; at > 0 && sorted[at-1].Field > o.Field; at-- {
			sorted[at] = sorted[at-1]
		}
		sorted[at] = o
		n++
	}
	for _, o := range fields {
		if err := o.check(); err != nil {
			return n, err
		}
		if n+2 > maxFields {
			return n, errFields
		}
		extra := o.proto
		o.proto = 0
		if put(o); extra != 0 {
			put(Number(IPProto, uint64(extra)))
		}
	}
	return n, nil
}

// IsForeign says whether the match is one that only its text is known of.
func (m Match) IsForeign() bool { return strings.HasPrefix(m.oxm, foreign) }

// Compact returns the bytes that the match is kept as: those of two matches are the same if these
// are.
func (m Match) Compact() string { return m.oxm }

// Fields returns the fields in their order. A foreign match has none.
func (m Match) Fields() iter.Seq[OXM] {
	return func(yield func(OXM) bool) {
		if m.IsForeign() {
			return
		}
		var o OXM
		for rest := m.oxm; rest != ""; {
			if o, rest = readOXM(rest); !yield(o) {
				return
			}
		}
	}
}

// Get returns one field.
func (m Match) Get(f Field) (OXM, bool) {
	for o := range m.Fields() {
		if o.Field == f {
			return o, true
		}
	}
	return OXM{}, false
}

// String returns the match as ovs-ofctl prints it.
func (m Match) String() string { return string(m.AppendText(nil)) }

// AppendText appends the match as ovs-ofctl prints it: an EtherType and a protocol of IP by the
// shorthand for both, if there is one, and otherwise where match_format() of Open vSwitch has them.
func (m Match) AppendText(b []byte) []byte {
	if m.IsForeign() {
		return append(b, m.oxm[1:]...)
	}
	t := matchText{text: b, begin: len(b)}
	var o OXM
	for rest := m.oxm; rest != ""; {
		o, rest = readOXM(rest)
		if o.Field != EtherType {
			t.append(o)
			continue
		}
		if len(rest) > 4 && headerOf(rest) == IPProto.header() {
			t.proto, rest = readOXM(rest)
		}
		if w, known := shorthand(o, &t.proto); known {
			t.comma()
			t.text = append(t.text, w...)
		} else {
			t.etherType = o
		}
	}
	t.late(^Field(0))
	return t.text
}

// matchText is the text of a match as far as it is printed.
type matchText struct {
	text             []byte
	begin            int // where in the text the match begins
	etherType, proto OXM // to be printed yet
}

// append prints a field, behind what stands before it.
func (t *matchText) append(o OXM) {
	t.late(o.Field)
	t.comma()
	t.text = o.appendText(t.text)
}

func (t *matchText) comma() {
	if len(t.text) > t.begin {
		t.text = append(t.text, ',')
	}
}

// late prints what has waited until its place, which is before a field.
func (t *matchText) late(before Field) {
	if t.etherType.Field != 0 && before > EthDst {
		t.comma()
		t.text, t.etherType = t.etherType.appendText(t.text), OXM{}
	}
	if t.proto.Field != 0 && before > ARPTPA {
		t.comma()
		t.text, t.proto = t.proto.appendText(t.text), OXM{}
	}
}

// shorthand returns the word of an EtherType and, if that has one, of the protocol of IP, which is
// then said.
func shorthand(etherType OXM, proto *OXM) (string, bool) {
	number, _ := etherType.Uint()
	if of, _ := proto.Uint(); proto.Field != 0 && of != 0 {
		if w, known := wordOf[word{uint16(number), uint8(of)}]; known {
			*proto = OXM{}
			return w, true
		}
	}
	w, known := wordOf[word{uint16(number), 0}]
	return w, known
}

// ParseMatch reads a match that ovs-ofctl has printed. What it does not know, or finds in another
// form than that, is foreign: it stays the text that it is.
func ParseMatch(text string) Match {
	if m, ok := readMatch(text); ok {
		var space [256]byte
		if string(m.AppendText(space[:0])) == text {
			return m
		}
	}
	return Match{foreign + text}
}

func readMatch(text string) (Match, bool) {
	var space [maxFields]OXM
	fields := space[:0]
	etherType, proto := -1, -1
	for more := text != ""; more; {
		var part string
		part, text, more = strings.Cut(text, ",")
		name, value, hasValue := strings.Cut(part, "=")
		var o OXM
		var ok bool
		if w, isWord := words[name]; isWord && !hasValue {
			o, ok = Number(EtherType, uint64(w.etherType)), true
			o.proto, etherType, proto = w.proto, int(w.etherType), int(w.proto)
		} else if hasValue {
			o, ok = readField(name, value, etherType, proto)
		}
		if !ok || len(fields) == maxFields {
			return Match{}, false
		}
		fields = append(fields, o)
	}
	m, err := NewMatch(fields...)
	return m, err == nil
}

// readField reads a field of a match in which the protocol is known.
func readField(name, value string, etherType, proto int) (OXM, bool) {
	if name == "vlan_tci" || name == "dl_vlan" {
		return readVLAN(name, value)
	}
	for _, f := range byName[name] {
		if specs[f].needs.isMet(etherType, proto) {
			return readText(f, value)
		}
	}
	return OXM{}, false
}

var errForeign = errors.New("no match or action of the pipeline")

// Append appends the match as struct ofp_match (OpenFlow 1.5, section 7.2.3.1).
func (m Match) Append(b []byte) ([]byte, error) {
	const oxmType = 1
	if m.IsForeign() {
		return b, fmt.Errorf("match %s: %w", m, errForeign)
	}
	at := len(b)
	b = append(append(b, 0, oxmType, 0, 0), m.oxm...)
	return pad8(PutLength(b, at), at), nil
}

// pad8 fills up with zeros what begins at a place, to a multiple of 8 bytes.
func pad8(b []byte, at int) []byte {
	var zeros [8]byte
	return append(b, zeros[:-(len(b)-at)&7]...)
}
