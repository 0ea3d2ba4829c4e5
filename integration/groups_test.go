//go:build integration

package integration

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// a group as a peer is its members on every host, and its external sources.
func TestR3_Groups(t *testing.T) {
	t.Parallel()
	backend := group{name: "backend",
		rules: []string{in("tcp 3306", "@frontend"), in("tcp 4567", "@backend"),
			in("tcp 22", "@management"), in("any", "@empty")}}
	frontend := group{name: "frontend", external: []string{"198.51.100.0/30", "2001:db8:2::/126"}}
	groups := []group{backend, frontend, {name: "management"}, {name: "empty"}}
	web := vm("web-1", 11, "frontend")
	db1, db2 := vm("db-1", 21, "backend"), vm("db-2", 22, "backend")
	far := vm("far-web", 77, "frontend").on("hv2")
	two := vm("two", 31, "frontend", "management").at("203.0.113.31", "203.0.113.131", "2001:db8::31",
		"2001:db8::131").with("allowed_addresses: [203.0.113.200]")
	other := vm("other", 41)
	w := newWorld(t, testnet.Spec{
		Policy: document(groups, web, db1, db2, far, two, other), Daemon: daemon(t),
		Outside: append(outside(), testnet.Outsider("far-web", 77, "203.0.113.77", "2001:db8::77"),
			testnet.Outsider("far-other", 78, "203.0.113.78", "2001:db8::78")),
	})
	set := func(t *testing.T, groups []group, machines ...machine) {
		t.Helper()
		require.NoError(t, w.SetPolicy(document(groups, machines...)))
	}
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			t.Run("members, and nobody else", func(t *testing.T) {
				for from, want := range map[string]bool{"web-1": true, "two": true, "far-web": true,
					"client": true, "other": false, "far-other": false, "db-2": false, "router": false} {
					admits(t, w, from, "db-1", testnet.TCP(3306), f, want)
					admits(t, w, from, "db-1", testnet.TCP(3307), f, false)
				}
				require.NoError(t, w.Reaches("web-1", "db-1", testnet.TCP(3306), f))
				require.NoError(t, w.Reaches("far-web", "db-1", testnet.TCP(3306), f))
			})
			t.Run("the own group", func(t *testing.T) {
				admits(t, w, "db-2", "db-1", testnet.TCP(4567), f, true)
				admits(t, w, "db-1", "db-2", testnet.TCP(4567), f, true)
				admits(t, w, "web-1", "db-1", testnet.TCP(4567), f, false)
			})
			t.Run("a member of two groups has both", func(t *testing.T) {
				admits(t, w, "two", "db-1", testnet.TCP(22), f, true)
				admits(t, w, "web-1", "db-1", testnet.TCP(22), f, false)
			})
			t.Run("an empty group admits nobody", func(t *testing.T) {
				admits(t, w, "web-1", "db-1", testnet.UDP(9), f, false)
				admits(t, w, "client", "db-1", testnet.UDP(9), f, false)
			})
		})
	}
	t.Run("each address of a member, and no other", func(t *testing.T) {
		for _, c := range []struct {
			from, source string
			want         bool
		}{
			{"two", "203.0.113.131", true}, {"two", "203.0.113.200", true}, {"two", "2001:db8::131", true},
			{"client", "198.51.100.3", true}, {"client", "198.51.100.4", false},
			{"client", "2001:db8:2::3", true}, {"client", "2001:db8:2::4", false},
		} {
			f := testnet.IPv4
			if netip.MustParseAddr(c.source).Is6() {
				f = testnet.IPv6
			}
			p := w.Opening(c.from, "db-1", testnet.TCP(3306), f)
			p.From = netip.MustParseAddr(c.source)
			to := []string{}
			if c.want {
				to = []string{"db-1"}
			}
			receives(t, w, c.from, p.Frame(), to...)
		}
	})
	t.Run("a member's address from a port that is not its", func(t *testing.T) {
		p := w.Opening("other", "db-1", testnet.TCP(3306), testnet.IPv4)
		p.From = w.Host("web-1").Address(testnet.IPv4)
		receives(t, w, "other", p.Frame())
		p = w.Opening("attacker", "db-1", testnet.TCP(3306), testnet.IPv4)
		p.From = w.Host("web-1").Address(testnet.IPv4)
		receives(t, w, "attacker", p.Frame(), "db-1") // a router sends it on so: see uplink_sources
	})
	t.Run("members come and go", func(t *testing.T) {
		joined := other
		joined.groups = []string{"frontend"}
		set(t, groups, web, db1, db2, two, joined)
		for _, f := range families {
			admits(t, w, "other", "db-1", testnet.TCP(3306), f, true)
			admits(t, w, "far-web", "db-1", testnet.TCP(3306), f, false)
		}
		set(t, groups, db1, db2, two, other, vm("web-1", 11))
		for _, f := range families {
			admits(t, w, "other", "db-1", testnet.TCP(3306), f, false)
			admits(t, w, "web-1", "db-1", testnet.TCP(3306), f, false)
			admits(t, w, "two", "db-1", testnet.TCP(3306), f, true)
		}
	})
	t.Run("external sources come and go", func(t *testing.T) {
		admits(t, w, "client", "db-1", testnet.TCP(3306), testnet.IPv4, true)
		set(t, []group{backend, {name: "frontend"}, {name: "management"}, {name: "empty"}}, web, db1, db2,
			two, other)
		admits(t, w, "client", "db-1", testnet.TCP(3306), testnet.IPv4, false)
		admits(t, w, "client", "db-1", testnet.TCP(3306), testnet.IPv6, false)
	})
}

// R-3 for egress, and where rules of several groups meet at one peer.
func TestR3_EgressAndOverlap(t *testing.T) {
	t.Parallel()
	groups := []group{
		{name: "app", rules: []string{out("tcp 3306", "@db"), out("udp 53", "@outside"),
			in("tcp 80", "@one"), in("tcp 80", "@two"), in("tcp 1-1000", "@two")}},
		{name: "db", rules: []string{in("any", any4), in("any", any6)}},
		{name: "outside", external: []string{"198.51.100.0/24", "2001:db8:2::/48"}},
		{name: "one"}, {name: "two"},
	}
	app, db1, peer := vm("app-1", 11, "app"), vm("db-1", 21, "db"), vm("peer", 41, "one", "two")
	w := newWorld(t, testnet.Spec{Policy: document(groups, app, db1, peer, vm("plain", 42, "db")),
		Outside: outside(), Daemon: daemon(t)})
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			admits(t, w, "app-1", "db-1", testnet.TCP(3306), f, true)
			admits(t, w, "app-1", "plain", testnet.TCP(3306), f, true)
			admits(t, w, "app-1", "db-1", testnet.TCP(3307), f, false)
			admits(t, w, "app-1", "client", testnet.TCP(3306), f, false)
			admits(t, w, "app-1", "client", testnet.UDP(53), f, true)
			admits(t, w, "app-1", "router", testnet.UDP(53), f, false)
			admits(t, w, "peer", "app-1", testnet.TCP(80), f, true)
			admits(t, w, "peer", "app-1", testnet.TCP(443), f, true)
			admits(t, w, "peer", "app-1", testnet.TCP(1001), f, false)
		})
	}
	t.Run("one of the rules goes", func(t *testing.T) {
		fewer := append([]group(nil), groups...)
		fewer[0].rules = []string{out("tcp 3306", "@db"), in("tcp 80", "@one")}
		require.NoError(t, w.SetPolicy(document(fewer, app, db1, peer, vm("plain", 42))))
		for _, f := range families {
			admits(t, w, "peer", "app-1", testnet.TCP(80), f, true)
			admits(t, w, "peer", "app-1", testnet.TCP(443), f, false)
			admits(t, w, "app-1", "plain", testnet.TCP(3306), f, false)
			admits(t, w, "app-1", "client", testnet.UDP(53), f, false)
		}
	})
}

// replies and related errors of admitted connections pass; what only looks like them does not.
func TestR4_State(t *testing.T) {
	t.Parallel()
	g := group{name: "g",
		rules: []string{in("tcp 80", any4), in("tcp 80", any6), in("udp 5000-5010", any4),
			in("udp 5000-5010", any6), out("udp 53", any4), out("udp 53", any6)}}
	w := newWorld(t, testnet.Spec{Policy: document([]group{g}, vm("a", 11, "g"), vm("open", 21)),
		Outside: outside(), Daemon: daemon(t)})
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			t.Run("replies need no rule", func(t *testing.T) {
				require.NoError(t, w.Reaches("client", "a", testnet.TCP(80), f))
				require.NoError(t, w.Reaches("client", "a", testnet.UDP(5000), f))
				require.NoError(t, w.Reaches("a", "client", testnet.UDP(53), f))
				require.NoError(t, w.Reaches("open", "client", testnet.TCP(443), f))
				require.NoError(t, w.Reaches("open", "client", testnet.Ping(f), f))
			})
			t.Run("what looks like a reply", func(t *testing.T) {
				for _, flags := range []testnet.TCPFlags{testnet.SYNACK, testnet.ACK} {
					p := w.Opening("client", "open", testnet.TCP(40000), f)
					p.SrcPort, p.Flags = 443, flags
					receives(t, w, "client", p.Frame())
				}
				p := w.Opening("client", "open", testnet.UDP(40000), f)
				p.SrcPort = 53
				receives(t, w, "client", p.Frame())
				echo := testnet.Ping(f)
				echo.Type = map[testnet.Family]uint8{testnet.IPv4: 0, testnet.IPv6: 129}[f]
				receives(t, w, "client", w.Opening("client", "open", echo, f).Frame())
			})
			t.Run("a connection begins with SYN", func(t *testing.T) {
				p := w.Opening("client", "a", testnet.TCP(80), f)
				p.Flags = testnet.SYNACK
				receives(t, w, "client", p.Frame())
				p.Flags = testnet.SYN
				p.SrcPort++
				receives(t, w, "client", p.Frame(), "a")
			})
			t.Run("errors", func(t *testing.T) { testErrors(t, w, f) })
		})
	}
}

// testErrors: ICMP errors about known connections pass both ways, others never.
func testErrors(t *testing.T, w *testnet.World, f testnet.Family) {
	// Nobody listens there: a's own kernel says so, and a has no egress rule for ICMP.
	require.ErrorContains(t, w.Knocks("client", "a", testnet.UDP(5009), f), "connection refused")
	require.ErrorContains(t, w.Knocks("open", "client", testnet.UDP(5009), f), "connection refused")

	known := w.Opening("client", "a", testnet.UDP(5001), f)
	receives(t, w, "client", known.Frame(), "a")
	unknown := known
	unknown.SrcPort++
	for name, kind := range map[string]testnet.Service{
		"too big": map[testnet.Family]testnet.Service{testnet.IPv4: icmp(3, 4),
			testnet.IPv6: icmp6(2, 0)}[f],
		"time": map[testnet.Family]testnet.Service{testnet.IPv4: icmp(11, 0),
			testnet.IPv6: icmp6(3, 0)}[f],
	} {
		t.Run(name, func(t *testing.T) {
			receives(t, w, "a", problem(w, "a", "client", kind, f, known), testnet.Beyond)
			receives(t, w, "a", problem(w, "a", "client", kind, f, unknown))
		})
	}
	require.NoError(t, w.Reaches("open", "client", testnet.UDP(5002), f))
	c, err := w.Open("open", "client", testnet.UDP(5002), f)
	require.NoError(t, err)
	sent := w.Opening("open", "client", testnet.UDP(5002), f)
	sent.SrcPort = c.LocalPort()
	tooBig := map[testnet.Family]testnet.Service{testnet.IPv4: icmp(3, 4),
		testnet.IPv6: icmp6(2, 0)}[f]
	receives(t, w, "router", problem(w, "router", "open", tooBig, f, sent), "open")
	sent.SrcPort ^= 1
	receives(t, w, "router", problem(w, "router", "open", tooBig, f, sent))
}

// problem is an ICMP error that one host sends another, about a packet.
func problem(w *testnet.World, from, to string, s testnet.Service, f testnet.Family,
	about testnet.IP) testnet.Frame {
	p := w.Opening(from, to, s, f)
	about.Src, about.Dst = policy.MAC{}, policy.MAC{}
	p.Body = append([]byte{0, 0, 5, 0x14}, about.Frame()[14:]...) // MTU 1300
	return p.Frame()
}

// between two instances of one host both the sender's egress and the receiver's ingress must
// admit.
func TestR5_BothSides(t *testing.T) {
	t.Parallel()
	groups := []group{
		{name: "sends", rules: []string{out("tcp 80", any4), out("tcp 80", any6), out("tcp 81", any4),
			out("tcp 81", any6)}},
		{name: "takes", rules: []string{in("tcp 80", any4), in("tcp 80", any6), in("tcp 82", any4),
			in("tcp 82", any6), out("tcp 9", any4)}},
	}
	w := newWorld(t, testnet.Spec{Policy: document(groups, vm("a", 11, "sends"), vm("b", 21, "takes"),
		vm("open", 31)), Outside: outside(), Daemon: daemon(t)})
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			admits(t, w, "a", "b", testnet.TCP(80), f, true)
			admits(t, w, "a", "b", testnet.TCP(81), f, false) // egress alone
			admits(t, w, "a", "b", testnet.TCP(82), f, false) // ingress alone
			admits(t, w, "a", "b", testnet.TCP(83), f, false)
			admits(t, w, "open", "b", testnet.TCP(82), f, true)
			require.NoError(t, w.Reaches("a", "b", testnet.TCP(80), f))

			// b denied the opening packet that a was allowed to send. If a's entry spoke for b too, b could
			// answer it now.
			denied := w.Opening("a", "b", testnet.TCP(81), f)
			receives(t, w, "a", denied.Frame())
			answer := w.Opening("b", "a", testnet.TCP(denied.SrcPort), f)
			answer.SrcPort, answer.Flags = 81, testnet.SYNACK
			receives(t, w, "b", answer.Frame())
			udp := w.Opening("open", "b", testnet.UDP(53), f)
			receives(t, w, "open", udp.Frame())
			back := w.Opening("b", "open", testnet.UDP(udp.SrcPort), f)
			back.SrcPort = 53
			receives(t, w, "b", back.Frame())
		})
	}
}
