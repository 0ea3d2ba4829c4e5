//go:build integration

package integration

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// L2-5: clients may ask; servers are only beyond the uplink and behind trusted ports.
func TestL2_5_DHCP(t *testing.T) {
	t.Parallel()
	w := layer2World(t)
	t.Run("a client asks", func(t *testing.T) {
		receives(t, w, "web-1", w.DHCPDiscover("web-1").Frame(), "server", testnet.Beyond)
		receives(t, w, "web-1", w.DHCPSolicit("web-1").Frame(), "server", testnet.Beyond)
	})
	t.Run("a client asks in another's name", func(t *testing.T) {
		p := w.DHCPDiscover("web-1")
		p.Src = db.mac()
		receives(t, w, "web-1", p.Frame())
		p = w.DHCPSolicit("web-1")
		p.From = db.mac().LinkLocal()
		receives(t, w, "web-1", p.Frame())
		p = w.DHCPDiscover("web-1")
		p.From = netip.MustParseAddr("203.0.113.99")
		receives(t, w, "web-1", p.Frame())
	})
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) { testAnswers(t, w, f) })
	}
	t.Run("answers to all are no answers", func(t *testing.T) {
		p := w.DHCPAnswer("router", "web-1", testnet.IPv4)
		p.Dst, p.To = policy.BroadcastMAC, netip.MustParseAddr("255.255.255.255")
		receives(t, w, "router", p.Frame())
		p = w.DHCPAnswer("web-1", "db-1", testnet.IPv4)
		p.Dst, p.To = policy.BroadcastMAC, netip.MustParseAddr("255.255.255.255")
		receives(t, w, "web-1", p.Frame())
	})
}

func testAnswers(t *testing.T, w *testnet.World, f testnet.Family) {
	for _, from := range []string{"router", "server"} {
		receives(t, w, from, w.DHCPAnswer(from, "web-1", f).Frame(), "web-1")
	}
	// Group rules admit everything here, and still no answer leaves an instance.
	p := w.DHCPAnswer("web-1", "db-1", f)
	receives(t, w, "web-1", p.Frame())
	upstream := w.DHCPAnswer("web-1", "client", f)
	receives(t, w, "web-1", upstream.Frame())
	twin := p
	twin.SrcPort = 1067
	receives(t, w, "web-1", twin.Frame(), "db-1")

	for name, order := range orders {
		t.Run("fragmented, "+name, func(t *testing.T) {
			for id, size := range []int{32, 64, 1288, 1440} {
				honest, forged, out := twin, p, upstream
				honest.ID, forged.ID, out.ID = uint16(100+id), uint16(110+id), uint16(120+id)
				if size > 1200 { // Open vSwitch drops smaller ones, unless they are the last
					receivesFragments(t, w, "web-1", honest, 3000, size, order, "db-1")
				}
				receivesFragments(t, w, "web-1", forged, 3000, size, order)
				receivesFragments(t, w, "web-1", out, 3000, size, order)
			}
		})
	}
}

// orders are the orders in which fragments are sent.
var orders = map[string]func([]testnet.Frame) []testnet.Frame{
	"in order":       func(f []testnet.Frame) []testnet.Frame { return f },
	"the last first": func(f []testnet.Frame) []testnet.Frame { slices.Reverse(f); return f },
}

// receivesFragments sends a datagram of this length in fragments and asserts who receives any of
// them.
func receivesFragments(t *testing.T, w *testnet.World, from string, p testnet.IP, length, size int,
	order func([]testnet.Frame) []testnet.Frame, receivers ...string) {
	t.Helper()
	token, err := w.InjectFragments(from, p, length, size, order)
	require.NoError(t, err)
	require.NoError(t, w.AwaitForwarded(from))
	// it sees the error that quotes it
	got := slices.DeleteFunc(w.Saw(from, token), func(name string) bool { return name == from })
	require.ElementsMatch(t, receivers, got, "who receives any of the %d-byte fragments, from %s: %s",
		size, from, p.Frame())
}

// L2-5 with listed servers: nobody else answers, and no rule is needed to renew a lease with one of
// them.
func TestL2_5_ListedServers(t *testing.T) {
	t.Parallel()
	closed := group{name: "closed", rules: []string{out("tcp 443", "198.51.100.0/24")}}
	w := newWorld(t, testnet.Spec{
		Policy: document([]group{closed, everything}, vm("web-1", 11, "closed"),
			vm("db-1", 21, "everything"), server),
		Outside: outside(), Daemon: daemon(t),
		DHCPServers: []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")},
	})
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			receives(t, w, "router", w.DHCPAnswer("router", "web-1", f).Frame(), "web-1")
			receives(t, w, "attacker", w.DHCPAnswer("attacker", "web-1", f).Frame())
			receives(t, w, "server", w.DHCPAnswer("server", "web-1", f).Frame())
			receives(t, w, "db-1", w.DHCPAnswer("db-1", "web-1", f).Frame())

			receives(t, w, "web-1", renewal(w, "web-1", "router", f).Frame(), testnet.Beyond)
			receives(t, w, "web-1", renewal(w, "web-1", "attacker", f).Frame())
			other := renewal(w, "web-1", "router", f)
			other.SrcPort = 1068
			receives(t, w, "web-1", other.Frame())
		})
	}
}

// renewal is what a client sends to the server that it has its address from.
func renewal(w *testnet.World, from, to string, f testnet.Family) testnet.IP {
	p := w.Opening(from, to, testnet.UDP(67), f)
	p.SrcPort, p.Body = 68, make([]byte, 244)
	if f == testnet.IPv6 {
		p.SrcPort, p.DstPort = 546, 547
	}
	return p
}
