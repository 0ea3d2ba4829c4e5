package explain

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Conversation is what hosts say to each other on the link before and beside connections, by the
// word that asks about it. No rule is asked about most of it, so that whether it works is told
// frame by frame.
type Conversation struct {
	Word    string
	Also    []string // other words for it
	Summary string   // what it is for, in words

	v6    bool
	steps func(x *explainer, client node, peers []node) []Step
	peers func(x *explainer, client node) []node // who is meant where nobody is named
}

// Conversations returns all that [World.Converse] can be asked about, in the order in which they
// are told of.
func Conversations() []Conversation {
	return []Conversation{
		{Word: "arp", Summary: "IPv4: does it find a neighbour's MAC, by default its gateways'",
			steps: arpSteps, peers: gateways4},
		{Word: "nd", Also: []string{"ndp"},
			Summary: "IPv6: does it find a neighbour's MAC, by default its gateways'", v6: true,
			steps: ndSteps, peers: gateways6},
		{Word: "dhcp", Also: []string{"dhcp4", "dhcpv4"},
			Summary: "does it get an IPv4 lease, from --to or any server", steps: dhcpSteps,
			peers: servers4},
		{Word: "dhcpv6", Also: []string{"dhcp6"},
			Summary: "does it get an IPv6 lease, from --to or any server", v6: true, steps: dhcp6Steps,
			peers: servers6},
		{Word: "dhcp-answer", Summary: "may --from answer --to as a DHCP server", steps: dhcpAnswerSteps,
			peers: noPeers},
		{Word: "dhcpv6-answer", Also: []string{"dhcp6-answer"},
			Summary: "may --from answer --to as a DHCPv6 server", v6: true, steps: dhcp6AnswerSteps,
			peers: noPeers},
		{Word: "ra", Also: []string{"rs"},
			Summary: "router advertisements: does it get an IPv6 default route", v6: true, steps: raSteps,
			peers: routers6},
		{Word: "mld", Summary: "multicast listener discovery: do switches that snoop learn of it",
			v6: true, steps: mldSteps, peers: routers6},
		{Word: "announce", Also: []string{"garp"},
			Summary: "gratuitous ARP and unsolicited NA: who hears that its addresses moved",
			steps:   announceSteps, peers: noPeers},
		{Word: "rarp", Summary: "the frame by which a hypervisor says where the machine is now",
			steps: rarpSteps, peers: noPeers},
	}
}

// ParseConversation finds a conversation by a word; one of 0x and four digits is about frames of
// another EtherType.
func ParseConversation(word string) (Conversation, bool) {
	for _, c := range Conversations() {
		if c.Word == word || slices.Contains(c.Also, word) {
			return c, true
		}
	}
	if number, err := strconv.ParseUint(strings.TrimPrefix(word, "0x"), 16, 16); err == nil &&
		len(word) == len("0x88cc") && word[:2] == "0x" {
		return Conversation{Word: word, steps: etherSteps(uint16(number)), peers: noPeers}, true
	}
	return Conversation{}, false
}

// Exchange is the conversation of one port, or of somebody behind the uplinks, frame by frame.
type Exchange struct {
	From    Point   `json:"from"`
	Verdict Outcome `json:"verdict"` // admitted: each frame that is needed gets where it must
	Steps   []Step  `json:"steps"`
}

// Step is one frame of a conversation at the switch of one host, and what the specification decides
// about it there.
type Step struct {
	What string `json:"what"`
	// why the conversation works without it; "" = it does not
	Optional string   `json:"optional,omitempty"`
	Host     string   `json:"host,omitempty"` // "" = this one
	Enters   string   `json:"enters"`         // by this port, or "uplink"
	Frame    string   `json:"frame"`
	Verdict  Outcome  `json:"verdict"` // admitted: all who must get it do
	Ports    []string `json:"ports"`   // who gets it
	Uplink   bool     `json:"uplink"`  // it leaves by the uplinks
	Reason   string   `json:"reason"`
	Missing  string   `json:"missing,omitempty"` // what would let it pass, in words

	Hop Hop `json:"-"`
}

// UplinkEntrance is where a [Step] enters that comes from beyond the host.
const UplinkEntrance = "uplink"

// Converse says frame by frame whether a conversation works between two ends; with no points in to,
// with whom it is held by default. Each frame is one packet for [spec.Decide].
func (r Reader) Converse(c Conversation, from, to End) Explanation {
	return r.explainer().converse(c, from, to)
}

func (x *explainer) converse(c Conversation, from, to End) Explanation {
	out := Explanation{From: from.Name, To: to.Name, Service: c.Word, Routes: []Route{}}
	verdicts := map[Outcome]bool{}
	peers := x.nodes(to, c)
	for _, client := range x.nodes(from, c) {
		with := peers
		if to.Name == "" {
			with = c.peers(x, client)
		}
		e := Exchange{From: client.point, Verdict: Admitted, Steps: c.steps(x, client, with)}
		for n := range e.Steps {
			if x.judgeStep(&e.Steps[n]); e.Steps[n].Verdict != Admitted && e.Steps[n].Optional == "" {
				e.Verdict = Denied
			}
		}
		if len(e.Steps) > 0 {
			out.Exchanges = append(out.Exchanges, e)
			verdicts[e.Verdict] = true
		}
	}
	switch {
	case len(out.Exchanges) == 0:
		out.Reason = "nothing to ask about: give --to an end with an address of " + familyName(c.v6)
	case len(verdicts) > 1:
		out.Verdict = Partly
	default:
		out.Verdict = out.Exchanges[0].Verdict
	}
	return out
}

func familyName(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

// judgeStep asks the specification about a step, and what is missing where it says no.
func (x *explainer) judgeStep(s *Step) {
	p := s.Hop.Packet
	d := x.decide(s.Hop)
	s.Enters, s.Frame, s.Reason = p.From, frameWords(p), d.Reason
	if s.Hop.Host != x.Site.Host {
		s.Host = s.Hop.Host
	}
	if p.FromUplink {
		s.Enters = UplinkEntrance
	}
	s.Ports, s.Uplink = append([]string{}, d.Ports...), d.Uplink
	if s.Hop.needs.metBy(d) {
		s.Verdict = Admitted
		return
	}
	if lost := s.Hop.needs.missing(d); len(lost) > 0 && len(d.Ports) > 0 {
		s.Reason += "; not heard by " + strings.Join(lost, ", ")
	}
	s.Missing = x.missing(s.Hop)
}

// node is who takes part in a conversation: a port with one of its addresses, or somebody behind
// the uplinks.
type node struct {
	place
	point   Point
	address netip.Addr // not valid if it has none of the family
}

// nodeOf returns a point as a node; its host is this one if the policy names none.
func (x *explainer) nodeOf(p Point) node {
	return node{place: p.place(p, x.Site.Host), point: p, address: p.Address}
}

// nodes returns who takes part of an end: each port once, or with each of its addresses where
// they are announced.
func (x *explainer) nodes(end End, c Conversation) []node {
	var out []node
	switch {
	case end.Outside && strings.HasPrefix(c.Word, "dhcp") && len(x.Site.DHCPServers) > 0:
		return x.at(ofFamily(x.Site.DHCPServers, c.v6)...)
	case end.Outside && c.Word == "announce":
		return append(peersBehind(x, false), peersBehind(x, true)...)
	case end.Outside:
		return peersBehind(x, c.v6)
	}
	for _, p := range end.Points {
		s := x.nodeOf(p)
		known := slices.IndexFunc(out, func(o node) bool { return o.port == s.port && o.port != "" })
		switch fits := p.Address.Is6() == c.v6; {
		case c.Word == "announce", p.Instance == "" && fits:
			out = append(out, s)
		case p.Instance == "":
		case !fits && known < 0:
			s.point.Address, s.point.Network, s.address = netip.Addr{}, "", netip.Addr{}
			s.mac = p.local.Port.MAC
			out = append(out, s)
		case fits && known < 0:
			out = append(out, s)
		case fits && !out[known].address.IsValid():
			out[known] = s
		}
	}
	return out
}

// ofFamily returns the addresses of one family.
func ofFamily(list []netip.Addr, v6 bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return a.Is6() != v6 })
}

// at returns who has some addresses.
func (x *explainer) at(addresses ...netip.Addr) []node {
	var out []node
	for _, a := range addresses {
		for _, p := range x.pointsAt(a) {
			out = append(out, x.nodeOf(p))
		}
	}
	return out
}

func noPeers(*explainer, node) []node { return nil }

func gateways4(x *explainer, _ node) []node { return x.at(gateways(x.World, false)...) }
func gateways6(x *explainer, _ node) []node { return x.at(gateways(x.World, true)...) }

// Somebody behind the uplinks, where the settings name nobody (RFC 5737, section 3; RFC 4291,
// section 2.5.6).
var (
	outsider4 = netip.AddrFrom4([4]byte{192, 0, 2, 1})
	outsider6 = netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: 1})
)

// peersBehind returns the gateways, or else somebody behind the uplinks.
func peersBehind(x *explainer, v6 bool) []node {
	if listed := gateways(x.World, v6); len(listed) > 0 {
		return x.at(listed...)
	}
	somebody := outsider4
	if v6 {
		somebody = outsider6
	}
	return []node{{point: Point{Address: somebody, mac: x.strangeMAC(somebody)},
		address: somebody, place: place{mac: x.strangeMAC(somebody)}}}
}

// routers6 returns the gateways that may advertise themselves: those with link-local addresses.
func routers6(x *explainer, _ node) []node {
	linkLocal := slices.DeleteFunc(gateways(x.World, true),
		func(a netip.Addr) bool { return !a.IsLinkLocalUnicast() })
	if len(linkLocal) > 0 {
		return x.at(linkLocal...)
	}
	return peersBehind(x, true)
}

func servers4(x *explainer, c node) []node { return x.servers(c, false) }
func servers6(x *explainer, c node) []node { return x.servers(c, true) }

// servers returns the listed DHCP servers; with none listed, somebody behind the uplinks and the
// trusted ports of the client's host.
func (x *explainer) servers(client node, v6 bool) []node {
	if len(x.Site.DHCPServers) > 0 {
		return x.at(ofFamily(x.Site.DHCPServers, v6)...)
	}
	out := peersBehind(x, v6)
	for _, at := range x.index.places().trusted {
		l := x.index.placed(at)
		if !l.Instance.IsLocal(client.host) || l.Port.Name == client.port {
			continue
		}
		for _, point := range pointsOfPort(l.Instance, l.Port) {
			if point.Address.Is6() == v6 &&
				!slices.ContainsFunc(out, func(s node) bool { return s.port == point.Port }) {
				out = append(out, x.nodeOf(point))
			}
		}
	}
	return out
}
