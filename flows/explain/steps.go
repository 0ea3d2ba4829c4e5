package explain

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// notNeeded says why a conversation works without a frame.
const (
	chosenClients    = "only guests whose link-local address is not made of the MAC need it (RFC 7217)"
	broadcastClients = "only clients that ask for broadcast answers need it, such as some boot ROMs"
)

// steps returns the steps of a frame from one node to another: one at each host that it meets.
func (x *explainer) steps(what, optional string, from, to node, p spec.Packet) []Step {
	var out []Step
	together := to
	if from.port != "" && to.port != "" { // an instance of every host is where the other is
		if to.point.Host == "" && from.point.Host != "" {
			together.host = from.host
		}
		if from.point.Host == "" && to.point.Host != "" {
			from.host = to.host
		}
	}
	for _, h := range carried(from.place, together.place, p) {
		out = append(out, Step{What: what, Optional: optional, Hop: h})
	}
	return out
}

// toWorld is a frame from a node to whoever it is for beyond its port.
func toWorld(what, optional string, from node, p spec.Packet, n needs) []Step {
	if from.port == "" {
		return nil
	}
	p.From = from.port
	return []Step{{What: what, Optional: optional, Hop: Hop{Host: from.host, Packet: p, needs: n}}}
}

func arpSteps(x *explainer, client node, peers []node) []Step {
	var out []Step
	spa := client.address
	if !spa.IsValid() {
		spa = filler4.Addr() // it asks with one that the policy does not know
	}
	for _, peer := range peers {
		if !peer.address.IsValid() || peer.port == client.port && peer.port != "" {
			continue
		}
		who := peer.point.String()
		ask := client.arp(policy.ARPRequest, policy.BroadcastMAC, spa, peer.address)
		out = append(out, x.steps("question: who has "+who+"?", "", client, peer, ask)...)
		if client.address.IsValid() {
			out = append(out, x.steps("answer of "+who, "", peer, client,
				peer.arp(policy.ARPReply, client.mac, peer.address, spa))...)
			again := client.arp(policy.ARPRequest, peer.mac, spa, peer.address)
			out = append(out, x.steps("question whether "+who+" is still there",
				"the broadcast question is asked, too", client, peer, again)...)
		}
	}
	return out
}

func ndSteps(x *explainer, client node, peers []node) []Step {
	var out []Step
	src := client.address
	if !src.IsValid() {
		src = client.mac.LinkLocal()
	}
	for _, peer := range peers {
		if !peer.address.IsValid() || peer.port == client.port && peer.port != "" {
			continue
		}
		who := peer.point.String()
		ask := spec.ND{Target: peer.address, SLL: client.mac}
		out = append(out, x.steps("question: who has "+who+"?", "", client, peer,
			x.icmp6(client, peer, policy.NeighborSolicitation, src, solicitedNode(peer.address), ask))...)
		answer := x.icmp6(peer, client, policy.NeighborAdvertisement, peer.address, src,
			spec.ND{Target: peer.address, TLL: peer.mac})
		out = append(out, x.steps("answer of "+who, "", peer, client, answer)...)
		again := x.icmp6(client, peer, policy.NeighborSolicitation, src, peer.address, ask)
		out = append(out, x.steps("question whether "+who+" is still there",
			"the question to the group is asked, too", client, peer, again)...)
	}
	if client.port != "" && client.address.IsValid() {
		detect := x.icmp6(client, client, policy.NeighborSolicitation, unspecified6, solicitedNode(src),
			spec.ND{Target: src})
		out = append(out, toWorld("question whether somebody else has "+src.String(),
			"nobody answers it where all is well", client, detect, needs{uplink: true})...)
	}
	return out
}

func dhcpSteps(x *explainer, client node, servers []node) []Step {
	discover := x.udp(client, client, netip.IPv4Unspecified(), policy.BroadcastAddr, 68, 67)
	out := x.questions("question: DHCPDISCOVER and DHCPREQUEST", "", client, servers, discover)
	for _, s := range servers {
		out = append(out, dhcpAnswerSteps(x, s, []node{client})...)
		if client.address.IsValid() && s.address.IsValid() {
			renew := x.udp(client, s, client.address, s.address, 68, 67)
			out = append(out, x.steps("renewal: DHCPREQUEST to "+s.point.String()+" alone",
				"the client asks everybody before its lease ends", client, s, renew)...)
		}
	}
	return out
}

// questions returns the frame by which a client asks whoever is a server: those who are behind the
// uplinks, and those at ports.
func (x *explainer) questions(what, optional string, client node, servers []node,
	p spec.Packet) []Step {
	var out []Step
	beyond := false
	for _, s := range servers {
		if s.port != "" || client.port == "" {
			out = append(out, x.steps(what+" to "+s.point.String(), optional, client, s, p)...)
			continue
		}
		beyond = true
	}
	if beyond || len(servers) == 0 {
		out = append(toWorld(what+" to everybody", optional, client, p, needs{uplink: true}), out...)
	}
	return out
}

// dhcpAnswerSteps is what a server says to its clients.
func dhcpAnswerSteps(x *explainer, server node, clients []node) []Step {
	var out []Step
	for _, c := range clients {
		if !c.address.IsValid() || !server.address.IsValid() {
			continue
		}
		what := "answer: DHCPOFFER and DHCPACK of " + server.point.String() + " to "
		out = append(out, x.steps(what+c.point.String(), "", server, c,
			x.udp(server, c, server.address, c.address, 67, 68))...)
		all := x.udp(server, c, server.address, policy.BroadcastAddr, 67, 68)
		out = append(out, x.steps(what+"everybody", broadcastClients, server, c, all)...)
		all.DstMAC = c.mac
		out = append(out, x.steps(what+"255.255.255.255 at the client's MAC", broadcastClients, server, c,
			all)...)
	}
	return out
}

func dhcp6Steps(x *explainer, client node, servers []node) []Step {
	ask := func(optional string, src netip.Addr) []Step {
		p := x.udp(client, client, src, policy.DHCPv6ServersAddr, 546, 547)
		return x.questions("question: SOLICIT, REQUEST and RENEW from "+src.String(), optional, client,
			servers, p)
	}
	out := ask("", client.mac.LinkLocal())
	if client.port != "" {
		out = append(out, ask(chosenClients, chosenAddress)...)
	}
	for _, s := range servers {
		out = append(out, dhcp6AnswerSteps(x, s, []node{client})...)
	}
	return out
}

func dhcp6AnswerSteps(x *explainer, server node, clients []node) []Step {
	var out []Step
	for _, c := range clients {
		answer := func(optional string, to netip.Addr) {
			p := x.udp(server, c, server.address, to, 547, 546)
			out = append(out, x.steps("answer: ADVERTISE and REPLY of "+server.point.String()+" to "+
				to.String(), optional, server, c, p)...)
		}
		if server.address.IsValid() {
			answer("", c.mac.LinkLocal())
			answer(chosenClients, chosenAddress)
		}
	}
	return out
}

func raSteps(x *explainer, client node, routers []node) []Step {
	var out []Step
	ask := func(optional string, src netip.Addr) {
		p := x.icmp6(client, client, policy.RouterSolicitation, src, allRouters, spec.ND{})
		out = append(out, x.questions("question: router solicitation from "+src.String(), optional,
			client, routers, p)...)
	}
	ask("", client.mac.LinkLocal())
	ask("hosts ask again when they have an address", unspecified6)
	ask(chosenClients, chosenAddress)
	for _, r := range routers {
		src := r.address
		if !src.IsLinkLocalUnicast() {
			src = r.mac.LinkLocal() // RFC 4861, section 4.2
		}
		what := "answer: router advertisement of " + r.point.String() + " to "
		out = append(out, x.steps(what+"everybody", "", r, client,
			x.icmp6(r, client, policy.RouterAdvertisement, src, allNodes, spec.ND{}))...)
		one := x.icmp6(r, client, policy.RouterAdvertisement, src, client.mac.LinkLocal(), spec.ND{})
		out = append(out, x.steps(what+"the client alone",
			"routers advertise themselves to everybody, too", r, client, one)...)
	}
	return out
}

func mldSteps(x *explainer, client node, routers []node) []Step {
	var out []Step
	tell := func(what, optional string, kind uint8, src, dst netip.Addr) {
		p := x.icmp6(client, client, kind, src, dst, spec.ND{})
		out = append(out, toWorld(what, optional, client, p, needs{uplink: true})...)
	}
	own, group := client.mac.LinkLocal(), solicitedNode(client.mac.LinkLocal())
	tell("report: MLDv2 of its groups", "", policy.ListenerReportV2, own, allMLDv2)
	tell("report: MLDv2 before it has an address", "the report is sent again with the address",
		policy.ListenerReportV2, unspecified6, allMLDv2)
	tell("report: MLDv2 from "+chosenAddress.String(), chosenClients, policy.ListenerReportV2,
		chosenAddress, allMLDv2)
	tell("report: MLDv1", "where a querier speaks MLDv1 only", policy.ListenerReport, own, group)
	tell("done: MLDv1", "where a querier speaks MLDv1 only", policy.ListenerDone, own, allRouters)
	for _, r := range routers {
		src := r.address
		if !src.IsLinkLocalUnicast() {
			src = r.mac.LinkLocal() // RFC 3810, section 5.1.14
		}
		out = append(out, x.steps("query of "+r.point.String(), "", r, client,
			x.icmp6(r, client, policy.ListenerQuery, src, allNodes, spec.ND{}))...)
	}
	return out
}

func rarpSteps(x *explainer, client node, _ []node) []Step {
	p := spec.Packet{SrcMAC: client.mac, DstMAC: policy.BroadcastMAC, EtherType: policy.EtherRARP,
		ARP: spec.ARP{Op: policy.RARPRequest, SHA: client.mac, THA: client.mac,
			SPA: netip.IPv4Unspecified(), TPA: netip.IPv4Unspecified()}}
	return toWorld("RARP with the port's MAC", "", client, p, needs{uplink: true})
}

// etherSteps is what hosts say by another EtherType: to a group if nobody is named, and what is
// said so to them.
func etherSteps(t uint16) func(*explainer, node, []node) []Step {
	return func(x *explainer, client node, peers []node) []Step {
		if len(peers) == 0 {
			behind := peersBehind(x, false)[0]
			out := toWorld("frame to everybody", "", client,
				spec.Packet{SrcMAC: client.mac, DstMAC: policy.BroadcastMAC, EtherType: t}, needs{uplink: true})
			return append(out, x.steps("frame from outside to everybody", "", behind, client,
				spec.Packet{SrcMAC: behind.mac, DstMAC: policy.BroadcastMAC, EtherType: t})...)
		}
		var out []Step
		for _, peer := range peers {
			out = append(out, x.steps("frame to "+peer.point.String(), "", client, peer,
				spec.Packet{SrcMAC: client.mac, DstMAC: peer.mac, EtherType: t})...)
			out = append(out, x.steps("frame of "+peer.point.String(), "", peer, client,
				spec.Packet{SrcMAC: peer.mac, DstMAC: client.mac, EtherType: t})...)
		}
		return out
	}
}

// announceSteps is by what frames a node says that an address is at its MAC now. Of an own
// address nobody at the hosts of the policy needs to hear: they know its MAC by the policy.
func announceSteps(x *explainer, client node, hear []node) []Step {
	a := client.address
	if a.Is4() {
		ask, tell := client.arp(policy.ARPRequest, policy.BroadcastMAC, a, a),
			client.arp(policy.ARPReply, policy.BroadcastMAC, a, a)
		optional := ""
		single := func(u policy.Use) bool { return u.Prefix.Contains(a) && u.Prefix.IsSingleIP() }
		if client.port != "" && usesPair(client.point.local.Port, client.mac, a) &&
			!slices.ContainsFunc(client.point.local.Port.Uses(), single) {
			optional = "each address of a network is announced by replies"
		}
		return append(x.announcement("announcement: gratuitous ARP request", optional, client, hear, ask),
			x.announcement("announcement: gratuitous ARP reply", "", client, hear, tell)...)
	}
	return x.announcement("announcement: unsolicited neighbour advertisement", "", client, hear,
		x.icmp6(client, client, policy.NeighborAdvertisement, a, allNodes,
			spec.ND{Target: a, TLL: client.mac}))
}

// announcement is a frame to everybody: at the host of its sender, and at others where somebody
// must hear.
func (x *explainer) announcement(what, optional string, client node, hear []node,
	p spec.Packet) []Step {
	var out []Step
	for _, to := range hear {
		out = append(out, x.steps(what+" to "+to.point.String(), optional, client, to, p)...)
	}
	if len(hear) > 0 {
		return out
	}
	own := client.port != "" && client.point.local.Port.Owns(client.address)
	if client.port != "" {
		n := needs{uplink: true}
		if !own {
			n.ports = x.having(client.host, client.address.Is6(), client.port)
		}
		out = toWorld(what, optional, client, p, n)
	}
	p.From, p.FromUplink = "", true
	for _, host := range x.hostsBeside(client) {
		if n := (needs{ports: x.having(host, client.address.Is6(), client.port)}); !own &&
			len(n.ports) > 0 {
			out = append(out, Step{What: what, Optional: optional,
				Hop: Hop{Host: host, Packet: p, needs: n}})
		}
	}
	return out
}

// having returns the ports of a host that have an address of a family, but one.
func (x *explainer) having(host string, v6 bool, but string) []string {
	var out []string
	for _, at := range x.index.local(host) {
		i := x.Policy.Instances[at]
		for n := range i.Ports {
			p := &i.Ports[n]
			if has := p.HasIPv6() && v6 || p.HasIPv4() && !v6; has && p.Name != but {
				out = append(out, p.Name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// hostsBeside returns the hosts that an announcement comes to by their uplinks: this one, and those
// of ports that may use the address.
func (x *explainer) hostsBeside(client node) []string {
	hosts := []string{x.Site.Host}
	for _, p := range x.pointsAt(client.address) {
		if p.Host != "" {
			hosts = append(hosts, p.Host)
		}
	}
	slices.Sort(hosts)
	return slices.DeleteFunc(slices.Compact(hosts), func(h string) bool { return h == client.host })
}

// dhcpBeside returns what becomes of the packets of a question that DHCP sends, whose source port
// is not that of other connections, where it is something else: clients speak to some servers past
// the rules, and servers to clients. That instances are no servers is told only where it is asked
// about.
func (x *explainer) dhcpBeside(r Route, s Asked) []Step {
	from, to := r.Pairs[0].From, r.Pairs[0].To
	asked := s.Of(from.Address.Is6())
	if nowhere(from, to) != "" || len(asked) == 0 {
		return nil
	}
	roles := []dhcpRole{{"a DHCP client", 68, 67}, {"a DHCP server", 67, 68}}
	if from.Address.Is6() {
		roles = []dhcpRole{{"a DHCPv6 client", 546, 547}, {"a DHCPv6 server", 547, 546}}
	}
	var out []Step
	for _, role := range roles {
		p := opening(from, to, asked)
		p.Tuple = spec.Tuple{Src: from.Address, Dst: to.Address, Protocol: uint8(policy.UDP),
			SrcPort: role.from, DstPort: role.to}
		if !asked.Contains(p.Tuple) {
			continue
		}
		steps := x.roleSteps(role, from, to, p)
		passes := !slices.ContainsFunc(steps, func(s Step) bool { return s.Verdict != Admitted })
		if admitted := r.Services.Contains(p.Tuple); len(steps) > 0 && passes != admitted &&
			(passes || s.IsOne()) {
			out = append(out, steps...)
		}
	}
	return out
}

// dhcpRole is who speaks by which ports (RFC 2131, section 4.1; RFC 8415, section 7.2).
type dhcpRole struct {
	who      string
	from, to uint16
}

func (x *explainer) roleSteps(role dhcpRole, from, to Point, p spec.Packet) []Step {
	var out []Step
	for _, h := range hops(from.place(to, x.Site.Host), to.place(from, x.Site.Host), p) {
		s := Step{What: fmt.Sprintf("if it is of %s, from source port %d", role.who, role.from), Hop: h}
		x.judgeStep(&s)
		out = append(out, s)
	}
	return out
}
