package flowtest

import (
	"fmt"
	"strings"
)

// action is one parsed action. String is its canonical text; run does it to a packet on its way.
type action interface {
	String() string
	run(w *walk) error
}

type (
	// output sends the packet to a port; to the port it came from it sends nothing.
	output struct{ port uint32 }
	// show sends the first bytes of a copy to the controllers, of which there are none here.
	show struct{ bytes uint16 }
	// resubmit looks the packet up in another table and comes back.
	resubmit struct{ table uint8 }
	// setField writes bits of a register, or of ct_mark or ct_label within ct(exec(...)).
	setField struct {
		name        string
		slot        slot
		value, mask u128
	}
	move    struct{ from, to subfield }
	push    struct{ from subfield }
	pop     struct{ to subfield }
	ctClear struct{}
	// popVLAN takes the outermost tag off; a packet has one at the most here.
	popVLAN struct{}
	// clone runs its actions on a copy: what they write is forgotten.
	clone struct{ actions []action }
	// track is ct(...).
	track struct {
		commit   bool
		table    uint8
		recircs  bool // table is given
		zone     uint16
		zoneFrom *subfield // instead of zone
		exec     []action
	}
	// clause is conjunction(id,k/n). It is not run: it makes its flow a soft match.
	clause struct {
		id   uint32
		k, n int
	}
)

func (a output) String() string   { return fmt.Sprintf("output:%d", a.port) }
func (a show) String() string     { return fmt.Sprintf("CONTROLLER:%d", a.bytes) }
func (a resubmit) String() string { return fmt.Sprintf("resubmit(,%d)", a.table) }
func (a move) String() string     { return "move:" + a.from.text + "->" + a.to.text }
func (a push) String() string     { return "push:" + a.from.text }
func (a pop) String() string      { return "pop:" + a.to.text }
func (ctClear) String() string    { return "ct_clear" }
func (popVLAN) String() string    { return "pop_vlan" }
func (a clause) String() string   { return fmt.Sprintf("conjunction(%d,%d/%d)", a.id, a.k, a.n) }
func (a clone) String() string    { return "clone(" + printActions(a.actions) + ")" }

func (a setField) String() string {
	value := a.value.hex()
	if a.mask != ones(width(a.slot)) {
		value += "/" + a.mask.hex()
	}
	return "set_field:" + value + "->" + a.name
}

func (a track) String() string {
	var parts []string
	if a.commit {
		parts = append(parts, "commit")
	}
	if a.recircs {
		parts = append(parts, fmt.Sprintf("table=%d", a.table))
	}
	switch {
	case a.zoneFrom != nil:
		parts = append(parts, "zone="+a.zoneFrom.text)
	case a.zone != 0:
		parts = append(parts, fmt.Sprintf("zone=%d", a.zone))
	}
	if len(a.exec) > 0 {
		parts = append(parts, "exec("+printActions(a.exec)+")")
	}
	return "ct(" + strings.Join(parts, ",") + ")"
}

func printActions(as []action) string {
	if len(as) == 0 {
		return "drop"
	}
	texts := make([]string, len(as))
	for i, a := range as {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",")
}

// run of a clause is never reached: parseActions keeps clauses apart.
func (a clause) run(*walk) error { return fmt.Errorf("%s is no action to run", a) }
