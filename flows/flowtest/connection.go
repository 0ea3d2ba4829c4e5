package flowtest

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/spec"
)

// Connection is one entry of the connection tracker.
type Connection struct {
	Zone             uint16
	Src, Dst         netip.Addr // of the original direction
	Proto            uint8
	SrcPort, DstPort uint16 // ports, or ICMP type and code
	Mark             uint32
	Rule             uint32 // ct_label[0..31]
	Replied          bool   // packets were seen in both directions
}

// String says the entry in one line.
func (c Connection) String() string {
	return fmt.Sprintf("zone %d proto %d %s:%d > %s:%d mark %#x rule %#x replied %t",
		c.Zone, c.Proto, c.Src, c.SrcPort, c.Dst, c.DstPort, c.Mark, c.Rule, c.Replied)
}

func (c *connection) export() Connection {
	from, to := c.original.ports()
	return Connection{c.zone, c.original.src, c.original.dst, c.original.proto, from, to, c.mark,
		uint32(c.label.lo), c.replied}
}

// Connections returns the entries of all zones, sorted by zone and tuple.
func (s *Switch) Connections() []Connection {
	var all []Connection
	for key, c := range s.tracker.byTuple {
		if key.tuple != c.original {
			continue
		}
		all = append(all, c.export())
	}
	slices.SortFunc(all, func(a, b Connection) int {
		return cmp.Or(cmp.Compare(a.Zone, b.Zone), a.Src.Compare(b.Src), a.Dst.Compare(b.Dst),
			cmp.Compare(a.Proto, b.Proto),
			cmp.Compare(a.SrcPort, b.SrcPort), cmp.Compare(a.DstPort, b.DstPort))
	})
	return all
}

// FlushZone forgets the connections of a zone.
func (s *Switch) FlushZone(zone uint16) {
	for key := range s.tracker.byTuple {
		if key.zone == zone {
			delete(s.tracker.byTuple, key)
		}
	}
}

// FlushAll forgets every connection, as a restart of the userspace datapath does.
func (s *Switch) FlushAll() { clear(s.tracker.byTuple) }

// Known is what a zone is made to say of one packet. The zero Known is a packet of no known
// connection: new.
type Known struct {
	Side     spec.Side
	OneWay   bool       // of the original side: no reply was seen yet, so that the packet is still new
	Original spec.Tuple // of the connection; without meaning where Side is Unknown or Invalid
	Mark     uint32
	Rule     uint32 // ct_label[0..31]
}

// verdict scripts a connection that is in no zone.
func (k Known) verdict(zone uint16, p *Packet, by Tracker) verdict {
	conn := &connection{zone: zone, original: policyTuple(k.Original), mark: k.Mark,
		label: number(k.Rule), replied: !k.OneWay}
	switch k.Side {
	case spec.OriginalSide:
		if k.OneWay {
			return verdict{ctTrk | ctNew, conn, conn.original}
		}
		return verdict{ctTrk | ctEst, conn, conn.original}
	case spec.ReplySide:
		return verdict{ctTrk | ctEst | ctReply, conn, conn.original}
	case spec.RelatedOriginal:
		return verdict{ctTrk | ctRel, conn, conn.original}
	case spec.RelatedReply:
		return verdict{ctTrk | ctRel | ctReply, conn, conn.original}
	case spec.Invalid:
		return verdict{state: ctTrk | ctInv}
	}
	t, _ := by.tupleOf(p)
	return verdict{ctTrk | ctNew, &connection{zone: zone, original: t}, t}
}

func policyTuple(t spec.Tuple) tuple {
	out := tuple{src: t.Src, dst: t.Dst, proto: t.Protocol, a: t.SrcPort, b: t.DstPort}
	if out.isICMP() {
		out.a, out.b = 0, uint16(t.ICMPType)<<8|uint16(t.ICMPCode)
	}
	return out
}
