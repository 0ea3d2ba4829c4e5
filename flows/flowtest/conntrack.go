package flowtest

import "net/netip"

// tuple is what tells connections apart within a zone, in one direction. For ICMP queries a is the
// identifier and b the type and code, so that a reply has the tuple of the query turned around.
type tuple struct {
	src, dst netip.Addr
	proto    uint8
	a, b     uint16
}

func (t tuple) isICMP() bool { return t.proto == protoICMP || t.proto == protoICMPv6 }

// reverse returns the tuple of the packets in the other direction.
func (t tuple) reverse() tuple {
	r := tuple{t.dst, t.src, t.proto, t.b, t.a}
	if t.isICMP() {
		r.a, r.b = t.a, uint16(oppositeType(t.proto, uint8(t.b>>8)))<<8|t.b&0xff
	}
	return r
}

// ports returns what ct_tp_src and ct_tp_dst hold: ports, or type and code.
func (t tuple) ports() (src, dst uint16) {
	if t.isICMP() {
		return t.b >> 8, t.b & 0xff
	}
	return t.a, t.b
}

// connection is one entry of a zone.
type connection struct {
	zone     uint16
	original tuple
	mark     uint32
	label    u128
	replied  bool
}

type zoneTuple struct {
	zone  uint16
	tuple tuple
}

// Tracker says which of Open vSwitch's connection trackers a switch has, as far as they differ.
type Tracker uint8

const (
	// ReadsSCTPPorts is the kernel's tracker, and the userspace one since Open vSwitch 3.2.
	ReadsSCTPPorts Tracker = iota
	// IgnoresSCTPPorts is the userspace tracker before: all SCTP between two hosts is one connection.
	IgnoresSCTPPorts
)

// conntrack holds the connections of all zones. They never expire; tests flush.
type conntrack struct {
	kind    Tracker
	byTuple map[zoneTuple]*connection // both directions
}

// verdict is what the tracker says of one packet.
type verdict struct {
	state    uint64
	conn     *connection // nil = none
	original tuple
}

// queries returns the ICMP types that may begin a connection, each with the type of its reply (RFC
// 792, RFC 4443). The kernel's tracker also knows the address mask query, type 17, which the
// userspace one finds invalid.
func queries(proto uint8) map[uint8]uint8 {
	if proto == protoICMPv6 {
		return map[uint8]uint8{128: 129}
	}
	return map[uint8]uint8{8: 0, 13: 14, 15: 16}
}

// oppositeType returns the ICMP type that packets of the other direction have.
func oppositeType(proto, typ uint8) uint8 {
	for query, reply := range queries(proto) {
		switch typ {
		case query:
			return reply
		case reply:
			return query
		}
	}
	return typ
}

func isICMPError(proto, typ uint8) bool {
	if proto == protoICMPv6 {
		return typ >= 1 && typ <= 4 // RFC 4443, section 3
	}
	return typ == 3 || typ == 4 || typ == 5 || typ == 11 || typ == 12 // RFC 792
}

// verdictOn returns what the zone is made to say of the packet, or else what it knows.
func (c *conntrack) verdictOn(zone uint16, p *Packet) verdict {
	if k, ok := p.Known[zone]; ok {
		return k.verdict(zone, p, c.kind)
	}
	return c.judge(zone, p)
}

// judge judges a packet in a zone. It notes that a reply was seen, as conntrack does whatever the
// flows do with the packet.
func (c *conntrack) judge(zone uint16, p *Packet) verdict {
	if p.isICMP() && isICMPError(p.Proto, p.ICMPType) {
		return c.judgeRelated(zone, p)
	}
	t, ok := c.kind.tupleOf(p)
	if p.Malformed || !ok {
		return verdict{state: ctTrk | ctInv}
	}
	conn := c.byTuple[zoneTuple{zone, t}]
	if conn == nil {
		if !mayBegin(p) {
			return verdict{state: ctTrk | ctInv}
		}
		return verdict{ctTrk | ctNew, nil, t}
	}
	v := verdict{ctTrk, conn, conn.original}
	if conn.original != t {
		conn.replied = true
		v.state |= ctReply
	}
	if conn.replied {
		v.state |= ctEst
	} else {
		v.state |= ctNew
	}
	return v
}

// judgeRelated judges an ICMP error by the connection of the packet that it quotes. It travels
// against that packet, to its sender.
func (c *conntrack) judgeRelated(zone uint16, p *Packet) verdict {
	invalid := verdict{state: ctTrk | ctInv}
	if p.Malformed || p.Inner == nil || p.Inner.IPSrc != p.IPDst || p.Inner.EtherType != p.EtherType {
		return invalid
	}
	inner, ok := c.kind.tupleOf(p.Inner)
	if !ok {
		return invalid
	}
	conn := c.byTuple[zoneTuple{zone, inner}]
	if conn == nil {
		return invalid
	}
	v := verdict{ctTrk | ctRel, conn, conn.original}
	if conn.original == inner {
		v.state |= ctReply
	}
	return v
}

// tupleOf returns the tuple of a packet, or false for what is not tracked: ICMP that is no query and
// no reply, so all of ND and MLD.
func (k Tracker) tupleOf(p *Packet) (tuple, bool) {
	t := tuple{src: p.IPSrc, dst: p.IPDst, proto: p.Proto}
	switch {
	case k == IgnoresSCTPPorts && p.Proto == protoSCTP:
	case p.hasPorts():
		t.a, t.b = p.SrcPort, p.DstPort
	case p.isICMP():
		if oppositeType(p.Proto, p.ICMPType) == p.ICMPType {
			return t, false
		}
		t.a, t.b = p.ICMPID, uint16(p.ICMPType)<<8|uint16(p.ICMPCode)
	case t.isICMP(): // the ICMP of the other family
		return t, false
	}
	return t, true
}

// mayBegin says whether a packet of no known connection is new rather than invalid. A TCP packet
// from the middle of a connection may.
func mayBegin(p *Packet) bool {
	switch {
	case p.isICMP():
		_, query := queries(p.Proto)[p.ICMPType]
		return query
	case p.Proto == protoTCP && p.TCPFlags != 0:
		f := p.TCPFlags
		return f&RST == 0 && f&(SYN|ACK) != SYN|ACK && f&(SYN|FIN) != SYN|FIN
	}
	return true
}

// commit makes or updates the entry of a packet that judge has seen. An invalid packet commits
// nothing; a related one, or one of a known connection in either direction, updates mark and label.
// It returns nil if there is no entry.
func (c *conntrack) commit(zone uint16, v verdict,
	write func(mark uint32, label u128) (uint32, u128)) *connection {
	if v.state&ctInv != 0 {
		return nil
	}
	conn := v.conn
	if conn == nil {
		conn = &connection{zone: zone, original: v.original}
		c.keep(conn)
	}
	conn.mark, conn.label = write(conn.mark, conn.label)
	return conn
}

// keep files a connection under both directions. Where a connection is its own reverse the original
// direction wins.
func (c *conntrack) keep(conn *connection) {
	c.byTuple[zoneTuple{conn.zone, conn.original.reverse()}] = conn
	c.byTuple[zoneTuple{conn.zone, conn.original}] = conn
}

// show writes what matches see of a verdict.
func (v verdict) show(h *headers, zone uint16) {
	clearTracking(h)
	h[slotCTState], h[slotCTZone] = number(v.state), number(zone)
	if v.conn != nil {
		h[slotCTMark], h[slotCTLabel] = number(v.conn.mark), v.conn.label
	}
	if v.state&ctInv != 0 {
		return
	}
	src, dst := slotCTSrc6, slotCTDst6
	if v.original.src.Is4() {
		src, dst = slotCTSrc4, slotCTDst4
	}
	h[src], h[dst] = addrValue(v.original.src), addrValue(v.original.dst)
	from, to := v.original.ports()
	h[slotCTProto], h[slotCTTPSrc], h[slotCTTPDst] = number(v.original.proto), number(from), number(to)
}

// clearTracking makes a packet untracked.
func clearTracking(h *headers) {
	for s := slotCTState; s <= slotCTTPDst; s++ {
		h[s] = u128{}
	}
}
