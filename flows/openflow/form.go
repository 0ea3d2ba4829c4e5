package openflow

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// form is how text writes the values of a field.
type form uint8

const (
	unread     form = iota // never: only actions name the field
	decimal                // 80 or, masked, 0x50/0xfff0
	hex                    // 0x10, 0x10/0x30, 0
	etherTypes             // 0x88cc
	ports                  // 7, LOCAL
	vlans                  // see [OXM.appendText]
	macs                   // 02:00:00:00:00:01, masked as well
	networks               // 192.0.2.0/24, or with another mask in the form of an address
	fragments              // no, first, later, yes, not_later
	states                 // +new-inv+trk
)

// fragmentKinds are the words, values and masks by [FragmentKind].
var fragmentKinds = [...]struct {
	word        string
	value, mask uint8
}{{"no", 0, 0xff}, {"first", 1, 0xff}, {"later", 3, 0xff}, {"yes", 1, 1}, {"not_later", 0, 2}}

// stateFlags are the flags of ct_state, from the lowest bit.
var stateFlags = [...]string{"new", "est", "rel", "rpl", "inv", "trk"}

// The numbers of ports. Open vSwitch gives none above maxPort (ovs-fields(7), in_port).
const (
	maxPort = 0xfeff
	// PortController stands for who asked the switch for packets.
	PortController = 0xfffffffd
	portLocal      = 0xfffffffe
)

// appendText appends the field as a part of a match: "tp_dst=80".
func (o *OXM) appendText(b []byte) []byte {
	if o.Field == VLAN {
		if value, _ := o.Uint(); value != 0 {
			return strconv.AppendUint(append(b, "dl_vlan="...), value&^vlanPresent, 10)
		}
		return append(b, "vlan_tci=0x0000/0x1fff"...) // neither CFI nor VID
	}
	return o.appendValue(append(append(b, specs[o.Field].name...), '='))
}

// fragmentWord returns the word for a kind of fragments; "" = there is none.
func fragmentWord(number, bits uint64) string {
	for _, k := range fragmentKinds {
		if uint64(k.value) == number && uint64(k.mask) == bits {
			return k.word
		}
	}
	return ""
}

// appendValue appends the value and, if there is one, the mask.
func (o *OXM) appendValue(b []byte) []byte {
	size := specs[o.Field].size
	value, mask := o.value[:size], o.mask[:size]
	number, bits := o.Uint()
	switch specs[o.Field].form {
	case states:
		return appendState(b, number, bits)
	case fragments:
		if word := fragmentWord(number, bits); word != "" {
			return append(b, word...)
		}
	case macs:
		if b = appendMAC(b, value); o.masked {
			b = appendMAC(append(b, '/'), mask)
		}
		return b
	case networks:
		return o.appendNetwork(b, value, mask)
	case etherTypes:
		return fmt.Appendf(b, "0x%04x", number)
	case ports:
		if number == portLocal {
			return append(b, "LOCAL"...)
		}
		if number == PortController {
			return append(b, "CONTROLLER"...)
		}
		return strconv.AppendUint(b, number, 10)
	case decimal:
		if !o.masked {
			return strconv.AppendUint(b, number, 10)
		}
		b = strconv.AppendUint(append(b, "0x"...), number, 16)
		return strconv.AppendUint(append(b, "/0x"...), bits, 16)
	}
	if b = appendHex(b, number); o.masked {
		b = appendHex(append(b, '/'), bits)
	}
	return b
}

// appendHex appends a number as Open vSwitch writes the value of a register.
func appendHex(b []byte, n uint64) []byte {
	if n == 0 {
		return append(b, '0')
	}
	return strconv.AppendUint(append(b, "0x"...), n, 16)
}

func appendMAC(b, mac []byte) []byte {
	const digits = "0123456789abcdef"
	for i, octet := range mac {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[octet>>4], digits[octet&15])
	}
	return b
}

func (o *OXM) appendNetwork(b, value, mask []byte) []byte {
	b = appendAddress(b, value)
	if !o.masked {
		return b
	}
	if bits, ok := prefix(mask); ok {
		return strconv.AppendInt(append(b, '/'), int64(bits), 10)
	}
	return appendAddress(append(b, '/'), mask)
}

// appendAddress differs from netip in the addresses that inet_ntop(3) shows as ones of IPv4.
func appendAddress(b, value []byte) []byte {
	a, _ := netip.AddrFromSlice(value)
	if a.Is6() && isIPv4Compatible(value) {
		return netip.AddrFrom4([4]byte(value[12:])).AppendTo(append(b, "::"...))
	}
	return a.AppendTo(b)
}

func isIPv4Compatible(value []byte) bool {
	for _, octet := range value[:12] {
		if octet != 0 {
			return false
		}
	}
	return value[12] != 0 || value[13] != 0
}

func appendState(b []byte, value, mask uint64) []byte {
	for i, name := range stateFlags {
		switch bit := uint64(1) << i; {
		case value&bit != 0:
			b = append(append(b, '+'), name...)
		case mask&bit != 0:
			b = append(append(b, '-'), name...)
		}
	}
	return b
}

// readText reads the value of a field. It is generous: who wants the canonical text alone compares
// what is written of the result.
func readText(f Field, text string) (OXM, bool) {
	switch specs[f].form {
	case states:
		return readState(text)
	case fragments:
		for k := range fragmentKinds {
			if fragmentKinds[k].word == text {
				return IsFragment(FragmentKind(k)), true
			}
		}
		return OXM{}, false
	case ports:
		return readPort(text)
	case unread, vlans:
		return OXM{}, false
	}
	value, mask, masked := strings.Cut(text, "/")
	var v, m [16]byte
	size := specs[f].size
	if !readScalar(f, v[:size], value) {
		return OXM{}, false
	}
	if !masked {
		return newOXM(f, v[:size], nil), true
	}
	if !readMask(f, m[:size], mask) {
		return OXM{}, false
	}
	return newOXM(f, v[:size], m[:size]), true
}

func readMask(f Field, into []byte, text string) bool {
	bits, err := strconv.ParseUint(text, 10, 8)
	if specs[f].form != networks || err != nil {
		return readScalar(f, into, text)
	}
	fillPrefix(into, int(bits))
	return int(bits) <= 8*len(into)
}

// readScalar reads a value, or a mask of the same form.
func readScalar(f Field, into []byte, text string) bool {
	switch specs[f].form {
	case macs:
		return readMAC(into, text)
	case networks:
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.BitLen() != 8*len(into) {
			return false
		}
		appendBytes(into[:0], a)
		return true
	}
	n, err := strconv.ParseUint(text, 0, 8*len(into))
	for i := range into {
		into[len(into)-1-i] = byte(n >> (8 * i))
	}
	return err == nil
}

func readMAC(into []byte, text string) bool {
	if len(text) != len("00:00:00:00:00:00") {
		return false
	}
	for i := range into {
		n, err := strconv.ParseUint(text[3*i:3*i+2], 16, 8)
		if err != nil || i > 0 && text[3*i-1] != ':' {
			return false
		}
		into[i] = byte(n)
	}
	return true
}

// readPort reads the number of a port (OpenFlow 1.5, section 7.2.1).
func readPort(text string) (OXM, bool) {
	switch text {
	case "LOCAL":
		return Number(InPort, portLocal), true
	case "CONTROLLER":
		return Number(InPort, PortController), true
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return Number(InPort, n), err == nil && n > 0 && n <= maxPort
}

// readVLAN reads the two ways in which text speaks of tags.
func readVLAN(name, text string) (OXM, bool) {
	if name == "vlan_tci" {
		return Untagged(), text == "0x0000/0x1fff"
	}
	n, err := strconv.ParseUint(text, 10, 12)
	return Tagged(uint16(n)), err == nil
}

func readState(text string) (OXM, bool) {
	var set, unset uint32
	for rest := text; rest != ""; {
		end := 1 + strings.IndexAny(rest[1:], "+-")
		if end == 0 {
			end = len(rest)
		}
		flag := uint32(0)
		for i, name := range stateFlags {
			if name == rest[1:end] {
				flag = 1 << i
			}
		}
		switch {
		case flag == 0 || (set|unset)&flag != 0:
			return OXM{}, false
		case rest[0] == '+':
			set |= flag
		case rest[0] == '-':
			unset |= flag
		default:
			return OXM{}, false
		}
		rest = rest[end:]
	}
	return State(set, unset), set|unset != 0
}
