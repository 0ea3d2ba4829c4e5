//go:build integration

package integration

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// A guest that chooses its link-local address, and others that have theirs; gateway6 is a router's
// that the settings list.
var (
	modern   = vm("modern", 21, "everything").at("2001:db8:a::21")
	numbered = vm("numbered", 22, "everything").at("2001:db8:a::22", "fe80::c:1:2:3")
	trusted6 = vm("trusted", 23, "everything").at("2001:db8:a::23").with("trusted: true")
	ipv4only = vm("ipv4only", 24, "everything").at("203.0.113.24")
	gateway6 = netip.MustParseAddr("fe80::7:6:5:4")
	chosen6  = netip.MustParseAddr("fe80::1c3a:55ff:1234:9abc")
)

func modernWorld(t *testing.T, machines ...machine) *testnet.World {
	t.Helper()
	w := newWorld(t, testnet.Spec{
		Policy:   document([]group{everything}, machines...),
		Gateways: []netip.Addr{netip.MustParseAddr("2001:db8:a::1"), gateway6},
		Outside: []testnet.HostSpec{testnet.Outsider("router", 1, "2001:db8:a::1"),
			testnet.Outsider("client", 2, "2001:db8:2::2")}, Daemon: daemon(t),
	})
	return w
}

// icmp6From matches messages of ICMPv6 of one type with a source address; the zero Addr is any.
func icmp6From(kind uint8, src netip.Addr) func(testnet.Frame) bool {
	return func(f testnet.Frame) bool {
		return len(f) > 54 && f[12] == 0x86 && f[20] == byte(policy.ICMPv6) && f[54] == kind &&
			(!src.IsValid() || bytes.Equal(f[22:38], src.AsSlice()))
	}
}

// choosesLinkLocal has a host's kernel choose a link-local address that is not made of its MAC (RFC
// 7217), and nothing else, and returns it when nobody else has turned out to have it.
func choosesLinkLocal(t *testing.T, h *testnet.Host) netip.Addr {
	t.Helper()
	for _, args := range [][]string{{"-6", "address", "flush", "dev", "eth0"},
		{"-6", "route", "flush", "exact", "default"}} {
		_, err := h.Run("ip", args...)
		require.NoError(t, err)
	}
	// IN6_ADDR_GEN_MODE_RANDOM: a stable-privacy address of a secret that the kernel makes
	const random = "3"
	require.NoError(t, h.Set("ipv6/conf/eth0/addr_gen_mode", random))
	var a netip.Addr
	require.Eventually(t, func() bool {
		out, err := h.Run("ip", "-6", "-o", "address", "show", "dev", "eth0", "scope", "link")
		fields := strings.Fields(out)
		if err != nil || len(fields) < 4 || strings.Contains(out, "tentative") {
			return false
		}
		a = netip.MustParsePrefix(fields[3]).Addr()
		return true
	}, testnet.Slowed(30*time.Second), 20*time.Millisecond, "it has a link-local address")
	require.True(t, policy.IsChosenLinkLocal(a), "%s", a)
	return a
}

// serves makes the router announce itself, far apart if nobody asks, and lease the guest its
// address.
func serves(t *testing.T, w *testnet.World) {
	t.Helper()
	requireTool(t, "dnsmasq")
	router := w.Host("router")
	for _, args := range [][]string{{"del", "2001:db8:a::1/128", "dev", "eth0"},
		{"add", "2001:db8:a::1/64", "dev", "eth0", "nodad"}} {
		_, err := router.Run("ip", append([]string{"-6", "address"}, args...)...)
		require.NoError(t, err)
	}
	require.NoError(t, router.Set("ipv6/conf/all/forwarding", "1"))
	require.NoError(t, router.Start(filepath.Join(w.Dir, "dnsmasq.log"), "dnsmasq",
		"--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root",
		"--pid-file="+filepath.Join(w.Dir, "dnsmasq.pid"), "--log-facility=-", "--log-dhcp",
		"--interface=eth0", "--enable-ra", "--ra-param=eth0,1800,5400",
		"--dhcp-range=2001:db8:a::21,2001:db8:a::21,64,1h",
		"--dhcp-leasefile="+filepath.Join(w.Dir, "dnsmasq.leases")))
}

// leases runs a DHCPv6 client at a host until it has its address.
func leases(t *testing.T, w *testnet.World, h *testnet.Host) {
	t.Helper()
	client := dhclient(t, w.Dir)
	if _, err := exec.LookPath("dhclient"); err != nil { // Debian has it up to 13
		client = dhcpcd(t, w.Dir)
	}
	requireTool(t, client[0])
	require.NoError(t, h.Start(filepath.Join(w.Dir, "client.log"), client[0], client[1:]...))
	require.Eventually(t, func() bool {
		out, err := h.Run("ip", "-6", "-o", "address", "show", "dev", "eth0", "scope", "global")
		return err == nil && strings.Contains(out, h.Address(testnet.IPv6).String()) &&
			!strings.Contains(out, "tentative")
	}, testnet.Slowed(60*time.Second), 20*time.Millisecond, "it has a lease")
}

func dhclient(t *testing.T, dir string) []string {
	t.Helper()
	script := filepath.Join(dir, "dhclient-script")
	text := "#!/bin/sh\n[ -z \"$new_ip6_address\" ] || ip -6 address replace \"$new_ip6_address/128\" dev \"$interface\" nodad\n"
	require.NoError(t, os.WriteFile(script, []byte(text), 0o700))
	return []string{"dhclient", "-6", "-d", "-v", "-cf", "/dev/null", "-sf", script,
		"-lf", filepath.Join(dir, "dhclient.leases"), "-pf", filepath.Join(dir, "dhclient.pid"), "eth0"}
}

// dhcpcd leaves routers and the link-local address to the kernel, as the other one does.
func dhcpcd(t *testing.T, dir string) []string {
	t.Helper()
	settings := filepath.Join(dir, "dhcpcd.conf")
	text := "ipv6only\nnoipv6rs\ninterface eth0\nia_na 1\n"
	require.NoError(t, os.WriteFile(settings, []byte(text), 0o600))
	return []string{"dhcpcd", "--nobackground", "--config", settings, "--script", "/bin/true", "eth0"}
}

// A guest that chooses its link-local address needs nobody to list it: it finds its router, gets
// its lease, and is found, over and over.
func TestL2_4_ChosenLinkLocal(t *testing.T) {
	t.Parallel()
	w := modernWorld(t, modern, numbered)
	guest, router := w.Host("modern"), w.Host("router")
	for _, h := range []*testnet.Host{guest, router} { // neighbours are asked after every second or so
		require.NoError(t, h.Set("ipv6/neigh/eth0/base_reachable_time_ms", "500"))
		require.NoError(t, h.Set("ipv6/neigh/eth0/delay_first_probe_time", "1"))
	}
	own := choosesLinkLocal(t, guest)
	// again and again, until a router answers
	awaitSeen(t, w, "router", icmp6From(policy.RouterSolicitation, own))
	hasRoute := func() bool {
		out, err := guest.Run("ip", "-6", "route", "show", "default")
		return err == nil && strings.Contains(out, "via "+router.MAC.LinkLocal().String())
	}
	require.False(t, hasRoute(), "no router is there yet")
	serves(t, w)
	require.Eventually(t, hasRoute, testnet.Slowed(60*time.Second), 20*time.Millisecond,
		"it has a default route")

	leases(t, w, guest)
	s, err := w.Echoes("modern", "client", testnet.IPv6, 5000)
	require.NoError(t, err)
	streams := map[string]*testnet.Stream{"the guest speaks by its router": s}
	flows(t, streams)
	asks, asked := icmp6From(policy.NeighborSolicitation, own),
		icmp6From(policy.NeighborSolicitation, router.MAC.LinkLocal())
	require.Eventually(t, func() bool { return seen(w, "router", asks) > 2 },
		testnet.Slowed(60*time.Second), 20*time.Millisecond, "it asks for its router")
	require.Eventually(t, func() bool { return seen(w, "modern", asked) > 0 },
		testnet.Slowed(60*time.Second), 20*time.Millisecond, "its router asks for it")
	complete(t, streams)
	for _, kind := range []uint8{policy.RouterSolicitation, policy.NeighborAdvertisement} {
		require.Zero(t, seen(w, "numbered", icmp6From(kind, own)), "a neighbour hears it")
	}
	require.Zero(t, seen(w, "numbered", asks))
}

// linkLocalClaims are what a guest says on the link with a link-local address, as its own.
func linkLocalClaims(w *testnet.World, from string, a netip.Addr) map[string]testnet.Frame {
	h, router := w.Host(from), w.Host("router")
	group, mac := testnet.SolicitedNode(router.MAC.LinkLocal())
	ns := testnet.ND{Src: h.MAC, Dst: mac, From: a, To: group, HopLimit: 255,
		Type: policy.NeighborSolicitation, Target: router.MAC.LinkLocal(), SLL: h.MAC}
	probe := ns
	probe.Dst, probe.To, probe.SLL = router.MAC, router.MAC.LinkLocal(), policy.MAC{}
	detect := ns
	detect.From, detect.Target, detect.SLL = netip.IPv6Unspecified(), a, policy.MAC{}
	detect.To, detect.Dst = testnet.SolicitedNode(a)
	na := testnet.ND{Src: h.MAC, Dst: router.MAC, From: a, To: router.MAC.LinkLocal(), HopLimit: 255,
		Type: policy.NeighborAdvertisement, Target: a, TLL: h.MAC}
	toAll, fromGlobal := na, na
	toAll.Dst, toAll.To = policy.AllNodesMAC, allNodes
	fromGlobal.From = h.Address(testnet.IPv6)
	solicit := w.DHCPSolicit(from)
	solicit.From = a
	return map[string]testnet.Frame{
		"router solicitation": testnet.ND{Src: h.MAC, Dst: allRoutersMAC, From: a, To: allRouters,
			HopLimit: 255, Type: policy.RouterSolicitation, SLL: h.MAC}.Frame(),
		"solicitation": ns.Frame(), "probe of a neighbour": probe.Frame(),
		"duplicate detection": detect.Frame(),
		"advertisement":       na.Frame(), "advertisement to all": toAll.Frame(),
		"advertisement from a global address": fromGlobal.Frame(),
		"DHCPv6":                              solicit.Frame(),
		"listener report": testnet.MLD{Src: h.MAC, Dst: allMLDv2MAC, From: a, To: allMLDv2,
			Type: policy.ListenerReportV2, Group: detect.To}.Frame(),
	}
}

// L2-4: with a link-local address of its own choice a guest does on the link what hosts do there,
// and only beyond the uplink and at trusted ports; with one of a gateway, of another port, or of
// any MAC but its own it does nothing.
func TestL2_4_LinkLocalClaims(t *testing.T) {
	t.Parallel()
	w := modernWorld(t, modern, numbered, trusted6, ipv4only)
	for name, f := range linkLocalClaims(w, "modern", chosen6) {
		t.Run("chosen: "+name, func(t *testing.T) {
			to := []string{"trusted", testnet.Beyond}
			if name == "listener report" {
				to = to[1:]
			}
			receives(t, w, "modern", f, to...)
			receives(t, w, "modern", withSource(f, numbered.mac()))
			receives(t, w, "modern", f.Tagged(0))
		})
	}
	for whose, a := range map[string]netip.Addr{
		"a gateway's":           netip.MustParseAddr("fe80::1"),
		"a listed gateway's":    gateway6,
		"that of another's MAC": numbered.mac().LinkLocal(),
		"another's that lists":  netip.MustParseAddr("fe80::c:1:2:3"),
		"that of a MAC outside": w.Host("router").MAC.LinkLocal(),
		"of another subnet":     netip.MustParseAddr("fe80:0:0:1::1c3a:5512"),
	} {
		t.Run(whose, func(t *testing.T) {
			for name, f := range linkLocalClaims(w, "modern", a) {
				t.Run(name, func(t *testing.T) { receives(t, w, "modern", f) })
			}
		})
	}
	t.Run("whoever lists it", func(t *testing.T) {
		f := linkLocalClaims(w, "numbered", netip.MustParseAddr("fe80::c:1:2:3"))
		receives(t, w, "numbered", f["router solicitation"], "trusted", testnet.Beyond)
		receives(t, w, "numbered", f["advertisement"], testnet.Beyond)
	})
}

// L2-4: who has no address yet may ask for a router; and what is no discovery is never said with a
// link-local address that was chosen.
func TestL2_4_BesideChosenLinkLocal(t *testing.T) {
	t.Parallel()
	w := modernWorld(t, modern, numbered, trusted6, ipv4only)
	t.Run("from nobody", func(t *testing.T) {
		rs := func(from string) testnet.Frame {
			return testnet.ND{Src: w.Host(from).MAC, Dst: allRoutersMAC, From: netip.IPv6Unspecified(),
				To: allRouters, HopLimit: 255, Type: policy.RouterSolicitation}.Frame()
		}
		receives(t, w, "modern", rs("modern"), "trusted", testnet.Beyond)
		receives(t, w, "modern", withSource(rs("modern"), numbered.mac()))
		receives(t, w, "ipv4only", rs("ipv4only"))
		receives(t, w, "client", rs("client"))
	})
	t.Run("nothing else is said with it", func(t *testing.T) {
		for _, s := range []testnet.Service{testnet.UDP(53), testnet.TCP(80),
			testnet.Ping(testnet.IPv6)} {
			p := w.Opening("modern", "router", s, testnet.IPv6)
			receives(t, w, "modern", p.Frame(), testnet.Beyond)
			p.From, p.To = chosen6, w.Host("router").MAC.LinkLocal()
			receives(t, w, "modern", p.Frame())
		}
	})
}
