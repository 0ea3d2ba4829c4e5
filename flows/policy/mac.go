package policy

import (
	"fmt"
	"net/netip"
)

// MAC is an Ethernet address, comparable and usable as a map key.
type MAC [6]byte

// The group addresses that the specification speaks of.
var (
	BroadcastMAC      = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	AllNodesMAC       = MAC{0x33, 0x33, 0, 0, 0, 1}      // RFC 2464, section 7, of ff02::1
	DHCPv6MAC         = MAC{0x33, 0x33, 0, 1, 0, 2}      // of ff02::1:2
	DHCPv6ServersAddr = netip.MustParseAddr("ff02::1:2") // RFC 8415, section 7.1
	BroadcastAddr     = netip.AddrFrom4([4]byte{255, 255, 255, 255})
)

// The networks of IPv6 addresses that hold on one link only.
var (
	// LinkLocalNet has the addresses that hosts give themselves (RFC 4291, section 2.5.6).
	LinkLocalNet = netip.MustParsePrefix("fe80::/64")
	// NumberedNet has those of them that people give to routers, such as fe80::1.
	NumberedNet = netip.MustParsePrefix("fe80::/96")
	// LinkLocals has all link-local addresses (RFC 4291, section 2.4); only [LinkLocalNet] is used.
	LinkLocals = netip.MustParsePrefix("fe80::/10")
)

// String returns the address in lower case with colons, as Open vSwitch prints it.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// IsZero says whether the address is all zeros.
func (m MAC) IsZero() bool { return m == MAC{} }

// IsMulticast says whether the group bit is set; broadcast is a multicast.
func (m MAC) IsMulticast() bool { return m[0]&1 == 1 }

// IsLinkLocal says whether all of a network is link-local (RFC 4291, section 2.4).
func IsLinkLocal(p netip.Prefix) bool {
	return LinkLocals.Contains(p.Addr()) && p.Bits() >= LinkLocals.Bits()
}

// IsChosenLinkLocal says whether a link-local address is of the kind that a host chooses at random
// (RFC 7217): it is not made of a MAC (ff:fe in its middle: RFC 4291, appendix A), nor numbered by
// hand (see [NumberedNet]). So nobody who chooses one takes that of a MAC, or fe80::1.
func IsChosenLinkLocal(a netip.Addr) bool {
	if !LinkLocalNet.Contains(a) || NumberedNet.Contains(a) {
		return false
	}
	raw := a.As16()
	return raw[11] != 0xff || raw[12] != 0xfe
}

// LinkLocal returns the IPv6 link-local address that is made of this MAC (RFC 4291, appendix A).
func (m MAC) LinkLocal() netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff,
		12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}
