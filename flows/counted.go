package flows

import (
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// Verdict says what became of the packets that a flow counts.
type Verdict uint8

// The verdicts. Flows that only send packets on count none of them.
const (
	VerdictNone        Verdict = iota
	VerdictAdmitted            // a rule admitted them: new connections, and those that are judged again
	VerdictEstablished         // packets of connections that are known and current: no rule was looked at
	VerdictDenied              // no rule of the port admitted them
	VerdictDropped             // dropped for another reason: by a guard, or because they go nowhere
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

// CountedOf says what the packets of a flow of a program are counted for: the verdict is VerdictNone for most.
//
//	table=52, priority=300,conj_id=3370422492 actions=set_field:0x1/0x1->reg0,set_field:0xc8e490dc->reg3   admitted by rule
//	table=51, priority=200,ct_state=-new-inv+trk,ct_mark=0x3,reg1=0x7 actions=resubmit(,60)                established at port
//	table=53, priority=50,reg1=0x7 actions=drop                                                            denied at port
func CountedOf(f Flow) Counted {
	c := Counted{Table: TableID(f.Table), Direction: DirectionOf(TableID(f.Table))}
	switch c.Table {
	case tableEgressRules, tableIngressRules:
		id, ok := admittedBy(f.Actions)
		if ok {
			c.Verdict, c.Rule = VerdictAdmitted, id
		}
		return c // what these drop meets the verdict next, and is counted there
	case tableEgressState, tableIngressState:
		if zone, ok := zoneOf(f.Match); ok && strings.Contains(f.Match, "ct_mark=") {
			c.Verdict, c.Zone = VerdictEstablished, zone
			return c
		}
	case tableEgressVerdict, tableIngressVerdict:
		if zone, ok := zoneOf(f.Match); ok && isDenial(f) {
			c.Verdict, c.Zone = VerdictDenied, zone
			return c
		}
	}
	c.Direction = 0
	if f.Actions == "drop" {
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

// isDenial says whether a flow lets nothing pass, whether or not it shows what it drops: see [writer.denial].
func isDenial(f Flow) bool { return f.Actions == "drop" || strings.Contains(f.Actions, "CONTROLLER:") }

// admittedBy reads the rule's id out of what [admit] writes.
func admittedBy(actions string) (uint32, bool) {
	rest, ok := strings.CutPrefix(actions, "set_field:"+flagAdmitted+"->"+regFlags+",set_field:")
	if !ok {
		return 0, false
	}
	text, ok := strings.CutSuffix(rest, "->"+regRule)
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(text, 0, 32)
	return uint32(id), err == nil
}

// zoneOf reads the port's key at the end of a match.
func zoneOf(match string) (uint16, bool) {
	at := strings.LastIndex(match, regPort+"=")
	if at < 0 {
		return 0, false
	}
	zone, err := strconv.ParseUint(match[at+len(regPort)+1:], 0, 16)
	return uint16(zone), err == nil
}
