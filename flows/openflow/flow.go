package openflow

import "strconv"

// Flow is one flow of a switch. It is comparable.
type Flow struct {
	Table    uint8
	Priority uint16
	Match    Match
	Actions  Actions
	Cookie   uint64
}

// Key identifies a flow within a switch: two flows of one key replace one another (OpenFlow 1.5,
// section 6.4).
type Key struct {
	Table    uint8
	Priority uint16
	Match    Match
}

// Key returns what identifies the flow within a switch.
func (f Flow) Key() Key { return Key{f.Table, f.Priority, f.Match} }

// AppendText appends the key as ovs-ofctl takes it in a strict match.
func (k Key) AppendText(b []byte) []byte {
	b = strconv.AppendUint(append(b, "table="...), uint64(k.Table), 10)
	b = strconv.AppendUint(append(b, ", priority="...), uint64(k.Priority), 10)
	if k.Match != (Match{}) {
		b = k.Match.AppendText(append(b, ','))
	}
	return b
}

// AppendText appends the flow as one line of an ovs-ofctl flow file.
func (f Flow) AppendText(b []byte) []byte {
	b = strconv.AppendUint(append(b, "cookie=0x"...), f.Cookie, 16)
	b = f.Key().AppendText(append(b, ", "...))
	return f.Actions.AppendText(append(b, " actions="...))
}

// String returns the flow as one line of an ovs-ofctl flow file.
func (f Flow) String() string { return string(f.AppendText(nil)) }

// Parse returns the flow of a match and actions in the text of ovs-ofctl, in table 0.
func Parse(match, actions string) Flow {
	return Flow{Match: ParseMatch(match), Actions: ParseActions(actions)}
}
