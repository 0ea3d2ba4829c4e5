package flows

import (
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// Verdict says what became of the packets that a flow counts.
type Verdict uint8

// The verdicts. Flows that only send packets on count none of them.
const (
	VerdictNone Verdict = iota
	// a rule admitted them: new connections, and those that are judged again
	VerdictAdmitted
	// packets of connections that are known and current: no rule was looked at
	VerdictEstablished
	VerdictDenied  // no rule of the port admitted them
	VerdictDropped // dropped for another reason: by a guard, or because they go nowhere
)

// RuleOpen is the id that stands for "egress is open" where others stand for rules.
const RuleOpen = uint32(ruleOpen)

// Counted is what the packets of one flow are counted for. It is comparable.
type Counted struct {
	Verdict   Verdict
	Table     TableID
	Direction policy.Direction // of the table; 0 for VerdictDropped
	Rule      uint32           // of VerdictAdmitted: an id of [RuleIDs], or [RuleOpen]
	Zone      uint16           // of VerdictEstablished and VerdictDenied: the port's
}

// CountedOf says what the packets of a flow of a program are counted for: the verdict is
// VerdictNone for most.
//
//	table=52, priority=300,conj_id=3370422492 actions=set_field:0x1/0x1->reg0,set_field:0xc8e490dc->reg3   admitted by rule
//	table=51, priority=200,ct_state=-new-inv+trk,ct_mark=0x3,reg1=0x7 actions=resubmit(,60)                established at port
//	table=53, priority=50,reg1=0x7 actions=drop                                                            denied at port
func CountedOf(f openflow.Flow) Counted {
	c := Counted{Table: TableID(f.Table), Direction: DirectionOf(TableID(f.Table))}
	switch c.Table {
	case tableEgressRules, tableIngressRules:
		id, ok := admittedBy(f)
		if ok {
			c.Verdict, c.Rule = VerdictAdmitted, id
		}
		return c // what these drop meets the verdict next, and is counted there
	case tableEgressState, tableIngressState:
		if zone, ok := zoneOf(f); ok && IsShortcut(f) {
			c.Verdict, c.Zone = VerdictEstablished, zone
			return c
		}
	case tableEgressVerdict, tableIngressVerdict:
		if zone, ok := zoneOf(f); ok && isDenial(f) {
			c.Verdict, c.Zone = VerdictDenied, zone
			return c
		}
	}
	c.Direction = 0
	if f.Actions.IsDrop() {
		c.Verdict = VerdictDropped
	}
	return c
}

// DirectionOf returns the direction that a table judges; 0 = none.
func DirectionOf(t TableID) policy.Direction {
	switch t {
	case tableEgressState, tableEgressRules, tableEgressVerdict:
		return policy.Egress
	case tableIngressState, tableIngressRules, tableIngressVerdict:
		return policy.Ingress
	}
	return 0
}

// isDenial says whether a flow lets nothing pass, whether or not it shows what it drops: see
// [writer.denial].
func isDenial(f openflow.Flow) bool {
	for a := range f.Actions.All() {
		if _, shows := a.(openflow.Show); shows {
			return true
		}
	}
	return f.Actions.IsDrop()
}

// IsShortcut says whether a flow lets pass only what the rules would be asked about without it: the
// connections of a port's present epoch. Only ICMP errors about these are lost where it is missing.
func IsShortcut(f openflow.Flow) bool {
	_, byEpoch := f.Match.Get(markEpoch)
	_, byPort := f.Match.Get(RegPort)
	return byEpoch && byPort && (TableID(f.Table) == egress.state || TableID(f.Table) == ingress.state)
}

// admittedBy returns the rule of a flow that does what [admit] says, and no more.
func admittedBy(f openflow.Flow) (uint32, bool) {
	for a := range f.Actions.All() {
		if s, ok := a.(openflow.SetField); ok && s.Field == RegRule {
			id, _ := s.Uint()
			return uint32(id), f.Actions == openflow.NewActions(admit(ruleID(id))...)
		}
	}
	return 0, false
}

// zoneOf returns the key of the port that a flow is about.
func zoneOf(f openflow.Flow) (uint16, bool) {
	key, ok := f.Match.Get(RegPort)
	zone, _ := key.Uint()
	return uint16(zone), ok && !key.IsMasked() && zone <= maxZone
}

// RulesOf returns the ids of the rules that a flow is a part of: several, where they share a peer
// or a service.
func RulesOf(f openflow.Flow) []uint32 {
	if c := CountedOf(f); c.Verdict == VerdictAdmitted {
		return []uint32{c.Rule}
	}
	var out []uint32
	for a := range f.Actions.All() {
		if c, ok := a.(openflow.Conjunction); ok {
			out = append(out, c.ID)
		}
	}
	return out
}

// IsAbout says whether a flow is about one port: what enters by it, or what is judged by its rules.
func IsAbout(f openflow.Flow, b Binding) bool {
	zone, byPort := zoneOf(f)
	in, _ := f.Match.Get(openflow.InPort)
	number, _ := in.Uint()
	return byPort && zone == b.Zone || in.Field != 0 && number == uint64(b.OFPort)
}
