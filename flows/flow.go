package flows

import (
	"fmt"
	"strings"
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

// String returns the flow as one line of an ovs-ofctl flow file.
func (f Flow) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cookie=0x%x, table=%d, priority=%d", f.Cookie, f.Table, f.Priority)
	if f.Match != "" {
		b.WriteByte(',')
		b.WriteString(f.Match)
	}
	b.WriteString(" actions=")
	b.WriteString(f.Actions)
	return b.String()
}
