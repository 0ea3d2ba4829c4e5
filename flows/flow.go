package flows

import (
	"iter"
	"slices"
	"strconv"
)

// Flow is one OpenFlow flow in the text form that `ovs-ofctl -O OpenFlow15 dump-flows --no-stats` prints, so that what was compiled
// and what a switch holds can be compared as text.
type Flow struct {
	Table    uint8
	Priority uint16
	Match    string // canonical, "" = every packet
	Actions  string // canonical
	Cookie   uint64
}

// Key identifies a flow within a switch: two flows of one key replace one another (OpenFlow 1.5, section 6.4).
type Key struct {
	Table    uint8
	Priority uint16
	Match    string
}

// Key returns what identifies the flow within a switch.
func (f Flow) Key() Key { return Key{f.Table, f.Priority, f.Match} }

// AppendTo appends the key as ovs-ofctl takes it in a strict match.
func (k Key) AppendTo(b []byte) []byte {
	b = strconv.AppendUint(append(b, "table="...), uint64(k.Table), 10)
	b = strconv.AppendUint(append(b, ", priority="...), uint64(k.Priority), 10)
	if k.Match != "" {
		b = append(append(b, ','), k.Match...)
	}
	return b
}

// AppendTo appends the flow as one line of an ovs-ofctl flow file.
func (f Flow) AppendTo(b []byte) []byte {
	b = strconv.AppendUint(append(b, "cookie=0x"...), f.Cookie, 16)
	b = f.Key().AppendTo(append(b, ", "...))
	return append(append(b, " actions="...), f.Actions...)
}

// String returns the flow as one line of an ovs-ofctl flow file.
func (f Flow) String() string { return string(f.AppendTo(nil)) }

// Split cuts a list as Open vSwitch writes it, such as actions, at the commas outside parentheses.
func Split(list string) []string { return slices.Collect(SplitSeq(list)) }

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
