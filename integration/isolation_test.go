//go:build integration

package integration

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

var unknownMAC = policy.MAC{2, 0, 0, 0xde, 0xad, 1}

// L2-6: a port receives only what is for it, whatever it listens to.
func TestL2_6_Isolation(t *testing.T) {
	t.Parallel()
	w := layer2World(t)
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			receives(t, w, "web-1", w.Opening("web-1", "db-1", testnet.TCP(80), f).Frame(), "db-1")
			receives(t, w, "client", w.Opening("client", "db-1", testnet.TCP(80), f).Frame(), "db-1")
			receives(t, w, "web-1", w.Opening("web-1", "client", testnet.TCP(80), f).Frame(), testnet.Beyond)

			t.Run("unknown unicast goes to the uplink, from there to nobody", func(t *testing.T) {
				p := w.Opening("web-1", "client", testnet.TCP(80), f)
				p.Dst = unknownMAC
				receives(t, w, "web-1", p.Frame(), testnet.Beyond)
				p = w.Opening("client", "web-1", testnet.TCP(80), f)
				p.Dst = unknownMAC
				receives(t, w, "client", p.Frame())
			})
			t.Run("a neighbour's MAC with another's address", func(t *testing.T) {
				p := w.Opening("client", "web-1", testnet.TCP(80), f)
				p.Dst = db.mac()
				receives(t, w, "client", p.Frame())
				p = w.Opening("web-1", "vrrp", testnet.TCP(80), f)
				p.Dst = db.mac()
				receives(t, w, "web-1", p.Frame())
			})
			t.Run("nothing comes back to its sender", func(t *testing.T) {
				p := w.Opening("web-1", "web-1", testnet.UDP(80), f)
				receives(t, w, "web-1", p.Frame())
			})
			t.Run("reflected by the network", func(t *testing.T) {
				p := w.Opening("web-1", "client", testnet.UDP(80), f)
				receives(t, w, "client", p.Frame())
				p.Dst, p.To = db.mac(), w.Host("db-1").Address(f)
				receives(t, w, "client", p.Frame())
			})
		})
	}
	t.Run("questions go to the owner alone", func(t *testing.T) {
		receives(t, w, "router", w.ARPRequest("router", "web-1").Frame(), "web-1")
		receives(t, w, "router", w.Solicitation("router", "web-1").Frame(), "web-1")
		arp := w.ARPRequest("router", "web-1")
		arp.TPA = netip.MustParseAddr("203.0.113.99")
		receives(t, w, "router", arp.Frame())
		ns := w.Solicitation("router", "web-1")
		ns.Target = netip.MustParseAddr("2001:db8::99")
		ns.To, ns.Dst = testnet.SolicitedNode(ns.Target)
		receives(t, w, "router", ns.Frame())
	})
	t.Run("nothing is learned", func(t *testing.T) {
		stolen := w.Opening("web-1", "client", testnet.UDP(80), testnet.IPv4)
		stolen.Src = db.mac()
		receives(t, w, "web-1", stolen.Frame())
		stolen = w.Opening("client", "web-1", testnet.UDP(80), testnet.IPv4)
		stolen.Src = db.mac()
		receives(t, w, "client", stolen.Frame())
		receives(t, w, "router", w.Opening("router", "db-1", testnet.UDP(80), testnet.IPv4).Frame(),
			"db-1")
	})
	t.Run("allowed addresses are delivered to who may use them", func(t *testing.T) {
		p := w.Opening("client", "vrrp", testnet.UDP(80), testnet.IPv4)
		p.To = netip.MustParseAddr("203.0.113.200")
		receives(t, w, "client", p.Frame(), "vrrp")
		p.To = netip.MustParseAddr("203.0.113.202")
		receives(t, w, "client", p.Frame())
		p.To, p.Dst = netip.MustParseAddr("203.0.113.201"), policy.MAC{0, 0, 0x5e, 0, 1, 5}
		receives(t, w, "client", p.Frame(), "vrrp")
	})
}

// L2-7: what is for many reaches nobody, except questions, which reach the one they are for.
func TestL2_7_BroadcastAndMulticast(t *testing.T) {
	t.Parallel()
	w := layer2World(t)
	toAll := func(from, address string, mac policy.MAC, s testnet.Service) testnet.Frame {
		f := testnet.IPv4
		to := netip.MustParseAddr(address)
		if to.Is6() {
			f = testnet.IPv6
		}
		p := w.Opening(from, from, s, f)
		p.To, p.Dst = to, mac
		return p.Frame()
	}
	mdns4, mdns6 := policy.MAC{1, 0, 0x5e, 0, 0, 0xfb}, policy.MAC{0x33, 0x33, 0, 0, 0, 0xfb}
	frames := func(from string) map[string]testnet.Frame {
		return map[string]testnet.Frame{
			"broadcast":        toAll(from, "255.255.255.255", policy.BroadcastMAC, testnet.UDP(137)),
			"subnet broadcast": toAll(from, "203.0.113.255", policy.BroadcastMAC, testnet.UDP(137)),
			"broadcast ping": toAll(from, "255.255.255.255", policy.BroadcastMAC,
				testnet.Ping(testnet.IPv4)),
			"mDNS over IPv4": toAll(from, "224.0.0.251", mdns4, testnet.UDP(5353)),
			"mDNS over IPv6": toAll(from, "ff02::fb", mdns6, testnet.UDP(5353)),
			"VRRP": toAll(from, "224.0.0.18", policy.MAC{1, 0, 0x5e, 0, 0, 18},
				testnet.IPProtocol(112)),
			"ping to all nodes": toAll(from, "ff02::1", policy.AllNodesMAC, testnet.Ping(testnet.IPv6)),
			"MLD report": toAll(from, "ff02::16", policy.MAC{0x33, 0x33, 0, 0, 0, 0x16},
				testnet.Service{Protocol: policy.ICMPv6, Type: 143}),
			"unicast IP, broadcast": withDestination(w.Opening("web-1", "db-1", testnet.UDP(80),
				testnet.IPv4).Frame(), policy.BroadcastMAC),
			"unicast IPv6, to all": withDestination(w.Opening("web-1", "db-1", testnet.UDP(80),
				testnet.IPv6).Frame(), policy.AllNodesMAC),
			"broadcast IP, unicast":  toAll(from, "255.255.255.255", db.mac(), testnet.UDP(137)),
			"multicast IP, unicast":  toAll(from, "224.0.0.251", db.mac(), testnet.UDP(5353)),
			"multicast IP6, unicast": toAll(from, "ff02::fb", db.mac(), testnet.UDP(5353)),
		}
	}
	for _, from := range []string{"web-1", "router"} {
		t.Run("from "+from, func(t *testing.T) {
			for name, f := range frames(from) {
				t.Run(name, func(t *testing.T) { receives(t, w, from, f) })
			}
		})
	}
	t.Run("honest questions", func(t *testing.T) {
		receives(t, w, "web-1", w.ARPRequest("web-1", "db-1").Frame(), "db-1")
		receives(t, w, "web-1", w.Solicitation("web-1", "db-1").Frame(), "db-1")
		receives(t, w, "web-1", w.ARPRequest("web-1", "client").Frame(), testnet.Beyond)
		receives(t, w, "web-1", w.Solicitation("web-1", "client").Frame(), testnet.Beyond)
	})
	t.Run("a trusted port speaks to the network, not to instances", func(t *testing.T) {
		receives(t, w, "server",
			toAll("server", "255.255.255.255", policy.BroadcastMAC, testnet.UDP(137)), testnet.Beyond)
		receives(t, w, "server", toAll("server", "ff02::fb", mdns6, testnet.UDP(5353)), testnet.Beyond)
	})
}

// L2-8: from the uplink nobody takes an instance's address on the link; what routers announce and
// send on arrives.
func TestL2_8_FromTheUplink(t *testing.T) {
	t.Parallel()
	w := layer2World(t)
	t.Run("ARP", func(t *testing.T) { testUplinkARP(t, w) })
	t.Run("neighbour discovery", func(t *testing.T) { testUplinkND(t, w) })
	for _, f := range families {
		t.Run("sources over "+f.String(), func(t *testing.T) {
			p := w.Opening("client", "web-1", testnet.UDP(53), f)
			receives(t, w, "client", p.Frame(), "web-1")
			p.From = w.Host("db-1").Address(f)
			receives(t, w, "client", p.Frame(), "web-1") // as a router sends it on
			p = w.Opening("client", "web-1", testnet.UDP(53), f)
			p.Src = db.mac()
			receives(t, w, "client", p.Frame())
		})
	}
}

func testUplinkARP(t *testing.T, w *testnet.World) {
	honest := w.ARPRequest("attacker", "web-1")
	receives(t, w, "attacker", honest.Frame(), "web-1")
	reply := honest
	reply.Op, reply.Dst, reply.THA = policy.ARPReply, web.mac(), web.mac()
	receives(t, w, "attacker", reply.Frame(), "web-1")

	stolen := w.Host("db-1").Address(testnet.IPv4)
	for name, a := range map[string]testnet.ARP{"request": honest, "reply": reply} {
		t.Run(name, func(t *testing.T) {
			a.SPA = stolen
			receives(t, w, "attacker", a.Frame())
			a.SPA, a.SHA = honest.SPA, db.mac()
			receives(t, w, "attacker", a.Frame())
			a.SHA, a.Src = honest.SHA, db.mac()
			receives(t, w, "attacker", a.Frame())
		})
	}
	for _, op := range []uint16{policy.ARPRequest, policy.ARPReply} {
		announce := w.ARPRequest("router", "router")
		announce.Op = op
		receives(t, w, "router", announce.Frame(), having4...)
		other := w.ARPRequest("attacker", "attacker")
		other.Op = op
		receives(t, w, "attacker", other.Frame())
		other.SPA, other.TPA = stolen, stolen
		receives(t, w, "attacker", other.Frame())
		inside := announce
		inside.Src, inside.SHA = web.mac(), web.mac()
		receives(t, w, "web-1", inside.Frame())
	}
}

func testUplinkND(t *testing.T, w *testnet.World) {
	router := w.Host("router")
	ns := w.Solicitation("attacker", "web-1")
	receives(t, w, "attacker", ns.Frame(), "web-1")
	na := testnet.ND{Src: router.MAC, Dst: web.mac(), From: router.Address(testnet.IPv6),
		To: w.Host("web-1").Address(testnet.IPv6), HopLimit: 255,
		Type: policy.NeighborAdvertisement, Target: router.Address(testnet.IPv6), TLL: router.MAC}
	receives(t, w, "router", na.Frame(), "web-1")
	ra := testnet.ND{Src: router.MAC, Dst: policy.AllNodesMAC, From: router.MAC.LinkLocal(),
		To: allNodes, HopLimit: 255, Type: policy.RouterAdvertisement, SLL: router.MAC}
	receives(t, w, "router", ra.Frame(), having6...)
	announce := na
	announce.Dst, announce.To = policy.AllNodesMAC, allNodes
	receives(t, w, "router", announce.Frame(), having6...)

	stolen := w.Host("db-1").Address(testnet.IPv6)
	change := func(n testnet.ND, f func(*testnet.ND)) testnet.ND { f(&n); return n }
	for name, n := range map[string]testnet.ND{
		"solicitation from a local address": change(ns, func(n *testnet.ND) { n.From = stolen }),
		"solicitation with hop limit 254":   change(ns, func(n *testnet.ND) { n.HopLimit = 254 }),
		"solicitation with code 1":          change(ns, func(n *testnet.ND) { n.Code = 1 }),
		"advertisement of a local address": change(na,
			func(n *testnet.ND) { n.Target = stolen }),
		"advertisement of the receiver's address": change(na, func(n *testnet.ND) { n.Target = n.To }),
		"advertisement of a local link-local": change(na,
			func(n *testnet.ND) { n.Target = db.mac().LinkLocal() }),
		"advertisement of a local address to all": change(announce,
			func(n *testnet.ND) { n.Target = stolen }),
		"advertisement to all of who is no gateway": change(announce,
			func(n *testnet.ND) { n.Target = w.Host("attacker").Address(testnet.IPv6) }),
		"advertisement from a local address":      change(na, func(n *testnet.ND) { n.From = stolen }),
		"advertisement with a local source MAC":   change(na, func(n *testnet.ND) { n.Src = db.mac() }),
		"advertisement with hop limit 254":        change(na, func(n *testnet.ND) { n.HopLimit = 254 }),
		"router advertisement with hop limit 254": change(ra, func(n *testnet.ND) { n.HopLimit = 254 }),
		"router advertisement with code 1":        change(ra, func(n *testnet.ND) { n.Code = 1 }),
		"redirect": change(na,
			func(n *testnet.ND) { n.Type, n.From = policy.Redirect, router.MAC.LinkLocal() }),
	} {
		t.Run(name, func(t *testing.T) { receives(t, w, "router", n.Frame()) })
	}
}

// L2-9: other EtherTypes pass where a port lists them; a trusted port is not filtered, until it is
// trusted no more.
func TestL2_9_OtherFramesAndTrust(t *testing.T) {
	t.Parallel()
	w := layer2World(t)
	t.Run("EtherTypes", func(t *testing.T) {
		frame := func(from, to policy.MAC, kind uint16) testnet.Frame {
			return testnet.Ether{Src: from, Dst: to, Type: kind, Payload: make([]byte, 46)}.Frame()
		}
		receives(t, w, "ether-1", frame(ether.mac(), ether2.mac(), 0x88b5), "ether-2")
		receives(t, w, "ether-1", frame(ether.mac(), w.Host("client").MAC, 0x88b5), testnet.Beyond)
		receives(t, w, "client", frame(w.Host("client").MAC, ether.mac(), 0x88b5), "ether-1")

		receives(t, w, "ether-1", frame(ether.mac(), db.mac(), 0x88b5))
		receives(t, w, "ether-1", frame(ether.mac(), ether2.mac(), 0x88b6))
		receives(t, w, "ether-1", frame(db.mac(), ether2.mac(), 0x88b5))
		receives(t, w, "ether-1", frame(ether.mac(), policy.BroadcastMAC, 0x88b5), "server",
			testnet.Beyond)
		receives(t, w, "client", frame(w.Host("client").MAC, policy.BroadcastMAC, 0x88b5), "ether-1",
			"ether-2")
		receives(t, w, "web-1", frame(web.mac(), policy.BroadcastMAC, 0x88b5))
		receives(t, w, "ether-1", frame(db.mac(), policy.BroadcastMAC, 0x88b5))
		receives(t, w, "client", frame(w.Host("client").MAC, web.mac(), 0x88b5))
		for _, kind := range []uint16{0x88b5, 0x88cc, 0x8863, 0x8864, 0x8847, 0x8906, 0x0842, 0x8035,
			0x888e, 46 /* a length: LLC */} {
			receives(t, w, "web-1", frame(web.mac(), ether2.mac(), kind))
			receives(t, w, "web-1", frame(web.mac(), w.Host("client").MAC, kind))
		}
		receives(t, w, "web-1", frame(web.mac(), policy.MAC{1, 0x80, 0xc2, 0, 0, 0}, 38)) // STP
		receives(t, w, "web-1", frame(web.mac(), policy.MAC{1, 0x80, 0xc2, 0, 0, 14}, 0x88cc))
	})
	t.Run("trust", func(t *testing.T) {
		// a packet that it routes: not its own source
		routed := w.Opening("server", "web-1", testnet.UDP(53), testnet.IPv4)
		routed.From = netip.MustParseAddr("192.0.2.9")
		upstream := w.Opening("server", "client", testnet.UDP(53), testnet.IPv6)
		upstream.From = netip.MustParseAddr("2001:db8:9::9")
		receives(t, w, "server", routed.Frame(), "web-1")
		receives(t, w, "server", upstream.Frame(), testnet.Beyond)
		receives(t, w, "server", w.DHCPAnswer("server", "web-1", testnet.IPv4).Frame(), "web-1")
		transit := w.Opening("web-1", "server", testnet.UDP(53), testnet.IPv4)
		transit.To = netip.MustParseAddr("192.0.2.9")
		receives(t, w, "web-1", transit.Frame(), "server")

		distrusted := server
		distrusted.extra = ""
		require.NoError(t, w.SetPolicy(document([]group{everything}, web, db, only4, only6, vrrp, ether,
			ether2, distrusted)))
		receives(t, w, "server", routed.Frame())
		receives(t, w, "server", upstream.Frame())
		receives(t, w, "server", w.DHCPAnswer("server", "web-1", testnet.IPv4).Frame())
		receives(t, w, "web-1", transit.Frame())
		receives(t, w, "server", w.Opening("server", "web-1", testnet.UDP(53), testnet.IPv4).Frame(),
			"web-1")
	})
}

// withDestination returns the frame with another destination MAC.
func withDestination(f testnet.Frame, mac policy.MAC) testnet.Frame {
	out := append(testnet.Frame(nil), f...)
	copy(out[:6], mac[:])
	return out
}
