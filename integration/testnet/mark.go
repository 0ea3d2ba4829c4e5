package testnet

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/gopacket/gopacket/layers"

	"github.com/portcullis/portcullis/flows/policy"
)

// Token marks frames, so that they are known again wherever they arrive.
type Token uint32

// tokenLen is the length of a token in a frame.
const tokenLen = 12

// inFrameOf is the token in a frame with this source MAC. It holds the MAC, so that an answer which
// quotes a marked frame, as ICMP errors and echo replies do, is not taken for the frame itself.
func (t Token) inFrameOf(source []byte) []byte {
	return binary.BigEndian.AppendUint32(tokenHead(source), uint32(t))
}

func tokenHead(source []byte) []byte { return append([]byte("\xfbP"), source...) }

// tokensIn returns the tokens that a frame bears.
func tokensIn(f Frame) (out []Token) {
	if len(f) < etherLen {
		return nil
	}
	head := tokenHead(f.source())
	for rest := []byte(f); ; {
		i := bytes.Index(rest, head)
		if i < 0 || len(rest) < i+tokenLen {
			return out
		}
		rest = rest[i+len(head):]
		out = append(out, Token(binary.BigEndian.Uint32(rest)))
	}
}

// fill returns the payload of this many bytes that marks every fragment of 32 bytes or more of the
// datagram that it is in.
func (t Token) fill(source policy.MAC, size int) []byte {
	return bytes.Repeat(t.inFrameOf(source[:]), size/tokenLen+1)[:size]
}

// Marked returns the frame with the token at its end. Of a whole IP datagram it becomes a part, in
// lengths and checksums too: the kernel's connection tracking takes off whatever is behind a
// datagram, VLAN headers before it or not. Checksums are carried on, so that a wrong one stays
// wrong. Behind all other frames, fragments and neighbour discovery among them, the token is a
// trailer, as padding is.
func (f Frame) Marked(t Token) Frame {
	f = bytes.Clone(f)
	if len(f) < etherLen {
		return f
	}
	if tags := f.tags(); len(tags) > 0 {
		untagged := slices.Delete(f, addressesLen, addressesLen+len(tags))
		return slices.Insert(untagged.Marked(t), addressesLen, tags...)
	}
	token := t.inFrameOf(f.source())
	d, ok := datagramOf(f)
	switch {
	case !ok:
		return append(f, token...)
	case d.protocol == policy.SCTP:
		return d.markedSCTP(token)
	}
	return d.marked(token)
}

func (f Frame) source() []byte { return f[6:addressesLen] }

// tags returns a copy of the frame's VLAN headers.
func (f Frame) tags() []byte {
	isTag := func(at int) bool {
		t := layers.EthernetType(binary.BigEndian.Uint16(f[at:]))
		return t == layers.EthernetTypeDot1Q || t == layers.EthernetTypeQinQ
	}
	end := addressesLen
	for len(f) >= end+vlanLen+2 && isTag(end) {
		end += vlanLen
	}
	return bytes.Clone(f[addressesLen:end])
}

// datagram is a frame with a whole IPv4 or IPv6 datagram without extension headers, and nothing
// behind it.
type datagram struct {
	frame    Frame
	protocol policy.Protocol
	at       int // where the transport header begins
	v6       bool
}

// The lengths of an Ethernet header, of the addresses in it and of a VLAN header behind these, and
// of the shortest frame: shorter ones are padded.
const etherLen, addressesLen, vlanLen, etherMin = 14, 12, 4, 60

// datagramOf finds the datagram in a frame; false if it is none, or one that a token must not
// become a part of.
func datagramOf(f Frame) (datagram, bool) {
	if len(f) < etherLen+20 {
		return datagram{}, false
	}
	d := datagram{}
	var end int
	ip := f[etherLen:]
	switch layers.EthernetType(binary.BigEndian.Uint16(f[12:])) {
	case layers.EthernetTypeIPv4:
		d.protocol, d.at = policy.Protocol(ip[9]), etherLen+int(ip[0]&0xf)*4
		end = etherLen + int(binary.BigEndian.Uint16(ip[2:]))
		if binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 { // a fragment
			return d, false
		}
	case layers.EthernetTypeIPv6:
		d.protocol, d.at, d.v6 = policy.Protocol(ip[6]), etherLen+40, true
		end = d.at + int(binary.BigEndian.Uint16(ip[4:]))
	default:
		return d, false
	}
	if len(f) < end || len(f) > max(end, etherMin) || d.at > end || d.isLeftAlone(f) {
		return d, false
	}
	d.frame = f[:end]
	return d, true
}

// isLeftAlone says whether a datagram is to stay as it is: a fragment of IPv6, or neighbour or
// listener discovery.
func (d datagram) isLeftAlone(f Frame) bool {
	return d.protocol == policy.Protocol(layers.IPProtocolIPv6Fragment) ||
		d.v6 && d.protocol == policy.Protocol(layers.IPProtocolIPv6HopByHop) ||
		d.protocol == policy.ICMPv6 && f[d.at] >= policy.RouterSolicitation &&
			f[d.at] <= policy.Redirect
}

func (d datagram) payload() []byte { return d.frame[d.at:] }

// marked returns the frame with the token behind its payload, at an even offset, so that checksums
// can be carried on.
func (d datagram) marked(token []byte) Frame {
	before := len(d.payload())
	d.frame = append(append(d.frame, make([]byte, before&1)...), token...)
	d.adjustLength()
	p := d.payload()
	// What the checksum also covers: the length in the pseudo header (not ICMP's, which has none),
	// and UDP's own.
	grown := binary.BigEndian.AppendUint16(nil, uint16(len(p)-before))
	switch d.protocol {
	case policy.TCP:
		addSum(p[16:], token, grown)
	case policy.UDP:
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)))
		addSum(p[6:], token, grown, grown)
	case policy.ICMP:
		addSum(p[2:], token)
	case policy.ICMPv6:
		addSum(p[2:], token, grown)
	}
	return d.frame
}

// adjustLength makes the IP header speak of the frame's whole rest.
func (d datagram) adjustLength() {
	ip := d.frame[etherLen:]
	if d.v6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(d.payload())))
		return
	}
	was := binary.BigEndian.Uint16(ip[2:])
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	addSum(ip[10:], binary.BigEndian.AppendUint16(nil, uint16(len(ip))-was))
}

// addSum carries a checksum on (RFC 1624): it now covers these too, each of which begins at an even
// offset.
func addSum(at []byte, added ...[]byte) {
	covered := binary.BigEndian.AppendUint16(nil, ^binary.BigEndian.Uint16(at))
	for _, b := range added {
		covered = append(covered, b...)
	}
	binary.BigEndian.PutUint16(at, checksum(covered))
}

// markedSCTP puts the token into the only chunk, an INIT, as a parameter that receivers skip:
// behind an INIT no chunk may follow.
func (d datagram) markedSCTP(token []byte) Frame {
	d.frame = append(d.frame, initParameter(token)...)
	d.adjustLength()
	p := d.payload()
	binary.BigEndian.PutUint16(p[14:], uint16(len(p)-12))
	binary.LittleEndian.PutUint32(p[8:], 0)
	binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	return d.frame
}

// initParameter is a parameter of an INIT chunk that receivers skip, padded to whole words. No
// value means no parameter.
func initParameter(value []byte) []byte {
	if len(value) == 0 {
		return nil
	}
	const padding = 0x8005 // RFC 4820
	out := binary.BigEndian.AppendUint16(nil, padding)
	out = binary.BigEndian.AppendUint16(out, uint16(4+len(value)))
	out = append(out, value...)
	return append(out, make([]byte, -len(out)&3)...)
}
