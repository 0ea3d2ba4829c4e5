package openflow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// reader appends what a text says of a field: the value and, if the text has one, the mask, each of so many bytes.
type reader func(b []byte, text string, size int) ([]byte, error)

var (
	errValue   = errors.New("no value of the field")
	errNetwork = errors.New("no address or network of the field's family")
)

// readMasked reads a value and, if there is one, a mask of the same form.
func readMasked(b []byte, text string, size int, read reader) ([]byte, error) {
	value, mask, masked := strings.Cut(text, "/")
	b, err := read(b, value, size)
	if err == nil && masked {
		b, err = read(b, mask, size)
	}
	return b, err
}

// readNumber reads "5", "0x5" or, with a mask, "0x10/0x30".
func readNumber(b []byte, text string, size int) ([]byte, error) {
	return readMasked(b, text, size, appendNumber)
}

// appendNumber appends a number of up to 4 bytes.
func appendNumber(b []byte, text string, size int) ([]byte, error) {
	n, err := strconv.ParseUint(text, 0, 8*size)
	if err != nil {
		return b, fmt.Errorf("%w: %q", errValue, text)
	}
	for shift := 8 * (size - 1); shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b, nil
}

// readPort reads the number of a port (OpenFlow 1.5, section 7.2.1).
func readPort(b []byte, text string, _ int) ([]byte, error) {
	switch text {
	case "LOCAL":
		return binary.BigEndian.AppendUint32(b, portLocal), nil
	case "CONTROLLER":
		return binary.BigEndian.AppendUint32(b, portController), nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || n > maxPort {
		return b, fmt.Errorf("%w: %q", errValue, text)
	}
	return binary.BigEndian.AppendUint32(b, uint32(n)), nil
}

// The numbers of ports. Open vSwitch gives none above maxPort (ovs-fields(7), in_port).
const (
	maxPort        = 0xfeff
	portController = 0xfffffffd
	portLocal      = 0xfffffffe
)

// noTable stands for none (ovs-actions(7)).
const noTable = 0xff

// readTable reads the number of a table.
func readTable(text string) (uint8, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n == noTable {
		return 0, fmt.Errorf("%w: %q", errValue, text)
	}
	return uint8(n), nil
}

// readUntagged reads the one vlan_tci that OpenFlow's VLAN_VID can say: no tag at all.
func readUntagged(b []byte, text string, _ int) ([]byte, error) {
	if text != "0x0000/0x1fff" {
		return b, fmt.Errorf("%w: %q", errValue, text)
	}
	return append(b, 0, 0), nil
}

// readVLAN reads the number of a VLAN; the packet has a tag then (OpenFlow 1.5, section 7.2.3.8).
func readVLAN(b []byte, text string, _ int) ([]byte, error) {
	const present, most = 0x1000, 4095
	n, err := strconv.ParseUint(text, 10, 12)
	if err != nil || n > most {
		return b, fmt.Errorf("%w: %q", errValue, text)
	}
	return binary.BigEndian.AppendUint16(b, present|uint16(n)), nil
}

// readMAC reads "02:00:00:00:00:01" or, with a mask, "01:00:00:00:00:00/01:00:00:00:00:00".
func readMAC(b []byte, text string, size int) ([]byte, error) {
	return readMasked(b, text, size, appendMAC)
}

func appendMAC(b []byte, text string, _ int) ([]byte, error) {
	const form = "00:00:00:00:00:00"
	if len(text) != len(form) {
		return b, fmt.Errorf("%w: %q", errValue, text)
	}
	for i := 0; i < len(form); i += 3 {
		n, err := strconv.ParseUint(text[i:i+2], 16, 8)
		if err != nil || i > 0 && text[i-1] != ':' {
			return b, fmt.Errorf("%w: %q", errValue, text)
		}
		b = append(b, byte(n))
	}
	return b, nil
}

// readNetwork reads an address or a network, with the length of its prefix or, of IPv6, a mask in the
// form of an address; the size says of which family.
func readNetwork(b []byte, text string, size int) ([]byte, error) {
	value, length, masked := strings.Cut(text, "/")
	a, err := netip.ParseAddr(value)
	if err != nil || a.BitLen() != 8*size || a.Zone() != "" {
		return b, fmt.Errorf("%w: %q", errNetwork, text)
	}
	b = append(b, a.AsSlice()...)
	if !masked {
		return b, nil
	}
	if m, err := netip.ParseAddr(length); err == nil && m.Is6() && size == 16 && m.Zone() == "" {
		return append(b, m.AsSlice()...), nil
	}
	n, err := strconv.ParseUint(length, 10, 8)
	if err != nil || int(n) > 8*size {
		return b, fmt.Errorf("%w: %q", errNetwork, text)
	}
	for bits := int(n); size > 0; bits, size = bits-8, size-1 {
		b = append(b, ^byte(0)<<(8-min(max(bits, 0), 8)))
	}
	return b, nil
}

// readState reads "-new-inv+trk": the flags of ct_state that are to be set, and those that are not (ovs-fields(7), ct_state).
func readState(b []byte, text string, _ int) ([]byte, error) {
	var value, mask uint32
	if text == "" {
		return b, fmt.Errorf("%w: none", errValue)
	}
	for rest := text; rest != ""; {
		end := 1 + strings.IndexAny(rest[1:], "+-")
		if end == 0 {
			end = len(rest)
		}
		flag := stateFlags[rest[1:end]]
		if flag == 0 || mask&flag != 0 {
			return b, fmt.Errorf("%w: %q", errValue, text)
		}
		switch rest[0] {
		case '+':
			value |= flag
		case '-':
		default:
			return b, fmt.Errorf("%w: %q", errValue, text)
		}
		mask |= flag
		rest = rest[end:]
	}
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, value), mask), nil
}

var stateFlags = map[string]uint32{"new": 0x01, "est": 0x02, "rel": 0x04, "rpl": 0x08, "inv": 0x10, "trk": 0x20}

// readFragment reads a kind of fragment (ovs-fields(7), ip_frag): bit 0 any fragment, bit 1 not the first.
func readFragment(b []byte, text string, _ int) ([]byte, error) {
	bits, known := fragments[text]
	if !known {
		return b, fmt.Errorf("%w: %q", errValue, text)
	}
	return append(b, bits...), nil
}

// fragments are the values, and the masks where not both bits count.
var fragments = map[string]string{"no": "\x00", "first": "\x01", "later": "\x03", "yes": "\x01\x01", "not_later": "\x00\x02"}
