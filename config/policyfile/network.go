// Why a text is no network, in the words of who wrote it. Called by address.go.

package policyfile

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go4.org/netipx"
)

// networkHint says what is probably meant by a text that is no network.
func networkHint(s string) string {
	address, length, hasLength := strings.Cut(s, "/")
	if r, err := netipx.ParseIPRange(s); err == nil {
		return rangeHint(r)
	}
	if strings.Contains(s, "%") {
		return "; write it without the zone"
	}
	if hint := octetsHint(address, hasLength); hint != "" {
		return hint
	}
	a, err := netip.ParseAddr(address)
	if err != nil || !hasLength {
		return ""
	}
	if mask, err := netip.ParseAddr(length); err == nil && mask.BitLen() == a.BitLen() {
		return maskHint(a, mask)
	}
	if n, err := strconv.Atoi(length); err == nil && n > a.BitLen() {
		return fmt.Sprintf("; the length is at most %d", a.BitLen())
	}
	return ""
}

// rangeHint says by which networks a range is written.
func rangeHint(r netipx.IPRange) string {
	const most = 8
	prefixes := r.Prefixes()
	if len(prefixes) > most {
		return "; write the networks that make up the range"
	}
	words := make([]string, len(prefixes))
	for n, p := range prefixes {
		words[n] = `"` + p.String() + `"`
	}
	return "; write the networks that make up the range: [" + strings.Join(words, ", ") + "]"
}

// octetsHint is of what is nearly an address of IPv4.
func octetsHint(address string, hasLength bool) string {
	parts := strings.Split(address, ".")
	if len(parts) > 4 || len(parts) < 2 {
		return ""
	}
	for n, part := range parts {
		number, err := strconv.Atoi(part)
		switch {
		case err == nil && number > 255:
			return fmt.Sprintf("; %d is more than 255", number)
		case (part == "*" || part == "x") && n > 0 && !hasLength:
			whole := strings.Join(append(parts[:n:n], []string{"0", "0", "0"}[:4-n]...), ".")
			return fmt.Sprintf("; write %s/%d", whole, 8*n)
		case err != nil:
			return ""
		}
	}
	return ""
}

// maskHint says the length that a mask has.
func maskHint(a, mask netip.Addr) string {
	bits := 0
	for _, b := range mask.AsSlice() {
		for ; b&0x80 != 0; b <<= 1 {
			bits++
		}
		if b != 0 {
			return ""
		}
	}
	p := netip.PrefixFrom(a, bits).Masked()
	if all := netip.PrefixFrom(mask, bits); all.Masked().Addr() != mask {
		return ""
	}
	return "; write " + p.String()
}
