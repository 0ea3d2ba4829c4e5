package flows

import (
	"fmt"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// This file is what each flow of a program is of. Who writes a flow says so ([writer.addAbout]);
// the counters, the search for what a switch refuses, explain and plan look it up by
// [Compiler.Origin]. Invariant: nobody reads out of a flow whose it is.

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

// CounterSubject is what the packets of one flow are counted for. It is comparable.
type CounterSubject struct {
	Verdict   Verdict
	Table     TableID          // of VerdictDropped
	Direction policy.Direction // of VerdictEstablished and VerdictDenied
	Rule      uint32           // of VerdictAdmitted: an id of [RuleIDs], or [RuleOpen]
	Port      string           // of VerdictEstablished and VerdictDenied
}

// Origin is what a flow of a program is of.
type Origin struct {
	CounterSubject
	Port string // the port that the flow is about; "" = none, or several
	unit unit
}

// String says what the flow is of: "the port tap-web-1", "the service tcp,tp_dst=80".
func (o Origin) String() string {
	if o.Port != "" {
		return "the port " + o.Port
	}
	return nameOf(o.unit)
}

// nameOf says what a unit is about.
func nameOf(u unit) string {
	switch u := u.(type) {
	case *port:
		return "the port " + u.Port.Name
	case *addressOwners:
		return "the address " + u.network.String()
	case *macTarget:
		return "the MAC " + u.mac.String()
	case *etherType:
		return fmt.Sprintf("the EtherType %#04x", u.number)
	case *rule:
		return "the rule " + u.owner.name + ": " + u.words()
	case *sharedService:
		return "the service " + u.key.match.String()
	case *peer:
		return "the peer " + u.network.String()
	case *listing:
		return "the listed network " + u.network.String()
	case *again:
		return "the further pages of its table"
	}
	return "no port, rule or address in particular"
}

// origin is what a flow is of, from when it is written.
type origin struct {
	unit   // that has written it
	*about // nil = it is as much about all that its unit is
}

// about is what one flow of a unit is about that others of it are not.
type about struct {
	verdict Verdict
	port    *port
	rule    *rule // that admits
}

// Origin returns what a flow is of; false = the program has no such flow.
func (c *Compiler) Origin(f openflow.Flow) (Origin, bool) {
	e := c.program.find(f.Key())
	if e == nil || e.Flow != f {
		return Origin{}, false
	}
	o := Origin{unit: e.of.unit}
	if p, isPort := o.unit.(*port); isPort {
		o.Port = p.Port.Name
	}
	a := e.of.about
	if a == nil {
		return o, true
	}
	if a.port != nil {
		o.Port = a.port.Port.Name
	}
	switch o.Verdict = a.verdict; o.Verdict {
	case VerdictAdmitted:
		if o.Rule = RuleOpen; a.rule != nil {
			o.Rule, o.Port = uint32(a.rule.id), ""
		}
	case VerdictEstablished, VerdictDenied:
		o.Direction, o.CounterSubject.Port = DirectionOf(TableID(f.Table)), o.Port
	case VerdictDropped:
		o.Table = TableID(f.Table)
	}
	return o, true
}

// RuleOf is a rule that a flow is a part of.
type RuleOf struct {
	ID    uint32
	Group string
	Words string // see [policy.Rule.String]
}

// RulesOf returns the rules that a flow of the program is a part of: several, where they share a
// port, a peer or a service.
func (c *Compiler) RulesOf(f openflow.Flow) (out []RuleOf) {
	e := c.program.find(f.Key())
	if e == nil || e.Flow != f || c.index == nil {
		return nil
	}
	if a := e.of.about; a != nil && a.rule != nil {
		return []RuleOf{a.rule.reference()}
	}
	shared, isShared := e.of.unit.(sharedUnit)
	if !isShared {
		return nil
	}
	parts, match := shared.clauses()
	parts.each(c.index.capacity.clauses, func(at place, p page, some []part) {
		m, _ := openflow.NewMatch(append(match(at), p.match()...)...)
		if f.Key() == (openflow.Key{Table: uint8(at.table), Priority: at.band, Match: m}) {
			for _, s := range some {
				out = append(out, s.rule.reference())
			}
		}
	})
	return out
}

func (r *rule) reference() RuleOf { return RuleOf{uint32(r.id), r.owner.name, r.words()} }

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
