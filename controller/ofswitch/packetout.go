package ofswitch

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
)

// This file has the switch send packets of ours: announcements of addresses that moved.

// Packet is a frame for the switch to send.
type Packet struct {
	InPort  uint32           // by which it is taken to have entered; 0 = by none
	Actions openflow.Actions // what becomes of it
	Frame   []byte
}

// SendPackets has a switch send packets (OpenFlow 1.5, section 7.3.6). After an error some may have
// been sent.
func SendPackets(ctx context.Context, target string, packets []Packet) error {
	return withConn(ctx, target, func(c *conn) error {
		for _, p := range packets {
			var err error
			if c.pending, err = appendPacketOut(c.pending, c.next(), p); err != nil {
				return fmt.Errorf("packet: %w", err)
			}
			if len(c.pending) >= writeAt {
				if err := c.write(); err != nil {
					return err
				}
			}
		}
		return c.barrier()
	})
}

// appendPacketOut appends a packet-out that brings its frame along.
func appendPacketOut(b []byte, xid uint32, p Packet) ([]byte, error) {
	const noBuffer, actionsLength = 0xffffffff, headerSize + 4
	at := len(b)
	b = binary.BigEndian.AppendUint32(openflow.AppendHeader(b, typePacketOut, xid), noBuffer)
	b = append(b, 0, 0, 0, 0) // the length of the actions, and a pad
	match, err := openflow.NewMatch(openflow.Number(openflow.InPort,
		uint64(cmp.Or(p.InPort, openflow.PortController))))
	if err != nil {
		return b, err
	}
	b, err = match.Append(b)
	if err != nil {
		return b, err
	}
	before := len(b)
	if b, err = p.Actions.Append(b); err != nil {
		return b, err
	}
	binary.BigEndian.PutUint16(b[at+actionsLength:], uint16(len(b)-before))
	return openflow.PutLength(append(b, p.Frame...), at), nil
}

// Announce takes announcements to the local ports of their families. After an error some may have
// been told.
func (s *Switch) Announce(ctx context.Context, list []flows.Announcement) error {
	packets := make([]Packet, len(list))
	for i, a := range list {
		packets[i] = Packet{InPort: a.OFPort, Actions: flows.AnnounceActions(), Frame: a.Frame()}
	}
	if err := SendPackets(ctx, s.opts.Target, packets); err != nil {
		return fmt.Errorf("announce addresses: %w", err)
	}
	return nil
}
