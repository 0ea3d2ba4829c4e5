package flowtest

import (
	"fmt"
	"strings"
)

// test is one comparison of a match: the bits of mask in the slot equal value.
type test struct {
	slot        slot
	value, mask u128
}

// match is a parsed match. It is comparable, so that two texts of one meaning are found.
type match struct{ values, masks headers }

// knownHeaders returns what the match pins down.
func (m *match) knownHeaders() knownHeaders { return knownHeaders{&m.values, &m.masks} }

// tests returns the comparisons in the order of the slots.
func (m *match) tests() []test {
	var ts []test
	for s := range numSlots {
		if !m.masks[s].isZero() {
			ts = append(ts, test{s, m.values[s], m.masks[s]})
		}
	}
	return ts
}

// add puts one comparison into the match. It refuses a slot that is taken: Open vSwitch never
// prints a field twice.
func (m *match) add(t test) error {
	if !m.masks[t.slot].isZero() {
		return fmt.Errorf("it is matched twice")
	}
	if out := t.value.andNot(t.mask); !out.isZero() {
		return fmt.Errorf("bits outside the mask are set")
	}
	m.values[t.slot], m.masks[t.slot] = t.value, t.mask
	return nil
}

// grammar is the declaration of the fields, indexed for parsing.
type grammar struct {
	fields    map[string]field
	rank      map[string]int
	protocols map[string]protocol
	subfields map[string]subfieldName
}

func newGrammar() grammar {
	g := grammar{map[string]field{}, map[string]int{}, map[string]protocol{}, subfieldNames()}
	rank := 0
	for _, f := range fields() {
		if f.name == protocolBefore {
			for _, p := range protocols() {
				g.protocols[p.name], g.rank[p.name] = p, rank
			}
			rank++
		}
		g.fields[f.name], g.rank[f.name] = f, rank
		rank++
	}
	return g
}

// parseMatch reads a match in the canonical form of Open vSwitch and refuses every other.
func (g grammar) parseMatch(text string) (match, error) {
	var m match
	if text == "" {
		return m, nil
	}
	last := -1
	var present []field
	for _, part := range strings.Split(text, ",") {
		name, value, hasValue := strings.Cut(part, "=")
		rank, known := g.rank[name]
		if !known {
			return m, fmt.Errorf("match %q: unknown field %q", text, name)
		}
		if rank <= last {
			return m, fmt.Errorf("match %q: %s is out of order", text, name)
		}
		last = rank
		f, isField := g.fields[name]
		if isField != hasValue {
			return m, fmt.Errorf("match %q: %q is a protocol with a value or a field without", text, part)
		}
		if err := g.addPart(&m, name, value); err != nil {
			return m, fmt.Errorf("match %q: %s: %w", text, name, err)
		}
		if isField {
			present = append(present, f)
		}
	}
	if err := checkMatch(&m, present); err != nil {
		return m, fmt.Errorf("match %q: %w", text, err)
	}
	return m, nil
}

func (g grammar) addPart(m *match, name, text string) error {
	if p, ok := g.protocols[name]; ok {
		if p.proto >= 0 {
			m.values[slotProto], m.masks[slotProto] = number(p.proto), ones(width(slotProto))
		}
		return m.add(test{slotEthType, number(p.ethType), ones(width(slotEthType))})
	}
	f := g.fields[name]
	value, mask, err := f.form.parse(text, f.bits)
	if err != nil {
		return err
	}
	switch want := f.form.print(value, mask, f.bits); want {
	case text:
	case "":
		return fmt.Errorf("%q is not canonical, Open vSwitch never prints such a mask", text)
	default:
		return fmt.Errorf("%q is not canonical, Open vSwitch prints %q", text, want)
	}
	if f.name == "dl_vlan" { // tagged, and with this number
		return m.add(test{slotVLAN, value.or(number(vlanPresent)), number(vlanPresent | 0xfff)})
	}
	if mask == ones(f.bits) {
		mask = ones(width(f.slot)) // an ICMP type fills the place of a port
	}
	return m.add(test{f.slot, value, mask})
}

// checkMatch judges what depends on the whole match: prerequisites, and words that Open vSwitch
// would print instead.
func checkMatch(m *match, present []field) error {
	for _, f := range present {
		for i, name := range needNames() {
			if bit := need(1) << i; f.needs&bit != 0 && !m.knownHeaders().holds(bit) {
				return fmt.Errorf("%s needs %s", f.name, name)
			}
		}
		switch {
		case f.slot == slotConjID && m.values[slotConjID].isZero():
			return fmt.Errorf("conj_id=0 matches outside every conjunction")
		case f.name == "vlan_tci" && !canonicalVLAN(m.values[slotVLAN], m.masks[slotVLAN]):
			return fmt.Errorf("of vlan_tci only 0x0000/0x1fff, 0x0000/0x1000 and 0x1000/0x1000 are understood")
		}
		for _, p := range protocols() {
			spelled := f.name == "dl_type" && p.proto < 0 || f.name == "nw_proto" &&
				m.knownHeaders().is(slotProto, p.proto)
			if spelled && m.knownHeaders().is(slotEthType, int(p.ethType)) {
				return fmt.Errorf("%s is not canonical, Open vSwitch prints the word %q", f.name, p.name)
			}
		}
	}
	return nil
}

// canonicalVLAN names the matches on "tagged or not"; Open vSwitch prints those on a VLAN's number
// as dl_vlan.
func canonicalVLAN(value, mask u128) bool {
	return value.isZero() && (mask.lo == 0x1fff || mask.lo == vlanPresent) ||
		value.lo == vlanPresent && mask.lo == vlanPresent
}

// vlanPresent is the bit of vlan_tci that every tagged packet has (ovs-fields(7)).
const vlanPresent = 0x1000
