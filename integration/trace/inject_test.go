package trace_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/semver"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/sandbox"
	"github.com/portcullis/portcullis/integration/trace"
)

// frame returns the bytes of a packet.
func frame(t require.TestingT, p flowtest.Packet) []byte {
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	require.NoError(t, gopacket.SerializeLayers(buf, opts, append(ethernet(p), payload(t, p)...)...))
	return buf.Bytes()
}

func ethernet(p flowtest.Packet) []gopacket.SerializableLayer {
	eth := &layers.Ethernet{SrcMAC: p.Src[:], DstMAC: p.Dst[:],
		EthernetType: layers.EthernetType(p.EtherType)}
	if p.VLAN == 0 {
		return []gopacket.SerializableLayer{eth}
	}
	eth.EthernetType = layers.EthernetTypeDot1Q
	return []gopacket.SerializableLayer{eth,
		&layers.Dot1Q{VLANIdentifier: p.VLAN & 0xfff, Type: layers.EthernetType(p.EtherType)}}
}

func payload(t require.TestingT, p flowtest.Packet) []gopacket.SerializableLayer {
	switch p.EtherType {
	case policy.EtherARP:
		return []gopacket.SerializableLayer{&layers.ARP{AddrType: layers.LinkTypeEthernet,
			Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
			Operation: p.ARP.Op, SourceHwAddress: p.ARP.SHA[:], SourceProtAddress: p.ARP.SPA.AsSlice(),
			DstHwAddress: p.ARP.THA[:], DstProtAddress: p.ARP.TPA.AsSlice()}}
	case policy.EtherIPv4:
		ip := &layers.IPv4{Version: 4, TTL: p.TTL, Protocol: layers.IPProtocol(p.Proto),
			SrcIP: net.IP(p.IPSrc.AsSlice()), DstIP: net.IP(p.IPDst.AsSlice()), Id: 7}
		switch p.Fragment {
		case flowtest.FirstFragment:
			ip.Flags = layers.IPv4MoreFragments
		case flowtest.LaterFragment:
			ip.FragOffset = 8
		}
		return append([]gopacket.SerializableLayer{ip}, transport(t, p, ip)...)
	case policy.EtherIPv6:
		ip := &layers.IPv6{Version: 6, HopLimit: p.TTL, NextHeader: layers.IPProtocol(p.Proto),
			SrcIP: net.IP(p.IPSrc.AsSlice()), DstIP: net.IP(p.IPDst.AsSlice())}
		if p.Fragment == flowtest.Whole {
			return append([]gopacket.SerializableLayer{ip}, transport(t, p, ip)...)
		}
		ip.NextHeader = layers.IPProtocolIPv6Fragment
		header := []byte{p.Proto, 0, 0, 1, 0, 0, 0, 7} // more fragments follow
		if p.Fragment == flowtest.LaterFragment {
			header[2], header[3] = 0, 64 // 64 bytes in
		}
		return append([]gopacket.SerializableLayer{ip, gopacket.Payload(header)}, transport(t, p, ip)...)
	}
	return []gopacket.SerializableLayer{gopacket.Payload(make([]byte, 46))}
}

// transport returns what follows the IP header; behind it there are always bytes enough for a
// fragment's length of eight.
func transport(t require.TestingT, p flowtest.Packet,
	ip gopacket.NetworkLayer) []gopacket.SerializableLayer {
	rest := gopacket.Payload(make([]byte, 32))
	switch proto := layers.IPProtocol(p.Proto); proto {
	case layers.IPProtocolTCP:
		tcp := &layers.TCP{SrcPort: layers.TCPPort(p.SrcPort), DstPort: layers.TCPPort(p.DstPort),
			Seq: 101, Ack: 101, Window: 1000,
			SYN: p.TCPFlags&flowtest.SYN != 0, ACK: p.TCPFlags&flowtest.ACK != 0,
			RST: p.TCPFlags&flowtest.RST != 0, FIN: p.TCPFlags&flowtest.FIN != 0}
		if tcp.SYN {
			tcp.Seq = 100
		}
		require.NoError(t, tcp.SetNetworkLayerForChecksum(ip))
		return []gopacket.SerializableLayer{tcp}
	case layers.IPProtocolUDP:
		udp := &layers.UDP{SrcPort: layers.UDPPort(p.SrcPort), DstPort: layers.UDPPort(p.DstPort)}
		require.NoError(t, udp.SetNetworkLayerForChecksum(ip))
		return []gopacket.SerializableLayer{udp, rest}
	case layers.IPProtocolSCTP:
		// one chunk, an INIT: since 3.2 the userspace tracker finds one without a length invalid
		rest[0], rest[3] = 1, byte(len(rest))
		return []gopacket.SerializableLayer{&layers.SCTP{SrcPort: layers.SCTPPort(p.SrcPort),
			DstPort: layers.SCTPPort(p.DstPort)}, rest}
	case layers.IPProtocolICMPv4:
		icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(p.ICMPType, p.ICMPCode),
			Id: p.ICMPID}
		return []gopacket.SerializableLayer{icmp, inner(t, p, rest)}
	case layers.IPProtocolICMPv6:
		return icmp6(t, p, ip, rest)
	}
	return []gopacket.SerializableLayer{rest}
}

func icmp6(t require.TestingT, p flowtest.Packet, ip gopacket.NetworkLayer,
	rest gopacket.Payload) []gopacket.SerializableLayer {
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(p.ICMPType, p.ICMPCode)}
	require.NoError(t, icmp.SetNetworkLayerForChecksum(ip))
	body := make([]byte, 4) // flags, unused, pointer, or identifier and sequence
	switch {
	case p.ICMPType == policy.NeighborSolicitation || p.ICMPType == policy.NeighborAdvertisement:
		target := p.ND.Target
		if !target.IsValid() {
			target = netip.IPv6Unspecified()
		}
		body = append(body, target.AsSlice()...)
		for i, mac := range []policy.MAC{p.ND.SLL, p.ND.TLL} {
			if !mac.IsZero() {
				body = append(append(body, byte(i+1), 1), mac[:]...)
			}
		}
	case p.Inner != nil:
		body = append(body, inner(t, p, rest)...)
	default:
		body = append([]byte{byte(p.ICMPID >> 8), byte(p.ICMPID), 0, 0}, rest...)
	}
	return []gopacket.SerializableLayer{icmp, gopacket.Payload(body)}
}

// inner returns the packet that an ICMP error quotes, without its Ethernet header.
func inner(t require.TestingT, p flowtest.Packet, rest gopacket.Payload) gopacket.Payload {
	if p.Inner == nil {
		return rest
	}
	return frame(t, *p.Inner)[14:]
}

// wire puts real packets into a switch and sees where they come out.
type wire struct {
	ovs *sandbox.OVS
	was map[uint32][2]int
}

var portCounters = regexp.MustCompile(`(?s)port +(\d+): rx pkts=(\d+),.*?tx pkts=(\d+),`)

// counters returns the packets that every port received and sent.
func (w *wire) counters(t require.TestingT) map[uint32][2]int {
	text, err := w.ovs.Exec(context.Background(), "ovs-ofctl", "-O", "OpenFlow15", "--no-names",
		"dump-ports", w.ovs.Mgmt("br0"))
	require.NoError(t, err)
	counters := map[uint32][2]int{}
	for _, m := range portCounters.FindAllStringSubmatch(text, -1) {
		var n [3]int
		for i := range n {
			n[i], err = strconv.Atoi(m[i+1])
			require.NoError(t, err)
		}
		counters[uint32(n[0])] = [2]int{n[1], n[2]}
	}
	return counters
}

// install replaces all flows, and has the datapath forget what it made of the old ones: its threads
// hear of a change a little later.
func (w *wire) install(t require.TestingT, b *trace.Bridge, fs []openflow.Flow) {
	require.NoError(t, b.Install(context.Background(), fs))
	w.ovs.Appctl("revalidator/purge")
}

// send returns the ports that sent the packet. The switch handles a packet in the same turn of its
// main loop in which it counts it.
func (w *wire) send(t require.TestingT, p flowtest.Packet) []uint32 {
	if w.was == nil {
		w.was = w.counters(t)
	}
	w.ovs.Appctl("netdev-dummy/receive", fmt.Sprintf("p%d", p.InPort), hex.EncodeToString(frame(t, p)))
	now := w.counters(t)
	for deadline := time.Now().Add(
		10 * time.Second); now[p.InPort][0] == w.was[p.InPort][0]; now = w.counters(t) {
		require.True(t, time.Now().Before(deadline), "the switch does not take the packet")
	}
	var outputs []uint32
	for _, port := range slices.Sorted(maps.Keys(now)) {
		for range now[port][1] - w.was[port][1] {
			outputs = append(outputs, port)
		}
	}
	w.was = now
	return outputs
}

// What real frames show to flows is what the fake says: fragments, ND, ICMP, ARP, tags.
func TestFakeSeesFramesAsTheSwitch(t *testing.T) {
	t.Parallel()
	b, ovs := trace.Start(t, 4)
	w := wire{ovs: ovs}
	var n coverage
	rapid.Check(t, func(t *rapid.T) {
		fs := slices.DeleteFunc(drawProgram(t),
			func(f openflow.Flow) bool { return strings.Contains(f.Actions.String(), "ct(") })
		sw, err := flowtest.New(fs)
		require.NoError(t, err)
		w.install(t, b, fs)
		for range 3 {
			p := drawPacket(t)
			got, err := sw.Forward(p)
			require.NoError(t, err)
			if len(got.Ties) > 0 {
				continue
			}
			slices.Sort(got.Outputs)
			require.Equal(t, w.send(t, p), got.Outputs, "%s\n%s", trace.Spec(p),
				strings.Join(got.Trace, "\n"))
			n.compared++
			n.output += min(1, len(got.Outputs))
		}
	})
	t.Logf("%+v", n)
	require.Greater(t, 5*n.output, n.compared)
}

// witness asks a zone about every packet, zone 2 for port 3 and else zone 1, and tells what it
// heard by the ports that it sends to. The destination's MAC says what is committed.
const witness = `0 5 ip,in_port=3 => set_field:0x2->reg1,resubmit(,1)
0 4 ip => set_field:0x1->reg1,resubmit(,1)
0 5 ipv6,in_port=3 => set_field:0x2->reg1,resubmit(,1)
0 4 ipv6 => set_field:0x1->reg1,resubmit(,1)
1 5 ip => ct(table=2,zone=NXM_NX_REG1[0..15])
1 5 ipv6 => ct(table=2,zone=NXM_NX_REG1[0..15])
2 5 * => resubmit(,3),resubmit(,4),resubmit(,5),resubmit(,6),resubmit(,7),resubmit(,8),resubmit(,9),resubmit(,10),resubmit(,11),resubmit(,12),resubmit(,13),resubmit(,20)
3 5 ct_state=+new+trk => output:5
4 5 ct_state=+est+trk => output:6
5 5 ct_state=+rel+trk => output:7
6 5 ct_state=+rpl+trk => output:8
7 5 ct_state=+inv+trk => output:9
8 5 ct_mark=0x1/0x1 => output:10
9 5 ct_mark=0x2/0x2 => output:11
10 5 ct_label=0x1/0x1 => output:12
11 5 ct_state=-inv+trk,ct_nw_src=10.0.0.1,ip => output:13
11 5 ct_state=-inv+trk,ct_ipv6_src=2001:db8::1,ipv6 => output:13
12 5 ct_state=-inv+trk,ct_nw_proto=17,ct_tp_dst=53,ip => output:14
12 5 ct_state=-inv+trk,ct_nw_proto=1,ct_tp_src=8,ip => output:14
12 5 ct_state=-inv+trk,ct_nw_proto=58,ct_tp_src=128,ipv6 => output:14
13 5 ct_state=-inv+trk,ip => move:NXM_NX_CT_TP_DST[]->NXM_NX_REG5[0..15],resubmit(,14)
14 5 reg5=0x35 => output:4
20 5 ct_state=-inv+trk,ip,dl_dst=02:00:00:00:00:02 => ct(commit,zone=NXM_NX_REG1[0..15],exec(set_field:0x1/0x1->ct_mark))
20 5 ct_state=-inv+trk,ipv6,dl_dst=02:00:00:00:00:02 => ct(commit,zone=NXM_NX_REG1[0..15],exec(set_field:0x1/0x1->ct_mark))
20 5 ct_state=-inv+trk,ip,dl_dst=02:00:00:00:00:03 => ct(commit,table=30,zone=NXM_NX_REG1[0..15],exec(set_field:0x2/0x3->ct_mark,set_field:0x1->ct_label))
30 5 ct_state=+new+trk,ct_mark=0x2/0x3 => output:15
30 4 ct_mark=0x2/0x3 => output:16`

// trackerOf is what the fake is to be as, beside this release's userspace datapath.
func trackerOf(ovs *sandbox.OVS) flowtest.Tracker {
	words := strings.Fields(ovs.Appctl("version")) // ovs-vswitchd (Open vSwitch) 3.1.0
	if semver.Compare("v"+words[3], "v3.2.0") < 0 {
		return flowtest.IgnoresSCTPPorts
	}
	return flowtest.ReadsSCTPPorts
}

// The tracker of the fake says what the userspace tracker of this release says, packet by packet of
// random conversations.
func TestFakeTracksAsTheSwitch(t *testing.T) {
	t.Parallel()
	b, ovs := trace.Start(t, 16)
	w := wire{ovs: ovs}
	tracker := trackerOf(ovs)
	fs := program(t, witness)
	w.install(t, b, fs)
	heard := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		sw, err := flowtest.New(fs)
		require.NoError(t, err)
		sw.SetTracker(tracker)
		w.ovs.Appctl("dpctl/flush-conntrack")
		var said []string
		steps := map[bool]int{}
		for range 9 {
			p := drawConversation(t)
			if p.Proto == uint8(policy.TCP) {
				handshake(&p, steps[p.IPSrc.Is4()])
				steps[p.IPSrc.Is4()]++
			}
			got, err := sw.Forward(p)
			require.NoError(t, err)
			slices.Sort(got.Outputs)
			want := w.send(t, p)
			said = append(said, fmt.Sprintf("%s inner=%v flags=%#x %v", trace.Spec(p), p.Inner != nil,
				p.TCPFlags, want))
			require.Equal(t, want, got.Outputs, "%s", strings.Join(said, "\n"))
			heard[fmt.Sprint(want)]++
		}
	})
	t.Logf("%v", heard)
}

// drawConversation draws a packet between two hosts, so that few draws meet again.
func drawConversation(t *rapid.T) flowtest.Packet {
	hosts := pick(t, four[1:3], six[1:3])
	if rapid.Bool().Draw(t, "back") {
		hosts = []netip.Addr{hosts[1], hosts[0]}
	}
	p := flowtest.Packet{InPort: pick[uint32](t, 1, 1, 2, 3), Src: policy.MAC{2, 0, 0, 0, 0, 1},
		Dst:       policy.MAC{2, 0, 0, 0, 0, byte(1 + uniform(t, 3, "dst"))},
		EtherType: policy.EtherIPv4, IPSrc: hosts[0], IPDst: hosts[1], TTL: 64}
	echo := []uint8{8, 0}
	errorType, icmp := uint8(3), uint8(policy.ICMP)
	if hosts[0].Is6() {
		p.EtherType, echo, errorType, icmp = policy.EtherIPv6, []uint8{128, 129}, 1, uint8(policy.ICMPv6)
	}
	ports := []uint16{1000, 53}
	if hosts[0].Compare(hosts[1]) > 0 {
		ports = []uint16{53, 1000}
	}
	p.SrcPort, p.DstPort = ports[0], ports[1]
	switch uniform(t, 8, "kind") {
	case 0, 1:
		p.Proto = uint8(policy.UDP)
	case 2:
		p.Proto, p.ICMPType, p.ICMPID = icmp, pick(t, echo...), uint16(uniform(t, 2, "id"))
	case 3:
		p.Proto = uint8(policy.TCP)
	case 4:
		p.Proto = uint8(policy.GRE)
	case 5:
		if p.Proto = pick(t, uint8(policy.SCTP), uint8(policy.SCTP), 1, 58); p.Proto != uint8(policy.SCTP) {
			p.SrcPort, p.DstPort = 0, 0
			break
		}
		if other := uint16(uniform(t, 2, "port")); p.SrcPort == 1000 { // two connections, or one
			p.SrcPort += other
		} else {
			p.DstPort += other
		}
	case 6:
		p.Proto, p.ICMPType = icmp, pick[uint8](t, 9, 13, 15, 17, 130, 133, 135, 143)
	case 7:
		about := flowtest.Packet{EtherType: p.EtherType, Proto: uint8(policy.UDP), IPSrc: hosts[1],
			IPDst: hosts[0], SrcPort: ports[1], DstPort: ports[0], TTL: 64}
		p.Proto, p.ICMPType, p.Inner = icmp, errorType, &about
		p.SrcPort, p.DstPort = 0, 0
	}
	return p
}

// handshake makes a TCP packet the next one of a proper connection that is remembered from its
// first packet. What the userspace tracker says of others follows its own automaton of TCP, which
// the fake does not have.
func handshake(p *flowtest.Packet, step int) {
	p.InPort, p.Dst[5] = 1, 2
	if back := p.SrcPort == 53; step < 3 && back != (step == 1) {
		p.IPSrc, p.IPDst, p.SrcPort, p.DstPort = p.IPDst, p.IPSrc, p.DstPort, p.SrcPort
	}
	p.TCPFlags = flowtest.ACK
	if step < 2 {
		p.TCPFlags = []uint8{flowtest.SYN, flowtest.SYN | flowtest.ACK}[step]
	}
}
