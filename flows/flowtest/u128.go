package flowtest

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/portcullis/portcullis/flows/policy"
)

// u128 is the value of any field, right-aligned. One type for all widths keeps matches, moves and
// the stack free of special cases.
type u128 struct{ hi, lo uint64 }

func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int](n T) u128 { return u128{lo: uint64(n)} }

func (a u128) and(b u128) u128    { return u128{a.hi & b.hi, a.lo & b.lo} }
func (a u128) andNot(b u128) u128 { return u128{a.hi &^ b.hi, a.lo &^ b.lo} }
func (a u128) or(b u128) u128     { return u128{a.hi | b.hi, a.lo | b.lo} }
func (a u128) isZero() bool       { return a == u128{} }

func (a u128) shl(n int) u128 {
	if n >= 64 {
		return u128{a.lo << (n - 64), 0}
	}
	return u128{a.hi<<n | a.lo>>(64-n), a.lo << n}
}

func (a u128) shr(n int) u128 {
	if n >= 64 {
		return u128{0, a.hi >> (n - 64)}
	}
	return u128{a.hi >> n, a.lo>>n | a.hi<<(64-n)}
}

// ones returns n one bits, right-aligned.
func ones(n int) u128 {
	if n >= 64 {
		return u128{1<<(n-64) - 1, ^uint64(0)}
	}
	return u128{0, 1<<n - 1}
}

// prefixBits returns the mask of a network of the given prefix length in a field of the given
// width.
func prefixBits(length, width int) u128 { return ones(width).andNot(ones(width - length)) }

// hex returns 0 for zero, else 0x..., without leading zeros.
func (a u128) hex() string {
	switch {
	case a.isZero():
		return "0"
	case a.hi != 0:
		return fmt.Sprintf("0x%x%016x", a.hi, a.lo)
	}
	return fmt.Sprintf("0x%x", a.lo)
}

func macValue(m policy.MAC) u128 {
	var b [8]byte
	copy(b[2:], m[:])
	return u128{lo: binary.BigEndian.Uint64(b[:])}
}

func (a u128) mac() policy.MAC {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], a.lo)
	return policy.MAC(b[2:])
}

// addrValue returns the bits of an address; the zero Addr is all zeros.
func addrValue(a netip.Addr) u128 {
	if !a.IsValid() {
		return u128{}
	}
	if a.Is4() {
		b := a.As4()
		return number(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return u128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (a u128) addr4() netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a.lo >> 24), byte(a.lo >> 16), byte(a.lo >> 8), byte(a.lo)})
}

func (a u128) addr6() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	return netip.AddrFrom16(b)
}
