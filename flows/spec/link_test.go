package spec_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/flows/spec"
)

// sll gives a solicitation its option.
func sll(p spec.Packet) spec.Packet {
	p.ND.SLL = p.SrcMAC
	return p
}

// moved is the world in which a and e, on another host, may have the address 203.0.113.200 and
// 2001:db8:1::200, a the virtual 203.0.113.201, and e the network 203.0.113.224/29; and c has
// listed the link-local address fe80::c:1:2:3.
func moved() spec.World {
	w := policytest.World()
	at := func(name string) *policy.Port {
		for _, i := range w.Policy.Instances {
			if i.Name == name {
				return &i.Ports[0]
			}
		}
		panic(name)
	}
	for _, name := range []string{"a", "e"} {
		p := at(name)
		p.Allowed = append(p.Allowed, policy.AllowedAddress{Prefix: policytest.Single("203.0.113.200")},
			policy.AllowedAddress{Prefix: policytest.Single("2001:db8:1::200")})
	}
	at("a").Allowed = append(at("a").Allowed,
		policy.AllowedAddress{Prefix: policytest.Single("203.0.113.201"), MAC: virtual})
	at("e").Allowed = append(at("e").Allowed,
		policy.AllowedAddress{Prefix: netip.MustParsePrefix("203.0.113.224/29")})
	at("c").Addresses = append(slices.Clone(at("c").Addresses), policytest.Single("fe80::c:1:2:3"))
	at("b").EtherTypes = []uint16{0x88cc}
	at("d").EtherTypes = []uint16{0x88cc, policy.EtherRARP}
	return w
}

var virtual = policy.MAC{0, 0, 0x5e, 0, 1, 5}

// announce is a gratuitous ARP, announceND an unsolicited advertisement, of an address at a MAC.
func announce(from string, op uint16, m policy.MAC, a string) spec.Packet {
	return with(arp(from, op, a), func(p *spec.Packet) {
		p.SrcMAC, p.ARP.SHA, p.ARP.SPA, p.FromUplink = m, m, policytest.Addr(a), from == "out" ||
			from == "e"
	})
}

func announceND(from string, m policy.MAC, a string) spec.Packet {
	return with(nd(from, 136, a, "ff02::1", a), func(p *spec.Packet) {
		p.SrcMAC, p.ND.TLL, p.DstMAC, p.FromUplink = m, m, policy.AllNodesMAC, from == "out" ||
			from == "e"
	})
}

func frame(from string, etherType uint16, to policy.MAC) spec.Packet {
	return spec.Packet{From: from, FromUplink: from == "out", SrcMAC: macs[from], DstMAC: to,
		EtherType: etherType}
}

func rarp(from string) spec.Packet {
	p := frame(from, policy.EtherRARP, policy.BroadcastMAC)
	p.ARP = spec.ARP{Op: policy.RARPRequest, SHA: macs[from], THA: macs[from],
		SPA: netip.IPv4Unspecified(), TPA: netip.IPv4Unspecified()}
	return p
}

// listener is a message of multicast listener discovery.
func listener(from string, kind uint8, src string) spec.Packet {
	return spec.Packet{From: from, FromUplink: from == "out", SrcMAC: macs[from],
		DstMAC:    policy.MAC{0x33, 0x33, 0, 0, 0, 0x16},
		EtherType: policy.EtherIPv6, HopLimit: 1,
		Tuple: spec.Tuple{Src: policytest.Addr(src), Dst: policytest.Addr("ff02::16"), Protocol: 58,
			ICMPType: kind}}
}

// Addresses that hosts chose themselves: of an instance, and of a router beyond the uplink.
const chosen, routers = "fe80::1c3a:55ff:1234:9abc", "fe80::7:6:5:4"

func outward(p spec.Packet) spec.Packet {
	return with(p, func(p *spec.Packet) { p.DstMAC = macs["out"] })
}

func TestDecideOnTheLink(t *testing.T) {
	own := policytest.MAC(0x0a).LinkLocal().String()
	all := policy.MAC{0x01, 0x80, 0xc2, 0, 0, 0x0e}
	cases := []struct {
		name string
		p    spec.Packet
		want string // receivers, "uplink" among them
	}{
		{"announcement of an allowed address", announce("a", 1, macs["a"], "203.0.113.200"),
			"b c d router uplink"},
		{"the same as an answer", announce("a", 2, macs["a"], "203.0.113.200"), "b c d router uplink"},
		{"the same from another host", announce("e", 1, macs["e"], "203.0.113.200"), "a b c d router"},
		{"the same with a virtual MAC", announce("a", 1, virtual, "203.0.113.201"),
			"b c d router uplink"},
		{"of an address by a MAC that is not listed for it",
			announce("out", 1, macs["out"], "203.0.113.200"), "a"},
		{"by a MAC that is listed for another", announce("e", 1, virtual, "203.0.113.200"), "a"},
		{"of an own address", announce("a", 1, macs["a"], ip4["a"]), "uplink"},
		{"of another's own address", announce("out", 1, macs["out"], ip4["a"]), ""},
		{"of a network, by an answer", announce("e", 2, macs["e"], "203.0.113.225"), "a b c d router"},
		{"of a network, by what could be a question", announce("e", 1, macs["e"], "203.0.113.225"), ""},
		{"a question by its owner",
			with(announce("a", 1, macs["a"], "203.0.113.200"),
				func(p *spec.Packet) { p.ARP.TPA = policytest.Addr(ip4["b"]) }), "b"},
		{"IPv6", announceND("a", macs["a"], "2001:db8:1::200"), "b c d uplink"},
		{"IPv6 from another host", announceND("e", macs["e"], "2001:db8:1::200"), "a b c d"},
		{"IPv6 by a MAC that is not listed for it", announceND("out", macs["out"], "2001:db8:1::200"),
			""},
		{"IPv6 with another's option",
			with(announceND("e", macs["e"], "2001:db8:1::200"),
				func(p *spec.Packet) { p.ND.TLL = macs["out"] }), ""},
		{"IPv6 without its option",
			with(announceND("e", macs["e"], "2001:db8:1::200"),
				func(p *spec.Packet) { p.ND.TLL = policy.MAC{} }), ""},
		{"IPv6 of another's own address", announceND("out", macs["out"], "2001:db8::a"), ""},

		{"ND from outside with a local source",
			sll(nd("out", 135, "2001:db8::a", "ff02::1:ff00:b", "2001:db8::b")), ""},
		{"ND from outside with a local MAC in its option",
			with(nd("out", 135, "2001:db8::77", "ff02::1:ff00:b", "2001:db8::b"),
				func(p *spec.Packet) { p.ND.SLL = macs["a"] }), ""},
		{"DAD from outside with an option", sll(nd("out", 135, "::", "ff02::1:ff00:b", "2001:db8::b")),
			""},
		{"DAD from outside", nd("out", 135, "::", "ff02::1:ff00:b", "2001:db8::b"), "b"},

		{"listener report", listener("a", 143, own), "uplink"},
		{"listener report, version 1", listener("a", 131, own), "uplink"},
		{"listener done", listener("a", 132, own), "uplink"},
		{"listener report from nobody", listener("a", 143, "::"), "uplink"},
		{"listener report of a chosen address", listener("a", 143, chosen), "uplink"},
		{"listener report of another's address",
			listener("a", 143, policytest.MAC(0x0b).LinkLocal().String()), ""},
		{"listener report of a gateway's address", listener("a", 143, "fe80::1"), ""},
		{"listener report of a global address", listener("a", 143, "2001:db8::a"), ""},
		{"listener report with another's MAC",
			with(listener("a", 143, "::"), func(p *spec.Packet) { p.SrcMAC = macs["b"] }), ""},
		{"listener report to the world",
			with(listener("a", 143, own), func(p *spec.Packet) { p.HopLimit = 64 }), ""},
		{"listener query of an instance", listener("a", 130, own), ""},
		{"listener query", listener("out", 130, routers), "a b c d"},
		{"listener query of a trusted port",
			listener("router", 130, policytest.MAC(0x99).LinkLocal().String()), "a b c d uplink"},
		{"listener query of no link-local address", listener("out", 130, "2001:db8::77"), ""},
		{"listener report from outside", listener("out", 143, routers), ""},
		{"other multicast", listener("a", 128, own), ""},

		{"EtherType to a group", frame("b", 0x88cc, all), "router uplink"},
		{"EtherType to a group, from outside", frame("out", 0x88cc, all), "b d"},
		{"EtherType to a group, from a trusted port", frame("router", 0x88cc, all), "b d uplink"},
		{"EtherType to a group, not listed", frame("a", 0x88cc, all), ""},
		{"EtherType to a group, nobody's", frame("out", 0x88b5, all), ""},
		{"EtherType to a group, forged",
			with(frame("b", 0x88cc, all), func(p *spec.Packet) { p.SrcMAC = macs["d"] }), ""},
		{"EtherType to a neighbour that lists it", frame("b", 0x88cc, macs["d"]), "d"},
		{"EtherType to a neighbour that does not", frame("b", 0x88cc, macs["a"]), ""},

		{"hypervisor's RARP", rarp("a"), "uplink"},
		{"RARP where it is listed", rarp("d"), "router uplink"},
		{"RARP with another's MAC",
			with(rarp("a"), func(p *spec.Packet) { p.SrcMAC, p.ARP.SHA = macs["b"], macs["b"] }), ""},
		{"RARP about another's MAC", with(rarp("a"), func(p *spec.Packet) { p.ARP.SHA = macs["b"] }), ""},
		{"RARP to a neighbour", with(rarp("a"), func(p *spec.Packet) { p.DstMAC = macs["b"] }), ""},
		{"answer of RARP", with(rarp("a"), func(p *spec.Packet) { p.ARP.Op = 4 }), ""},
		{"RARP from outside", rarp("out"), "d"},

		{"RS of a chosen address", nd("a", 133, chosen, "ff02::2", "::"), "router uplink"},
		{"RS from nobody", nd("a", 133, "::", "ff02::2", "::"), "router uplink"},
		{"RS from nobody with another's MAC",
			with(nd("a", 133, "::", "ff02::2", "::"), func(p *spec.Packet) { p.SrcMAC = macs["b"] }), ""},
		{"RS of a gateway's address", nd("a", 133, "fe80::1", "ff02::2", "::"), ""},
		{"RS of what may be a gateway's", nd("a", 133, "fe80::ff", "ff02::2", "::"), ""},
		{"RS of what is made of a MAC beyond the uplink",
			nd("a", 133, "fe80::277:66ff:fe55:4433", "ff02::2", "::"), ""},
		{"RS of another's chosen address that is listed", nd("a", 133, "fe80::c:1:2:3", "ff02::2", "::"),
			""},
		{"RS of the one that lists it", nd("c", 133, "fe80::c:1:2:3", "ff02::2", "::"), "router uplink"},
		{"NS of a chosen address for a router", sll(nd("a", 135, chosen, "ff02::1:ff05:4", routers)),
			"router uplink"},
		{"NS of a chosen address for a neighbour",
			sll(nd("a", 135, chosen, "ff02::1:ff00:b", "2001:db8::b")), "router uplink"},
		{"NS of a chosen address with another's option",
			with(nd("a", 135, chosen, "ff02::1:ff05:4", routers),
				func(p *spec.Packet) { p.ND.SLL = macs["b"] }), ""},
		{"DAD of a chosen address", nd("a", 135, "::", "ff02::1:ff34:9abc", chosen), "router uplink"},
		{"DAD of another's", nd("a", 135, "::", "ff02::1:ff02:3", "fe80::c:1:2:3"), ""},
		{"NA of a chosen address", outward(nd("a", 136, chosen, routers, chosen)), "router uplink"},
		{"NA of a chosen address from a global one",
			outward(nd("a", 136, "2001:db8::a", routers, chosen)), "router uplink"},
		{"NA of a gateway's address", outward(nd("a", 136, chosen, routers, "fe80::1")), ""},
		{"NA of a chosen address to a neighbour",
			with(nd("a", 136, chosen, routers, chosen), func(p *spec.Packet) { p.DstMAC = macs["b"] }),
			"router uplink"},
		{"question about a chosen address", sll(nd("out", 135, routers, "ff02::1:ff34:9abc", chosen)),
			"a b c d"},
		{"the same by unicast",
			with(nd("out", 135, routers, chosen, chosen), func(p *spec.Packet) { p.DstMAC = macs["a"] }),
			"a"},
		{"question about a gateway's address", sll(nd("out", 135, routers, "ff02::1:ff00:1", "fe80::1")),
			""},
		{"question of an instance about a chosen address",
			sll(nd("b", 135, "2001:db8::b", "ff02::1:ff34:9abc", chosen)), "uplink"},
		{"IP of a chosen address", with(tcp("a", "out", 443), func(p *spec.Packet) {
			p.EtherType, p.Src, p.Dst = policy.EtherIPv6, policytest.Addr(chosen), policytest.Addr(routers)
		}), ""},

		{"priority tag of the uplink",
			with(tcp("out", "a", 80), func(p *spec.Packet) { p.Priority = true }), "a"},
		{"priority tag of an instance",
			with(tcp("a", "b", 80), func(p *spec.Packet) { p.Priority = true }), ""},
		{"priority tag of a trusted port",
			with(tcp("router", "a", 80), func(p *spec.Packet) { p.Priority = true }), ""},
		{"VLAN of the uplink", with(tcp("out", "a", 80), func(p *spec.Packet) { p.Tagged = true }), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, receivers(spec.Decide(moved(), c.p)))
		})
	}
}

func receivers(d spec.Decision) string {
	if d.Uplink {
		return strings.TrimSpace(strings.Join(d.Ports, " ") + " uplink")
	}
	return strings.Join(d.Ports, " ")
}

// What passes by DHCP without a rule, and what does not: d's egress is closed, c admits nothing.
func TestDecideDHCP(t *testing.T) {
	dhcp6 := func(p spec.Packet, src, dst string) spec.Packet {
		p.EtherType, p.Src, p.Dst = policy.EtherIPv6, policytest.Addr(src), policytest.Addr(dst)
		return p
	}
	to := func(p spec.Packet, dst string) spec.Packet { p.Dst = policytest.Addr(dst); return p }
	solicit := with(dhcp6(udp(tcp("d", "out", 0), 546, 547), chosen, "ff02::1:2"),
		func(p *spec.Packet) { p.DstMAC = policy.DHCPv6MAC })
	cases := []struct {
		name string
		p    spec.Packet
		// receivers where no server is listed, and where 203.0.113.1 and fe80::7:6:5:4 are
		none, listed string
	}{
		{"renewal at a gateway", to(udp(tcp("d", "out", 0), 68, 67), "203.0.113.254"), "uplink",
			"uplink"},
		{"renewal at a listed server", to(udp(tcp("d", "router", 0), 68, 67), ip4["router"]), "router",
			"router"},
		{"renewal at anybody", udp(tcp("d", "out", 0), 68, 67), "", ""},
		{"renewal at anybody, by a rule", udp(tcp("c", "out", 0), 68, 67), "uplink", "uplink"},
		{"renewal at a neighbour", udp(tcp("d", "c", 0), 68, 67), "", ""},
		{"renewal at a neighbour, egress open", udp(tcp("a", "c", 0), 68, 67), "", ""},
		{"answer", udp(tcp("out", "c", 0), 67, 68), "c", ""},
		{"answer of a listed server",
			with(udp(tcp("out", "c", 0), 67, 68),
				func(p *spec.Packet) { p.Src = policytest.Addr("203.0.113.1") }), "c", "c"},
		{"answer to everybody's address", to(udp(tcp("out", "c", 0), 67, 68), "255.255.255.255"), "c",
			""},
		{"answer to another's address", to(udp(tcp("out", "c", 0), 67, 68), ip4["d"]), "", ""},
		{"answer to a group", to(udp(tcp("out", "c", 0), 67, 68), "224.0.0.1"), "", ""},
		{"answer of a neighbour", udp(tcp("a", "c", 0), 67, 68), "", ""},
		{"DHCPv6 from a chosen address", solicit, "router uplink", "router uplink"},
		{"DHCPv6 from a gateway's",
			with(solicit, func(p *spec.Packet) { p.Src = policytest.Addr("fe80::1") }), "", ""},
		{"DHCPv6 answer to a chosen address", dhcp6(udp(tcp("out", "c", 0), 547, 546), routers, chosen),
			"c", "c"},
		{"DHCPv6 answer to the MAC's",
			dhcp6(udp(tcp("out", "c", 0), 547, 546), routers, policytest.MAC(0x0c).LinkLocal().String()),
			"c", "c"},
		{"DHCPv6 answer to another's",
			dhcp6(udp(tcp("out", "c", 0), 547, 546), routers, policytest.MAC(0x0d).LinkLocal().String()), "",
			""},
		{"DHCPv6 answer to another's global address",
			dhcp6(udp(tcp("out", "c", 0), 547, 546), routers, "2001:db8::d"), "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := policytest.World()
			require.Equal(t, c.none, receivers(spec.Decide(w, c.p)))
			w.Site.DHCPServers = []netip.Addr{policytest.Addr("203.0.113.1"), policytest.Addr(routers)}
			require.Equal(t, c.listed, receivers(spec.Decide(w, c.p)))
		})
	}
}

// Strict sources: an address of the policy comes from an uplink with a MAC only that is listed for
// it.
func TestDecideStrict(t *testing.T) {
	from := func(p spec.Packet, m policy.MAC, src string) spec.Packet {
		p.SrcMAC, p.Src = m, policytest.Addr(src)
		return p
	}
	six := func(p spec.Packet) spec.Packet {
		p.EtherType, p.Dst = policy.EtherIPv6, policytest.Addr("2001:db8::a")
		return p
	}
	cases := []struct {
		name           string
		p              spec.Packet
		routed, strict string
	}{
		{"a member elsewhere", tcp("e", "b", 5000), "b", "b"},
		{"in its name", from(tcp("out", "b", 5000), macs["out"], ip4["e"]), "b", ""},
		{"in a local one's name", from(tcp("out", "b", 80), macs["out"], ip4["a"]), "b", ""},
		{"a stranger", tcp("out", "b", 80), "b", "b"},
		{"in the name of an allowed address", from(tcp("out", "b", 80), macs["out"], "203.0.113.200"),
			"b", ""},
		{"one that may have it", from(tcp("out", "b", 80), macs["e"], "203.0.113.200"), "b", "b"},
		{"one of a network", from(tcp("out", "b", 80), macs["e"], "203.0.113.226"), "b", "b"},
		{"in the name of a network", from(tcp("out", "b", 80), macs["out"], "203.0.113.226"), "b", ""},
		{"IPv6", six(from(tcp("out", "a", 80), macs["out"], "2001:db8::e")), "a", ""},
		{"ARP in a remote one's name",
			with(arp("out", 2, ip4["b"]),
				func(p *spec.Packet) { p.ARP.SPA, p.DstMAC = policytest.Addr(ip4["e"]), macs["b"] }), "b", ""},
		{"ARP of the remote one", with(arp("out", 2, ip4["b"]), func(p *spec.Packet) {
			p.ARP.SPA, p.ARP.SHA, p.DstMAC, p.SrcMAC = policytest.Addr(ip4["e"]), macs["e"], macs["b"],
				macs["e"]
		}), "b", "b"},
		{"NS in a remote one's name", sll(nd("out", 135, "2001:db8::e", "ff02::1:ff00:b", "2001:db8::b")),
			"b", ""},
		{"NA in a remote one's name",
			with(nd("out", 136, routers, "2001:db8::b", "2001:db8::e"), func(p *spec.Packet) {
				p.DstMAC, p.ND.TLL = macs["b"], macs["out"]
			}), "b", ""},
		{"NA of the remote one",
			with(nd("out", 136, "2001:db8::e", "2001:db8::b", "2001:db8::e"), func(p *spec.Packet) {
				p.DstMAC, p.ND.TLL, p.SrcMAC = macs["b"], macs["e"], macs["e"]
			}), "b", "b"},
		{"a trusted port is not filtered", from(tcp("router", "b", 80), macs["router"], ip4["e"]), "b",
			"b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := moved()
			require.Equal(t, c.routed, receivers(spec.Decide(w, c.p)))
			w.Site.UplinkSources = policy.StrictSources
			require.Equal(t, c.strict, receivers(spec.Decide(w, c.p)))
		})
	}
}
