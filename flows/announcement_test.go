package flows_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policy"
)

// An announcement is what an instance would say itself: somebody else's decoder reads it so.
func TestAnnouncementIsGratuitousARP(t *testing.T) {
	m := policy.MAC{2, 0, 0, 0, 0, 0x22}
	a := flows.Announcement{Address: netip.MustParseAddr("203.0.113.200"), MAC: m}
	p := gopacket.NewPacket(a.Frame(), layers.LayerTypeEthernet, gopacket.Default)
	require.Nil(t, p.ErrorLayer())
	eth := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	require.Equal(t, net.HardwareAddr(m[:]), eth.SrcMAC)
	require.Equal(t, layers.EthernetBroadcast, eth.DstMAC)
	arp := p.Layer(layers.LayerTypeARP).(*layers.ARP)
	require.Equal(t, layers.LinkTypeEthernet, arp.AddrType)
	require.Equal(t, layers.EthernetTypeIPv4, arp.Protocol)
	require.Equal(t, []uint8{6, 4}, []uint8{arp.HwAddressSize, arp.ProtAddressSize})
	require.Equal(t, uint16(layers.ARPRequest), arp.Operation)
	require.Equal(t, m[:], arp.SourceHwAddress)
	require.Equal(t, a.Address.AsSlice(), arp.SourceProtAddress)
	require.Equal(t, make([]byte, 6), arp.DstHwAddress)
	require.Equal(t, a.Address.AsSlice(), arp.DstProtAddress)
	require.Len(t, a.Frame(), 60)
}

func TestAnnouncementIsUnsolicitedAdvertisement(t *testing.T) {
	m := policy.MAC{2, 0, 0, 0, 0, 0x22}
	a := flows.Announcement{Address: netip.MustParseAddr("2001:db8:1::200"), MAC: m}
	p := gopacket.NewPacket(a.Frame(), layers.LayerTypeEthernet, gopacket.Default)
	require.Nil(t, p.ErrorLayer())
	ip := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	require.Equal(t, uint8(6), ip.Version)
	require.Zero(t, ip.TrafficClass)
	require.Zero(t, ip.FlowLabel)
	require.Equal(t, int(ip.Length), len(ip.Payload))
	require.Equal(t, uint8(255), ip.HopLimit)
	require.Equal(t, "2001:db8:1::200", ip.SrcIP.String())
	require.Equal(t, "ff02::1", ip.DstIP.String())
	icmp := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	require.Equal(t, layers.CreateICMPv6TypeCode(layers.ICMPv6TypeNeighborAdvertisement, 0),
		icmp.TypeCode)
	na := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
	require.Equal(t, []byte{0x20, 0, 0, 0}, na.Contents[:4], "no bit is set of those that are reserved")
	require.True(t, na.Override())
	require.False(t, na.Router())
	require.False(t, na.Solicited())
	require.Equal(t, "2001:db8:1::200", na.TargetAddress.String())
	require.Equal(t, layers.ICMPv6OptTargetAddress, na.Options[0].Type)
	require.Equal(t, m[:], na.Options[0].Data)

	sum := icmp.Checksum
	require.NoError(t, icmp.SetNetworkLayerForChecksum(ip))
	out := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(out, gopacket.SerializeOptions{ComputeChecksums: true},
		icmp, gopacket.Payload(icmp.Payload)))
	require.Equal(t, sum, icmp.Checksum)
}

// The table to which announcements go tells every local port of the family but the one that has the
// address, and no uplink.
func TestAnnouncementsReachLocalPorts(t *testing.T) {
	in := flowtest.Seed()
	sw, err := flowtest.New(mustCompile(t, in).Flows)
	require.NoError(t, err)
	for family, ports := range map[string][]uint32{"203.0.113.200": {2, 3, 4, 5},
		"2001:db8::11": {2, 3, 4}} {
		a := netip.MustParseAddr(family)
		p := flowtest.Packet{InPort: 1, Src: policy.MAC{2, 9}, EtherType: policy.EtherARP,
			ARP: flowtest.ARP{Op: policy.ARPRequest, SPA: a, TPA: a}}
		if a.Is6() {
			p = flowtest.Packet{InPort: 1, Src: policy.MAC{2, 9}, EtherType: policy.EtherIPv6, IPSrc: a,
				IPDst: a, Proto: protoICMPv6, TTL: 255,
				ICMPType: policy.NeighborAdvertisement, ND: flowtest.ND{Target: a}}
		}
		r, err := sw.Run(p, flows.AnnounceActions())
		require.NoError(t, err)
		require.Equal(t, ports, r.Outputs, family)
	}
}
