package policy_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

func converse(t *testing.T, w policy.World, from, to, word string) policy.Explanation {
	t.Helper()
	c, ok := policy.ParseConversation(word)
	require.True(t, ok, word)
	f, err := w.End(from)
	require.NoError(t, err)
	var end policy.End
	if to != "" {
		end, err = w.End(to)
		require.NoError(t, err)
	}
	return policy.Converse(w, c, f, end)
}

// step finds the step whose words begin so.
func step(t *testing.T, e policy.Explanation, what string) policy.Step {
	t.Helper()
	for _, x := range e.Exchanges {
		for _, s := range x.Steps {
			if strings.HasPrefix(s.What, what) {
				return s
			}
		}
	}
	require.Fail(t, "no such step", "%s in %+v", what, e)
	return policy.Step{}
}

// The frames are those that hosts send: held here against frames that are written by hand.
func TestConversationsAskWithRealFrames(t *testing.T) {
	w := world()
	w.Site.Gateways = w.Site.Gateways[1:] // 203.0.113.254 and fe80::1, both behind the uplinks
	router := policy.MAC{2, 0xff, 0xff, 0, 0, 0}
	ll := mac(0x0a).LinkLocal()

	discover := step(t, converse(t, w, "a", "", "dhcp"), "question: DHCPDISCOVER").Hop
	require.Equal(t, policy.Packet{From: "a", SrcMAC: mac(0x0a), DstMAC: policy.BroadcastMAC, EtherType: policy.EtherIPv4, HopLimit: 64,
		Tuple: policy.Tuple{Src: addr("0.0.0.0"), Dst: addr("255.255.255.255"), Protocol: 17, SrcPort: 68, DstPort: 67}}, discover.Packet)
	offer := step(t, converse(t, w, "a", "", "dhcp"), "answer: DHCPOFFER and DHCPACK of 203.0.113.254 to a").Hop
	require.Equal(t, policy.Packet{FromUplink: true, SrcMAC: router, DstMAC: mac(0x0a), EtherType: policy.EtherIPv4, HopLimit: 64,
		Tuple: policy.Tuple{Src: addr("203.0.113.254"), Dst: addr("203.0.113.10"), Protocol: 17, SrcPort: 67, DstPort: 68}}, offer.Packet)
	solicit := step(t, converse(t, w, "a", "", "dhcpv6"), "question: SOLICIT").Hop
	require.Equal(t, policy.Packet{From: "a", SrcMAC: mac(0x0a), DstMAC: policy.DHCPv6MAC, EtherType: policy.EtherIPv6, HopLimit: 64,
		Tuple: policy.Tuple{Src: ll, Dst: addr("ff02::1:2"), Protocol: 17, SrcPort: 546, DstPort: 547}}, solicit.Packet)
	ask := step(t, converse(t, w, "a", "b", "arp"), "question").Hop
	require.Equal(t, policy.Packet{From: "a", SrcMAC: mac(0x0a), DstMAC: policy.BroadcastMAC, EtherType: policy.EtherARP,
		ARP: policy.ARP{Op: 1, SHA: mac(0x0a), SPA: addr("203.0.113.10"), TPA: addr("203.0.113.11")}}, ask.Packet)
	ns := step(t, converse(t, w, "a", "b", "nd"), "question").Hop
	require.Equal(t, policy.Packet{From: "a", SrcMAC: mac(0x0a), DstMAC: policy.MAC{0x33, 0x33, 0xff, 0, 0, 0x0b}, EtherType: policy.EtherIPv6, HopLimit: 255,
		Tuple: policy.Tuple{Src: addr("2001:db8::a"), Dst: addr("ff02::1:ff00:b"), Protocol: 58, ICMPType: 135},
		ND:    policy.ND{Target: addr("2001:db8::b"), SLL: mac(0x0a)}}, ns.Packet)
	na := step(t, converse(t, w, "a", "e", "nd"), "answer").Hop
	require.Equal(t, "x", na.Host, "e answers at its own host first")
	require.Equal(t, policy.Packet{From: "e", SrcMAC: mac(0x0e), DstMAC: mac(0x0a), EtherType: policy.EtherIPv6, HopLimit: 255,
		Tuple: policy.Tuple{Src: addr("2001:db8::e"), Dst: addr("2001:db8::a"), Protocol: 58, ICMPType: 136},
		ND:    policy.ND{Target: addr("2001:db8::e"), TLL: mac(0x0e)}}, na.Packet)
	ra := step(t, converse(t, w, "a", "", "ra"), "answer: router advertisement of fe80::1 to everybody").Hop
	require.Equal(t, policy.Packet{FromUplink: true, SrcMAC: router, DstMAC: policy.AllNodesMAC, EtherType: policy.EtherIPv6, HopLimit: 255,
		Tuple: policy.Tuple{Src: addr("fe80::1"), Dst: addr("ff02::1"), Protocol: 58, ICMPType: 134}}, ra.Packet)
	report := step(t, converse(t, w, "a", "", "mld"), "report: MLDv2 of its groups").Hop
	require.Equal(t, policy.Packet{From: "a", SrcMAC: mac(0x0a), DstMAC: policy.MAC{0x33, 0x33, 0, 0, 0, 0x16}, EtherType: policy.EtherIPv6, HopLimit: 1,
		Tuple: policy.Tuple{Src: ll, Dst: addr("ff02::16"), Protocol: 58, ICMPType: 143}}, report.Packet)
}

// What a person reads who asks why a conversation does not work: which frame is dropped, and what is missing.
func TestConversationsInWords(t *testing.T) {
	only4 := func(w *policy.World) { port(w, "a").Addresses = port(w, "a").Addresses[:1] }
	only6 := func(w *policy.World) { port(w, "a").Addresses = port(w, "a").Addresses[1:] }
	servers := func(list ...string) func(*policy.World) {
		return func(w *policy.World) {
			for _, s := range list {
				w.Site.DHCPServers = append(w.Site.DHCPServers, addr(s))
			}
		}
	}
	same := func(*policy.World) {}
	shared := func(w *policy.World) {
		for _, name := range []string{"b", "e"} {
			port(w, name).Allowed = []policy.AllowedAddress{{Prefix: one("203.0.113.200")}, {Prefix: one("2001:db8::200")}}
		}
	}
	wide := func(w *policy.World) {
		port(w, "e").Allowed = []policy.AllowedAddress{{Prefix: netip.MustParsePrefix("128.0.0.0/2")}}
	}
	for _, c := range []struct {
		name           string
		change         func(*policy.World)
		from, to, word string
		verdict        policy.Outcome
		step           string // that is looked at
		passes         policy.Outcome
		missing        string
	}{
		{"any server", same, "a", "", "dhcp", policy.Admitted, "question: DHCPDISCOVER", policy.Admitted, ""},
		{"closed egress is no matter", same, "d", "", "dhcp", policy.Admitted, "question: DHCPDISCOVER", policy.Admitted, ""},
		{"no group is no matter", same, "c", "198.51.100.7", "dhcp", policy.Admitted, "answer: DHCPOFFER", policy.Admitted, ""},
		{"a listed server", servers("203.0.113.9"), "a", "203.0.113.9", "dhcp", policy.Admitted, "answer: DHCPOFFER", policy.Admitted, ""},
		{"not the listed server", servers("203.0.113.9"), "a", "203.0.113.8", "dhcp", policy.Denied, "answer: DHCPOFFER", policy.Denied,
			"203.0.113.8 is not among the dhcp_servers of the settings (203.0.113.9)"},
		{"servers of the other family only", servers("fe80::1"), "a", "203.0.113.8", "dhcp", policy.Denied, "answer: DHCPOFFER", policy.Denied,
			"203.0.113.8 is not among the dhcp_servers of the settings (fe80::1)"},
		{"neither listed nor trusted", servers("203.0.113.9"), "b", "a", "dhcp-answer", policy.Denied, "answer: DHCPOFFER", policy.Denied,
			"b is not trusted: what servers and routers say comes from an uplink or a trusted port only; and " +
				"203.0.113.11 is not among the dhcp_servers of the settings (203.0.113.9)"},
		{"no IPv4", only6, "a", "", "dhcp", policy.Denied, "question: DHCPDISCOVER", policy.Denied, "the policy gives a no IPv4 address"},
		{"no IPv6", only4, "a", "", "dhcpv6", policy.Denied, "question: SOLICIT", policy.Denied, "the policy gives a no IPv6 address"},
		{"the trusted router is a server", same, "a", "router", "dhcp", policy.Admitted, "question: DHCPDISCOVER", policy.Admitted, ""},
		{"a neighbour is none", same, "a", "b", "dhcp", policy.Denied, "question: DHCPDISCOVER", policy.Denied,
			"b is not trusted: servers and routers are heard behind an uplink or at a trusted port only"},
		{"a neighbour answers", same, "b", "a", "dhcp-answer", policy.Denied, "answer: DHCPOFFER", policy.Denied,
			"b is not trusted: what servers and routers say comes from an uplink or a trusted port only"},
		{"somebody outside answers", same, "outside", "a", "dhcp-answer", policy.Admitted, "answer: DHCPOFFER", policy.Admitted, ""},
		{"somebody outside answers over IPv6", same, "outside", "a", "dhcpv6-answer", policy.Admitted, "answer: ADVERTISE", policy.Admitted, ""},
		{"another's lease", same, "a@203.0.113.99", "", "arp", policy.Denied, "question", policy.Denied,
			"a may use 203.0.113.10, 2001:db8::a: list 203.0.113.99 with the MAC 02:00:00:00:00:0a, if it is its own"},
		{"arp to a gateway", same, "a", "203.0.113.254", "arp", policy.Admitted, "answer", policy.Admitted, ""},
		{"arp to another host", same, "a", "e", "arp", policy.Admitted, "answer", policy.Admitted, ""},
		{"arp from outside", same, "203.0.113.254", "a", "arp", policy.Admitted, "question", policy.Admitted, ""},
		{"arp without IPv4", only6, "a", "203.0.113.254", "arp", policy.Denied, "question", policy.Denied, "the policy gives a no IPv4 address"},
		{"nd without IPv6", only4, "a", "b", "nd", policy.Denied, "question", policy.Denied, "the policy gives a no IPv6 address"},
		{"a default route", same, "a", "", "ra", policy.Admitted, "answer: router advertisement of fe80::1 to everybody", policy.Admitted, ""},
		{"no default route without IPv6", only4, "a", "", "ra", policy.Denied, "answer: router advertisement of fe80::1 to everybody", policy.Denied,
			"the policy gives a no IPv6 address"},
		{"a neighbour as the router", same, "a", "b", "ra", policy.Denied, "answer: router advertisement of b", policy.Denied,
			"b is not trusted: what servers and routers say comes from an uplink or a trusted port only"},
		{"a gateway moves", same, "203.0.113.254", "", "announce", policy.Admitted, "announcement: gratuitous ARP request", policy.Admitted, ""},
		{"nobody's gateway moves", same, "203.0.113.253", "", "announce", policy.Denied, "announcement: gratuitous ARP request", policy.Denied,
			"203.0.113.253 is not among the gateways of the settings (203.0.113.1, 203.0.113.254, fe80::1)"},
		{"an allowed address moves", shared, "b@203.0.113.200", "", "announce", policy.Admitted, "announcement: gratuitous ARP reply", policy.Admitted, ""},
		{"an allowed address moves, IPv6", shared, "b@2001:db8::200", "", "announce", policy.Admitted, "announcement: unsolicited", policy.Admitted, ""},
		{"it moves from another host", shared, "e@203.0.113.200", "", "announce", policy.Admitted, "announcement: gratuitous ARP reply", policy.Admitted, ""},
		{"nobody allowed it", shared, "c@203.0.113.200", "", "announce", policy.Denied, "announcement: gratuitous ARP reply", policy.Denied,
			"c may use 203.0.113.12, 2001:db8::c: list 203.0.113.200 with the MAC 02:00:00:00:00:0c, if it is its own"},
		{"a strict uplink", func(w *policy.World) { wide(w); w.Site.UplinkSources = policy.StrictSources }, "150.1.1.1", "a", "arp", policy.Partly,
			"question: who has a 203.0.113.10? (outside)", policy.Denied, "uplink_sources is strict: an address of an instance comes from an uplink with the instance's MAC only"},
		{"a routed uplink", wide, "150.1.1.1", "a", "arp", policy.Admitted, "question: who has a 203.0.113.10? (outside)", policy.Admitted, ""},
		{"another's lease is answered", same, "a@203.0.113.99", "203.0.113.254", "dhcp", policy.Denied, "answer: DHCPOFFER", policy.Denied,
			"203.0.113.99 is no own address of a: it has 203.0.113.10, 2001:db8::a"},
		{"a renewal to a gateway", same, "d", "203.0.113.254", "dhcp", policy.Admitted, "renewal", policy.Admitted, ""},
		{"a renewal to anybody, by closed egress", same, "d", "203.0.113.9", "dhcp", policy.Admitted, "renewal", policy.Denied,
			"203.0.113.9 is neither among dhcp_servers nor gateways of the settings, so rules decide, and none admits udp 68 → 67 to 203.0.113.9"},
		{"a renewal to anybody, by open egress", same, "a", "203.0.113.9", "dhcp", policy.Admitted, "renewal", policy.Admitted, ""},
		{"a router for who chose its address", same, "a", "", "ra", policy.Admitted, "question: router solicitation from fe80::5c1d", policy.Admitted, ""},
		{"a router for who has no address", same, "a", "", "ra", policy.Admitted, "question: router solicitation from ::", policy.Admitted, ""},
		{"DHCPv6 for who chose its address", same, "a", "", "dhcpv6", policy.Admitted, "question: SOLICIT, REQUEST and RENEW from fe80::5c1d", policy.Admitted, ""},
		{"snooping switches hear reports", same, "a", "", "mld", policy.Admitted, "report: MLDv2 of its groups", policy.Admitted, ""},
		{"reports before it has an address", same, "a", "", "mld", policy.Admitted, "report: MLDv2 before", policy.Admitted, ""},
		{"queries", same, "a", "", "mld", policy.Admitted, "query of fe80::1", policy.Admitted, ""},
		{"no listener without IPv6", only4, "a", "", "mld", policy.Denied, "query of fe80::1", policy.Denied, "the policy gives a no IPv6 address"},
		{"a machine that moved", same, "a", "", "rarp", policy.Admitted, "RARP", policy.Admitted, ""},
		{"another EtherType", same, "a", "", "0x88cc", policy.Denied, "frame to everybody", policy.Denied, "0x88cc is not among the ethertypes of a"},
		{"another EtherType comes", same, "a", "", "0x88cc", policy.Denied, "frame from outside", policy.Denied, "0x88cc is not among the ethertypes of a"},
		{"a listed EtherType", func(w *policy.World) { port(w, "a").EtherTypes = []uint16{0x88cc} }, "a", "", "0x88cc", policy.Admitted, "frame from outside", policy.Admitted, ""},
		{"an own address", same, "a", "", "announce", policy.Admitted, "announcement: gratuitous ARP request", policy.Admitted, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world()
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
			require.Equal(t, policy.Decide(w, s.Hop.Packet).Uplink, s.Uplink)
		})
	}
}

func port(w *policy.World, name string) *policy.Port {
	for _, i := range w.Policy.Instances {
		for n := range i.Ports {
			if i.Ports[n].Name == name {
				return &i.Ports[n]
			}
		}
	}
	return nil
}

// An announcement must be heard by every port of its family: at the host of its sender, and at the others where the address may be.
func TestAnnouncementsAreHeard(t *testing.T) {
	w := world()
	for _, name := range []string{"b", "e"} {
		port(&w, name).Allowed = []policy.AllowedAddress{{Prefix: one("203.0.113.200")}}
	}
	steps := converse(t, w, "b@203.0.113.200", "", "announce").Exchanges[0].Steps
	require.Len(t, steps, 4, "two forms, at two hosts")
	require.Equal(t, []string{"a", "c", "d", "router"}, steps[0].Ports)
	require.True(t, steps[0].Uplink)
	require.Equal(t, "x", steps[1].Host)
	require.Equal(t, []string{"e"}, steps[1].Ports)
	require.Equal(t, policy.UplinkEntrance, steps[1].Enters)

	port(&w, "d").Addresses = port(&w, "d").Addresses[1:] // no IPv4
	require.Equal(t, []string{"a", "c", "router"}, converse(t, w, "b@203.0.113.200", "", "announce").Exchanges[0].Steps[0].Ports)

	port(&w, "b").Allowed = append(port(&w, "b").Allowed, policy.AllowedAddress{Prefix: netip.MustParsePrefix("198.51.100.0/24")})
	network := converse(t, w, "b@198.51.100.7", "", "announce")
	require.Equal(t, policy.Admitted, network.Verdict, "of a network, each address is announced by replies")
	require.Equal(t, policy.Denied, network.Exchanges[0].Steps[0].Verdict, "the request is a question")
	require.True(t, network.Exchanges[0].Steps[0].Uplink)
	require.NotEmpty(t, network.Exchanges[0].Steps[0].Optional)

	w.Policy.Instances[4].Ports[0].Allowed = nil // the address is b's alone, and with another MAC
	port(&w, "b").Allowed[0].MAC = mac(0x77)
	e := converse(t, w, "b@203.0.113.200", "", "announce")
	require.Equal(t, policy.Admitted, e.Verdict, "with the MAC that is listed")
	require.Equal(t, mac(0x77), e.Exchanges[0].Steps[0].Hop.Packet.SrcMAC)
}

// A question about the ports of DHCP is answered twice: by the rules, and past them.
func TestExplainTellsDHCPApart(t *testing.T) {
	ask := func(w policy.World, from, to string, n uint16) policy.Explanation {
		f, err := w.End(from)
		require.NoError(t, err)
		o, err := w.End(to)
		require.NoError(t, err)
		return policy.Explain(w, f, o, policy.Service{Protocol: policy.UDP, Ports: policy.PortRange{First: n, Last: n}})
	}
	w := world()
	w.Site.DHCPServers = []netip.Addr{addr("203.0.113.254")}
	e := ask(w, "d", "203.0.113.254", 67)
	require.Equal(t, policy.Partly, e.Verdict)
	require.Equal(t, policy.Denied, e.Routes[0].Verdict, "by the rules")
	require.Equal(t, "if it is of a DHCP client, from source port 68", e.Routes[0].DHCP[0].What)
	require.Equal(t, uint16(68), e.Routes[0].DHCP[0].Hop.Packet.SrcPort)
	require.Equal(t, policy.Admitted, e.Routes[0].DHCP[0].Verdict)
	require.True(t, e.Routes[0].DHCP[0].Uplink)

	e = ask(w, "d", "203.0.113.253", 67)
	require.Equal(t, policy.Denied, e.Verdict, "no listed server")
	require.Empty(t, e.Routes[0].DHCP)
	e = ask(w, "203.0.113.254", "c", 68)
	require.Equal(t, policy.Partly, e.Verdict, "an answer needs no rule")
	require.Equal(t, []string{"c"}, e.Routes[0].DHCP[0].Ports)
	e = ask(w, "203.0.113.253", "c", 68)
	require.Equal(t, policy.Denied, e.Verdict)
	require.Empty(t, e.Routes[0].DHCP)
	e = ask(w, "c", "255.255.255.255", 67)
	require.Equal(t, policy.Partly, e.Verdict)
	require.Equal(t, "broadcast and multicast reach nobody", e.Routes[0].Guard)
	require.Equal(t, policy.Admitted, e.Routes[0].DHCP[0].Verdict)
	e = ask(w, "c", "198.51.100.9", 68)
	require.Equal(t, policy.Partly, e.Verdict, "it is no server, though its egress is open")
	require.Equal(t, policy.Denied, e.Routes[0].DHCP[0].Verdict)
	e = ask(w, "c", "198.51.100.9", 53)
	require.Equal(t, policy.Admitted, e.Verdict)
	require.Empty(t, e.Routes[0].DHCP)
}

// A network that a member may use opens a port to each of its addresses, from outside as well.
func TestExplainNamesNetworks(t *testing.T) {
	w := world()
	port(&w, "e").Allowed = []policy.AllowedAddress{{Prefix: netip.MustParsePrefix("128.0.0.0/2")}}
	to, err := w.End("a")
	require.NoError(t, err)
	any := policy.Service{Protocol: policy.TCP, Ports: policy.PortRange{First: 3306, Last: 3306}}
	reach := policy.Peers(w, to, policy.Ingress, any)
	var networks, of []string
	for _, o := range reach[0].Outside {
		networks, of = append(networks, o.Network.String()), append(of, o.Of...)
	}
	require.Equal(t, []string{"128.0.0.0/2", "192.0.2.0/24"}, networks)
	require.Equal(t, []string{"allowed_addresses of e", "external_sources of web"}, of)
	require.Equal(t, []string{"b", "e (203.0.113.14, 128.0.0.0/2)"}, policy.PeerNames(reach[0].Instances[0].Peers))

	got := question(t, "150.1.1.1", "a", policy.TCP, 3306)
	require.Equal(t, policy.Denied, got.Verdict, "without that network")
	from, err := w.End("150.1.1.1")
	require.NoError(t, err)
	got = policy.Explain(w, from, to, any)
	require.Equal(t, policy.Admitted, got.Verdict)
	require.Len(t, got.Routes, 2)
	require.Equal(t, "e 150.1.1.1", got.Routes[0].Pairs[0].From.String())
	require.Equal(t, "150.1.1.1", got.Routes[1].Pairs[0].From.String(), "or whoever is outside")
	require.Equal(t, "128.0.0.0/2 in allowed_addresses of e", got.Routes[1].Ingress.Rules[0].By)
	require.Equal(t, "web: ingress tcp 1-65535 from group web, by 128.0.0.0/2 in allowed_addresses of e", got.Routes[1].Ingress.Reason)

	port(&w, "e").Allowed = []policy.AllowedAddress{{Prefix: netip.MustParsePrefix("203.0.113.0/24")}}
	for name, by := range map[string]string{"b": "", "c": "203.0.113.0/24 in allowed_addresses of e"} { // b is a member itself
		from, err = w.End(name)
		require.NoError(t, err)
		require.Equal(t, by, policy.Explain(w, from, to, any).Routes[0].Ingress.Rules[0].By, name)
	}

	got = question(t, "b", "a", policy.TCP, 3306)
	require.Empty(t, got.Routes[0].Ingress.Rules[0].By, "by its own address")
	got = question(t, "192.0.2.7", "a", policy.TCP, 3306)
	require.Equal(t, "192.0.2.0/24 in external_sources of web", got.Routes[0].Ingress.Rules[0].By)
}
