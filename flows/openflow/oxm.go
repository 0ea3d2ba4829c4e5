package openflow

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/digitalocean/go-openvswitch/ovs"
)

// OXM is one field with a value and, where not all of it counts, a mask (OpenFlow 1.5, section
// 7.2.3.2). The zero OXM is none.
type OXM struct {
	Field  Field
	masked bool
	value  [16]byte // as on the wire; what is behind the size of the field is 0
	mask   [16]byte // all ones where nothing is masked
	proto  uint8    // of the shorthand of a protocol: what IPProto is beside
}

// Number returns a field of up to 8 bytes with a value.
func Number(f Field, value uint64) OXM { return Masked(f, value, ^uint64(0)) }

// Masked returns a field of up to 8 bytes of which some bits have a value.
func Masked(f Field, value, mask uint64) OXM {
	size := specs[f].size
	var v, m [8]byte
	binary.BigEndian.PutUint64(v[:], value)
	binary.BigEndian.PutUint64(m[:], mask)
	return newOXM(f, v[8-size:], m[8-size:])
}

// MAC returns a field that is the MAC.
func MAC(f Field, mac [6]byte) OXM { return newOXM(f, mac[:], nil) }

// MaskedMAC returns a field of which some bits are those of a MAC.
func MaskedMAC(f Field, mac, mask [6]byte) OXM { return newOXM(f, mac[:], mask[:]) }

// Network returns a field that is an address of the network.
func Network(f Field, n netip.Prefix) OXM {
	if !n.IsValid() {
		return OXM{}
	}
	var space, mask [16]byte
	address := appendBytes(space[:0], n.Masked().Addr())
	fillPrefix(mask[:len(address)], n.Bits())
	return newOXM(f, address, mask[:len(address)])
}

// appendBytes appends an address as on the wire.
func appendBytes(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		v4 := a.As4()
		return append(b, v4[:]...)
	}
	v6 := a.As16()
	return append(b, v6[:]...)
}

// MaskedAddress returns a field of which some bits are those of an address.
func MaskedAddress(f Field, a, mask netip.Addr) OXM {
	return newOXM(f, a.AsSlice(), mask.AsSlice())
}

// newOXM returns a field; without a mask all of it counts. A value of another size is no field.
func newOXM(f Field, value, mask []byte) OXM {
	size := specs[f].size
	if len(value) != size || mask != nil && len(mask) != size {
		return OXM{}
	}
	o := OXM{Field: f}
	copy(o.value[:], value)
	for i := range size {
		o.mask[i] = 0xff
		if mask != nil {
			o.mask[i] = mask[i]
			o.masked = o.masked || mask[i] != 0xff
		}
	}
	return o
}

// The flags of ct_state (ovs-fields(7)).
const (
	StateNew uint32 = 1 << iota
	StateEstablished
	StateRelated
	StateReply
	StateInvalid
	StateTracked
)

// State returns the connection's state: which flags are set, and which are not.
func State(set, unset uint32) OXM { return Masked(CTState, uint64(set), uint64(set|unset)) }

// FragmentKind is a kind of fragment of IP (ovs-fields(7), nw_frag).
type FragmentKind uint8

// The kinds.
const (
	NoFragment FragmentKind = iota
	FirstFragment
	LaterFragment
	AnyFragment
	NotLaterFragment
)

// IsFragment returns a kind of fragment: bit 0 is that of any fragment, bit 1 that of a later one.
func IsFragment(k FragmentKind) OXM {
	kind := fragmentKinds[k]
	return Masked(Fragment, uint64(kind.value), uint64(kind.mask))
}

// vlanPresent says that a frame has a tag (OpenFlow 1.5, section 7.2.3.8).
const vlanPresent = 0x1000

// Untagged returns the field of frames without a tag of a VLAN.
func Untagged() OXM { return Number(VLAN, 0) }

// Tagged returns the field of frames with the tag of a VLAN.
func Tagged(vlan uint16) OXM { return Number(VLAN, vlanPresent|uint64(vlan)) }

// Protocol returns what the shorthand of a protocol stands for: an EtherType and, mostly, a
// protocol of IP. Of an unknown one it is no field.
func Protocol(p ovs.Protocol) OXM {
	w, known := words[string(p)]
	if !known {
		return OXM{}
	}
	o := Number(EtherType, uint64(w.etherType))
	o.proto = w.proto
	return o
}

// word is what the shorthand of a protocol stands for.
type word struct {
	etherType uint16
	proto     uint8 // of IP; 0 = any
}

// words are the shorthands.
var words = map[string]word{
	"arp": {0x0806, 0}, "rarp": {0x8035, 0}, "ip": {0x0800, 0}, "ipv6": {0x86dd, 0},
	"icmp": {0x0800, 1}, "icmp6": {0x86dd, 58}, "tcp": {0x0800, 6}, "tcp6": {0x86dd, 6},
	"udp": {0x0800, 17}, "udp6": {0x86dd, 17}, "sctp": {0x0800, 132}, "sctp6": {0x86dd, 132},
}

// wordOf are the shorthands by what they stand for.
var wordOf = func() map[word]string {
	out := make(map[word]string, len(words))
	for name, w := range words {
		out[w] = name
	}
	return out
}()

// Value returns the value and the mask, each of the size of the field.
func (o OXM) Value() (value, mask []byte) {
	size := specs[o.Field].size
	return o.value[:size], o.mask[:size]
}

// Uint returns the value and the mask of a field of up to 8 bytes.
func (o *OXM) Uint() (value, mask uint64) {
	for i := range min(specs[o.Field].size, 8) {
		value, mask = value<<8|uint64(o.value[i]), mask<<8|uint64(o.mask[i])
	}
	return value, mask
}

// IsMasked says whether not all of the field counts.
func (o OXM) IsMasked() bool { return o.masked }

var errValue = errors.New("not a value of its field")

// check says whether a switch could take it.
func (o *OXM) check() error {
	if o.Field == 0 {
		return fmt.Errorf("%w: of another size, family or protocol", errValue)
	}
	for i := range o.value {
		if o.value[i]&^o.mask[i] != 0 {
			return fmt.Errorf("%s: %w: bits outside of the mask", o.Field, errValue)
		}
	}
	if o.mask == [16]byte{} {
		return fmt.Errorf("%s: %w: nothing of it counts", o.Field, errValue)
	}
	return nil
}

// append appends the field as on the wire: header, value and, if there is one, mask.
func (o *OXM) append(b []byte) []byte {
	size, header := specs[o.Field].size, o.Field.header()
	if o.masked {
		header += hasMask + uint32(size)
	}
	b = append(binary.BigEndian.AppendUint32(b, header), o.value[:size]...)
	if o.masked {
		b = append(b, o.mask[:size]...)
	}
	return b
}

// readOXM reads the first field of what append has appended.
func readOXM(s string) (o OXM, rest string) {
	header := headerOf(s)
	length := int(header & 0xff)
	if header&hasMask != 0 {
		header -= hasMask + header&0xff/2
	}
	o.Field = byHeader[header]
	size := specs[o.Field].size
	copy(o.value[:], s[4:4+size])
	for i := range size {
		o.mask[i] = 0xff
	}
	if o.masked = length > size; o.masked {
		copy(o.mask[:], s[4+size:4+2*size])
	}
	return o, s[4+length:]
}

// headerOf returns the header of the first field of what append has appended.
func headerOf(s string) uint32 { return wireAction(s).u32(0) }

// prefix returns the length of a mask that is one of a network.
func prefix(mask []byte) (bits int, ok bool) {
	for bits < 8*len(mask) && mask[bits/8]&(0x80>>(bits%8)) != 0 {
		bits++
	}
	var want [16]byte
	fillPrefix(want[:len(mask)], bits)
	return bits, bytes.Equal(mask, want[:len(mask)])
}

// fillPrefix makes a mask that of a network whose length is so many bits.
func fillPrefix(mask []byte, bits int) {
	for i := range mask {
		mask[i] = ^byte(0) << (8 - min(max(bits-8*i, 0), 8))
	}
}
