package flows

import (
	"encoding/binary"
	"net/netip"

	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
)

// Announcement says that an address is at a MAC now: what an instance would say of itself, told by the
// host where the policy moved the address, because neighbours go on to the old MAC until they ask again.
type Announcement struct {
	Address netip.Addr
	MAC     policy.MAC
	OFPort  uint32 // of the port that has the address, which is not told; 0 = it is on another host
}

// AnnounceActions are the actions that take an announcement to the local ports of its family, by the
// table that the program has for that, and nowhere else.
func AnnounceActions() openflow.Actions { return openflow.NewActions(to(tableAnnounce)) }

// Frame returns the announcement as an Ethernet frame: a gratuitous ARP request (RFC 5227, section 3), or
// an unsolicited neighbour advertisement that overrides what is known (RFC 4861, section 7.2.6).
func (a Announcement) Frame() []byte {
	if a.Address.Is4() {
		return a.arp()
	}
	return a.advertisement()
}

func (a Announcement) arp() []byte {
	const leastFrame = 60 // without the checksum (IEEE 802.3)
	address := a.Address.AsSlice()
	b := ethernet(policy.BroadcastMAC, a.MAC, policy.EtherARP)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, byte(policy.ARPRequest)) // Ethernet, IPv4, their lengths
	b = append(append(b, a.MAC[:]...), address...)
	b = append(append(b, make([]byte, 6)...), address...)
	return append(b, make([]byte, leastFrame-len(b))...)
}

func (a Announcement) advertisement() []byte {
	const override, targetOption, hopLimit = 0x20, 2, 255
	allNodes := netip.MustParseAddr("ff02::1").As16()
	address := a.Address.As16()
	body := []byte{policy.NeighborAdvertisement, 0, 0, 0, override, 0, 0, 0}
	body = append(body, address[:]...)
	body = append(append(body, targetOption, 1), a.MAC[:]...)

	b := ethernet(policy.AllNodesMAC, a.MAC, policy.EtherIPv6)
	b = append(b, 6<<4, 0, 0, 0, 0, byte(len(body)), byte(policy.ICMPv6), hopLimit)
	b = append(append(b, address[:]...), allNodes[:]...)
	binary.BigEndian.PutUint16(body[2:], checksum(address, allNodes, body))
	return append(b, body...)
}

func ethernet(to, from policy.MAC, etherType uint16) []byte {
	return binary.BigEndian.AppendUint16(append(to[:], from[:]...), etherType)
}

// checksum is that of ICMPv6, with its pseudo-header (RFC 4443, section 2.3). The body has an even length.
func checksum(src, dst [16]byte, body []byte) uint16 {
	sum := uint32(len(body)) + uint32(policy.ICMPv6)
	for _, part := range [][]byte{src[:], dst[:], body} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
