package ofswitch

import (
	"context"
	"fmt"

	"github.com/portcullis/portcullis/flows"
)

// Announce takes announcements to the local ports of their families. After an error some may have been
// told.
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
