package attribution

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// maxRules is how many rules a sentence names; [Origin.Rules] has all.
const maxRules = 3

// effect says what becomes of the packets.
func (s sentence) effect(f openflow.Flow) string {
	if f.Actions.IsDrop() {
		return "dropped"
	}
	if clauses := clausesOf(f.Actions); len(clauses) > 0 {
		return s.clauses(f.Match, clauses)
	}
	var out []string
	opposite := false
	for part := range openflow.SplitSeq(f.Actions.String()) {
		a, known := openflow.ParseAction(part)
		if !known {
			out = append(out, "does "+part)
			continue
		}
		switch a := a.(type) {
		case openflow.Push, openflow.Pop, openflow.Move:
			if !opposite {
				out = append(out, shownInstead(f))
			}
			opposite = true
		case openflow.SetField:
			if opposite && a.Field == flows.RegRule {
				out = append(out, "as the request that it answers")
			} else {
				out = append(out, s.set(a.OXM, part))
			}
		default:
			out = append(out, s.action(a, part))
		}
	}
	return strings.Join(compact(out), ", ")
}

// shownInstead says what the rules see in the place of a packet: of a fragment no connection is
// known yet.
func shownInstead(f openflow.Flow) string {
	if _, isFragment := f.Match.Get(openflow.Fragment); isFragment {
		return "then with sender and receiver exchanged, as it may be of an answer"
	}
	return "its connection's first packet is shown to the rules in its place"
}

// compact leaves out empty words, and those that were said last.
func compact(in []string) []string {
	var out []string
	for _, w := range in {
		if w != "" && (len(out) == 0 || out[len(out)-1] != w) {
			out = append(out, w)
		}
	}
	return out
}

// clausesOf returns the clauses that a flow is: none unless it is nothing else.
func clausesOf(as openflow.Actions) []openflow.Conjunction {
	var out []openflow.Conjunction
	for a := range as.All() {
		c, ok := a.(openflow.Conjunction)
		if !ok {
			return nil
		}
		out = append(out, c)
	}
	return out
}

// clauses says which part of which rules a match is.
func (s sentence) clauses(m openflow.Match, clauses []openflow.Conjunction) string {
	var names []string
	for _, c := range clauses {
		if name := s.rule(c.ID); len(names) < maxRules {
			names = append(names, name)
		}
	}
	text := strings.Join(names, "; ")
	if more := len(clauses) - len(names); more > 0 {
		return fmt.Sprintf("is %s of %d rules: %s; and %d more", dimension(m), len(clauses), text, more)
	}
	if len(clauses) > 1 {
		return fmt.Sprintf("is %s of %d rules: %s", dimension(m), len(clauses), text)
	}
	return fmt.Sprintf("is %s (part %d of %d) of %s", dimension(m), clauses[0].Clause, clauses[0].Of,
		text)
}

// dimension says which part of a rule a clause is: by what it matches.
func dimension(m openflow.Match) string {
	for o := range m.Fields() {
		switch o.Field {
		case flows.RegPort:
			return "a member's port"
		case openflow.IPv4Src, openflow.IPv4Dst, openflow.IPv6Src, openflow.IPv6Dst:
			return "a peer"
		}
	}
	return "a service"
}

// setFlags are the flags that the pipeline writes, by what they mean; "" = it goes without saying.
var setFlags = map[flows.Flags]string{
	flows.FlagAdmitted: "admitted", flows.FlagUndecided: "",
	flows.OriginInstance: "noted as an instance's",
	flows.OriginUplink:   "noted as an uplink's", flows.OriginTrusted: "noted as a trusted port's",
}

// set says what a register is given.
func (s sentence) set(o openflow.OXM, text string) string {
	value, mask := o.Uint()
	switch o.Field {
	case flows.RegFlags:
		if words, ok := setFlags[flows.Flags{Value: uint32(value), Mask: uint32(mask)}]; ok {
			return words
		}
	case flows.RegPort:
		return "judged from here on for " + s.zone(value)
	case flows.RegEpoch:
		return "with its epoch " + decimal(value)
	case flows.RegPage:
		return ""
	case flows.RegRule:
		if value == 0 {
			return ""
		}
		return "by " + s.rule(uint32(value))
	}
	written, register, _ := strings.Cut(strings.TrimPrefix(text, "set_field:"), "->")
	return "sets " + register + " to " + written
}

// action says every other action.
func (s sentence) action(a openflow.Action, text string) string {
	switch a := a.(type) {
	case openflow.ClearTrack:
		return ""
	case openflow.PopVLAN:
		return "its tag taken off"
	case openflow.Output:
		return "sent out of " + s.number(uint64(a.Port), decimal(uint64(a.Port)))
	case openflow.Meter:
		return s.meter(a.ID)
	case openflow.Show:
		return fmt.Sprintf("its first %d bytes shown to who logs what is denied; dropped", a.Bytes)
	case openflow.Resubmit:
		if name := s.table(a.Table); name != s.origin.Table {
			return "on to " + name
		}
		return "looked for on the further pages of " + s.origin.Table
	case openflow.Track:
		if a.Commit {
			return "remembered in the zone of the port with its epoch and the rule"
		}
		if a.Table != openflow.NoTable {
			return "looked up in the zone of the port, then on to " + s.table(a.Table)
		}
	}
	return "does " + text
}

func (s sentence) table(number uint8) string {
	if t, ok := s.tables[number]; ok {
		return t.Name
	}
	return fmt.Sprintf("table %d (none of ours)", number)
}

// meter says whose meter it is: each port has its own, by its zone (docs/decisions/0010-limits.md).
func (s sentence) meter(number uint32) string {
	m := flows.MeterOf(number)
	switch m.Of {
	case flows.MeterOfDenied:
		return "held to the rate at which denied packets are shown"
	case flows.MeterOfOutside:
		return "held to the limit of the fragments that come from outside"
	case "":
		return fmt.Sprintf("held to meter %d, which is none of ours", number)
	}
	return fmt.Sprintf("held to the limit of %s for %s", s.zone(uint64(m.Zone)), m.Of)
}
