package ofswitch

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/portcullis/portcullis/controller/openflow"
)

// Packet is a frame for the switch to send.
type Packet struct {
	InPort  uint32 // by which it is taken to have entered; 0 = by none
	Actions string // what becomes of it, in the text of ovs-ofctl
	Frame   []byte
}

// SendPackets has a switch send packets (OpenFlow 1.5, section 7.3.6). After an error some may have been
// sent.
func SendPackets(ctx context.Context, target string, packets []Packet) error {
	return converse(ctx, target, func(c *conversation) error {
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
		return c.settle()
	})
}

// appendPacketOut appends a packet-out that brings its frame along.
func appendPacketOut(b []byte, xid uint32, p Packet) ([]byte, error) {
	const noBuffer, actionsLength = 0xffffffff, headerSize + 4
	at := len(b)
	b = binary.BigEndian.AppendUint32(openflow.AppendHeader(b, typePacketOut, xid), noBuffer)
	b = append(b, 0, 0, 0, 0) // the length of the actions, and a pad
	port := "CONTROLLER"
	if p.InPort != 0 {
		port = fmt.Sprint(p.InPort)
	}
	b, err := openflow.AppendMatch(b, "in_port="+port)
	if err != nil {
		return b, err
	}
	before := len(b)
	if b, err = openflow.AppendActions(b, p.Actions); err != nil {
		return b, err
	}
	binary.BigEndian.PutUint16(b[at+actionsLength:], uint16(len(b)-before))
	return openflow.PutLength(append(b, p.Frame...), at), nil
}
