package ofswitch

import (
	"context"
	"encoding/binary"

	"github.com/portcullis/portcullis/flows/openflow"
)

// Fragments is how a switch shows IP fragments to its flows.
type Fragments uint16

// MatchFragments shows the ports of the first fragment of a packet, and none of later ones; with what a switch does by itself no fragment
// shows any. It is Open vSwitch's own, called nx-match by ovs-ofctl (ovs-fields(7), ip_frag).
const MatchFragments Fragments = 3

// SetFragments sets how a switch shows fragments (OpenFlow 1.5, section 7.3.2), until ovs-vswitchd ends. The switch is named as for [Send].
func SetFragments(ctx context.Context, target string, f Fragments) error {
	return converse(ctx, target, func(c *conversation) error {
		c.pending = appendConfig(c.pending, c.next(), f)
		return c.settle()
	})
}

// appendConfig appends a setting of fragments, and of how much of a packet this connection wants to be shown, which is nothing.
func appendConfig(b []byte, xid uint32, f Fragments) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint16(openflow.AppendHeader(b, typeSetConfig, xid), uint16(f))
	return openflow.PutLength(append(b, 0, 0), at)
}
