package openflow

import (
	"errors"
	"strconv"
	"strings"
)

var errOperand = errors.New("no field, or no bits of it, that actions name")

// operand is a field that move, push, pop and ct name. A move, which is OpenFlow's, says it as OpenFlow does; the others, which are
// Nicira's, say it as Nicira did.
type operand struct{ moved, named field }

// operands are those by the names that Open vSwitch prints.
var operands = map[string]operand{
	"NXM_NX_CT_IPV6_DST": only(nicira, 123, 16),
	"NXM_NX_CT_IPV6_SRC": only(nicira, 122, 16),
	"NXM_NX_CT_LABEL":    only(nicira, 108, 16),
	"NXM_NX_CT_MARK":     only(nicira, 107, 4),
	"NXM_NX_CT_NW_DST":   only(nicira, 121, 4),
	"NXM_NX_CT_NW_SRC":   only(nicira, 120, 4),
	"NXM_NX_CT_TP_DST":   only(nicira, 125, 2),
	"NXM_NX_CT_TP_SRC":   only(nicira, 124, 2),
	"NXM_NX_ICMPV6_CODE": both(30, nicira, 22, 1),
	"NXM_NX_ICMPV6_TYPE": both(29, nicira, 21, 1),
	"NXM_NX_IPV6_DST":    both(27, nicira, 20, 16),
	"NXM_NX_IPV6_SRC":    both(26, nicira, 19, 16),
	"NXM_NX_REG1":        only(nicira, 1, 4),
	"NXM_NX_REG2":        only(nicira, 2, 4),
	"NXM_NX_REG3":        only(nicira, 3, 4),
	"NXM_OF_ICMP_CODE":   both(20, older, 14, 1),
	"NXM_OF_ICMP_TYPE":   both(19, older, 13, 1),
	"NXM_OF_IP_DST":      both(12, older, 8, 4),
	"NXM_OF_IP_SRC":      both(11, older, 7, 4),
	"NXM_OF_TCP_DST":     both(14, older, 10, 2),
	"NXM_OF_TCP_SRC":     both(13, older, 9, 2),
	"NXM_OF_UDP_DST":     both(16, older, 12, 2),
	"NXM_OF_UDP_SRC":     both(15, older, 11, 2),
	"OXM_OF_SCTP_DST":    only(basic, 18, 2),
	"OXM_OF_SCTP_SRC":    only(basic, 17, 2),
}

func only(class uint16, number, size uint8) operand {
	f := field{class: class, number: number, size: size}
	return operand{f, f}
}

func both(number uint8, class uint16, named, size uint8) operand {
	return operand{field{class: basic, number: number, size: size}, field{class: class, number: named, size: size}}
}

// bits are some of an operand.
type bits struct {
	operand
	offset, count uint16
}

// readBits reads "NXM_NX_REG1[0..15]", or with "[]" all bits of an operand.
func readBits(text string) (bits, error) {
	name, some, _ := strings.Cut(text, "[")
	some, closed := strings.CutSuffix(some, "]")
	o, known := operands[name]
	if !known || !closed {
		return bits{}, errOperand
	}
	width := 8 * uint16(o.named.size)
	if some == "" {
		return bits{o, 0, width}, nil
	}
	first, last, _ := strings.Cut(some, "..")
	from, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		return bits{}, errOperand
	}
	to, err := strconv.ParseUint(last, 10, 16)
	if err != nil || from > to || to >= uint64(width) {
		return bits{}, errOperand
	}
	return bits{o, uint16(from), uint16(to-from) + 1}, nil
}
