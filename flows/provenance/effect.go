package provenance

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// maxRules is how many rules a sentence names; [Origin.Rules] has all.
const maxRules = 3

var (
	conjunction = regexp.MustCompile(`^conjunction\((\d+),(\d+)/(\d+)\)$`)
	nextTable   = regexp.MustCompile(`^(?:resubmit\(,(\d+)\)|ct\(table=(\d+),.*\))$`)
)

// effect says what becomes of the packets.
func (s sentence) effect(f openflow.Flow) string {
	actions := openflow.Split(f.Actions.String())
	if conjunction.MatchString(actions[0]) {
		return s.clauses(f, actions)
	}
	var out []string
	var opposite bool
	for _, a := range actions {
		verb, rest, _ := strings.Cut(a, ":")
		switch {
		case verb == "push", verb == "pop", verb == "move":
			if !opposite {
				out = append(out, shownInstead(f))
			}
			opposite = true
		case opposite && strings.HasSuffix(a, "->reg3"):
			out = append(out, "as the request that it answers")
		case a == "ct_clear":
		case a == "pop_vlan":
			out = append(out, "its tag taken off")
		case verb == "set_field":
			out = append(out, s.set(rest))
		default:
			out = append(out, s.action(a))
		}
	}
	return strings.Join(compact(out), ", ")
}

// shownInstead says what the rules see in the place of a packet: of a fragment no connection is known yet.
func shownInstead(f openflow.Flow) string {
	if strings.Contains(f.Match.String(), "nw_frag=") {
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

// clauses says which part of which rules a match is.
func (s sentence) clauses(f openflow.Flow, actions []string) string {
	var names []string
	part := ""
	for _, a := range actions {
		m := conjunction.FindStringSubmatch(a)
		if m == nil {
			return f.Actions.String()
		}
		id, _ := strconv.ParseUint(m[1], 10, 32)
		part = fmt.Sprintf("%s of %s", m[2], m[3])
		if name := s.rule(uint32(id)); len(names) < maxRules {
			names = append(names, name)
		}
	}
	text := strings.Join(names, "; ")
	if more := len(actions) - len(names); more > 0 {
		return fmt.Sprintf("is %s of %d rules: %s; and %d more", dimension(f.Match.String()), len(actions), text, more)
	}
	if len(actions) > 1 {
		return fmt.Sprintf("is %s of %d rules: %s", dimension(f.Match.String()), len(actions), text)
	}
	return fmt.Sprintf("is %s (part %s) of %s", dimension(f.Match.String()), part, text)
}

// dimension says which part of a rule a clause is: by what it matches.
func dimension(match string) string {
	switch {
	case strings.HasPrefix(match, "reg1="):
		return "a member's port"
	case strings.Contains(match, "nw_src="), strings.Contains(match, "ipv6_src="), strings.Contains(match, "nw_dst="), strings.Contains(match, "ipv6_dst="):
		return "a peer"
	}
	return "a service"
}

// set says what a register is given.
func (s sentence) set(rest string) string {
	value, register, _ := strings.Cut(rest, "->")
	switch register {
	case "reg0":
		if value == "0x1/0x1" || value == "0/0x1" || strings.HasSuffix(value, "/0x30") {
			return map[string]string{"0x1/0x1": "admitted", "0x10/0x30": "noted as an instance's", "0x20/0x30": "noted as an uplink's",
				"0x30/0x30": "noted as a trusted port's"}[value]
		}
	case "reg1":
		return "judged from here on for " + s.zone(value)
	case "reg2":
		return "with its epoch " + decimal(value)
	case "reg4":
		return ""
	case "reg3":
		if value == "0" {
			return ""
		}
		if id, err := strconv.ParseUint(value, 0, 32); err == nil {
			return "by " + s.rule(uint32(id))
		}
	}
	return "sets " + register + " to " + value
}

// action says every other action.
func (s sentence) action(a string) string {
	if a == "drop" {
		return "dropped"
	}
	if number, ok := strings.CutPrefix(a, "output:"); ok {
		return "sent out of " + s.number(number)
	}
	if number, ok := strings.CutPrefix(a, "meter:"); ok {
		return s.meter(number)
	}
	if bytes, ok := strings.CutPrefix(a, "CONTROLLER:"); ok {
		return "its first " + bytes + " bytes shown to who logs what is denied; dropped"
	}
	if strings.HasPrefix(a, "ct(commit,") {
		return "remembered in the zone of the port with its epoch and the rule"
	}
	if m := nextTable.FindStringSubmatch(a); m != nil {
		if s.table(m[1]) == s.origin.Table {
			return "looked for on the further pages of " + s.origin.Table
		}
		if m[2] != "" {
			return "looked up in the zone of the port, then on to " + s.table(m[2])
		}
		return "on to " + s.table(m[1])
	}
	return "does " + a
}

func (s sentence) table(number string) string {
	n, err := strconv.ParseUint(number, 10, 8)
	if t, ok := s.tables[uint8(n)]; ok && err == nil {
		return t.Name
	}
	return "table " + number + " (none of ours)"
}

// meter says whose meter it is: each port has its own, by its zone (docs/decisions/0010-limits.md).
func (s sentence) meter(number string) string {
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 {
		return "does meter:" + number
	}
	m := flows.MeterOf(uint32(n))
	switch m.Of {
	case flows.MeterOfDenied:
		return "held to the rate at which denied packets are shown"
	case flows.MeterOfOutside:
		return "held to the limit of the fragments that come from outside"
	case "":
		return "held to meter " + number + ", which is none of ours"
	}
	return fmt.Sprintf("held to the limit of %s for %s", s.zone(strconv.FormatUint(uint64(m.Zone), 10)), m.Of)
}
