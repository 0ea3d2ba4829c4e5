package flowtest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/flows/openflow"
)

// scope says where actions stand, which decides what they may be.
type scope uint8

const (
	inFlow  scope = iota
	inClone       // no conjunctions
	inExec        // of ct(): only writes to ct_mark and ct_label
)

// maxPort is the highest number of a physical port; above it are the reserved ones (OpenFlow 1.5,
// section 7.2.1).
const maxPort = 0xfeff

// parseActions reads actions in the canonical form of Open vSwitch and refuses every other, and
// whatever Open vSwitch would refuse beside the match.
func (g grammar) parseActions(text string, m *match) ([]action, error) {
	as, err := g.parseList(text, m, inFlow)
	if err != nil {
		return nil, fmt.Errorf("actions %q: %w", text, err)
	}
	if want := printActions(as); want != text {
		return nil, fmt.Errorf("actions %q are not canonical, Open vSwitch prints %q", text, want)
	}
	if err := errors.Join(checkMeter(as), checkShow(as), checkClauses(as)); err != nil {
		return nil, fmt.Errorf("actions %q: %w", text, err)
	}
	return as, nil
}

func (g grammar) parseList(text string, m *match, in scope) ([]action, error) {
	if text == "drop" && in != inExec {
		return nil, nil
	}
	parts, err := splitTop(text)
	if err != nil {
		return nil, err
	}
	as := make([]action, 0, len(parts))
	for _, part := range parts {
		a, err := g.parseAction(part, m, in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part, err)
		}
		as = append(as, a)
	}
	return as, nil
}

// splitTop is openflow.Split of a list whose parentheses are balanced.
func splitTop(text string) ([]string, error) {
	depth := 0
	for _, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth < 0 {
			break
		}
	}
	if depth != 0 {
		return nil, fmt.Errorf("unbalanced parentheses in %q", text)
	}
	return openflow.Split(text), nil
}

func (g grammar) parseAction(text string, m *match, in scope) (action, error) {
	if args, ok := strings.CutPrefix(text, "set_field:"); ok {
		return parseSetField(args, in)
	}
	if args, ok := strings.CutPrefix(text, "move:"); ok {
		return g.parseMove(args, m, in)
	}
	if in == inExec {
		return nil, fmt.Errorf("within exec() only set_field and move are understood")
	}
	switch text {
	case "ct_clear":
		return ctClear{}, nil
	case "pop_vlan":
		return popVLAN{}, nil
	}
	name, args, hasColon := strings.Cut(text, ":")
	switch {
	case hasColon && name == "output":
		port, err := parseNumber(args, 32)
		if err != nil || port.lo == 0 || port.lo > maxPort {
			return nil, fmt.Errorf("only the number of a port is understood")
		}
		return output{uint32(port.lo)}, nil
	case hasColon && name == "meter" && in == inFlow:
		return parseMeter(args)
	case hasColon && name == "CONTROLLER" && in == inFlow:
		n, err := parseNumber(args, 16)
		return show{uint16(n.lo)}, err
	case hasColon && name == "push":
		from, err := g.readable(args, m)
		return push{from}, err
	case hasColon && name == "pop":
		to, err := g.writable(args, m, in)
		return pop{to}, err
	}
	return g.parseCall(text, m, in)
}

// parseCall reads the actions with parentheses.
func (g grammar) parseCall(text string, m *match, in scope) (action, error) {
	name, args, ok := strings.Cut(text, "(")
	args, closed := strings.CutSuffix(args, ")")
	if ok && closed {
		switch name {
		case "resubmit":
			table, err := parseTable(strings.TrimPrefix(args, ","))
			return resubmit{table}, err
		case "clone":
			as, err := g.parseList(args, m, inClone)
			return clone{as}, err
		case "ct":
			return g.parseTrack(args, m)
		case "conjunction":
			if in == inFlow {
				return parseClause(args)
			}
		}
	}
	return nil, fmt.Errorf("unknown action")
}

func parseTable(text string) (uint8, error) {
	n, err := parseNumber(text, 8)
	if err == nil && n.lo > maxTable {
		err = fmt.Errorf("table %s is later than %d, the last", text, maxTable)
	}
	return uint8(n.lo), err
}

func parseClause(args string) (action, error) {
	var c clause
	if n, err := fmt.Sscanf(args, "%d,%d/%d", &c.id, &c.k, &c.n); n != 3 || err != nil {
		return nil, fmt.Errorf("want conjunction(id,k/n)")
	}
	switch {
	case c.id == 0:
		return nil, fmt.Errorf("conjunction id 0 is what every other packet has")
	case c.n < 2 || c.n > 64:
		return nil, fmt.Errorf("a conjunction has 2 to 64 clauses")
	case c.k < 1 || c.k > c.n:
		return nil, fmt.Errorf("clause %d of %d", c.k, c.n)
	}
	return c, nil
}

// checkClauses refuses conjunction() beside other actions, and one id twice: Open vSwitch counts a
// flow once, so that a second clause of the same id counts only where other flows match too.
func checkClauses(as []action) error {
	seen := map[uint32]bool{}
	for _, a := range as {
		c, ok := a.(clause)
		if !ok {
			continue
		}
		if seen[c.id] {
			return fmt.Errorf("conjunction %d twice in one flow", c.id)
		}
		seen[c.id] = true
	}
	if len(seen) > 0 && len(seen) < len(as) {
		return fmt.Errorf("conjunction() must not be mixed with other actions")
	}
	return nil
}

func parseSetField(args string, in scope) (action, error) {
	text, name, ok := strings.Cut(args, "->")
	s, known := settable(name, in)
	if !ok || !known {
		return nil, fmt.Errorf("set_field of %q is not understood here", name)
	}
	value, mask, err := formHex.parse(text, width(s))
	if err == nil && !value.andNot(mask).isZero() {
		err = fmt.Errorf("bits outside the mask are set")
	}
	return setField{name, s, value, mask}, err
}

// settable returns the field that set_field may write in the scope: registers, or mark and label
// within exec().
func settable(name string, in scope) (slot, bool) {
	switch {
	case in == inExec && name == "ct_mark":
		return slotCTMark, true
	case in == inExec && name == "ct_label":
		return slotCTLabel, true
	}
	for n := range slot(numRegs) {
		if in != inExec && name == "reg"+itoa(int(n)) {
			return slotReg0 + n, true
		}
	}
	return 0, false
}

func (g grammar) parseMove(args string, m *match, in scope) (action, error) {
	left, right, ok := strings.Cut(args, "->")
	if !ok {
		return nil, fmt.Errorf("move without ->")
	}
	from, err := g.readable(left, m)
	if err != nil {
		return nil, err
	}
	to, err := g.writable(right, m, in)
	if err != nil {
		return nil, err
	}
	if from.n != to.n {
		return nil, fmt.Errorf("moves %d bits to %d bits", from.n, to.n)
	}
	return move{from, to}, nil
}

func (g grammar) readable(text string, m *match) (subfield, error) {
	s, err := g.parseSubfield(text)
	if err == nil && !m.knownHeaders().holds(s.needs) {
		err = fmt.Errorf("%s lacks its prerequisites in the match", text)
	}
	return s, err
}

func (g grammar) writable(text string, m *match, in scope) (subfield, error) {
	s, err := g.readable(text, m)
	ctField := err == nil && (s.slot == slotCTMark || s.slot == slotCTLabel)
	if err == nil && (ctField != (in == inExec) || readOnly(s.slot) && !ctField) {
		err = fmt.Errorf("%s cannot be written here", text)
	}
	return s, err
}

// parseTrack reads the arguments of ct(). The order and the spelling are checked by printing the
// result.
func (g grammar) parseTrack(args string, m *match) (action, error) {
	if !m.knownHeaders().holds(needIP) {
		return nil, fmt.Errorf("ct() needs ip or ipv6 in the match")
	}
	var a track
	parts, err := splitTop(args)
	for _, part := range parts {
		if err == nil && args != "" {
			err = g.trackArgument(&a, part, m)
		}
	}
	switch {
	case err != nil:
	case len(a.exec) > 0 && !a.commit:
		err = fmt.Errorf("exec() without commit")
	case a.commit && m.values[slotCTState].lo&ctInv != 0:
		err = fmt.Errorf("an invalid packet cannot be committed")
	}
	return a, err
}

func (g grammar) trackArgument(a *track, part string, m *match) error {
	name, value, _ := strings.Cut(part, "=")
	switch {
	case part == "commit":
		a.commit = true
		return nil
	case name == "table":
		table, err := parseTable(value)
		a.table, a.recircs = table, true
		return err
	case name == "zone" && strings.Contains(value, "["):
		s, err := g.readable(value, m)
		if err == nil && s.n != 16 {
			err = fmt.Errorf("a zone has 16 bits, %s has %d", value, s.n)
		}
		a.zoneFrom = &s
		return err
	case name == "zone":
		n, err := parseNumber(value, 16)
		a.zone = uint16(n.lo)
		return err
	case strings.HasPrefix(part, "exec(") && strings.HasSuffix(part, ")"):
		var err error
		a.exec, err = g.parseList(part[len("exec("):len(part)-1], m, inExec)
		return err
	}
	return fmt.Errorf("argument %q is not understood", part)
}
