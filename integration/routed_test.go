//go:build integration

package integration

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// Three instances in three subnets, of which far is on another host, and beside a one that must
// hear nothing.
var (
	routedA   = vm("a", 11, "web").at("203.0.113.11", "2001:db8:a::11")
	routedB   = vm("b", 12, "web").at("198.51.100.12", "2001:db8:b::12")
	routedFar = vm("far", 14, "web").at("192.0.2.14", "2001:db8:c::14").on("hv2")
	besideA   = vm("beside", 15, "web").at("203.0.113.15", "2001:db8:a::15")
)

// The router's addresses, by the instance whose gateway each is.
var gatewayOf = map[string][]string{
	"a": {"203.0.113.254", "2001:db8:a::fe"}, "b": {"198.51.100.254", "2001:db8:b::fe"},
	"far": {"192.0.2.254", "2001:db8:c::fe"},
}

// routedWorld has a router of three subnets behind the uplink: Linux, that forwards. Witness hears
// all that is said there.
func routedWorld(t *testing.T, settings string) *testnet.World {
	t.Helper()
	var of []string
	for _, addresses := range gatewayOf {
		of = append(of, addresses...)
	}
	far := testnet.HostSpec{Name: "far", Port: "o-far", MAC: routedFar.mac()}
	for _, a := range routedFar.addresses {
		far.Addresses = append(far.Addresses, netip.MustParseAddr(a))
	}
	w := newWorld(t, testnet.Spec{
		Policy: document([]group{{name: "web", rules: []string{in("tcp 80", "@web")}}}, routedA, routedB,
			routedFar, besideA),
		Outside: []testnet.HostSpec{testnet.Outsider("router", 1, of...), far,
			testnet.Outsider("witness", 6, "198.18.0.6", "2001:db8:6::6"),
			testnet.Outsider("attacker", 7, "198.18.0.7", "2001:db8:6::7")},
		Settings: settings, Daemon: daemon(t),
	})
	router := w.Host("router")
	for setting, value := range map[string]string{
		"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv4/conf/all/send_redirects": "0",
		"ipv4/conf/eth0/send_redirects": "0",
	} {
		require.NoError(t, router.Set(setting, value))
	}
	return w
}

// lives gives a host its addresses with a length of prefix, and routes by its gateway.
func lives(t *testing.T, w *testnet.World, name string, bits map[testnet.Family]int) {
	t.Helper()
	h := w.Host(name)
	for n, f := range families {
		flag := "-" + f.String()[3:]
		run := func(args ...string) {
			_, err := h.Run("ip", append([]string{flag}, args...)...)
			require.NoError(t, err)
		}
		run("route", "flush", "root",
			map[testnet.Family]string{testnet.IPv4: "0/0", testnet.IPv6: "2000::/3"}[f])
		run("route", "flush", "exact", "default")
		run("address", "flush", "dev", "eth0", "scope", "global")
		add := []string{"address", "add", fmt.Sprintf("%s/%d", h.Address(f), bits[f]), "dev", "eth0"}
		if f == testnet.IPv6 {
			add = append(add, "nodad")
		}
		run(add...)
		run("route", "replace", "default", "via", gatewayOf[name][n], "dev", "eth0", "onlink")
	}
}

// tcp matches the segments of one direction of connections to (or, of answers, from) a port.
type tcp struct {
	from, to  policy.MAC
	src, dst  netip.Addr
	port      uint16
	isAnswers bool
}

func (s tcp) matches(f testnet.Frame) bool {
	addresses, at, v6 := 26, 34, s.src.Is6()
	if v6 {
		addresses, at = 22, 54
	}
	want := append(s.src.AsSlice(), s.dst.AsSlice()...)
	if len(f) < at+4 || (f[12] == 0x86) != v6 || !bytes.Equal(f[:6], s.to[:]) ||
		!bytes.Equal(f[6:12], s.from[:]) ||
		!bytes.Equal(f[addresses:at], want) {
		return false
	}
	if !s.isAnswers {
		at += 2
	}
	return f[at] == byte(s.port>>8) && f[at+1] == byte(s.port)
}

// seen counts the frames that a host has captured.
func seen(w *testnet.World, name string, match func(testnet.Frame) bool) int {
	return len(w.Host(name).Capture.All(match))
}

// awaitSeen waits until a host has captured a frame.
func awaitSeen(t *testing.T, w *testnet.World, name string, match func(testnet.Frame) bool) {
	t.Helper()
	require.Eventually(t, func() bool { return seen(w, name, match) > 0 },
		testnet.Slowed(20*time.Second), 5*time.Millisecond, "%s hears it", name)
}

// segments are those from one host to another: as its router sends them on, and as it would send
// them itself.
func segments(w *testnet.World, from, to string, f testnet.Family, port uint16) (routed,
	direct tcp) {
	a, b := w.Host(from), w.Host(to)
	direct = tcp{from: a.MAC, to: b.MAC, src: a.Address(f), dst: b.Address(f), port: port}
	routed = direct
	routed.from = w.Host("router").MAC
	return routed, direct
}

// goesRound asserts that the segments of a connection came to a host from its router, and to nobody
// else here.
func goesRound(t *testing.T, w *testnet.World, from, to string, f testnet.Family, answers bool) {
	t.Helper()
	routed, direct := segments(w, from, to, f, 80)
	routed.isAnswers, direct.isAnswers = answers, answers
	awaitSeen(t, w, to, routed.matches)
	require.Zero(t, seen(w, to, direct.matches), "%s hears %s directly", to, from)
	require.Zero(t, seen(w, "beside", routed.matches))
}

// L2-8: what a router behind the uplink sends on arrives, whoever's source address it has: of two
// instances of this host, and of another's.
func TestL2_8_Routed(t *testing.T) {
	t.Parallel()
	for name, bits := range map[string]map[testnet.Family]int{
		"guests with prefixes":       {testnet.IPv4: 24, testnet.IPv6: 64},
		"guests with addresses only": {testnet.IPv4: 32, testnet.IPv6: 128},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := routedWorld(t, "")
			for host := range gatewayOf {
				lives(t, w, host, bits)
			}
			for _, f := range families {
				for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}, {"far", "b"}, {"a", "far"}} {
					t.Run(fmt.Sprintf("%s to %s over %s", pair[0], pair[1], f), func(t *testing.T) {
						require.NoError(t, w.Reaches(pair[0], pair[1], testnet.TCP(80), f))
						require.NoError(t, w.AwaitForwarded("witness"))
						goesRound(t, w, pair[0], pair[1], f, false)
						goesRound(t, w, pair[1], pair[0], f, true)
						deniesRouted(t, w, pair[0], pair[1], f)
					})
				}
			}
		})
	}
}

// deniesRouted sends the first segment of a connection that no rule admits to the router, who sends
// it on.
func deniesRouted(t *testing.T, w *testnet.World, from, to string, f testnet.Family) {
	t.Helper()
	if to == "far" {
		return // what may reach it is another host's business
	}
	routed := sendByRouter(t, w, from, to, f, 81)
	require.Zero(t, seen(w, to, routed.matches), "no rule admits port 81")
}

// sendByRouter sends the first segment of a connection by the router, and returns what that sends
// on when it has got wherever it gets.
func sendByRouter(t *testing.T, w *testnet.World, from, to string, f testnet.Family,
	port uint16) tcp {
	t.Helper()
	p := w.Opening(from, to, testnet.TCP(port), f)
	p.Dst = w.Host("router").MAC
	routed, _ := segments(w, from, to, f, port)
	require.NoError(t, w.Host(from).Send(p.Frame()))
	awaitSeen(t, w, "witness", routed.matches)
	require.NoError(t, w.AwaitForwarded("router"))
	require.NoError(t, w.AwaitForwarded("witness"))
	return routed
}

// uplinkClaim is a frame of the uplink that says it is a local instance, and its twin, which claims
// nothing, and who receives that.
type uplinkClaim struct {
	name           string
	forged, honest testnet.Frame
	to             []string
}

// uplinkClaims are the ways to say so: at layer 2, in ARP and in neighbour discovery.
func uplinkClaims(w *testnet.World) (out []uplinkClaim) {
	a := w.Host("a")
	add := func(name string, forged, honest testnet.Frame) {
		out = append(out, uplinkClaim{name, forged, honest, []string{"b"}})
	}
	for _, f := range families {
		p := w.Opening("attacker", "b", testnet.TCP(80), f)
		p.From = w.Host("far").Address(f) // whom the rules admit
		p.Src = w.Host("far").MAC
		add("its MAC, over "+f.String(), withSource(p.Frame(), a.MAC), p.Frame())
		q := p
		q.From = a.Address(f)
		add("its MAC and address, over "+f.String(), withSource(q.Frame(), a.MAC), p.Frame())
	}
	request := w.ARPRequest("attacker", "b")
	reply := request
	reply.Op, reply.Dst, reply.THA = policy.ARPReply, w.Host("b").MAC, w.Host("b").MAC
	for name, honest := range map[string]testnet.ARP{"request": request, "reply": reply} {
		sha, spa := honest, honest
		sha.SHA, spa.SPA = a.MAC, a.Address(testnet.IPv4)
		add("its MAC in an ARP "+name, sha.Frame(), honest.Frame())
		add("its address in an ARP "+name, spa.Frame(), honest.Frame())
		add("its MAC around an ARP "+name, withSource(honest.Frame(), a.MAC), honest.Frame())
	}
	ns, na := w.Solicitation("attacker", "b"), w.Advertisement("attacker", "b")
	change := func(n testnet.ND, f func(*testnet.ND)) testnet.Frame { f(&n); return n.Frame() }
	for name, own := range map[string]netip.Addr{"address": a.Address(testnet.IPv6),
		"link-local address": a.MAC.LinkLocal()} {
		add("a solicitation from its "+name, change(ns, func(n *testnet.ND) { n.From = own }), ns.Frame())
		add("an advertisement of its "+name, change(na, func(n *testnet.ND) { n.Target = own }),
			na.Frame())
		add("an advertisement from its "+name, change(na, func(n *testnet.ND) { n.From = own }),
			na.Frame())
	}
	add("a solicitation with its MAC in the option", change(ns, func(n *testnet.ND) { n.SLL = a.MAC }),
		ns.Frame())
	add("an advertisement with its MAC in the option",
		change(na, func(n *testnet.ND) { n.TLL = a.MAC }), na.Frame())
	add("a solicitation with its MAC around", withSource(ns.Frame(), a.MAC), ns.Frame())
	return out
}

// droppedInTheNameOf counts what the guards of the uplink have dropped by flows that name an
// instance's MAC or addresses.
func droppedInTheNameOf(t *testing.T, w *testnet.World, h *testnet.Host) (n int) {
	t.Helper()
	_, err := w.Switch.Appctl("revalidator/wait") // counters are carried over by it
	require.NoError(t, err)
	names := []string{h.MAC.String(), h.MAC.LinkLocal().String()}
	for _, a := range h.Addresses {
		names = append(names, a.String())
	}
	counter := regexp.MustCompile(`n_packets=(\d+).*\bpriority=\d+,(\S+) actions=drop`)
	for _, table := range []string{"12", "15"} {
		out, err := w.Switch.Run("ovs-ofctl", "-O", "OpenFlow15", "dump-flows", testnet.Bridge,
			"table="+table)
		require.NoError(t, err)
		for _, m := range counter.FindAllStringSubmatch(out, -1) {
			if names := strings.Join(names,
				"|"); regexp.MustCompile(`=(` + names + `)(,|$)`).MatchString(m[2]) {
				count, err := strconv.Atoi(m[1])
				require.NoError(t, err)
				n += count
			}
		}
	}
	return n
}

// L2-8: an uplink's frame is dropped where it claims to be a local instance, with routed and with
// strict sources, and the switch counts it.
func TestL2_8_UplinkClaims(t *testing.T) {
	t.Parallel()
	for _, sources := range []string{"routed", "strict"} {
		t.Run(sources, func(t *testing.T) {
			t.Parallel()
			w := routedWorld(t, "uplink_sources: "+sources+"\n")
			claims := uplinkClaims(w)
			before := droppedInTheNameOf(t, w, w.Host("a"))
			for _, c := range claims {
				t.Run(c.name, func(t *testing.T) {
					receives(t, w, "attacker", c.honest, c.to...)
					receives(t, w, "attacker", c.forged)
				})
			}
			require.Equal(t, len(claims), droppedInTheNameOf(t, w, w.Host("a"))-before,
				"what was forged is counted, and nothing else")
		})
	}
}

// L2-8 with strict sources: an address of any instance of the policy comes from an uplink only with
// that instance's MAC.
func TestL2_8_StrictSources(t *testing.T) {
	t.Parallel()
	w, loose := routedWorld(t, "uplink_sources: strict\n"), routedWorld(t, "")
	for _, f := range families {
		t.Run(f.String(), func(t *testing.T) {
			for _, from := range []string{"a", "far"} {
				routed := sendByRouter(t, w, from, "b", f, 80)
				require.Zero(t, seen(w, "b", routed.matches), "what %s says comes with the router's MAC", from)
				// a busy machine loses a frame now and then
				for n := 0; n < 3 && seen(loose, "b", routed.matches) == 0; n++ {
					routed = sendByRouter(t, loose, from, "b", f, 80)
				}
				require.NotZero(t, seen(loose, "b", routed.matches), "its twin where sources are routed")
			}
			for name, frame := range inTheNameOfFar(w, f) {
				t.Run(name, func(t *testing.T) {
					receives(t, w, "far", frame(w.Host("far").MAC), "b")
					receives(t, w, "attacker", frame(w.Host("attacker").MAC))
					receives(t, loose, "attacker", frame(w.Host("attacker").MAC), "b")
				})
			}
			stranger := w.Opening("attacker", "b", testnet.TCP(80), f)
			receives(t, w, "attacker", stranger.Frame()) // no rule admits it
		})
	}
}

// inTheNameOfFar are frames to b with an address of far, each with the MAC that is given.
func inTheNameOfFar(w *testnet.World, f testnet.Family) map[string]func(policy.MAC) testnet.Frame {
	out := map[string]func(policy.MAC) testnet.Frame{"a segment": func(m policy.MAC) testnet.Frame {
		return withSource(w.Opening("far", "b", testnet.TCP(80), f).Frame(), m)
	}}
	if f == testnet.IPv4 {
		for name, op := range map[string]uint16{"an ARP request": policy.ARPRequest,
			"an ARP reply": policy.ARPReply} {
			out[name] = func(m policy.MAC) testnet.Frame {
				a := w.ARPRequest("far", "b")
				a.Op, a.Src, a.SHA = op, m, m
				if op == policy.ARPReply {
					a.Dst, a.THA = w.Host("b").MAC, w.Host("b").MAC
				}
				return a.Frame()
			}
		}
		return out
	}
	out["a solicitation"] = func(m policy.MAC) testnet.Frame {
		n := w.Solicitation("far", "b")
		n.Src, n.SLL = m, m
		return n.Frame()
	}
	out["an advertisement"] = func(m policy.MAC) testnet.Frame {
		n := w.Advertisement("far", "b")
		n.Src, n.TLL = m, m
		return n.Frame()
	}
	out["an advertisement from another address"] = func(m policy.MAC) testnet.Frame {
		n := w.Advertisement("far", "b")
		n.Src, n.From, n.TLL = m, m.LinkLocal(), m
		return n.Frame()
	}
	return out
}
