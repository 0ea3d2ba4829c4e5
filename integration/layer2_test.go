//go:build integration

package integration

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// everything is a group that admits all, so that only layer 2 is in the way of what these tests
// send.
var everything = group{name: "everything", rules: []string{
	in("any", "0.0.0.0/0"), in("any", "::/0"), out("any", "0.0.0.0/0"), out("any", "::/0"),
}}

var (
	web   = vm("web-1", 11, "everything")
	db    = vm("db-1", 21, "everything")
	only4 = vm("only4", 41, "everything").at("203.0.113.41")
	only6 = vm("only6", 42, "everything").at("2001:db8::42")
	vrrp  = vm("vrrp", 51,
		"everything").with(`allowed_addresses: [203.0.113.200, {address: 203.0.113.201, mac: "00:00:5e:00:01:05"}, "2001:db8::200"]`)
	ether  = vm("ether-1", 61, "everything").with("ethertypes: [0x88b5]")
	ether2 = vm("ether-2", 62, "everything").with("ethertypes: [0x88b5]")
	server = vm("server", 31, "everything").with("trusted: true")
)

// The names of all instances of layer2World that have an address of a family.
var (
	having4 = []string{"web-1", "db-1", "only4", "vrrp", "ether-1", "ether-2", "server"}
	having6 = []string{"web-1", "db-1", "only6", "vrrp", "ether-1", "ether-2", "server"}
)

func layer2World(t *testing.T) *testnet.World {
	t.Helper()
	return newWorld(t, testnet.Spec{
		Policy:   document([]group{everything}, web, db, only4, only6, vrrp, ether, ether2, server),
		Settings: unlimited,
		Outside:  outside(), Gateways: gateways, Daemon: daemon(t),
	})
}

// L2-1: a frame leaves a port only with the port's own source MAC, untagged; a source MAC is never
// a group address.
func TestL2_1_SourceMAC(t *testing.T) {
	t.Parallel()
	w := layer2World(t)
	honest := map[string]testnet.Frame{
		"IPv4":     w.Opening("web-1", "db-1", testnet.TCP(80), testnet.IPv4).Frame(),
		"IPv6":     w.Opening("web-1", "db-1", testnet.TCP(80), testnet.IPv6).Frame(),
		"ARP":      w.ARPRequest("web-1", "db-1").Frame(),
		"NS":       w.Solicitation("web-1", "db-1").Frame(),
		"DHCP":     w.DHCPDiscover("web-1").Frame(),
		"upstream": w.Opening("web-1", "client", testnet.UDP(53), testnet.IPv4).Frame(),
	}
	receivers := map[string][]string{"DHCP": {"server", testnet.Beyond}, "upstream": {testnet.Beyond}}
	for name, f := range honest {
		t.Run(name, func(t *testing.T) {
			to := receivers[name]
			if to == nil {
				to = []string{"db-1"}
			}
			receives(t, w, "web-1", f, to...)
			for forged, mac := range map[string]policy.MAC{
				"a neighbour's":  db.mac(),
				"a stranger's":   {2, 0, 0, 0, 0xff, 1},
				"the router's":   w.Host("router").MAC,
				"a group's":      {1, 0, 0, 0, 0, 11},
				"broadcast":      policy.BroadcastMAC,
				"no":             {},
				"own, group bit": {3, 0, 0, 0, 0, 11},
			} {
				t.Run(forged, func(t *testing.T) { receives(t, w, "web-1", withSource(f, mac)) })
			}
			t.Run("tagged", func(t *testing.T) {
				receives(t, w, "web-1", f.Tagged(7))
				receives(t, w, "web-1", f.Tagged(0)) // a priority tag is a tag
				receives(t, w, "web-1", f.Tagged(7).Tagged(8))
			})
		})
	}
	t.Run("tagged from the uplink", func(t *testing.T) {
		f := w.Opening("client", "web-1", testnet.TCP(80), testnet.IPv4).Frame()
		receives(t, w, "client", f, "web-1")
		receives(t, w, "client", f.Tagged(7))
		receives(t, w, "client", f.Tagged(0), "web-1") // a priority tag names no VLAN
		receives(t, w, "client", withSource(f, policy.MAC{1, 0, 0, 0, 0, 2}))
	})
}

// L2-2: ARP leaves only with the own MAC and an own IPv4 address as its sender, or as a probe for
// an own address.
func TestL2_2_ARP(t *testing.T) {
	t.Parallel()
	w := layer2World(t)
	request := w.ARPRequest("web-1", "db-1")
	reply := request
	reply.Op, reply.Dst, reply.THA = policy.ARPReply, db.mac(), db.mac()
	own, foreign := w.Host("web-1").Address(testnet.IPv4), netip.MustParseAddr("203.0.113.99")
	vrrp, virtual := w.Host("vrrp"), netip.MustParseAddr("203.0.113.200")
	paired, pairedMAC := netip.MustParseAddr("203.0.113.201"), policy.MAC{0, 0, 0x5e, 0, 1, 5}

	change := func(a testnet.ARP, f func(*testnet.ARP)) testnet.ARP { f(&a); return a }
	for _, c := range []struct {
		name string
		from string
		arp  testnet.ARP
		to   []string
	}{
		{"request", "web-1", request, []string{"db-1"}},
		{"request upstream", "web-1", w.ARPRequest("web-1", "router"), []string{testnet.Beyond}},
		{"reply", "web-1", reply, []string{"db-1"}},
		{"announcement", "web-1", change(request, func(a *testnet.ARP) { a.TPA = own }),
			[]string{testnet.Beyond}},
		{"announcement as a reply", "web-1",
			change(request, func(a *testnet.ARP) { a.Op, a.TPA = policy.ARPReply, own }),
			[]string{testnet.Beyond}},
		{"probe for an own address", "web-1",
			change(request, func(a *testnet.ARP) { a.SPA, a.TPA = netip.IPv4Unspecified(), own }),
			[]string{testnet.Beyond}},
		{"unicast request, as neighbours are checked with", "web-1",
			change(request, func(a *testnet.ARP) { a.Dst = db.mac() }), []string{"db-1"}},
		{"request from an allowed address", "vrrp",
			testnet.ARP{Src: vrrp.MAC, Dst: policy.BroadcastMAC, Op: 1, SHA: vrrp.MAC, SPA: virtual,
				TPA: own}, []string{"web-1"}},
		{"request from an allowed pair", "vrrp",
			testnet.ARP{Src: pairedMAC, Dst: policy.BroadcastMAC, Op: 1, SHA: pairedMAC, SPA: paired,
				TPA: own}, []string{"web-1"}},

		{"probe for a neighbour's address", "web-1",
			change(request, func(a *testnet.ARP) { a.SPA = netip.IPv4Unspecified() }), nil},
		{"foreign address", "web-1", change(request, func(a *testnet.ARP) { a.SPA = foreign }), nil},
		{"a neighbour's address", "web-1",
			change(request, func(a *testnet.ARP) { a.SPA = w.Host("only4").Address(testnet.IPv4) }), nil},
		{"the gateway's address", "web-1",
			change(reply, func(a *testnet.ARP) { a.SPA = w.Host("router").Address(testnet.IPv4) }), nil},
		{"foreign hardware address", "web-1",
			change(request, func(a *testnet.ARP) { a.SHA = policy.MAC{2, 0, 0, 0, 0xff, 1} }), nil},
		{"a neighbour's hardware address", "web-1",
			change(reply, func(a *testnet.ARP) { a.SHA = only4.mac() }), nil},
		{"announcement of a foreign address", "web-1",
			change(request, func(a *testnet.ARP) { a.SPA, a.TPA = foreign, foreign }), nil},
		{"announcement of the gateway", "web-1", change(request, func(a *testnet.ARP) {
			a.SPA, a.TPA = w.Host("router").Address(testnet.IPv4), w.Host("router").Address(testnet.IPv4)
		}), nil},
		{"reply with a foreign address", "web-1", change(reply, func(a *testnet.ARP) { a.SPA = foreign }),
			nil},
		{"allowed address, the pair's MAC", "vrrp",
			testnet.ARP{Src: pairedMAC, Dst: policy.BroadcastMAC, Op: 1, SHA: pairedMAC, SPA: virtual,
				TPA: own}, nil},
		{"the pair's address, own MAC", "vrrp",
			testnet.ARP{Src: vrrp.MAC, Dst: policy.BroadcastMAC, Op: 1, SHA: vrrp.MAC, SPA: paired,
				TPA: own}, nil},
		{"another's allowed address", "web-1", change(request, func(a *testnet.ARP) { a.SPA = virtual }),
			nil},
		{"from a port without IPv4", "only6",
			testnet.ARP{Src: only6.mac(), Dst: policy.BroadcastMAC, Op: 1, SHA: only6.mac(), SPA: foreign,
				TPA: own}, nil},
		{"unknown operation", "web-1", change(request, func(a *testnet.ARP) { a.Op = 3 }), nil},
	} {
		t.Run(c.name, func(t *testing.T) { receives(t, w, c.from, c.arp.Frame(), c.to...) })
	}
}

// L2-3: IP leaves only with an own source address.
func TestL2_3_SourceAddress(t *testing.T) {
	t.Parallel()
	w := layer2World(t)
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			honest := w.Opening("web-1", "db-1", testnet.UDP(53), f)
			receives(t, w, "web-1", honest.Frame(), "db-1")
			upstream := w.Opening("web-1", "client", testnet.UDP(53), f)
			receives(t, w, "web-1", upstream.Frame(), testnet.Beyond)
			for name, text := range map[string][2]string{
				"a neighbour's": {"203.0.113.99", "2001:db8::99"},
				"the next":      {"203.0.113.12", "2001:db8::12"},
				"the gateway's": {"203.0.113.1", "2001:db8::1"},
				"loopback":      {"127.0.0.1", "::1"},
				"none":          {"0.0.0.0", "::"},
				"multicast":     {"224.0.0.1", "ff02::1"},
				"broadcast":     {"255.255.255.255", "ff02::2"},
			} {
				t.Run(name, func(t *testing.T) {
					for _, p := range []testnet.IP{honest, upstream} {
						p.From = netip.MustParseAddr(text[f/6])
						receives(t, w, "web-1", p.Frame())
					}
				})
			}
		})
	}
	t.Run("link-local", func(t *testing.T) {
		p := w.Opening("web-1", "db-1", testnet.UDP(53), testnet.IPv6)
		p.From, p.To = web.mac().LinkLocal(), db.mac().LinkLocal()
		receives(t, w, "web-1", p.Frame(), "db-1")
		p.From = only6.mac().LinkLocal()
		receives(t, w, "web-1", p.Frame())
	})
	t.Run("a port of one family", func(t *testing.T) {
		p := w.Opening("web-1", "db-1", testnet.UDP(53), testnet.IPv6)
		p.Src, p.From = only4.mac(), only4.mac().LinkLocal()
		receives(t, w, "only4", p.Frame())
		p = w.Opening("web-1", "db-1", testnet.UDP(53), testnet.IPv4)
		p.Src, p.From = only6.mac(), netip.MustParseAddr("169.254.1.1")
		receives(t, w, "only6", p.Frame())
	})
	t.Run("allowed addresses", func(t *testing.T) {
		p := w.Opening("vrrp", "web-1", testnet.UDP(53), testnet.IPv4)
		p.From = netip.MustParseAddr("203.0.113.200")
		receives(t, w, "vrrp", p.Frame(), "web-1")
		p.Src = policy.MAC{0, 0, 0x5e, 0, 1, 5}
		receives(t, w, "vrrp", p.Frame())
		p.From = netip.MustParseAddr("203.0.113.201")
		receives(t, w, "vrrp", p.Frame(), "web-1")
		p.Src = vrrp.mac()
		receives(t, w, "vrrp", p.Frame())
		p.From = netip.MustParseAddr("203.0.113.202")
		receives(t, w, "vrrp", p.Frame())

		six := w.Opening("vrrp", "web-1", testnet.UDP(53), testnet.IPv6)
		six.From = netip.MustParseAddr("2001:db8::200")
		receives(t, w, "vrrp", six.Frame(), "web-1")
		six.From = netip.MustParseAddr("2001:db8::201")
		receives(t, w, "vrrp", six.Frame())
	})
}

// L2-4: neighbour discovery leaves only with own addresses in it; router advertisements and
// redirects never leave.
func TestL2_4_NeighborDiscovery(t *testing.T) {
	t.Parallel()
	w := layer2World(t)
	ns := w.Solicitation("web-1", "db-1")
	own, foreign := w.Host("web-1").Address(testnet.IPv6), netip.MustParseAddr("2001:db8::99")
	detect := ns
	detect.From, detect.SLL, detect.Target = netip.IPv6Unspecified(), policy.MAC{}, own
	detect.To, detect.Dst = testnet.SolicitedNode(own)
	na := testnet.ND{Src: web.mac(), Dst: db.mac(), From: own,
		To: w.Host("db-1").Address(testnet.IPv6), HopLimit: 255,
		Type: policy.NeighborAdvertisement, Target: own, TLL: web.mac()}
	announce := na
	announce.Dst, announce.To = policy.AllNodesMAC, allNodes
	rs := testnet.ND{Src: web.mac(), Dst: allRoutersMAC, From: web.mac().LinkLocal(), To: allRouters,
		HopLimit: 255, Type: policy.RouterSolicitation, SLL: web.mac()}

	change := func(n testnet.ND, f func(*testnet.ND)) testnet.ND { f(&n); return n }
	for _, c := range []struct {
		name string
		nd   testnet.ND
		to   []string
	}{
		{"solicitation", ns, []string{"db-1"}},
		{"solicitation upstream", w.Solicitation("web-1", "router"), []string{testnet.Beyond}},
		{"solicitation from the link-local address",
			change(ns, func(n *testnet.ND) { n.From = web.mac().LinkLocal() }), []string{"db-1"}},
		{"unicast solicitation",
			change(ns, func(n *testnet.ND) { n.Dst, n.To, n.SLL = db.mac(), n.Target, policy.MAC{} }),
			[]string{"db-1"}},
		{"duplicate detection", detect, []string{testnet.Beyond}},
		{"advertisement", na, []string{"db-1"}},
		{"advertisement to all", announce, []string{testnet.Beyond}},
		{"router solicitation", rs, []string{"server", testnet.Beyond}},

		{"solicitation with a foreign source", change(ns, func(n *testnet.ND) { n.From = foreign }), nil},
		{"solicitation with a neighbour's source",
			change(ns, func(n *testnet.ND) { n.From = w.Host("only6").Address(testnet.IPv6) }), nil},
		{"solicitation with a foreign link-layer address",
			change(ns, func(n *testnet.ND) { n.SLL = only6.mac() }), nil},
		{"solicitation with hop limit 254", change(ns, func(n *testnet.ND) { n.HopLimit = 254 }), nil},
		{"solicitation with code 1", change(ns, func(n *testnet.ND) { n.Code = 1 }), nil},
		{"detection of a foreign address",
			change(detect, func(n *testnet.ND) {
				n.Target = foreign
				n.To, n.Dst = testnet.SolicitedNode(foreign)
			}), nil},
		{"detection of a neighbour's address",
			change(detect, func(n *testnet.ND) { n.Target = ns.Target; n.To, n.Dst = ns.To, ns.Dst }), nil},
		{"detection to one host",
			change(detect, func(n *testnet.ND) { n.To, n.Dst = ns.Target, db.mac() }), nil},
		{"advertisement of a foreign address", change(na, func(n *testnet.ND) { n.Target = foreign }),
			nil},
		{"advertisement of the gateway",
			change(na, func(n *testnet.ND) { n.Target = w.Host("router").Address(testnet.IPv6) }), nil},
		{"advertisement of the gateway to all",
			change(announce, func(n *testnet.ND) { n.Target = w.Host("router").Address(testnet.IPv6) }),
			nil},
		{"advertisement with a foreign link-layer address",
			change(na, func(n *testnet.ND) { n.TLL = only6.mac() }), nil},
		{"advertisement with a foreign source", change(na, func(n *testnet.ND) { n.From = foreign }),
			nil},
		{"advertisement with hop limit 254", change(na, func(n *testnet.ND) { n.HopLimit = 254 }), nil},
		{"advertisement with code 1", change(na, func(n *testnet.ND) { n.Code = 1 }), nil},
		{"router advertisement to all", change(announce, func(n *testnet.ND) {
			n.Type, n.TLL, n.From = policy.RouterAdvertisement, policy.MAC{}, web.mac().LinkLocal()
		}), nil},
		{"router advertisement to one", change(na, func(n *testnet.ND) {
			n.Type, n.TLL, n.From = policy.RouterAdvertisement, policy.MAC{}, web.mac().LinkLocal()
		}), nil},
		{"redirect", change(na,
			func(n *testnet.ND) { n.Type, n.From = policy.Redirect, web.mac().LinkLocal() }), nil},
		{"redirect upstream", change(na, func(n *testnet.ND) {
			n.Type, n.From, n.Dst, n.To = policy.Redirect, web.mac().LinkLocal(), w.Host("router").MAC,
				w.Host("router").Address(testnet.IPv6)
		}), nil},
	} {
		t.Run(c.name, func(t *testing.T) { receives(t, w, "web-1", c.nd.Frame(), c.to...) })
	}
	t.Run("fragmented", func(t *testing.T) {
		p := testnet.IP{Src: web.mac(), Dst: db.mac(), From: own, To: ns.Target, TTL: 255,
			Protocol: policy.ICMPv6,
			Type:     policy.RouterAdvertisement, Body: make([]byte, 60)}
		receivesAll(t, w, "web-1", p.Fragments(24))
		p.Type, p.Body = policy.NeighborAdvertisement, append(make([]byte, 4), own.AsSlice()...)
		receivesAll(t, w, "web-1", p.Fragments(8))
	})
	t.Run("real resolution", func(t *testing.T) {
		require.NoError(t, w.Reaches("web-1", "only6", testnet.TCP(80), testnet.IPv6))
		require.NoError(t, w.Reaches("only6", "client", testnet.TCP(80), testnet.IPv6))
	})
}

var (
	allNodes      = netip.MustParseAddr("ff02::1")
	allRouters    = netip.MustParseAddr("ff02::2")
	allRoutersMAC = policy.MAC{0x33, 0x33, 0, 0, 0, 2}
)

// withSource returns the frame with another source MAC.
func withSource(f testnet.Frame, mac policy.MAC) testnet.Frame {
	out := append(testnet.Frame(nil), f...)
	copy(out[6:12], mac[:])
	return out
}
