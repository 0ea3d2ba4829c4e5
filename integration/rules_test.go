//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// ingress is denied; egress is open until any group of the instance has an egress rule, of
// either family.
func TestR1_Defaults(t *testing.T) {
	t.Parallel()
	a := vm("a", 11)
	peer := vm("peer", 21, "reachable")
	reachable := group{name: "reachable", rules: []string{in("any", "0.0.0.0/0"), in("any", "::/0")}}
	w := newWorld(t, testnet.Spec{Policy: document([]group{reachable}, a, peer), Outside: outside(),
		Daemon: daemon(t)})
	services := func(f testnet.Family) []testnet.Service {
		return []testnet.Service{testnet.TCP(443), testnet.TCP(80), testnet.UDP(443), testnet.Ping(f),
			testnet.IPProtocol(policy.ESP)}
	}
	ingressDenied := func(t *testing.T) {
		t.Helper()
		for _, f := range families {
			for _, s := range services(f) {
				if s.Protocol == policy.ESP {
					continue // it has no ports: what comes in is the answer to what went out
				}
				admits(t, w, "client", "a", s, f, false)
				admits(t, w, "peer", "a", s, f, false)
			}
		}
	}
	egress := func(t *testing.T, want func(to string, s testnet.Service, f testnet.Family) bool) {
		t.Helper()
		for _, f := range families {
			for _, to := range []string{"client", "peer"} {
				for _, s := range services(f) {
					admits(t, w, "a", to, s, f, want(to, s, f))
				}
			}
		}
	}
	everywhere := func(string, testnet.Service, testnet.Family) bool { return true }
	set := func(t *testing.T, groups ...group) {
		t.Helper()
		a.groups = nil
		for _, g := range groups {
			a.groups = append(a.groups, g.name)
		}
		require.NoError(t, w.SetPolicy(document(append(groups, reachable), a, peer)))
	}

	t.Run("no group at all", func(t *testing.T) {
		ingressDenied(t)
		egress(t, everywhere)
		for _, f := range families {
			require.NoError(t, w.Reaches("a", "client", testnet.TCP(80), f))
			require.NoError(t, w.Reaches("a", "peer", testnet.UDP(53), f))
			require.NoError(t, w.Reaches("a", "client", testnet.Ping(f), f))
		}
	})
	t.Run("groups without rules", func(t *testing.T) {
		set(t, group{name: "one"}, group{name: "two"})
		ingressDenied(t)
		egress(t, everywhere)
	})
	t.Run("an ingress rule leaves egress open", func(t *testing.T) {
		set(t, group{name: "one", rules: []string{in("tcp 22", "0.0.0.0/0")}})
		egress(t, everywhere)
		admits(t, w, "client", "a", testnet.TCP(22), testnet.IPv4, true)
		admits(t, w, "client", "a", testnet.TCP(22), testnet.IPv6, false)
	})
	t.Run("an egress rule of one family closes both", func(t *testing.T) {
		set(t, group{name: "one", rules: []string{out("tcp 443", "198.51.100.0/24")}}, group{name: "two"})
		ingressDenied(t)
		egress(t, func(to string, s testnet.Service, f testnet.Family) bool {
			return to == "client" && s == testnet.TCP(443) && f == testnet.IPv4
		})
		require.NoError(t, w.Reaches("a", "client", testnet.TCP(443), testnet.IPv4))
		set(t, group{name: "one"}, group{name: "two", rules: []string{out("tcp 443", "2001:db8:2::/48")}})
		egress(t, func(to string, s testnet.Service, f testnet.Family) bool {
			return to == "client" && s == testnet.TCP(443) && f == testnet.IPv6
		})
		require.NoError(t, w.Reaches("a", "client", testnet.TCP(443), testnet.IPv6))
	})
	t.Run("the last egress rule gone opens it again", func(t *testing.T) {
		set(t, group{name: "one"}, group{name: "two"})
		ingressDenied(t)
		egress(t, everywhere)
	})
}

// rulesCase is one group with one instance, and what it must admit and not admit from outside.
type rulesCase struct {
	name   string
	groups [][]string // the rules of each group of the instance
	yes    []probe
	no     []probe
}

// probe is the first packet of a connection from outside: from the host "client", or from the
// address that from is.
type probe struct {
	s    testnet.Service
	f    testnet.Family
	from string
}

func both(services ...testnet.Service) (out []probe) {
	for _, s := range services {
		out = append(out, probe{s: s, f: testnet.IPv4}, probe{s: s, f: testnet.IPv6})
	}
	return out
}

func four(services ...testnet.Service) (out []probe) {
	for _, s := range services {
		out = append(out, probe{s: s, f: testnet.IPv4})
	}
	return out
}

func six(services ...testnet.Service) (out []probe) {
	for _, s := range services {
		out = append(out, probe{s: s, f: testnet.IPv6})
	}
	return out
}

func sources(s testnet.Service, addresses ...string) (out []probe) {
	for _, a := range addresses {
		f := testnet.IPv4
		if netip.MustParseAddr(a).Is6() {
			f = testnet.IPv6
		}
		out = append(out, probe{s: s, f: f, from: a})
	}
	return out
}

func icmp(kind, code uint8) testnet.Service {
	return testnet.Service{Protocol: policy.ICMP, Type: kind, Code: code}
}

func icmp6(kind, code uint8) testnet.Service {
	return testnet.Service{Protocol: policy.ICMPv6, Type: kind, Code: code}
}

const any4, any6 = "0.0.0.0/0", "::/0"

// Of the ICMP types only those are here that the userspace datapath's connection tracker takes for
// the beginning of something: echo, timestamp and information requests with code 0, and no others
// of ICMPv6 than echo.
var ruleCases = []rulesCase{
	{"one port", [][]string{{in("tcp 22", any4)}}, four(testnet.TCP(22)),
		append(four(testnet.TCP(21), testnet.TCP(23), testnet.UDP(22), testnet.SCTP(22), testnet.Ping(4)),
			six(testnet.TCP(22))...)},
	{"both families", [][]string{{in("udp 53", any4), in("udp 53", any6)}}, both(testnet.UDP(53)),
		both(testnet.UDP(52), testnet.UDP(54), testnet.TCP(53))},
	{"a short range", [][]string{{in("tcp 1023-1025", any6)}},
		six(testnet.TCP(1023), testnet.TCP(1024), testnet.TCP(1025)),
		append(six(testnet.TCP(1022), testnet.TCP(1026), testnet.UDP(1024)), four(testnet.TCP(1024))...)},
	{"an odd range", [][]string{{in("udp 2047-49153", any4)}},
		four(testnet.UDP(2047), testnet.UDP(2048), testnet.UDP(32768), testnet.UDP(49152),
			testnet.UDP(49153)),
		four(testnet.UDP(1), testnet.UDP(2046), testnet.UDP(49154), testnet.UDP(65535))},
	{"all ports", [][]string{{in("tcp 1-65535", any4)}},
		four(testnet.TCP(1), testnet.TCP(1024), testnet.TCP(65535)),
		four(testnet.UDP(1024), testnet.SCTP(1024), testnet.Ping(4))},
	{"sctp", [][]string{{in("sctp 5000-5001", any4), in("sctp 5000-5001", any6)}},
		both(testnet.SCTP(5000), testnet.SCTP(5001)),
		both(testnet.SCTP(4999), testnet.SCTP(5002), testnet.TCP(5000))},
	{"a network's ends",
		[][]string{{in("tcp 22", "198.51.100.64/30"), in("tcp 22", "2001:db8:2::40/126")}},
		sources(testnet.TCP(22), "198.51.100.64", "198.51.100.67", "2001:db8:2::40", "2001:db8:2::43"),
		sources(testnet.TCP(22), "198.51.100.63", "198.51.100.68", "2001:db8:2::3f", "2001:db8:2::44")},
	{"host bits", [][]string{{in("tcp 22", "198.51.100.7/24")}},
		sources(testnet.TCP(22), "198.51.100.0", "198.51.100.255"),
		sources(testnet.TCP(22), "198.51.99.255", "198.51.101.0")},
	{"one address", [][]string{{in("tcp 22", "198.51.100.7/32"), in("tcp 22", "2001:db8:2::7/128")}},
		sources(testnet.TCP(22), "198.51.100.7", "2001:db8:2::7"),
		sources(testnet.TCP(22), "198.51.100.6", "198.51.100.8", "2001:db8:2::6", "2001:db8:2::8")},
	{"ping alone", [][]string{{in("icmp 8/0", any4), in("icmpv6 128/0", any6)}},
		append(four(icmp(8, 0)), six(icmp6(128, 0))...),
		append(four(icmp(8, 1), icmp(13, 0), icmp(15, 0), testnet.TCP(8)),
			six(icmp6(128, 1), icmp6(129, 0), testnet.TCP(128))...)},
	{"one type, all codes", [][]string{{in("icmp 13", any4), in("icmpv6 128", any6)}},
		append(four(icmp(13, 0)), six(icmp6(128, 0))...),
		append(four(icmp(8, 0), icmp(15, 0)), six(icmp6(129, 0))...)},
	{"all of icmp", [][]string{{in("icmp", any4)}}, four(icmp(8, 0), icmp(13, 0), icmp(15, 0)),
		append(four(testnet.TCP(8), testnet.UDP(8)), six(icmp6(128, 0))...)},
	{"all of icmpv6", [][]string{{in("icmpv6", any6)}}, six(icmp6(128, 0)),
		append(six(testnet.TCP(128)), four(icmp(8, 0))...)},
	{"gre", [][]string{{in("gre", any4), in("gre", any6)}}, both(testnet.IPProtocol(policy.GRE)),
		both(testnet.IPProtocol(policy.ESP), testnet.IPProtocol(policy.IPIP), testnet.IPProtocol(46),
			testnet.TCP(47))},
	{"esp", [][]string{{in("esp", any4), in("esp", any6)}}, both(testnet.IPProtocol(policy.ESP)),
		both(testnet.IPProtocol(policy.GRE), testnet.IPProtocol(49), testnet.UDP(50))},
	{"ah", [][]string{{in("ah", any4)}}, four(testnet.IPProtocol(policy.AH)),
		four(testnet.IPProtocol(policy.ESP), testnet.IPProtocol(policy.GRE), testnet.UDP(51))},
	{"ipip", [][]string{{in("ipip", any4)}}, four(testnet.IPProtocol(policy.IPIP)),
		four(testnet.IPProtocol(policy.GRE), testnet.IPProtocol(41), testnet.UDP(4))},
	{"a number", [][]string{{in("89", any4), in("89", any6)}}, both(testnet.IPProtocol(89)),
		both(testnet.IPProtocol(88), testnet.IPProtocol(90), testnet.TCP(89))},
	{"any", [][]string{{in("any", "198.51.100.0/24")}},
		append(four(testnet.TCP(1), testnet.UDP(65535), icmp(8, 0), testnet.IPProtocol(89),
			testnet.IPProtocol(253)), sources(testnet.TCP(2), "198.51.100.0")...),
		append(six(testnet.TCP(1), icmp6(128, 0)), sources(testnet.TCP(2), "198.51.101.1")...)},
	{"overlapping ranges and networks",
		[][]string{{in("tcp 80-90", any4), in("tcp 85-100", any4), in("tcp 200", "198.51.100.0/24"),
			in("tcp 200", "198.51.0.0/16")}},
		append(four(testnet.TCP(80), testnet.TCP(87), testnet.TCP(100)),
			sources(testnet.TCP(200), "198.51.100.9", "198.51.7.7")...),
		append(four(testnet.TCP(79), testnet.TCP(101)), sources(testnet.TCP(200), "198.52.0.1")...)},
	{"several groups are a union",
		[][]string{{in("tcp 80", any4)}, {in("tcp 443", any4), in("tcp 80", any4)}, {in("udp 53", any6)}},
		append(four(testnet.TCP(80), testnet.TCP(443)), six(testnet.UDP(53))...),
		append(four(testnet.UDP(53), testnet.TCP(81)), six(testnet.TCP(80))...)},
}

// what one rule, and a union of rules, admits and does not admit: at the ends of every range.
func TestR2_Rules(t *testing.T) {
	t.Parallel()
	var groups []group
	var machines []machine
	for i, c := range ruleCases {
		m := vm(fmt.Sprintf("m%d", i), byte(100+i))
		for j, rules := range c.groups {
			g := group{name: fmt.Sprintf("g%d-%d", i, j), rules: rules}
			groups, m.groups = append(groups, g), append(m.groups, g.name)
		}
		machines = append(machines, m)
	}
	w := newWorld(t, testnet.Spec{Policy: document(groups, machines...), Outside: outside(),
		Daemon: daemon(t)})
	for i, c := range ruleCases {
		t.Run(c.name, func(t *testing.T) {
			to := machines[i].name
			for _, p := range c.yes {
				receives(t, w, "client", p.frame(w, to), to)
			}
			for _, p := range c.no {
				receives(t, w, "client", p.frame(w, to))
			}
		})
	}
	t.Run("real connections", func(t *testing.T) {
		require.NoError(t, w.Reaches("client", "m0", testnet.TCP(22), testnet.IPv4))
		for _, f := range families {
			require.NoError(t, w.Reaches("client", "m1", testnet.UDP(53), f))
			require.NoError(t, w.Reaches("client", "m9", testnet.Ping(f), f))
		}
	})
}

func (p probe) frame(w *testnet.World, to string) testnet.Frame {
	packet := w.Opening("client", to, p.s, p.f)
	if p.from != "" {
		packet.From = netip.MustParseAddr(p.from)
	}
	if packet.Body == nil {
		packet.Body = make([]byte, 32)
	}
	return packet.Frame()
}

// the order of rules and groups changes no verdict.
func TestR2_OrderNeverMatters(t *testing.T) {
	t.Parallel()
	rules := []string{in("tcp 80", any4), in("tcp 1-1000", "198.51.100.0/24"), in("udp 53", any6),
		in("any", "192.0.2.0/24"), in("icmp", any4)}
	forward := group{name: "g", rules: rules}
	backward := group{name: "g"}
	for i := range rules {
		backward.rules = append(backward.rules, rules[len(rules)-1-i])
	}
	a := vm("a", 11, "g")
	w := newWorld(t, testnet.Spec{Policy: document([]group{forward}, a), Outside: outside(),
		Daemon: daemon(t)})
	before := programOf(t, w)
	require.NoError(t, w.SetPolicy(document([]group{backward}, a)))
	require.Equal(t, before, programOf(t, w), "the same rules in another order make the same flows")
	for _, f := range families {
		admits(t, w, "client", "a", testnet.TCP(80), f, f == testnet.IPv4)
		admits(t, w, "client", "a", testnet.UDP(53), f, f == testnet.IPv6)
	}
}

// Fragments belong to R-2: a datagram that a rule admits arrives whole; of one that no rule can
// admit no part arrives. Parts behind the first show no ports, so those of a denied port may pass
// where another port of the same peer and protocol is admitted; without their first part, which
// never passes, they are worth nothing.
func TestR2_Fragments(t *testing.T) {
	t.Parallel()
	rules := []string{in("udp 53", any4), in("udp 53", any6), in("icmp", any4), in("icmpv6", any6),
		out("udp 53", any4), out("udp 53", any6), out("icmp", any4), out("icmpv6", any6)}
	g := group{name: "g", rules: rules}
	w := newWorld(t, testnet.Spec{Policy: document([]group{g}, vm("a", 11, "g"), vm("b", 21, "g"),
		vm("bystander", 99)), Outside: outside(), Daemon: daemon(t)})
	fillMeters(w.Switch)
	for _, f := range families {
		for _, pair := range [][2]string{{"client", "a"}, {"a", "client"}, {"a", "b"}} {
			from, to := pair[0], pair[1]
			t.Run(fmt.Sprintf("%s from %s to %s", f, from, to), func(t *testing.T) {
				require.NoError(t, w.ReachesWith(from, to, testnet.UDP(53), f, 4000))
				require.NoError(t, w.ReachesWith(from, to, testnet.Ping(f), f, 4000))
				testDeniedPort(t, w, w.Opening(from, to, testnet.UDP(54), f), from)
				tcp := w.Opening(from, to, testnet.TCP(53), f)
				if f == testnet.IPv4 { // later parts of IPv6 do not show even their protocol
					tcp.ID = 320
					receivesFragments(t, w, from, tcp, 3000, 1440, orders["in order"])
				}
				testDeniedPort(t, w, tcp, from)
			})
		}
		t.Run(fmt.Sprintf("%s to a port without rules", f), func(t *testing.T) {
			for id, s := range []testnet.Service{testnet.UDP(53), testnet.TCP(53), testnet.Ping(f)} {
				p := w.Opening("client", "bystander", s, f)
				p.ID = uint16(330 + id)
				receivesFragments(t, w, "client", p, 4000, 1440, orders["in order"])
			}
		})
	}
}

// testDeniedPort sends a datagram in fragments of several sizes, in both orders, and asserts that
// the first of them never arrives.
func testDeniedPort(t *testing.T, w *testnet.World, p testnet.IP, from string) {
	t.Helper()
	for id, size := range []int{1288, 1440} {
		p.ID = uint16(300 + 2*id)
		parts := [2]func([]testnet.Frame) []testnet.Frame{
			func(f []testnet.Frame) []testnet.Frame { return f[:1] },
			func(f []testnet.Frame) []testnet.Frame { return f[1:] },
		}
		for _, firstSent := range []int{0, 1} {
			p.ID++
			var tokens [2]testnet.Token
			for _, i := range []int{firstSent, 1 - firstSent} {
				var err error
				tokens[i], err = w.InjectFragments(from, p, 4000, size, parts[i])
				require.NoError(t, err)
			}
			require.NoError(t, w.AwaitForwarded(from))
			require.Empty(t, w.Saw(from, tokens[0]), "who receives the first fragment")
		}
	}
}

// programOf returns the flows of the bridge without their counters.
func programOf(t *testing.T, w *testnet.World) string {
	t.Helper()
	out, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "--no-stats", "--sort", "dump-flows",
		testnet.Bridge)
	require.NoError(t, err)
	return out
}

// admits sends the first packet of a connection and asserts whether it arrives; nobody else may see
// it in either case.
func admits(t *testing.T, w *testnet.World, from, to string, s testnet.Service, f testnet.Family,
	want bool) {
	t.Helper()
	got, err := w.Admits(from, to, s, f)
	require.NoError(t, err)
	require.Equal(t, want, got, "%s to %s, %s over %s", from, to, s, f)
}
