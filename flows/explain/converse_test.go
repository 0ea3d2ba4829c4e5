package explain_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/flows/spec"
)

func converse(t *testing.T, w spec.World, from, to, word string) explain.Explanation {
	t.Helper()
	c, ok := explain.ParseConversation(word)
	require.True(t, ok, word)
	f, err := explain.FindEnd(w, from)
	require.NoError(t, err)
	var end explain.End
	if to != "" {
		end, err = explain.FindEnd(w, to)
		require.NoError(t, err)
	}
	return explain.Converse(w, c, f, end)
}

// step finds the step whose words begin so.
func step(t *testing.T, e explain.Explanation, what string) explain.Step {
	t.Helper()
	for _, x := range e.Exchanges {
		for _, s := range x.Steps {
			if strings.HasPrefix(s.What, what) {
				return s
			}
		}
	}
	require.Fail(t, "no such step", "%s in %+v", what, e)
	return explain.Step{}
}

// The frames are those that hosts send: held here against frames that are written by hand.
func TestConversationsAskWithRealFrames(t *testing.T) {
	w := policytest.World()
	w.Site.Gateways = w.Site.Gateways[1:] // 203.0.113.254 and fe80::1, both behind the uplinks
	router := policy.MAC{2, 0xff, 0xff, 0, 0, 0}
	ll := policytest.MAC(0x0a).LinkLocal()

	discover := step(t, converse(t, w, "a", "", "dhcp"), "question: DHCPDISCOVER").Hop
	require.Equal(t, spec.Packet{From: "a", SrcMAC: policytest.MAC(0x0a), DstMAC: policy.BroadcastMAC,
		EtherType: policy.EtherIPv4, HopLimit: 64,
		Tuple: spec.Tuple{Src: policytest.Addr("0.0.0.0"), Dst: policytest.Addr("255.255.255.255"),
			Protocol: 17, SrcPort: 68, DstPort: 67}}, discover.Packet)
	offer := step(t, converse(t, w, "a", "", "dhcp"),
		"answer: DHCPOFFER and DHCPACK of 203.0.113.254 to a").Hop
	require.Equal(t, spec.Packet{FromUplink: true, SrcMAC: router, DstMAC: policytest.MAC(0x0a),
		EtherType: policy.EtherIPv4, HopLimit: 64,
		Tuple: spec.Tuple{Src: policytest.Addr("203.0.113.254"), Dst: policytest.Addr("203.0.113.10"),
			Protocol: 17, SrcPort: 67, DstPort: 68}}, offer.Packet)
	solicit := step(t, converse(t, w, "a", "", "dhcpv6"), "question: SOLICIT").Hop
	require.Equal(t, spec.Packet{From: "a", SrcMAC: policytest.MAC(0x0a), DstMAC: policy.DHCPv6MAC,
		EtherType: policy.EtherIPv6, HopLimit: 64,
		Tuple: spec.Tuple{Src: ll, Dst: policytest.Addr("ff02::1:2"), Protocol: 17, SrcPort: 546,
			DstPort: 547}}, solicit.Packet)
	ask := step(t, converse(t, w, "a", "b", "arp"), "question").Hop
	require.Equal(t, spec.Packet{From: "a", SrcMAC: policytest.MAC(0x0a), DstMAC: policy.BroadcastMAC,
		EtherType: policy.EtherARP,
		ARP: spec.ARP{Op: 1, SHA: policytest.MAC(0x0a), SPA: policytest.Addr("203.0.113.10"),
			TPA: policytest.Addr("203.0.113.11")}}, ask.Packet)
	ns := step(t, converse(t, w, "a", "b", "nd"), "question").Hop
	require.Equal(t, spec.Packet{From: "a", SrcMAC: policytest.MAC(0x0a),
		DstMAC: policy.MAC{0x33, 0x33, 0xff, 0, 0, 0x0b}, EtherType: policy.EtherIPv6, HopLimit: 255,
		Tuple: spec.Tuple{Src: policytest.Addr("2001:db8::a"), Dst: policytest.Addr("ff02::1:ff00:b"),
			Protocol: 58, ICMPType: 135},
		ND: spec.ND{Target: policytest.Addr("2001:db8::b"), SLL: policytest.MAC(0x0a)}}, ns.Packet)
	na := step(t, converse(t, w, "a", "e", "nd"), "answer").Hop
	require.Equal(t, "x", na.Host, "e answers at its own host first")
	require.Equal(t, spec.Packet{From: "e", SrcMAC: policytest.MAC(0x0e), DstMAC: policytest.MAC(0x0a),
		EtherType: policy.EtherIPv6, HopLimit: 255,
		Tuple: spec.Tuple{Src: policytest.Addr("2001:db8::e"), Dst: policytest.Addr("2001:db8::a"),
			Protocol: 58, ICMPType: 136},
		ND: spec.ND{Target: policytest.Addr("2001:db8::e"), TLL: policytest.MAC(0x0e)}}, na.Packet)
	ra := step(t, converse(t, w, "a", "", "ra"),
		"answer: router advertisement of fe80::1 to everybody").Hop
	require.Equal(t, spec.Packet{FromUplink: true, SrcMAC: router, DstMAC: policy.AllNodesMAC,
		EtherType: policy.EtherIPv6, HopLimit: 255,
		Tuple: spec.Tuple{Src: policytest.Addr("fe80::1"), Dst: policytest.Addr("ff02::1"), Protocol: 58,
			ICMPType: 134}}, ra.Packet)
	report := step(t, converse(t, w, "a", "", "mld"), "report: MLDv2 of its groups").Hop
	require.Equal(t, spec.Packet{From: "a", SrcMAC: policytest.MAC(0x0a),
		DstMAC: policy.MAC{0x33, 0x33, 0, 0, 0, 0x16}, EtherType: policy.EtherIPv6, HopLimit: 1,
		Tuple: spec.Tuple{Src: ll, Dst: policytest.Addr("ff02::16"), Protocol: 58, ICMPType: 143}},
		report.Packet)
}

// What a person reads who asks why a conversation does not work: which frame is dropped, and what
// is missing.
func TestConversationsInWords(t *testing.T) {
	only4 := func(w *spec.World) { port(w, "a").Addresses = port(w, "a").Addresses[:1] }
	only6 := func(w *spec.World) { port(w, "a").Addresses = port(w, "a").Addresses[1:] }
	servers := func(list ...string) func(*spec.World) {
		return func(w *spec.World) {
			for _, s := range list {
				w.Site.DHCPServers = append(w.Site.DHCPServers, policytest.Addr(s))
			}
		}
	}
	same := func(*spec.World) {}
	shared := func(w *spec.World) {
		for _, name := range []string{"b", "e"} {
			port(w, name).Allowed = []policy.AllowedAddress{{Prefix: policytest.Single("203.0.113.200")},
				{Prefix: policytest.Single("2001:db8::200")}}
		}
	}
	wide := func(w *spec.World) {
		port(w, "e").Allowed = []policy.AllowedAddress{{Prefix: netip.MustParsePrefix("128.0.0.0/2")}}
	}
	for _, c := range []struct {
		name           string
		change         func(*spec.World)
		from, to, word string
		verdict        explain.Outcome
		step           string // that is looked at
		passes         explain.Outcome
		missing        string
	}{
		{"any server", same, "a", "", "dhcp", explain.Admitted, "question: DHCPDISCOVER",
			explain.Admitted, ""},
		{"closed egress is no matter", same, "d", "", "dhcp", explain.Admitted, "question: DHCPDISCOVER",
			explain.Admitted, ""},
		{"no group is no matter", same, "c", "198.51.100.7", "dhcp", explain.Admitted,
			"answer: DHCPOFFER", explain.Admitted, ""},
		{"a listed server", servers("203.0.113.9"), "a", "203.0.113.9", "dhcp", explain.Admitted,
			"answer: DHCPOFFER", explain.Admitted, ""},
		{"not the listed server", servers("203.0.113.9"), "a", "203.0.113.8", "dhcp", explain.Denied,
			"answer: DHCPOFFER", explain.Denied,
			"203.0.113.8 is not among the dhcp_servers of the settings (203.0.113.9)"},
		{"servers of the other family only", servers("fe80::1"), "a", "203.0.113.8", "dhcp",
			explain.Denied, "answer: DHCPOFFER", explain.Denied,
			"203.0.113.8 is not among the dhcp_servers of the settings (fe80::1)"},
		{"neither listed nor trusted", servers("203.0.113.9"), "b", "a", "dhcp-answer", explain.Denied,
			"answer: DHCPOFFER", explain.Denied,
			"b is not trusted: what servers and routers say comes from an uplink or a trusted port only; and " +
				"203.0.113.11 is not among the dhcp_servers of the settings (203.0.113.9)"},
		{"no IPv4", only6, "a", "", "dhcp", explain.Denied, "question: DHCPDISCOVER", explain.Denied,
			"the policy gives a no IPv4 address"},
		{"no IPv6", only4, "a", "", "dhcpv6", explain.Denied, "question: SOLICIT", explain.Denied,
			"the policy gives a no IPv6 address"},
		{"the trusted router is a server", same, "a", "router", "dhcp", explain.Admitted,
			"question: DHCPDISCOVER", explain.Admitted, ""},
		{"a neighbour is none", same, "a", "b", "dhcp", explain.Denied, "question: DHCPDISCOVER",
			explain.Denied,
			"b is not trusted: servers and routers are heard behind an uplink or at a trusted port only"},
		{"a neighbour answers", same, "b", "a", "dhcp-answer", explain.Denied, "answer: DHCPOFFER",
			explain.Denied,
			"b is not trusted: what servers and routers say comes from an uplink or a trusted port only"},
		{"somebody outside answers", same, "outside", "a", "dhcp-answer", explain.Admitted,
			"answer: DHCPOFFER", explain.Admitted, ""},
		{"somebody outside answers over IPv6", same, "outside", "a", "dhcpv6-answer", explain.Admitted,
			"answer: ADVERTISE", explain.Admitted, ""},
		{"another's lease", same, "a@203.0.113.99", "", "arp", explain.Denied, "question", explain.Denied,
			"a may use 203.0.113.10, 2001:db8::a: list 203.0.113.99 with the MAC 02:00:00:00:00:0a, if it is its own"},
		{"arp to a gateway", same, "a", "203.0.113.254", "arp", explain.Admitted, "answer",
			explain.Admitted, ""},
		{"arp to another host", same, "a", "e", "arp", explain.Admitted, "answer", explain.Admitted, ""},
		{"arp from outside", same, "203.0.113.254", "a", "arp", explain.Admitted, "question",
			explain.Admitted, ""},
		{"arp without IPv4", only6, "a", "203.0.113.254", "arp", explain.Denied, "question",
			explain.Denied, "the policy gives a no IPv4 address"},
		{"nd without IPv6", only4, "a", "b", "nd", explain.Denied, "question", explain.Denied,
			"the policy gives a no IPv6 address"},
		{"a default route", same, "a", "", "ra", explain.Admitted,
			"answer: router advertisement of fe80::1 to everybody", explain.Admitted, ""},
		{"no default route without IPv6", only4, "a", "", "ra", explain.Denied,
			"answer: router advertisement of fe80::1 to everybody", explain.Denied,
			"the policy gives a no IPv6 address"},
		{"a neighbour as the router", same, "a", "b", "ra", explain.Denied,
			"answer: router advertisement of b", explain.Denied,
			"b is not trusted: what servers and routers say comes from an uplink or a trusted port only"},
		{"a gateway moves", same, "203.0.113.254", "", "announce", explain.Admitted,
			"announcement: gratuitous ARP request", explain.Admitted, ""},
		{"nobody's gateway moves", same, "203.0.113.253", "", "announce", explain.Denied,
			"announcement: gratuitous ARP request", explain.Denied,
			"203.0.113.253 is not among the gateways of the settings (203.0.113.1, 203.0.113.254, fe80::1)"},
		{"an allowed address moves", shared, "b@203.0.113.200", "", "announce", explain.Admitted,
			"announcement: gratuitous ARP reply", explain.Admitted, ""},
		{"an allowed address moves, IPv6", shared, "b@2001:db8::200", "", "announce", explain.Admitted,
			"announcement: unsolicited", explain.Admitted, ""},
		{"it moves from another host", shared, "e@203.0.113.200", "", "announce", explain.Admitted,
			"announcement: gratuitous ARP reply", explain.Admitted, ""},
		{"nobody allowed it", shared, "c@203.0.113.200", "", "announce", explain.Denied,
			"announcement: gratuitous ARP reply", explain.Denied,
			"c may use 203.0.113.12, 2001:db8::c: list 203.0.113.200 with the MAC 02:00:00:00:00:0c, if it is its own"},
		{"a strict uplink", func(w *spec.World) { wide(w); w.Site.UplinkSources = policy.StrictSources },
			"150.1.1.1", "a", "arp", explain.Partly,
			"question: who has a 203.0.113.10? (outside)", explain.Denied,
			"uplink_sources is strict: an address of an instance comes from an uplink with the instance's MAC only"},
		{"a routed uplink", wide, "150.1.1.1", "a", "arp", explain.Admitted,
			"question: who has a 203.0.113.10? (outside)", explain.Admitted, ""},
		{"another's lease is answered", same, "a@203.0.113.99", "203.0.113.254", "dhcp", explain.Denied,
			"answer: DHCPOFFER", explain.Denied,
			"203.0.113.99 is no own address of a: it has 203.0.113.10, 2001:db8::a"},
		{"a renewal to a gateway", same, "d", "203.0.113.254", "dhcp", explain.Admitted, "renewal",
			explain.Admitted, ""},
		{"a renewal to anybody, by closed egress", same, "d", "203.0.113.9", "dhcp", explain.Admitted,
			"renewal", explain.Denied,
			"203.0.113.9 is neither among dhcp_servers nor gateways of the settings, so rules decide, and none admits udp 68 → 67 to 203.0.113.9"},
		{"a renewal to anybody, by open egress", same, "a", "203.0.113.9", "dhcp", explain.Admitted,
			"renewal", explain.Admitted, ""},
		{"a router for who chose its address", same, "a", "", "ra", explain.Admitted,
			"question: router solicitation from fe80::5c1d", explain.Admitted, ""},
		{"a router for who has no address", same, "a", "", "ra", explain.Admitted,
			"question: router solicitation from ::", explain.Admitted, ""},
		{"DHCPv6 for who chose its address", same, "a", "", "dhcpv6", explain.Admitted,
			"question: SOLICIT, REQUEST and RENEW from fe80::5c1d", explain.Admitted, ""},
		{"snooping switches hear reports", same, "a", "", "mld", explain.Admitted,
			"report: MLDv2 of its groups", explain.Admitted, ""},
		{"reports before it has an address", same, "a", "", "mld", explain.Admitted,
			"report: MLDv2 before", explain.Admitted, ""},
		{"queries", same, "a", "", "mld", explain.Admitted, "query of fe80::1", explain.Admitted, ""},
		{"no listener without IPv6", only4, "a", "", "mld", explain.Denied, "query of fe80::1",
			explain.Denied, "the policy gives a no IPv6 address"},
		{"a machine that moved", same, "a", "", "rarp", explain.Admitted, "RARP", explain.Admitted, ""},
		{"another EtherType", same, "a", "", "0x88cc", explain.Denied, "frame to everybody",
			explain.Denied, "0x88cc is not among the ethertypes of a"},
		{"another EtherType comes", same, "a", "", "0x88cc", explain.Denied, "frame from outside",
			explain.Denied, "0x88cc is not among the ethertypes of a"},
		{"a listed EtherType", func(w *spec.World) { port(w, "a").EtherTypes = []uint16{0x88cc} }, "a",
			"", "0x88cc", explain.Admitted, "frame from outside", explain.Admitted, ""},
		{"an own address", same, "a", "", "announce", explain.Admitted,
			"announcement: gratuitous ARP request", explain.Admitted, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := policytest.World()
			c.change(&w)
			e := converse(t, w, c.from, c.to, c.word)
			what, outside := strings.CutSuffix(c.step, " (outside)")
			if outside { // whoever else may use the address is told of first
				e.Exchanges = e.Exchanges[1:]
			}
			s := step(t, e, what)
			require.Equal(t, c.passes, s.Verdict, "%+v", s)
			require.Equal(t, c.missing, s.Missing, "%+v", s)
			require.Equal(t, c.verdict, e.Verdict, "%+v", e)
			w.Site.Host = s.Hop.Host
			require.Equal(t, spec.Decide(w, s.Hop.Packet).Uplink, s.Uplink)
		})
	}
}

func port(w *spec.World, name string) *policy.Port {
	for _, i := range w.Policy.Instances {
		for n := range i.Ports {
			if i.Ports[n].Name == name {
				return &i.Ports[n]
			}
		}
	}
	return nil
}

// An announcement must be heard by every port of its family: at the host of its sender, and at the
// others where the address may be.
func TestAnnouncementsAreHeard(t *testing.T) {
	w := policytest.World()
	for _, name := range []string{"b", "e"} {
		port(&w, name).Allowed = []policy.AllowedAddress{{Prefix: policytest.Single("203.0.113.200")}}
	}
	steps := converse(t, w, "b@203.0.113.200", "", "announce").Exchanges[0].Steps
	require.Len(t, steps, 4, "two forms, at two hosts")
	require.Equal(t, []string{"a", "c", "d", "router"}, steps[0].Ports)
	require.True(t, steps[0].Uplink)
	require.Equal(t, "x", steps[1].Host)
	require.Equal(t, []string{"e"}, steps[1].Ports)
	require.Equal(t, explain.UplinkEntrance, steps[1].Enters)

	port(&w, "d").Addresses = port(&w, "d").Addresses[1:] // no IPv4
	require.Equal(t, []string{"a", "c", "router"},
		converse(t, w, "b@203.0.113.200", "", "announce").Exchanges[0].Steps[0].Ports)

	port(&w, "b").Allowed = append(port(&w, "b").Allowed,
		policy.AllowedAddress{Prefix: netip.MustParsePrefix("198.51.100.0/24")})
	network := converse(t, w, "b@198.51.100.7", "", "announce")
	require.Equal(t, explain.Admitted, network.Verdict,
		"of a network, each address is announced by replies")
	require.Equal(t, explain.Denied, network.Exchanges[0].Steps[0].Verdict,
		"the request is a question")
	require.True(t, network.Exchanges[0].Steps[0].Uplink)
	require.NotEmpty(t, network.Exchanges[0].Steps[0].Optional)

	w.Policy.Instances[4].Ports[0].Allowed = nil // the address is b's alone, and with another MAC
	port(&w, "b").Allowed[0].MAC = policytest.MAC(0x77)
	e := converse(t, w, "b@203.0.113.200", "", "announce")
	require.Equal(t, explain.Admitted, e.Verdict, "with the MAC that is listed")
	require.Equal(t, policytest.MAC(0x77), e.Exchanges[0].Steps[0].Hop.Packet.SrcMAC)
}

// A question about the ports of DHCP is answered twice: by the rules, and past them.
func TestExplainTellsDHCPApart(t *testing.T) {
	ask := func(w spec.World, from, to string, n uint16) explain.Explanation {
		f, err := explain.FindEnd(w, from)
		require.NoError(t, err)
		o, err := explain.FindEnd(w, to)
		require.NoError(t, err)
		return explain.Explain(w, f, o,
			explain.Ask(policy.Service{Protocol: policy.UDP, Ports: policy.PortRange{First: n, Last: n}}))
	}
	w := policytest.World()
	w.Site.DHCPServers = []netip.Addr{policytest.Addr("203.0.113.254")}
	e := ask(w, "d", "203.0.113.254", 67)
	require.Equal(t, explain.Partly, e.Verdict)
	require.Equal(t, explain.Denied, e.Routes[0].Verdict, "by the rules")
	require.Equal(t, "if it is of a DHCP client, from source port 68", e.Routes[0].DHCP[0].What)
	require.Equal(t, uint16(68), e.Routes[0].DHCP[0].Hop.Packet.SrcPort)
	require.Equal(t, explain.Admitted, e.Routes[0].DHCP[0].Verdict)
	require.True(t, e.Routes[0].DHCP[0].Uplink)

	e = ask(w, "d", "203.0.113.253", 67)
	require.Equal(t, explain.Denied, e.Verdict, "no listed server")
	require.Empty(t, e.Routes[0].DHCP)
	e = ask(w, "203.0.113.254", "c", 68)
	require.Equal(t, explain.Partly, e.Verdict, "an answer needs no rule")
	require.Equal(t, []string{"c"}, e.Routes[0].DHCP[0].Ports)
	e = ask(w, "203.0.113.253", "c", 68)
	require.Equal(t, explain.Denied, e.Verdict)
	require.Empty(t, e.Routes[0].DHCP)
	e = ask(w, "c", "255.255.255.255", 67)
	require.Equal(t, explain.Partly, e.Verdict)
	require.Equal(t, "broadcast and multicast reach nobody", e.Routes[0].Guard)
	require.Equal(t, explain.Admitted, e.Routes[0].DHCP[0].Verdict)
	e = ask(w, "c", "198.51.100.9", 68)
	require.Equal(t, explain.Partly, e.Verdict, "it is no server, though its egress is open")
	require.Equal(t, explain.Denied, e.Routes[0].DHCP[0].Verdict)
	e = ask(w, "c", "198.51.100.9", 53)
	require.Equal(t, explain.Admitted, e.Verdict)
	require.Empty(t, e.Routes[0].DHCP)
}

// A network that a member may use opens a port to each of its addresses, from outside as well.
func TestExplainNamesNetworks(t *testing.T) {
	w := policytest.World()
	port(&w, "e").Allowed = []policy.AllowedAddress{{Prefix: netip.MustParsePrefix("128.0.0.0/2")}}
	to, err := explain.FindEnd(w, "a")
	require.NoError(t, err)
	any := policy.Service{Protocol: policy.TCP, Ports: policy.PortRange{First: 3306, Last: 3306}}
	reach := explain.Peers(w, to, policy.Ingress, explain.Ask(any))
	var networks, of []string
	for _, o := range reach[0].Outside {
		networks, of = append(networks, o.Network.String()), append(of, o.Of...)
	}
	require.Equal(t, []string{"128.0.0.0/2", "192.0.2.0/24"}, networks)
	require.Equal(t, []string{"allowed_addresses of e", "external_sources of web"}, of)
	require.Equal(t, []string{"b", "e (203.0.113.14, 128.0.0.0/2)"},
		explain.PeerNames(reach[0].Instances[0].Peers))

	got := question(t, "150.1.1.1", "a", policy.TCP, 3306)
	require.Equal(t, explain.Denied, got.Verdict, "without that network")
	from, err := explain.FindEnd(w, "150.1.1.1")
	require.NoError(t, err)
	got = explain.Explain(w, from, to, explain.Ask(any))
	require.Equal(t, explain.Admitted, got.Verdict)
	require.Len(t, got.Routes, 2)
	require.Equal(t, "e 150.1.1.1", got.Routes[0].Pairs[0].From.String())
	require.Equal(t, "150.1.1.1", got.Routes[1].Pairs[0].From.String(), "or whoever is outside")
	require.Equal(t, "128.0.0.0/2 in allowed_addresses of e", got.Routes[1].Ingress.Rules[0].By)
	require.Equal(t, "web: ingress tcp 1-65535 from group web, by 128.0.0.0/2 in allowed_addresses of e", got.Routes[1].Ingress.Reason)

	port(&w, "e").Allowed = []policy.AllowedAddress{{Prefix: netip.MustParsePrefix("203.0.113.0/24")}}
	// b is a member itself
	for name, by := range map[string]string{"b": "", "c": "203.0.113.0/24 in allowed_addresses of e"} {
		from, err = explain.FindEnd(w, name)
		require.NoError(t, err)
		require.Equal(t, by, explain.Explain(w, from, to, explain.Ask(any)).Routes[0].Ingress.Rules[0].By, name)
	}

	got = question(t, "b", "a", policy.TCP, 3306)
	require.Empty(t, got.Routes[0].Ingress.Rules[0].By, "by its own address")
	got = question(t, "192.0.2.7", "a", policy.TCP, 3306)
	require.Equal(t, "192.0.2.0/24 in external_sources of web", got.Routes[0].Ingress.Rules[0].By)
}
