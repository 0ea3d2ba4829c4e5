package openflow

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// Actions are what is done to the packets of a flow, one after the other. The zero Actions are
// none: the packet is dropped. They are comparable.
type Actions struct {
	wire string // as on the wire; or foreign and a text
}

// NewActions returns a list of actions.
func NewActions(list ...Action) Actions {
	var space [256]byte
	b := space[:0]
	for _, a := range list {
		b = a.append(b)
	}
	return Actions{string(b)}
}

// IsForeign says whether only the text of the actions is known.
func (as Actions) IsForeign() bool { return strings.HasPrefix(as.wire, foreign) }

// IsDrop says whether there is none.
func (as Actions) IsDrop() bool { return as.wire == "" }

// Compact returns the bytes that the actions are kept as: those of two lists are the same if these
// are.
func (as Actions) Compact() string { return as.wire }

// All returns the actions in order. Foreign ones are none of those that are known.
func (as Actions) All() iter.Seq[Action] {
	return func(yield func(Action) bool) {
		for w := range as.each() {
			if !yield(w.action()) {
				return
			}
		}
	}
}

// each returns the actions as on the wire. Each has its length behind its kind.
func (as Actions) each() iter.Seq[wireAction] {
	return func(yield func(wireAction) bool) {
		for rest := as.wire; rest != "" && !as.IsForeign(); {
			length := int(rest[2])<<8 | int(rest[3])
			if !yield(wireAction(rest[:length])) {
				return
			}
			rest = rest[length:]
		}
	}
}

// String returns the actions as ovs-ofctl prints them.
func (as Actions) String() string { return string(as.AppendText(nil)) }

// AppendText appends the actions as ovs-ofctl prints them.
func (as Actions) AppendText(b []byte) []byte {
	if as.IsForeign() {
		return append(b, as.wire[1:]...)
	}
	if as.IsDrop() {
		return append(b, "drop"...)
	}
	begin := len(b)
	for w := range as.each() {
		if len(b) > begin {
			b = append(b, ',')
		}
		b = w.appendText(b)
	}
	return b
}

// Append appends the actions as on the wire.
func (as Actions) Append(b []byte) ([]byte, error) {
	if as.IsForeign() {
		return b, fmt.Errorf("actions %s: %w", as, errForeign)
	}
	return append(b, as.wire...), nil
}

// wireAction is one action as on the wire.
type wireAction string

func (w wireAction) u16(at int) uint16 { return uint16(w[at])<<8 | uint16(w[at+1]) }
func (w wireAction) u32(at int) uint32 { return uint32(w.u16(at))<<16 | uint32(w.u16(at+2)) }

// bits are those that are named at three places.
func (w wireAction) bits(header, first, count int) Bits {
	return Bits{byHeader[w.u32(header)], uint8(w.u16(first)), uint8(w.u16(count))}
}

func (w wireAction) move() Move   { return Move{w.bits(12, 6, 4), w.bits(16, 8, 4)} }
func (w wireAction) stack() Bits  { return w.bits(12, 10, 16) }
func (w wireAction) isShow() bool { return w.u32(4) == PortController }

func (w wireAction) setField() SetField {
	o, _ := readOXM(string(w[4:]))
	return SetField{o}
}

func (w wireAction) conjunction() Conjunction { return Conjunction{w.u32(12), w[10] + 1, w[11]} }

func (w wireAction) track() Track {
	zone := w.u16(16)
	return Track{Commit: w.u16(10) != 0, Table: w[18], Exec: Actions{string(w[24:])},
		Zone: Bits{byHeader[w.u32(12)], uint8(zone >> 6), uint8(zone&63 + 1)}}
}

// nicira is what the numbers of Nicira's actions are above those of OpenFlow.
const nicira = 0x100

func (w wireAction) kind() uint16 {
	if k := w.u16(0); k != actionExperimenter {
		return k
	}
	return nicira + w.u16(8)
}

// action returns the action.
func (w wireAction) action() Action {
	switch w.kind() {
	case actionOutput:
		if w.isShow() {
			return Show{w.u16(8)}
		}
		return Output{w.u32(4)}
	case actionPopVLAN:
		return PopVLAN{}
	case actionSetField:
		return w.setField()
	case actionCopyField:
		return w.move()
	case actionMeter:
		return Meter{w.u32(4)}
	case nicira + niciraResubmit:
		return Resubmit{w[12]}
	case nicira + niciraPush:
		return Push{w.stack()}
	case nicira + niciraPop:
		return Pop{w.stack()}
	case nicira + niciraConjunction:
		return w.conjunction()
	case nicira + niciraTrack:
		return w.track()
	}
	return ClearTrack{}
}

// appendText appends the action as ovs-ofctl prints it. Nothing is allocated.
func (w wireAction) appendText(b []byte) []byte {
	switch w.kind() {
	case actionOutput:
		if w.isShow() {
			return strconv.AppendUint(append(b, "CONTROLLER:"...), uint64(w.u16(8)), 10)
		}
		port := Number(InPort, uint64(w.u32(4)))
		return port.appendValue(append(b, "output:"...))
	case actionPopVLAN:
		return append(b, "pop_vlan"...)
	case actionSetField:
		set := w.setField()
		b = set.appendValue(append(b, "set_field:"...))
		return append(append(b, "->"...), set.Field.String()...)
	case actionCopyField:
		m := w.move()
		return m.To.appendText(append(m.From.appendText(append(b, "move:"...)), "->"...))
	case actionMeter:
		return strconv.AppendUint(append(b, "meter:"...), uint64(w.u32(4)), 10)
	case nicira + niciraResubmit:
		return append(strconv.AppendUint(append(b, "resubmit(,"...), uint64(w[12]), 10), ')')
	case nicira + niciraPush:
		return w.stack().appendText(append(b, "push:"...))
	case nicira + niciraPop:
		return w.stack().appendText(append(b, "pop:"...))
	case nicira + niciraConjunction:
		c := w.conjunction()
		b = strconv.AppendUint(append(b, "conjunction("...), uint64(c.ID), 10)
		b = strconv.AppendUint(append(b, ','), uint64(c.Clause), 10)
		return append(strconv.AppendUint(append(b, '/'), uint64(c.Of), 10), ')')
	case nicira + niciraTrack:
		return w.track().appendText(b)
	}
	return append(b, "ct_clear"...)
}

// ParseActions reads actions that ovs-ofctl has printed. What it does not know, or finds in another
// form than that, is foreign: it stays the text that it is.
func ParseActions(text string) Actions {
	if text == "drop" {
		return Actions{}
	}
	if as, ok := readActions(text); ok {
		var space [512]byte
		if string(as.AppendText(space[:0])) == text {
			return as
		}
	}
	return Actions{foreign + text}
}

func readActions(text string) (Actions, bool) {
	var space [256]byte
	b := space[:0]
	for part := range SplitSeq(text) {
		a, ok := ParseAction(part)
		if !ok {
			return Actions{}, false
		}
		b = a.append(b)
	}
	return Actions{string(b)}, true
}

// parseCall reads an action whose arguments stand in brackets, of which the first is cut off.
func parseCall(name, inner string) (Action, bool) {
	inner, closed := strings.CutSuffix(inner, ")")
	switch {
	case !closed:
	case name == "conjunction":
		return readConjunction(inner)
	case name == "resubmit" && strings.HasPrefix(inner, ","):
		table, ok := readTable(inner[1:])
		return Resubmit{table}, ok
	case name == "ct":
		return readTrack(inner)
	}
	return nil, false
}

// ParseAction reads one action.
func ParseAction(text string) (Action, bool) {
	switch text {
	case "ct_clear":
		return ClearTrack{}, true
	case "pop_vlan":
		return PopVLAN{}, true
	}
	if name, inner, ok := strings.Cut(text, "("); ok && !strings.Contains(name, ":") {
		return parseCall(name, inner)
	}
	name, argument, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(argument, 10, 32)
	switch name {
	case "set_field":
		return readSetField(argument)
	case "output":
		o, ok := readPort(argument)
		port, _ := o.Uint()
		return Output{uint32(port)}, ok && port != portLocal && port != PortController
	case "CONTROLLER":
		return Show{uint16(n)}, err == nil && n <= 0xffff
	case "meter":
		return Meter{uint32(n)}, err == nil
	case "move":
		from, into, _ := strings.Cut(argument, "->")
		a, okFrom := readBits(from)
		b, okTo := readBits(into)
		return Move{a, b}, okFrom && okTo && a.Count == b.Count
	case "push":
		s, ok := readBits(argument)
		return Push{s}, ok
	case "pop":
		s, ok := readBits(argument)
		return Pop{s}, ok
	}
	return nil, false
}

// readSetField reads "0x7->reg1", or with a mask "0x10/0x30->reg0".
func readSetField(text string) (Action, bool) {
	value, name, _ := strings.Cut(text, "->")
	for _, f := range byName[name] {
		if specs[f].form == hex {
			o, ok := readText(f, value)
			return SetField{o}, ok && o.check() == nil
		}
	}
	return nil, false
}

// readConjunction reads "7,2/3": flow 7, the second of three clauses.
func readConjunction(text string) (Action, bool) {
	id, clause, _ := strings.Cut(text, ",")
	k, n, _ := strings.Cut(clause, "/")
	number, err1 := strconv.ParseUint(id, 10, 32)
	part, err2 := strconv.ParseUint(k, 10, 8)
	all, err3 := strconv.ParseUint(n, 10, 8)
	ok := err1 == nil && err2 == nil && err3 == nil && part >= 1 && part <= all
	return Conjunction{uint32(number), uint8(part), uint8(all)}, ok
}

// readTable reads the number of a table.
func readTable(text string) (uint8, bool) {
	n, err := strconv.ParseUint(text, 10, 8)
	return uint8(n), err == nil && n != NoTable
}

// Split cuts a list as Open vSwitch writes it, such as actions, at the commas outside parentheses.
func Split(list string) []string {
	var out []string
	for part := range SplitSeq(list) {
		out = append(out, part)
	}
	return out
}

// SplitSeq returns the parts that Split returns, one at a time.
func SplitSeq(list string) iter.Seq[string] {
	return func(yield func(string) bool) {
		depth, start := 0, 0
		for i := range len(list) {
			switch list[i] {
			case '(':
				depth++
			case ')':
				depth--
			case ',':
				if depth == 0 {
					if !yield(list[start:i]) {
						return
					}
					start = i + 1
				}
			}
		}
		yield(list[start:])
	}
}
