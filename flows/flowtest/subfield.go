package flowtest

import (
	"fmt"
	"strings"
)

// subfieldName is a field as move, push, pop and ct(zone=...) name it.
type subfieldName struct {
	slot  slot
	bits  int
	needs need
}

// readOnly says whether no action may write the slot; ct_mark and ct_label are written only within
// ct(exec(...)).
func readOnly(s slot) bool { return s <= slotCTTPDst }

// subfieldNames returns the fields by the names of their NXM and OXM numbers (ovs-fields(7)).
func subfieldNames() map[string]subfieldName {
	names := map[string]subfieldName{
		"NXM_OF_IP_SRC": {slotSrc4, 32, needIPv4}, "NXM_OF_IP_DST": {slotDst4, 32, needIPv4},
		"NXM_NX_IPV6_SRC": {slotSrc6, 128, needIPv6}, "NXM_NX_IPV6_DST": {slotDst6, 128, needIPv6},
		"NXM_OF_TCP_SRC": {slotTPSrc, 16, needTCP}, "NXM_OF_TCP_DST": {slotTPDst, 16, needTCP},
		"NXM_OF_UDP_SRC": {slotTPSrc, 16, needUDP}, "NXM_OF_UDP_DST": {slotTPDst, 16, needUDP},
		"OXM_OF_SCTP_SRC": {slotTPSrc, 16, needSCTP}, "OXM_OF_SCTP_DST": {slotTPDst, 16, needSCTP},
		"NXM_OF_ICMP_TYPE": {slotTPSrc, 8, needICMP}, "NXM_OF_ICMP_CODE": {slotTPDst, 8, needICMP},
		"NXM_NX_ICMPV6_TYPE": {slotTPSrc, 8, needICMPv6},
		"NXM_NX_ICMPV6_CODE": {slotTPDst, 8, needICMPv6},
		"NXM_NX_CT_NW_SRC":   {slotCTSrc4, 32, needCT | needIPv4},
		"NXM_NX_CT_NW_DST":   {slotCTDst4, 32, needCT | needIPv4},
		"NXM_NX_CT_IPV6_SRC": {slotCTSrc6, 128, needCT | needIPv6},
		"NXM_NX_CT_IPV6_DST": {slotCTDst6, 128, needCT | needIPv6},
		"NXM_NX_CT_TP_SRC":   {slotCTTPSrc, 16, needCT}, "NXM_NX_CT_TP_DST": {slotCTTPDst, 16, needCT},
		"NXM_NX_CT_MARK": {slotCTMark, 32, 0}, "NXM_NX_CT_LABEL": {slotCTLabel, 128, 0},
	}
	for n := range slot(numRegs) {
		names["NXM_NX_REG"+itoa(int(n))] = subfieldName{slotReg0 + n, 32, 0}
	}
	return names
}

// subfield is a run of bits of a field.
type subfield struct {
	text     string
	slot     slot
	first, n int // lowest bit and number of bits
	needs    need
}

// parseSubfield reads NAME[], NAME[bit] or NAME[first..last] in canonical form.
func (g grammar) parseSubfield(text string) (subfield, error) {
	name, bits, ok := strings.Cut(text, "[")
	bits, closed := strings.CutSuffix(bits, "]")
	f, known := g.subfields[name]
	if !ok || !closed || !known {
		return subfield{}, fmt.Errorf("unknown field %q", text)
	}
	first, last := 0, f.bits-1
	left, right, ranged := strings.Cut(bits, "..")
	var err error
	if bits != "" {
		if first, err = parseBit(left); err == nil {
			last = first
		}
	}
	if err == nil && ranged {
		last, err = parseBit(right)
	}
	if err != nil || first > last || last >= f.bits {
		return subfield{}, fmt.Errorf("%q has no bits %q", name, bits)
	}
	s := subfield{text: text, slot: f.slot, first: first, n: last - first + 1, needs: f.needs}
	if want := name + printBits(first, last, f.bits); want != text {
		return subfield{}, fmt.Errorf("%q is not canonical, Open vSwitch prints %q", text, want)
	}
	return s, nil
}

func parseBit(text string) (int, error) {
	n, err := parseNumber(text, 7)
	return int(n.lo), err
}

func printBits(first, last, bits int) string {
	switch {
	case first == 0 && last == bits-1:
		return "[]"
	case first == last:
		return fmt.Sprintf("[%d]", first)
	}
	return fmt.Sprintf("[%d..%d]", first, last)
}

func (s subfield) mask() u128 { return ones(s.n).shl(s.first) }

func (s subfield) read(h *headers) u128 { return h[s.slot].shr(s.first).and(ones(s.n)) }

func (s subfield) write(h *headers, v u128) {
	h[s.slot] = h[s.slot].andNot(s.mask()).or(v.and(ones(s.n)).shl(s.first))
}
