package agenttest

import (
	"context"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/policy"
)

// Conntrack is what a switch remembers.
type Conntrack struct {
	List  []ofswitch.Connection
	Err   error
	Asked []uint16
	Taken int
}

func (f *Conntrack) Connections(_ context.Context, zone uint16,
	take func(ofswitch.Connection) bool) error {
	f.Asked = append(f.Asked, zone)
	for _, c := range f.List {
		if zone == 0 || zone == c.Zone {
			f.Taken++
			if !take(c) {
				return nil
			}
		}
	}
	return f.Err
}

func (f *Conntrack) ForgetZone(_ context.Context, zone uint16) error {
	f.List = slices.DeleteFunc(f.List, func(c ofswitch.Connection) bool { return c.Zone == zone })
	return f.Err
}

func (f *Conntrack) Forget(_ context.Context, c ofswitch.Connection) error {
	f.List = slices.DeleteFunc(f.List, func(have ofswitch.Connection) bool { return have == c })
	return f.Err
}

// TCPTo is a connection of TCP from a port to port 80 in a zone.
func TCPTo(zone uint16, mark, rule uint32, from uint16) ofswitch.Connection {
	return ofswitch.Connection{Protocol: policy.TCP, Src: netip.MustParseAddr("198.51.100.1"),
		Dst: netip.MustParseAddr("203.0.113.1"), SrcPort: from,
		DstPort: 80, State: "ESTABLISHED", Zone: zone, Mark: mark, Rule: rule}
}
