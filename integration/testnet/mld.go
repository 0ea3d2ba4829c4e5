package testnet

import (
	"encoding/binary"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/portcullis/portcullis/flows/policy"
)

// MLD is a message of multicast listener discovery (RFC 2710, RFC 3810), with the router alert that
// it travels with.
type MLD struct {
	Src, Dst policy.MAC
	From, To netip.Addr
	HopLimit uint8 // 0 = 1, as all are sent
	Type     uint8
	Group    netip.Addr // the zero Addr of a query is every group
}

// Frame builds it.
func (m MLD) Frame() Frame {
	message := IP{From: m.From, To: m.To, Protocol: policy.ICMPv6, Type: m.Type,
		Body: m.body()}.transport()
	alert := []byte{byte(policy.ICMPv6), 0, 5, 2, 0, 0, 1, 0} // RFC 2711; two bytes of padding
	ip := &layers.IPv6{Version: 6, HopLimit: max(m.HopLimit, 1),
		NextHeader: layers.IPProtocolIPv6HopByHop,
		SrcIP:      m.From.AsSlice(), DstIP: m.To.AsSlice()}
	return build(ethernet(m.Src, m.Dst, layers.EthernetTypeIPv6), ip, gopacket.Payload(append(alert,
		message...)))
}

func (m MLD) body() []byte {
	group := netip.IPv6Unspecified()
	if m.Group.IsValid() {
		group = m.Group
	}
	if m.Type == policy.ListenerReportV2 {
		const excludes = 4 // CHANGE_TO_EXCLUDE_MODE of no source: it listens
		return append([]byte{0, 0, 0, 1, excludes, 0, 0, 0}, group.AsSlice()...)
	}
	// of a query: answer within a second
	body := append(binary.BigEndian.AppendUint16(nil, 1000), 0, 0)
	return append(body, group.AsSlice()...)
}

// MLDType returns what kind of a message of multicast listener discovery a frame is; false if it is
// none.
func (f Frame) MLDType() (uint8, bool) {
	const hopByHop = 8 // the length of its header, with the router alert alone
	at := etherLen + 40 + hopByHop
	if len(f) <= at || layers.EthernetType(
		binary.BigEndian.Uint16(f[12:])) != layers.EthernetTypeIPv6 ||
		layers.IPProtocol(f[etherLen+6]) != layers.IPProtocolIPv6HopByHop ||
		policy.Protocol(f[etherLen+40]) != policy.ICMPv6 {
		return 0, false
	}
	kind := f[at]
	return kind, kind >= policy.ListenerQuery && kind <= policy.ListenerDone ||
		kind == policy.ListenerReportV2
}
