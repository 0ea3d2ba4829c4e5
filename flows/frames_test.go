package flows_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
)

func mustCompile(t *testing.T, in flows.Input) *flows.Program {
	t.Helper()
	p, err := flows.Compile(in)
	require.NoError(t, err)
	return p
}

func forward(t *testing.T, sw *flowtest.Switch, p flowtest.Packet) flowtest.Result {
	t.Helper()
	r, err := sw.Forward(p)
	require.NoError(t, err)
	return r
}

// end is an instance of the test policy as its frames show it.
type end struct {
	ofport uint32
	mac    policy.MAC
	v4, v6 netip.Addr
}

func endOf(in flows.Input, name string) end {
	for _, i := range in.Policy.Instances {
		if i.Name != name {
			continue
		}
		e := end{mac: i.Ports[0].MAC, v4: i.Ports[0].Addresses[0].Addr(),
			v6: i.Ports[0].Addresses[1].Addr()}
		for _, b := range in.Bindings {
			if b.Port == i.Ports[0].Name {
				e.ofport = b.OFPort
			}
		}
		return e
	}
	panic("no instance " + name)
}

const (
	etherIPv4, etherARP, etherIPv6 = 0x0800, 0x0806, 0x86dd
	protoUDP, protoICMPv6          = 17, 58
)

func udp(from, to end, src, dst uint16) flowtest.Packet {
	return flowtest.Packet{InPort: from.ofport, Src: from.mac, Dst: to.mac, EtherType: etherIPv4,
		IPSrc: from.v4, IPDst: to.v4,
		Proto: protoUDP, TTL: 64, SrcPort: src, DstPort: dst}
}

func arpRequest(from, to end) flowtest.Packet {
	return flowtest.Packet{InPort: from.ofport, Src: from.mac, Dst: policy.BroadcastMAC,
		EtherType: etherARP,
		ARP:       flowtest.ARP{Op: policy.ARPRequest, SHA: from.mac, SPA: from.v4, TPA: to.v4}}
}

func arpProbe(from, _ end) flowtest.Packet {
	p := arpRequest(from, from)
	p.ARP.SPA = netip.IPv4Unspecified()
	return p
}

func solicitation(from, to end) flowtest.Packet {
	return flowtest.Packet{InPort: from.ofport, Src: from.mac, Dst: to.mac, EtherType: etherIPv6,
		IPSrc: from.v6, IPDst: to.v6,
		Proto: protoICMPv6, TTL: 255, ICMPType: policy.NeighborSolicitation,
		ND: flowtest.ND{Target: to.v6, SLL: from.mac}}
}

func discover(from, to end) flowtest.Packet {
	p := udp(from, to, 68, 67)
	p.Dst, p.IPSrc, p.IPDst = policy.BroadcastMAC, netip.IPv4Unspecified(),
		netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return p
}

// renewal goes to the gateway, which relays it, with the client's own address.
func renewal(from, to end) flowtest.Packet {
	p := udp(from, to, 68, 67)
	p.Dst, p.IPDst = policy.MAC{2, 0, 0, 0, 0, 0xfe}, netip.MustParseAddr("203.0.113.1")
	return p
}

func solicit6(from, to end) flowtest.Packet {
	p := udp(from, to, 546, 547)
	p.EtherType, p.Dst = etherIPv6, policy.DHCPv6MAC
	p.IPSrc, p.IPDst = from.mac.LinkLocal(), netip.MustParseAddr("ff02::1:2")
	return p
}
