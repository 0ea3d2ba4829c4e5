//go:build integration

package integration

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	compiler "github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// Addresses that move between instances d and e, and beyond the uplink.
var (
	moving4 = netip.MustParseAddr("203.0.113.200")
	moving6 = netip.MustParseAddr("2001:db8::200")
	moving  = map[testnet.Family]netip.Addr{testnet.IPv4: moving4, testnet.IPv6: moving6}
)

// runIn runs a command in a host's network.
func runIn(t *testing.T, h *testnet.Host, command ...string) string {
	t.Helper()
	out, err := h.Run(command[0], command[1:]...)
	require.NoError(t, err)
	return out
}

// knows says at which MAC a host's kernel has an address; "" = it has no entry.
func knows(t *testing.T, h *testnet.Host, a netip.Addr) string {
	t.Helper()
	fields := strings.Fields(runIn(t, h, "ip", "neigh", "show", a.String()))
	for i, f := range fields {
		if f == "lladdr" {
			return fields[i+1]
		}
	}
	return ""
}

// requireMoves waits until a host's kernel has an address at a MAC.
func requireMoves(t *testing.T, h *testnet.Host, a netip.Addr, m policy.MAC) {
	t.Helper()
	began := time.Now()
	require.Eventually(t, func() bool { return knows(t, h, a) == m.String() },
		testnet.Slowed(30*time.Second), 5*time.Millisecond,
		"%s has %s at %s", h.Name, a, knows(t, h, a))
	t.Logf("%s has %s at %s after %s", h.Name, a, m, time.Since(began).Round(time.Millisecond))
}

// asksFor counts the frames with which a host asked where an address is.
func asksFor(h *testnet.Host, a netip.Addr) int {
	return len(h.Capture.All(func(f testnet.Frame) bool {
		if a.Is4() {
			return bytes.HasPrefix(f[6:], h.MAC[:]) && bytes.HasPrefix(f[12:], []byte{8, 6}) &&
				bytes.Equal(f[38:42], a.AsSlice())
		}
		return bytes.HasPrefix(f[6:], h.MAC[:]) && bytes.HasPrefix(f[12:], []byte{0x86, 0xdd}) &&
			len(f) >= 78 && f[54] == policy.NeighborSolicitation &&
			bytes.Equal(f[62:78], a.AsSlice())
	}))
}

// announcement is what a host says of an address: a gratuitous ARP, or an advertisement that
// overrides.
func announcement(a netip.Addr, m policy.MAC) testnet.Frame {
	return testnet.Frame(compiler.Announcement{Address: a, MAC: m}.Frame())
}

// announceWorld has a client, d and e, of which e is on another host at first, as its MAC is beyond
// the uplink; "far" is that host's network.
func announceWorld(t *testing.T) *testnet.World {
	return newWorld(t, testnet.Spec{Policy: announcePolicy("d"),
		Outside: append(outside(), testnet.HostSpec{Name: "far", Port: "far",
			MAC: policy.MAC{2, 0, 0, 0, 0, 0x77},
			Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.77"),
				netip.MustParseAddr("2001:db8::77")}}),
		Gateways: gateways, Daemon: daemon(t)})
}

// announcePolicy gives 203.0.113.210 and 2001:db8::210 to one of d, e and far as own addresses; all
// of these may have the allowed ones.
func announcePolicy(owner string) string {
	allowed := fmt.Sprintf("allowed_addresses: [%s, %q]", moving4, moving6)
	own := map[string]string{}
	own[owner] = ", 203.0.113.210, 2001:db8::210"
	machine := func(name, host string, number int, allowed string) string {
		return fmt.Sprintf("  - {name: %s, host: %s, groups: [everything], ports: [{name: tap-%s, mac: 02:00:00:00:00:%02x, addresses: "+
			"[203.0.113.%d, 2001:db8::%d%s], %s}]}\n", name, host, name, number, number, number, own[name],
			allowed)
	}
	return "groups:\n  - name: everything\n    rules:\n      - {direction: ingress, protocol: any, cidr: 0.0.0.0/0}\n" +
		"      - {direction: ingress, protocol: any, cidr: '::/0'}\ninstances:\n" +
		machine("c", "hv1", 0x13, "trusted: false") + machine("d", "hv1", 0x14, allowed) +
		machine("e", "hv1", 0x15, allowed) +
		machine("far", "hv2", 0x77, allowed)
}

// L2-8: neighbours hear that an allowed address moved, from a port or from another host, and follow
// it without asking; nobody else's word counts.
func TestL2_8_AllowedAddressMoves(t *testing.T) {
	t.Parallel()
	w := announceWorld(t)
	c, d, e, far := w.Host("c"), w.Host("d"), w.Host("e"), w.Host("far")
	for _, f := range families {
		a := moving[f]
		t.Run(f.String(), func(t *testing.T) {
			length := map[testnet.Family]string{testnet.IPv4: "/24", testnet.IPv6: "/64"}[f]
			add := []string{"ip", "addr", "add", a.String() + length, "dev", "eth0"}
			if f == testnet.IPv6 {
				add = append(add, "nodad")
			}
			runIn(t, d, add...)
			runIn(t, c, "bash", "-c", "echo > /dev/udp/"+a.String()+"/9")
			requireMoves(t, c, a, d.MAC)
			asked := asksFor(c, a)

			receives(t, w, "attacker", announcement(a, w.Host("attacker").MAC), forgedHeardBy(f)...)
			stolen := announcement(a, d.MAC)
			receives(t, w, "e", stolen)
			require.Equal(t, d.MAC.String(), knows(t, c, a))

			runIn(t, d, "ip", "addr", "del", a.String()+length, "dev", "eth0")
			receives(t, w, "e", announcement(a, e.MAC), "c", "d", testnet.Beyond)
			requireMoves(t, c, a, e.MAC)
			receives(t, w, "far", announcement(a, far.MAC), "c", "d", "e")
			requireMoves(t, c, a, far.MAC)
			require.Equal(t, asked, asksFor(c, a), "it followed without a question")
		})
	}
}

// forgedHeardBy: a forged request is a question for who may have the address, as every other; what
// it says of its sender is taken by those alone.
func forgedHeardBy(f testnet.Family) []string {
	if f == testnet.IPv4 {
		return []string{"d", "e"}
	}
	return nil
}

// L2-8: a change of the policy that gives an own address another MAC is told to the local ports,
// once; the port that has it now is not told, and the uplink neither.
func TestL2_8_OwnAddressMoves(t *testing.T) {
	t.Parallel()
	w := announceWorld(t)
	own := map[testnet.Family]netip.Addr{testnet.IPv4: netip.MustParseAddr("203.0.113.210"),
		testnet.IPv6: netip.MustParseAddr("2001:db8::210")}
	told := func(name string, m policy.MAC) int {
		return len(w.Host(name).Capture.All(func(f testnet.Frame) bool {
			return bytes.Equal(f, announcement(own[testnet.IPv6], m)) ||
				bytes.Equal(f, announcement(own[testnet.IPv4], m))
		}))
	}
	c := w.Host("c")
	for _, a := range own {
		runIn(t, c, "ip", "neigh", "replace", a.String(), "lladdr", w.Host("d").MAC.String(), "nud",
			"stale", "dev", "eth0")
	}
	for _, to := range []string{"e", "far", "d"} {
		m := w.Host(to).MAC
		require.NoError(t, w.SetPolicy(announcePolicy(to)))
		for _, a := range own {
			requireMoves(t, c, a, m)
			require.Zero(t, asksFor(c, a))
		}
		require.NoError(t, w.AwaitForwarded("router"))
		for _, name := range []string{"c", "d", "e"} {
			want := 2
			if name == to {
				want = 0
			}
			require.Equal(t, want, told(name, m), "%s is told that both moved to %s", name, to)
		}
		require.Zero(t, told("router", m), "nobody beyond the uplink")
		require.NoError(t, w.SetPolicy(announcePolicy(to)+"# nothing moved\n"))
		require.Equal(t, 2, told("c", m))
	}
}
