package policy

import "math"

// Limit is the most of something that one port may have. The zero Limit is none of its own: what
// the settings say holds, and there it is none at all.
type Limit uint32

// Unlimited is "none, whatever the settings say".
const Unlimited Limit = math.MaxUint32

// MaxLimit is the highest number that settings and policy files may name.
const MaxLimit Limit = 10_000_000

// IsSet says whether there is a number to hold the port to.
func (l Limit) IsSet() bool { return l != 0 && l != Unlimited }

// Limits are what one port may take of what all ports of a host share. They never admit anything.
// Trusted ports have none.
type Limits struct {
	// Connections are those that its conntrack zone remembers at one time.
	Connections Limit `json:"connections,omitzero"`
	// NewConnections are admitted each second, in each direction.
	NewConnections Limit `json:"new_connections_per_second,omitzero"`
	// ARPNDDHCP are the packets of ARP, neighbour discovery and DHCP that it sends each second.
	ARPNDDHCP Limit `json:"arp_nd_dhcp_per_second,omitzero"`
	// Fragments are the IP fragments that it sends, and as many that are sent to it, each second.
	Fragments Limit `json:"fragments_per_second,omitzero"`
}

// Or returns the limits, with those of fallback where there are none.
func (l Limits) Or(fallback Limits) Limits {
	or := func(l, fallback Limit) Limit {
		if l == 0 {
			return fallback
		}
		return l
	}
	return Limits{or(l.Connections, fallback.Connections),
		or(l.NewConnections, fallback.NewConnections), or(l.ARPNDDHCP, fallback.ARPNDDHCP),
		or(l.Fragments, fallback.Fragments)}
}

// Choice is a yes or no that may be left to the settings, which the zero Choice does.
type Choice uint8

// What may be chosen.
const (
	Unset Choice = iota
	Yes
	No
)

// Or is what was chosen, or else what the settings say.
func (c Choice) Or(fallback bool) bool {
	switch c {
	case Yes:
		return true
	case No:
		return false
	}
	return fallback
}
