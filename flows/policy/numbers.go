package policy

// The numbers of protocols that the specification and the compiled flows speak of alike.

// The EtherTypes that the specification knows (IEEE 802 numbers).
const (
	EtherIPv4 uint16 = 0x0800
	EtherARP  uint16 = 0x0806
	EtherRARP uint16 = 0x8035
	EtherIPv6 uint16 = 0x86dd
)

// The ARP operations that are delivered, and that of RARP by which a hypervisor says where a
// machine is (RFC 903: reverse request).
const (
	ARPRequest  uint16 = 1
	ARPReply    uint16 = 2
	RARPRequest uint16 = 3
)

// The ICMPv6 types of neighbour discovery (RFC 4861, section 4).
const (
	RouterSolicitation    uint8 = 133
	RouterAdvertisement   uint8 = 134
	NeighborSolicitation  uint8 = 135
	NeighborAdvertisement uint8 = 136
	Redirect              uint8 = 137
)

// The ICMPv6 types of multicast listener discovery (RFC 2710, section 3; RFC 3810, section 5).
const (
	ListenerQuery    uint8 = 130
	ListenerReport   uint8 = 131
	ListenerDone     uint8 = 132
	ListenerReportV2 uint8 = 143
)

// ICMPAnswer is a message that answers another, by their types.
type ICMPAnswer struct{ Answer, Request uint8 }

// ICMPAnswers returns the messages of ICMP or ICMPv6 that connection trackers take for answers: of
// the requests of RFC 792 and RFC 950, and of RFC 4443 and RFC 4620.
func ICMPAnswers(v6 bool) []ICMPAnswer {
	if v6 {
		return []ICMPAnswer{{129, 128}, {140, 139}}
	}
	return []ICMPAnswer{{0, 8}, {14, 13}, {16, 15}, {18, 17}}
}
