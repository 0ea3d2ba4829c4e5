//go:build integration

package integration

import (
	"net/netip"
	"testing"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/world"
)

// L2-5: clients may ask; servers are only beyond the uplink and behind trusted ports.
func TestL2_5_DHCP(t *testing.T) {
	t.Parallel()
	w := layer2World(t)
	t.Run("a client asks", func(t *testing.T) {
		receives(t, w, "web-1", discover(w, "web-1").Frame(), "server", world.Beyond)
		receives(t, w, "web-1", solicit6(w, "web-1").Frame(), "server", world.Beyond)
	})
	t.Run("a client asks in another's name", func(t *testing.T) {
		p := discover(w, "web-1")
		p.Src = db.mac()
		receives(t, w, "web-1", p.Frame())
		p = solicit6(w, "web-1")
		p.From = db.mac().LinkLocal()
		receives(t, w, "web-1", p.Frame())
		p = discover(w, "web-1")
		p.From = netip.MustParseAddr("203.0.113.99")
		receives(t, w, "web-1", p.Frame())
	})
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) { testAnswers(t, w, f) })
	}
	t.Run("answers to all are no answers", func(t *testing.T) {
		p := answer(w, "router", "web-1", world.IPv4)
		p.Dst, p.To = policy.BroadcastMAC, netip.MustParseAddr("255.255.255.255")
		receives(t, w, "router", p.Frame())
		p = answer(w, "web-1", "db-1", world.IPv4)
		p.Dst, p.To = policy.BroadcastMAC, netip.MustParseAddr("255.255.255.255")
		receives(t, w, "web-1", p.Frame())
	})
}

func testAnswers(t *testing.T, w *world.World, f world.Family) {
	for _, from := range []string{"router", "server"} {
		receives(t, w, from, answer(w, from, "web-1", f).Frame(), "web-1")
	}
	// Group rules admit everything here, and still no answer leaves an instance.
	p := answer(w, "web-1", "db-1", f)
	receives(t, w, "web-1", p.Frame())
	upstream := answer(w, "web-1", "client", f)
	receives(t, w, "web-1", upstream.Frame())
	twin := p
	twin.SrcPort = 1067
	receives(t, w, "web-1", twin.Frame(), "db-1")

	t.Run("fragmented", func(t *testing.T) {
		for _, honest := range []world.IP{twin, p, upstream} {
			honest.Body = make([]byte, 3000)
			for id, size := range []int{8, 16, 1024, 1480} {
				honest.ID = uint16(100 + id)
				if honest.SrcPort == twin.SrcPort {
					receivesAll(t, w, "web-1", honest.Fragments(max(size, 1024)), "db-1")
					continue
				}
				receivesAll(t, w, "web-1", honest.Fragments(size))
			}
		}
	})
	t.Run("fragmented, the last part first", func(t *testing.T) {
		p.Body = make([]byte, 3000)
		p.ID = 200
		parts := p.Fragments(1480)
		parts[0], parts[len(parts)-1] = parts[len(parts)-1], parts[0]
		receivesAll(t, w, "web-1", parts)
	})
}

// L2-5 with listed servers: nobody else answers, and no rule is needed to renew a lease with one of them.
func TestL2_5_ListedServers(t *testing.T) {
	t.Parallel()
	closed := group{name: "closed", rules: []string{out("tcp 443", "198.51.100.0/24")}}
	w := newWorld(t, world.Spec{
		Policy:  document([]group{closed, everything}, vm("web-1", 11, "closed"), vm("db-1", 21, "everything"), server),
		Outside: outside(), Daemon: daemon(t),
		DHCPServers: []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")},
	})
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			receives(t, w, "router", answer(w, "router", "web-1", f).Frame(), "web-1")
			receives(t, w, "attacker", answer(w, "attacker", "web-1", f).Frame())
			receives(t, w, "server", answer(w, "server", "web-1", f).Frame())
			receives(t, w, "db-1", answer(w, "db-1", "web-1", f).Frame())

			receives(t, w, "web-1", renewal(w, "web-1", "router", f).Frame(), world.Beyond)
			receives(t, w, "web-1", renewal(w, "web-1", "attacker", f).Frame())
			other := renewal(w, "web-1", "router", f)
			other.SrcPort = 1068
			receives(t, w, "web-1", other.Frame())
		})
	}
}

// discover is an honest DHCP client's first word.
func discover(w *world.World, from string) world.IP {
	return world.IP{Src: w.Host(from).MAC, Dst: policy.BroadcastMAC, From: netip.IPv4Unspecified(), To: netip.MustParseAddr("255.255.255.255"),
		Protocol: policy.UDP, SrcPort: 68, DstPort: 67, Body: make([]byte, 244)}
}

// solicit6 is that of DHCPv6.
func solicit6(w *world.World, from string) world.IP {
	mac := w.Host(from).MAC
	return world.IP{Src: mac, Dst: policy.DHCPv6MAC, From: mac.LinkLocal(), To: netip.MustParseAddr("ff02::1:2"),
		Protocol: policy.UDP, SrcPort: 546, DstPort: 547, Body: make([]byte, 40)}
}

// answer is what a DHCP server sends.
func answer(w *world.World, from, to string, f world.Family) world.IP {
	p := w.Opening(from, to, world.UDP(68), f)
	p.SrcPort, p.Body = 67, make([]byte, 244)
	if f == world.IPv6 {
		p.SrcPort, p.DstPort = 547, 546
	}
	return p
}

// renewal is what a client sends to the server that it has its address from.
func renewal(w *world.World, from, to string, f world.Family) world.IP {
	p := w.Opening(from, to, world.UDP(67), f)
	p.SrcPort, p.Body = 68, make([]byte, 244)
	if f == world.IPv6 {
		p.SrcPort, p.DstPort = 546, 547
	}
	return p
}
