package flowtest

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// form is how Open vSwitch writes the values of a field.
type form uint8

const (
	formDecimal form = iota // exact only
	formHex                 // 0x10 or 0x10/0x30
	formPort                // 80 or 0x50/0xfff0
	formVLAN                // 0x0000/0x1fff
	formEthType             // 0x88cc
	formMAC
	formIPv4
	formIPv6
	formFrag
	formCTState
)

func itoa(n int) string { return strconv.Itoa(n) }

// parse returns the value and the mask that the text stands for. It does not care for canonical
// form; the caller compares the text with what print makes of the result.
func (f form) parse(text string, bits int) (value, mask u128, err error) {
	switch f {
	case formFrag:
		return parseFrag(text)
	case formCTState:
		return parseCTState(text)
	}
	left, right, masked := strings.Cut(text, "/")
	if value, err = f.scalar(left, bits); err != nil {
		return u128{}, u128{}, err
	}
	mask = ones(bits)
	if masked {
		if mask, err = f.mask(right, bits); err != nil {
			return u128{}, u128{}, err
		}
	}
	if mask.isZero() {
		return u128{}, u128{}, fmt.Errorf("mask of %q is zero", text)
	}
	return value, mask, nil
}

func (f form) mask(text string, bits int) (u128, error) {
	if length, err := strconv.Atoi(text); err == nil && (f == formIPv4 || f == formIPv6) {
		if length < 0 || length > bits {
			return u128{}, fmt.Errorf("prefix length %d of %d bits", length, bits)
		}
		return prefixBits(length, bits), nil
	}
	return f.scalar(text, bits)
}

func (f form) scalar(text string, bits int) (u128, error) {
	switch f {
	case formMAC:
		return parseMAC(text)
	case formIPv4, formIPv6:
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Is4() != (f == formIPv4) || addr.Zone() != "" {
			return u128{}, fmt.Errorf("%q is no address of the right family", text)
		}
		return addrValue(addr), nil
	}
	return parseNumber(text, bits)
}

// parseNumber reads a decimal or 0x number of at most the given bits.
func parseNumber(text string, bits int) (u128, error) {
	digits, isHex := strings.CutPrefix(text, "0x")
	var n u128
	var err error
	switch {
	case isHex && len(digits) > 16 && len(digits) <= 32:
		if n.hi, err = strconv.ParseUint(digits[:len(digits)-16], 16, 64); err == nil {
			n.lo, err = strconv.ParseUint(digits[len(digits)-16:], 16, 64)
		}
	case isHex:
		n.lo, err = strconv.ParseUint(digits, 16, 64)
	default:
		n.lo, err = strconv.ParseUint(text, 10, 64)
	}
	if err != nil {
		return u128{}, fmt.Errorf("%q is no number", text)
	}
	if !n.andNot(ones(bits)).isZero() {
		return u128{}, fmt.Errorf("%q does not fit in %d bits", text, bits)
	}
	return n, nil
}

func parseMAC(text string) (u128, error) {
	var m policy.MAC
	parts := strings.Split(text, ":")
	if len(parts) != len(m) {
		return u128{}, fmt.Errorf("%q is no MAC address", text)
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 16, 8)
		if err != nil {
			return u128{}, fmt.Errorf("%q is no MAC address", text)
		}
		m[i] = byte(n)
	}
	return macValue(m), nil
}

// fragments returns the words of nw_frag with value and mask.
func fragments() []struct {
	word        string
	value, mask u128
} {
	return []struct {
		word        string
		value, mask u128
	}{
		{"no", number(0), number(fragAny | fragLater)},
		{"yes", number(fragAny), number(fragAny)},
		{"first", number(fragAny), number(fragAny | fragLater)},
		{"later", number(fragAny | fragLater), number(fragAny | fragLater)},
		{"not_later", number(0), number(fragLater)},
	}
}

func parseFrag(text string) (value, mask u128, err error) {
	for _, f := range fragments() {
		if f.word == text {
			return f.value, f.mask, nil
		}
	}
	return u128{}, u128{}, fmt.Errorf("%q is no kind of fragment", text)
}

// ctFlags returns the names of the bits of ct_state, lowest first. The NAT bits are not understood.
func ctFlags() []string { return []string{"new", "est", "rel", "rpl", "inv", "trk"} }

func parseCTState(text string) (value, mask u128, err error) {
	rest := text
	for rest != "" {
		sign := rest[0]
		end := strings.IndexAny(rest[1:], "+-") + 1
		if end == 0 {
			end = len(rest)
		}
		bit := uint64(0)
		for i, name := range ctFlags() {
			if name == rest[1:end] {
				bit = 1 << i
			}
		}
		if bit == 0 || sign != '+' && sign != '-' || mask.lo&bit != 0 {
			return u128{}, u128{}, fmt.Errorf("ct_state %q", text)
		}
		mask.lo |= bit
		if sign == '+' {
			value.lo |= bit
		}
		rest = rest[end:]
	}
	if mask.isZero() {
		return u128{}, u128{}, fmt.Errorf("ct_state is empty")
	}
	return value, mask, nil
}

// print writes a value the way Open vSwitch does; "" is what it never prints.
func (f form) print(value, mask u128, bits int) string {
	switch f {
	case formFrag:
		return printFrag(value, mask)
	case formCTState:
		return printCTState(value, mask)
	case formVLAN:
		return fmt.Sprintf("0x%04x/0x%04x", value.lo, mask.lo)
	}
	exact := mask == ones(bits)
	switch {
	case f == formPort && !exact:
		return fmt.Sprintf("0x%x/0x%x", value.lo, mask.lo)
	case exact:
		return f.printScalar(value)
	case f == formDecimal || f == formEthType:
		return "" // never masked in what Open vSwitch prints for us
	case f == formIPv4 || f == formIPv6:
		for length := 1; length < bits; length++ {
			if mask == prefixBits(length, bits) {
				return f.printScalar(value) + "/" + itoa(length)
			}
		}
	}
	return f.printScalar(value) + "/" + f.printScalar(mask)
}

func (f form) printScalar(v u128) string {
	switch f {
	case formDecimal, formPort:
		return strconv.FormatUint(v.lo, 10)
	case formEthType:
		return fmt.Sprintf("0x%04x", v.lo)
	case formMAC:
		return v.mac().String()
	case formIPv4:
		return v.addr4().String()
	case formIPv6:
		return printIPv6(v)
	}
	return v.hex()
}

// printIPv6 differs from netip in the IPv4-compatible addresses, which Open vSwitch prints as
// inet_ntop(3) does: ::1.2.3.4.
func printIPv6(v u128) string {
	if v.hi == 0 && v.lo>>32 == 0 && v.lo>>16 != 0 {
		return "::" + v.addr4().String()
	}
	return v.addr6().String()
}

func printFrag(value, mask u128) string {
	for _, f := range fragments() {
		if f.value == value && f.mask == mask {
			return f.word
		}
	}
	return ""
}

func printCTState(value, mask u128) string {
	var b strings.Builder
	for i, name := range ctFlags() {
		switch bit := uint64(1) << i; {
		case value.lo&bit != 0:
			b.WriteString("+" + name)
		case mask.lo&bit != 0:
			b.WriteString("-" + name)
		}
	}
	return b.String()
}
