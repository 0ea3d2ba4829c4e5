//go:build integration

package integration

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// answered is what `explain --live -o json` says.
type answered struct {
	Verdict   string
	Exchanges []struct {
		Steps []struct {
			What, Verdict, Missing string
		}
	}
	Routes []struct {
		Ways []struct{ Way, Verdict, Guard string }
	}
	Live struct {
		Agrees bool
		Checks []struct {
			What, Enters, Packet string
			Policy, Switch       []string
		}
	}
}

// ask asks the command, and the switch.
func ask(t *testing.T, w *testnet.World, args ...string) answered {
	t.Helper()
	// a denied answer is an exit code, too
	text, _ := w.Portcullis("explain", append(args, "--live", "-o", "json")...)
	var a answered
	require.NoError(t, json.Unmarshal(
		[]byte(text[strings.Index(text, "{"):strings.LastIndex(text, "}")+1]), &a), text)
	return a
}

// fields are those of a packet as ofproto/trace takes it.
type fields map[string]string

func fieldsOf(spec string) fields {
	f := fields{}
	for _, field := range strings.Split(spec, ",") {
		name, value, _ := strings.Cut(field, "=")
		f[name] = value
	}
	return f
}

func (f fields) mac(name string) (m policy.MAC) {
	for n, b := range strings.Split(f[name], ":") {
		v, _ := strconv.ParseUint(b, 16, 8)
		if n < len(m) {
			m[n] = byte(v)
		}
	}
	return m
}

func (f fields) addr(name string) netip.Addr { a, _ := netip.ParseAddr(f[name]); return a }

// number returns the first of some fields that the packet has, 0 if it has none.
func (f fields) number(names ...string) uint16 {
	for _, name := range names {
		if v, err := strconv.ParseUint(f[name], 0, 16); err == nil {
			return uint16(v)
		}
	}
	return 0
}

// frameOf builds the frame that ofproto/trace was told of.
func frameOf(t *testing.T, spec string) testnet.Frame {
	t.Helper()
	fields := fieldsOf(spec)
	mac, addr, number := fields.mac, fields.addr, fields.number
	src, dst, kind := mac("dl_src"), mac("dl_dst"), number("dl_type")
	switch {
	case kind == policy.EtherARP || kind == policy.EtherRARP:
		f := testnet.ARP{Src: src, Dst: dst, Op: number("arp_op"), SHA: mac("arp_sha"),
			THA: mac("arp_tha"), SPA: addr("arp_spa"), TPA: addr("arp_tpa")}.Frame()
		f[12], f[13] = byte(kind>>8), byte(kind)
		return f
	case kind == policy.EtherIPv6 && number("nw_proto") == uint16(policy.ICMPv6) &&
		number("nw_ttl") == 255:
		return testnet.ND{Src: src, Dst: dst, From: addr("ipv6_src"), To: addr("ipv6_dst"), HopLimit: 255,
			Type:   uint8(number("icmpv6_type")),
			Target: addr("nd_target"), SLL: mac("nd_sll"), TLL: mac("nd_tll")}.Frame()
	case kind == policy.EtherIPv4 || kind == policy.EtherIPv6:
		p := testnet.IP{Src: src, Dst: dst, From: addr("nw_src"), To: addr("nw_dst"),
			TTL: uint8(number("nw_ttl")), Protocol: policy.Protocol(number("nw_proto")),
			SrcPort: number("udp_src", "tcp_src"), DstPort: number("udp_dst", "tcp_dst"),
			Type: uint8(number("icmp_type", "icmpv6_type")), Body: make([]byte, 24)}
		if kind == policy.EtherIPv6 {
			p.From, p.To = addr("ipv6_src"), addr("ipv6_dst")
		}
		return p.Frame()
	}
	return testnet.Ether{Src: src, Dst: dst, Type: kind, Payload: []byte("experiment")}.Frame()
}

// sendAll sends every frame that the answer is made of, from where it was said to enter, and holds
// who receives it against the answer.
func sendAll(t *testing.T, w *testnet.World, a answered) {
	t.Helper()
	require.True(t, a.Live.Agrees, "%+v", a)
	require.NotEmpty(t, a.Live.Checks)
	for _, c := range a.Live.Checks {
		from, inside := strings.CutPrefix(c.Enters, "tap-")
		if !inside {
			from = "client"
		}
		var want []string
		for _, port := range c.Switch {
			if name, ok := strings.CutPrefix(port, "tap-"); ok {
				want = append(want, name)
			} else {
				want = append(want, testnet.Beyond)
			}
		}
		t.Run(c.What, func(t *testing.T) { receives(t, w, from, frameOf(t, c.Packet), want...) })
	}
}

// What hosts say beside connections is explained frame by frame: each frame is sent for real, and
// gets where it is said to.
func TestExplainedConversations(t *testing.T) {
	t.Parallel()
	shared := `allowed_addresses: [203.0.113.200, "2001:db8::200"]`
	w := newWorld(t, testnet.Spec{
		Policy: document([]group{{name: "closed", rules: []string{out("tcp 443", "198.51.100.0/24")}}},
			vm("db-1", 21, "closed"), vm("web-1", 11).with("ethertypes: [0x88b5]"),
			vm("only4", 41).at("203.0.113.41"), vm("only6", 42).at("2001:db8::42"),
			vm("vrrp-1", 51).with(shared), vm("vrrp-2", 52).with(shared),
			vm("server", 31).with("trusted: true")),
		Outside: outside(), Gateways: append(gateways, netip.MustParseAddr("fe80::1")), Daemon: daemon(t),
		DHCPServers: []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.31"),
			netip.MustParseAddr("fe80::1")},
	})
	for _, c := range []struct{ from, to, word, verdict, missing string }{
		{"db-1", "", "dhcp", "admitted", ""},
		{"db-1", "server", "dhcp", "admitted", ""},
		{"db-1", "web-1", "dhcp", "denied", "web-1"},
		{"db-1", "203.0.113.9", "dhcp", "denied",
			"203.0.113.9 is not among the dhcp_servers of the settings"},
		{"only6", "", "dhcp", "denied", "the policy gives tap-only6 no IPv4 address"},
		{"db-1", "", "dhcpv6", "admitted", ""},
		{"only4", "", "dhcpv6", "denied", "the policy gives tap-only4 no IPv6 address"},
		{"outside", "db-1", "dhcp-answer", "admitted", ""},
		{"web-1", "db-1", "dhcp-answer", "denied", "tap-web-1 is not trusted"},
		{"outside", "db-1", "dhcpv6-answer", "admitted", ""},
		{"db-1", "", "arp", "admitted", ""},
		{"db-1", "web-1", "arp", "admitted", ""},
		{"198.51.100.9", "db-1", "arp", "admitted", ""},
		{"db-1@203.0.113.11", "only4", "arp", "denied", "if it is its own"},
		{"db-1", "", "nd", "admitted", ""},
		{"db-1", "web-1", "nd", "admitted", ""},
		{"db-1@2001:db8::11", "only6", "nd", "denied", "if it is its own"},
		{"only4", "web-1", "nd", "denied", "the policy gives tap-only4 no IPv6 address"},
		{"db-1", "", "ra", "admitted", ""},
		{"db-1", "web-1", "ra", "denied", "tap-web-1 is not trusted"},
		{"db-1", "", "mld", "admitted", ""},
		{"only4", "", "mld", "denied", "the policy gives tap-only4 no IPv6 address"},
		{"vrrp-1@203.0.113.200", "", "announce", "admitted", ""},
		{"vrrp-1@2001:db8::200", "", "announce", "admitted", ""},
		{"db-1@203.0.113.200", "", "announce", "denied", "if it is its own"},
		{"203.0.113.1", "", "announce", "admitted", ""},
		{"203.0.113.9", "", "announce", "denied",
			"203.0.113.9 is not among the gateways of the settings"},
		{"db-1", "", "rarp", "admitted", ""},
		{"web-1", "", "0x88b5", "admitted", ""},
		{"db-1", "", "0x88b5", "denied", "0x88b5 is not among the ethertypes of tap-db-1"},
	} {
		t.Run(c.word+" from "+c.from+" to "+c.to, func(t *testing.T) {
			args := []string{"--from", c.from, c.word}
			if c.to != "" {
				args = append(args, "--to", c.to)
			}
			a := ask(t, w, args...)
			require.Equal(t, c.verdict, a.Verdict, "%+v", a)
			missing := ""
			for _, x := range a.Exchanges {
				for _, s := range x.Steps {
					missing += s.Missing + "\n"
				}
			}
			require.Contains(t, missing, c.missing)
			sendAll(t, w, a)
		})
	}
	t.Run("a switch that was altered", func(t *testing.T) {
		require.NoError(t, w.StopDaemon()) // it would repair what follows
		_, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", testnet.Bridge,
			"table=22,priority=60000,actions=drop")
		require.NoError(t, err)
		_, err = w.Switch.Appctl("revalidator/wait")
		require.NoError(t, err)
		receives(t, w, "db-1", w.DHCPDiscover("db-1").Frame())
		text, err := w.Portcullis("explain", "--from", "db-1", "dhcp", "--live")
		require.Error(t, err, "the policy alone says yes")
		require.Contains(t, text, "db-1 dhcp: ADMITTED")
		require.Contains(t, text, "DIFFERS")
		require.Contains(t, text, "  the switch:  dropped")
		require.NotContains(t, text, "frame:       answer", "only what differs is listed")
	})
}

// A packet between two instances goes directly or by a router: both ways are explained, and each
// frame of both is sent for real.
func TestExplainedWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testnet.Spec{
		Policy: document([]group{
			{name: "web", rules: []string{in("tcp 80", "0.0.0.0/0"), in("tcp 80", "::/0")}}},
			vm("a", 11, "web"), vm("b", 12, "web").at("198.51.100.12", "2001:db8:2::12"),
			vm("far", 13, "web").on("hv2")),
		Outside: outside(), Gateways: gateways, Daemon: daemon(t),
	})
	ways := func(a answered) map[string]string {
		out := map[string]string{}
		for _, r := range a.Routes { // one for each family, which are alike
			for _, way := range r.Ways {
				require.Contains(t, []string{"", way.Verdict}, out[way.Way], "%+v", a)
				out[way.Way] = way.Verdict
			}
		}
		return out
	}
	const admitted, denied = "admitted", "denied"
	for _, c := range []struct {
		from, to, service string
		verdict           string
		direct, routed    string
	}{
		{"a", "b", "tcp/80", "admitted", admitted, admitted},
		{"a", "b", "tcp/81", "denied", denied, denied},
		{"far", "b", "tcp/80", "admitted", admitted, admitted},
		{"a", "far", "tcp/80", "admitted", admitted, admitted},
		{"client", "b", "tcp/80", "admitted", admitted, ""},
	} {
		t.Run(c.from+" to "+c.to+" "+c.service, func(t *testing.T) {
			a := ask(t, w, "--from", strings.Replace(c.from, "client", "198.51.100.2", 1), "--to", c.to,
				c.service)
			require.Equal(t, c.verdict, a.Verdict, "%+v", a)
			require.Equal(t, c.direct, ways(a)[explain.WayDirect])
			require.Equal(t, c.routed, ways(a)[explain.WayRouted])
			sendAll(t, w, a)
		})
	}
	t.Run("strict", func(t *testing.T) {
		require.NoError(t, w.StopDaemon())
		require.NoError(t, w.ChangeSettings(
			func(text string) string { return text + "uplink_sources: strict\n" }))
		require.NoError(t, w.StartDaemon())
		require.NoError(t, w.AwaitProgrammed())
		a := ask(t, w, "--from", "a", "--to", "b", "tcp/80")
		require.Equal(t, "partly", a.Verdict)
		require.Equal(t, map[string]string{explain.WayDirect: admitted, explain.WayRouted: denied},
			ways(a))
		sendAll(t, w, a)
		text, err := w.Portcullis("explain", "--from", "a", "--to", "b", "tcp/80")
		require.Error(t, err)
		require.Contains(t, text, "IT DEPENDS ON THE WAY")
		require.Equal(t, "admitted",
			ask(t, w, "--from", "a", "--to", "b", "--via", "direct", "tcp/80").Verdict)
		require.Equal(t, "denied",
			ask(t, w, "--from", "a", "--to", "b", "--via", "router", "tcp/80").Verdict)
	})
}
