package spec_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/flows/spec"
)

var ip4 = map[string]string{"a": "203.0.113.10", "b": "203.0.113.11", "c": "203.0.113.12",
	"d": "203.0.113.13", "e": "203.0.113.14", "router": "203.0.113.1", "out": "198.51.100.7"}
var macs = map[string]policy.MAC{"a": policytest.MAC(0x0a), "b": policytest.MAC(0x0b),
	"c": policytest.MAC(0x0c), "d": policytest.MAC(0x0d), "e": policytest.MAC(0x0e),
	"router": policytest.MAC(0x99), "out": policytest.MAC(0xee)}

// tcp is an honest connection from one host to another.
func tcp(from, to string, port uint16) spec.Packet {
	return spec.Packet{From: from, FromUplink: from == "out" || from == "e", SrcMAC: macs[from],
		DstMAC: macs[to], EtherType: policy.EtherIPv4, HopLimit: 64,
		Tuple: spec.Tuple{Src: policytest.Addr(ip4[from]), Dst: policytest.Addr(ip4[to]), Protocol: 6,
			SrcPort: 40000, DstPort: port}}
}

func with(p spec.Packet, change func(*spec.Packet)) spec.Packet { change(&p); return p }

func arp(from string, op uint16, target string) spec.Packet {
	return spec.Packet{From: from, FromUplink: from == "out", SrcMAC: macs[from],
		DstMAC: policy.BroadcastMAC, EtherType: policy.EtherARP,
		ARP: spec.ARP{Op: op, SHA: macs[from], SPA: policytest.Addr(ip4[from]),
			TPA: policytest.Addr(target)}}
}

func nd(from string, kind uint8, src, dst, target string) spec.Packet {
	return spec.Packet{From: from, FromUplink: from == "out", SrcMAC: macs[from],
		DstMAC: policy.MAC{0x33, 0x33, 0xff, 0, 0, 1}, EtherType: policy.EtherIPv6,
		HopLimit: 255, Tuple: spec.Tuple{Src: policytest.Addr(src), Dst: policytest.Addr(dst),
			Protocol: 58, ICMPType: kind}, ND: spec.ND{Target: policytest.Addr(target)}}
}

func udp(p spec.Packet, src, dst uint16) spec.Packet {
	p.Protocol, p.SrcPort, p.DstPort = 17, src, dst
	return p
}

func TestDecide(t *testing.T) {
	broadcast := func(p *spec.Packet) {
		p.DstMAC, p.Dst = policy.BroadcastMAC, policytest.Addr("255.255.255.255")
	}
	discover := with(udp(tcp("a", "b", 0), 68, 67),
		func(p *spec.Packet) { broadcast(p); p.Src = policytest.Addr("0.0.0.0") })
	a6, b6 := "2001:db8::a", "2001:db8::b"
	unreadable := with(tcp("c", "out", 0), func(p *spec.Packet) {
		p.EtherType, p.Tuple = policy.EtherIPv6, spec.Tuple{Src: policytest.Addr("2001:db8::c"),
			Dst: policytest.Addr("::")}
	})
	cases := []struct {
		name string
		p    spec.Packet
		want string // receivers, "uplink" among them
	}{
		{"zero packet", spec.Packet{}, ""},
		{"L2-1 own MAC", tcp("a", "b", 80), "b"},
		{"L2-1 forged MAC", with(tcp("a", "b", 80), func(p *spec.Packet) { p.SrcMAC = macs["c"] }), ""},
		{"L2-1 tagged", with(tcp("a", "b", 80), func(p *spec.Packet) { p.Tagged = true }), ""},
		{"L2-1 group source",
			with(tcp("out", "b", 80), func(p *spec.Packet) { p.SrcMAC = policy.BroadcastMAC }), ""},
		{"L2-2 request to neighbour", arp("a", 1, ip4["b"]), "b"},
		{"L2-2 request to the network", arp("a", 1, "203.0.113.77"), "uplink"},
		{"L2-2 forged sha", with(arp("a", 1, ip4["b"]), func(p *spec.Packet) { p.ARP.SHA = macs["c"] }),
			""},
		{"L2-2 forged spa", with(arp("a", 1, ip4["b"]),
			func(p *spec.Packet) { p.ARP.SPA = policytest.Addr(ip4["c"]) }), ""},
		{"L2-2 probe for own",
			with(arp("a", 1, ip4["a"]), func(p *spec.Packet) { p.ARP.SPA = policytest.Addr("0.0.0.0") }),
			"uplink"},
		{"L2-2 probe for another's",
			with(arp("a", 1, ip4["b"]), func(p *spec.Packet) { p.ARP.SPA = policytest.Addr("0.0.0.0") }),
			""},
		{"L2-2 announcement", arp("a", 1, ip4["a"]), "uplink"},
		{"L2-2 reply", with(arp("a", 2, ip4["b"]), func(p *spec.Packet) { p.DstMAC = macs["b"] }), "b"},
		{"L2-3 forged IP", with(tcp("a", "b", 80),
			func(p *spec.Packet) { p.Src = policytest.Addr(ip4["c"]) }), ""},
		{"L2-4 solicitation", sll(nd("a", 135, a6, "ff02::1:ff00:b", b6)), "b"},
		{"L2-4 solicitation of a group without its option", nd("a", 135, a6, "ff02::1:ff00:b", b6), ""},
		{"L2-4 the same from outside", nd("out", 135, "2001:db8::77", "ff02::1:ff00:b", b6), ""},
		{"L2-4 solicitation of a group from outside",
			sll(nd("out", 135, "2001:db8::77", "ff02::1:ff00:b", b6)), "b"},
		{"L2-4 solicitation by unicast without its option",
			with(nd("out", 135, "2001:db8::77", b6, b6), func(p *spec.Packet) { p.DstMAC = macs["b"] }),
			"b"},
		{"L2-4 hop limit 254",
			with(sll(nd("a", 135, a6, "ff02::1:ff00:b", b6)), func(p *spec.Packet) { p.HopLimit = 254 }),
			""},
		{"L2-4 code 1", with(sll(nd("a", 135, a6, "ff02::1:ff00:b", b6)),
			func(p *spec.Packet) { p.ICMPCode = 1 }), ""},
		{"L2-4 forged sll", with(nd("a", 135, a6, "ff02::1:ff00:b", b6),
			func(p *spec.Packet) { p.ND.SLL = macs["c"] }), ""},
		{"L2-4 DAD", nd("a", 135, "::", "ff02::1:ff00:a", a6), "uplink"},
		{"L2-4 DAD by unicast", nd("a", 135, "::", b6, a6), ""},
		{"L2-4 DAD of another's", nd("a", 135, "::", "ff02::1:ff00:b", b6), ""},
		{"L2-4 own advertisement",
			with(nd("a", 136, a6, b6, a6),
				func(p *spec.Packet) { p.DstMAC = macs["b"]; p.ND.TLL = macs["a"] }), "b"},
		{"L2-4 advertisement of another's",
			with(nd("a", 136, a6, b6, "2001:db8::c"), func(p *spec.Packet) { p.DstMAC = macs["b"] }), ""},
		{"L2-4 RA", nd("a", 134, a6, "ff02::1", "::"), ""},
		{"L2-4 redirect", with(nd("a", 137, a6, b6, "::"), func(p *spec.Packet) { p.DstMAC = macs["b"] }),
			""},
		{"L2-4 RS", nd("a", 133, a6, "ff02::2", "::"), "router uplink"},
		{"L2-5 discover", discover, "router uplink"},
		{"L2-5 discover with a forged MAC", with(discover, func(p *spec.Packet) { p.SrcMAC = macs["b"] }),
			""},
		{"L2-5 server answer from an instance", udp(tcp("a", "b", 0), 67, 68), ""},
		{"L2-5 the same, first fragment",
			with(udp(tcp("a", "b", 0), 67, 68), func(p *spec.Packet) { p.Fragment = spec.FirstFragment }),
			""},
		{"L2-5 answer from the uplink", udp(tcp("out", "a", 0), 67, 68), "a"},
		{"L2-5 answer from a trusted port", udp(tcp("router", "a", 0), 67, 68), "a"},
		{"L2-6 not for its address",
			with(tcp("out", "a", 80), func(p *spec.Packet) { p.Dst = policytest.Addr(ip4["b"]) }), ""},
		{"L2-6 ARP from outside", arp("out", 1, ip4["a"]), "a"},
		{"L2-6 ARP from outside for nobody", arp("out", 1, "203.0.113.77"), ""},
		{"L2-6 unknown unicast", tcp("a", "e", 443), "uplink"},
		{"L2-6 unknown unicast from outside", tcp("out", "e", 80), ""},
		{"L2-7 broadcast", with(tcp("a", "b", 80), broadcast), ""},
		{"L2-7 multicast", with(tcp("a", "b", 80), func(p *spec.Packet) {
			p.DstMAC, p.Dst = policy.MAC{1, 0, 0x5e, 0, 0, 1}, policytest.Addr("224.0.0.1")
		}), ""},
		{"L2-8 poisoning", with(arp("out", 2, ip4["b"]),
			func(p *spec.Packet) { p.ARP.SPA = policytest.Addr(ip4["a"]); p.DstMAC = macs["b"] }), ""},
		{"L2-8 gateway announcement",
			with(arp("out", 1, "203.0.113.254"),
				func(p *spec.Packet) { p.ARP.SPA = policytest.Addr("203.0.113.254") }), "a b c d router"},
		{"L2-8 the same by a trusted port", arp("router", 1, ip4["router"]), "a b c d uplink"},
		{"L2-8 poisoning of a local gateway",
			with(arp("out", 1, ip4["router"]),
				func(p *spec.Packet) { p.ARP.SPA = policytest.Addr(ip4["router"]) }), ""},
		{"L2-8 announcement of a stranger",
			with(arp("out", 1, "203.0.113.77"),
				func(p *spec.Packet) { p.ARP.SPA = policytest.Addr("203.0.113.77") }), ""},
		{"L2-8 RA", with(nd("out", 134, "fe80::1", "ff02::1", "::"),
			func(p *spec.Packet) { p.DstMAC = policy.AllNodesMAC }), "a b c d"},
		{"L2-8 own source that a router sends on",
			with(tcp("out", "b", 80), func(p *spec.Packet) { p.Src = policytest.Addr(ip4["a"]) }), "b"},
		{"L2-8 own source with its MAC from outside",
			with(tcp("out", "b", 80),
				func(p *spec.Packet) { p.Src, p.SrcMAC = policytest.Addr(ip4["a"]), macs["a"] }), ""},
		{"L2-9 other EtherType",
			spec.Packet{From: "a", SrcMAC: macs["a"], DstMAC: macs["b"], EtherType: 0x88cc}, ""},
		{"L2-9 trusted may send any",
			with(tcp("router", "a", 80),
				func(p *spec.Packet) { p.Src = policytest.Addr("8.8.8.8"); p.SrcMAC = policytest.MAC(0x77) }),
			"a"},
		{"R-1 ingress denied", tcp("out", "c", 80), ""},
		{"R-1 egress open", tcp("c", "out", 25), "uplink"},
		{"R-1 egress closed", tcp("d", "out", 25), ""},
		{"R-1 egress rule", tcp("d", "out", 443), "uplink"},
		{"R-1 egress closed for IPv6 too", with(tcp("d", "out", 443), func(p *spec.Packet) {
			p.EtherType, p.Src, p.Dst = policy.EtherIPv6, policytest.Addr("2001:db8::d"),
				policytest.Addr("2001:db8:f::1")
		}), ""},
		{"R-1 what shows neither protocol nor peer", unreadable, ""},
		{"R-1 the same, a later fragment of IPv6, which shows 44",
			with(unreadable, func(p *spec.Packet) { p.Fragment = spec.LaterFragment }), "uplink"},
		{"R-2 port", tcp("out", "a", 80), "a"},
		{"R-2 port beside", tcp("out", "a", 81), ""},
		{"R-2 echo", with(tcp("out", "d", 0), func(p *spec.Packet) { p.Protocol, p.ICMPType = 1, 8 }),
			"d"},
		{"R-2 timestamp", with(tcp("out", "d", 0),
			func(p *spec.Packet) { p.Protocol, p.ICMPType = 1, 13 }), ""},
		{"R-3 member", tcp("a", "b", 5000), "b"},
		{"R-3 member elsewhere", tcp("e", "b", 5000), "b"},
		{"R-3 external source",
			with(tcp("out", "b", 5000), func(p *spec.Packet) { p.Src = policytest.Addr("192.0.2.9") }), "b"},
		{"R-3 no member", tcp("c", "b", 5000), ""},
		{"R-4 reply", with(tcp("a", "out", 40000), func(p *spec.Packet) {
			p.Conntrack = map[string]spec.Connection{
				"a": {Side: spec.ReplySide, Original: tcp("out", "a", 80).Tuple}}
		}), "uplink"},
		{"R-4 invalid", with(tcp("out", "a", 80),
			func(p *spec.Packet) { p.Conntrack = map[string]spec.Connection{"a": {Side: spec.Invalid}} }),
			""},
		{"R-6 reply of what nothing admits", with(tcp("d", "out", 40000), func(p *spec.Packet) {
			p.Conntrack = map[string]spec.Connection{
				"d": {Side: spec.ReplySide, Original: tcp("out", "d", 22).Tuple}}
		}), ""},
		{"R-5 receiver denies", tcp("a", "c", 80), ""},
		{"R-5 sender denies", tcp("d", "a", 80), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := spec.Decide(policytest.World(), c.p)
			got := strings.Join(d.Ports, " ")
			if d.Uplink {
				got = strings.TrimSpace(got + " uplink")
			}
			require.Equal(t, c.want, got, d.Reason)
		})
	}
}

// The deciding rule is named.
func TestDecideNamesTheRule(t *testing.T) {
	d := spec.Decide(policytest.World(), tcp("out", "a", 80))
	require.NotNil(t, d.Ingress.Rule)
	require.Equal(t, "web: ingress tcp 80 from 0.0.0.0/0", d.Ingress.Reason)
	require.Nil(t, spec.Decide(policytest.World(), tcp("out", "a", 81)).Ingress.Rule)
}
