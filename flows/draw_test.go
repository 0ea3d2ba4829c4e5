package flows_test

import (
	"fmt"
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// The random worlds are small, so that what they draw meets: few addresses, few ports, boundaries preferred.
var (
	hosts4   = nets("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6")
	hosts6   = nets("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5", "2001:db8::6")
	outside  = nets("10.0.0.0", "10.0.0.7", "10.0.0.8", "192.0.2.1", "2001:db8::8", "2001:db9::1", "fe80::1", "10.0.0.254")
	networks = nets("0.0.0.0/0", "10.0.0.0/24", "10.0.0.0/30", "10.0.0.2/31", "10.0.0.2", "192.0.2.0/24", "::/0", "2001:db8::/32", "2001:db8::2/127", "2001:db8::3", "fe80::/10")
	// Link-local addresses: chosen by hosts, made of a MAC, numbered by hand, and of no use.
	linkLocals = nets("fe80::1c3a:55ff:1234:9abc", "fe80::a:b:c:d", "fe80::9:8:7:6", "fe80::ff:fe00:2", "fe80::ff:fe00:99", "fe80::2", "fe80:0:0:1::5")
	ports      = []uint16{1, 2, 22, 67, 68, 79, 80, 81, 443, 444, 546, 547, 1023, 1024, 32768, 65534, 65535}
	protocols  = []policy.Protocol{policy.AnyProtocol, policy.TCP, policy.UDP, policy.SCTP, policy.ICMP, policy.ICMPv6, policy.GRE, policy.ESP, 44, 0, 2}
	site       = policy.Site{Host: "h", Gateways: []netip.Addr{netip.MustParseAddr("10.0.0.254"), netip.MustParseAddr("fe80::1")}}
)

// drawNarrow draws how little is too much: how few bits the hashes have, and how few clauses and outputs
// go into one flow. Some compilers are as they are.
func drawNarrow(t *rapid.T) flows.Narrow {
	return flows.Narrow{Bits: rapid.SampledFrom([]int{0, 1, 3, 6, 48, 48}).Draw(t, "bits of the hashes"), Pages: 1000,
		Clauses: rapid.SampledFrom([]int{1, 1, 2, 4000}).Draw(t, "clauses"), List: rapid.SampledFrom([]int{2, 3, 4000}).Draw(t, "outputs")}
}

// compileNarrow compiles so.
func compileNarrow(t *rapid.T, n flows.Narrow, in flows.Input) *flows.Program {
	c := flows.NewNarrow(n)
	if _, err := c.Update(in); err != nil {
		t.Fatal(err)
	}
	p := c.Program()
	if len(p.LeftOut) > 0 {
		t.Fatal(p.LeftOut)
	}
	return p
}

func drawWorld(t *rapid.T) policy.World {
	w := policy.World{Policy: &policy.Policy{}, Site: site}
	if rapid.Bool().Draw(t, "list servers") {
		w.Site.DHCPServers = []netip.Addr{netip.MustParseAddr("10.0.0.254"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("192.0.2.1")}
	}
	if rapid.Bool().Draw(t, "gateway that chose its address") {
		w.Site.Gateways = append(slices.Clone(site.Gateways), linkLocals[2].Addr())
	}
	if rapid.IntRange(0, 2).Draw(t, "strict") == 0 {
		w.Site.UplinkSources = policy.StrictSources
	}
	names := []string{"g0", "g1", "g2"}[:rapid.IntRange(1, 3).Draw(t, "groups")]
	for _, name := range names {
		g := &policy.Group{Name: name, Rules: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policy.Rule { return drawRule(t, names) }), 0, 5).Draw(t, "rules")}
		g.ExternalSources = masked(rapid.SliceOfNDistinct(rapid.SampledFrom(networks), 0, 2, rapid.ID).Draw(t, "sources"))
		w.Policy.Groups = append(w.Policy.Groups, g)
	}
	for n := range rapid.IntRange(1, 5).Draw(t, "instances") {
		w.Policy.Instances = append(w.Policy.Instances, drawInstance(t, n, names))
	}
	return w
}

func drawRule(t *rapid.T, groups []string) policy.Rule {
	r := policy.Rule{Direction: rapid.SampledFrom([]policy.Direction{policy.Ingress, policy.Egress}).Draw(t, "direction"),
		Protocol: rapid.SampledFrom(protocols).Draw(t, "protocol"), ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP}
	if r.Protocol.HasPorts() {
		a, b := rapid.SampledFrom(ports).Draw(t, "first"), rapid.SampledFrom(ports).Draw(t, "last")
		r.Ports = policy.PortRange{First: min(a, b), Last: max(a, b)}
	}
	if r.Protocol.HasTypes() {
		r.ICMPType = int16(rapid.SampledFrom([]int{-1, 0, 3, 8, 128, 129}).Draw(t, "type"))
		if r.ICMPType >= 0 {
			r.ICMPCode = int16(rapid.IntRange(-1, 1).Draw(t, "code"))
		}
	}
	if rapid.Bool().Draw(t, "group peer") {
		r.Peer.Group = rapid.SampledFrom(groups).Draw(t, "group")
		return r
	}
	fits := func(p netip.Prefix) bool {
		return !(r.Protocol == policy.ICMP && p.Addr().Is6() || r.Protocol == policy.ICMPv6 && p.Addr().Is4())
	}
	r.Peer.CIDR = rapid.SampledFrom(only(networks, fits)).Draw(t, "cidr").Masked()
	return r
}

func masked(list []netip.Prefix) []netip.Prefix {
	for i, p := range list {
		list[i] = p.Masked()
	}
	return list
}

func only(list []netip.Prefix, fits func(netip.Prefix) bool) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(list), func(p netip.Prefix) bool { return !fits(p) })
}

func drawInstance(t *rapid.T, n int, groups []string) *policy.Instance {
	p := policy.Port{Name: fmt.Sprintf("p%d", n), MAC: policy.MAC{2, 0, 0, 0, 0, byte(n + 1)}}
	kind := rapid.IntRange(0, 9).Draw(t, "addresses")
	if kind != 1 && kind != 9 {
		p.Addresses = append(p.Addresses, hosts4[n])
	}
	if kind < 5 {
		p.Addresses = append(p.Addresses, hosts6[n])
	}
	virtual := policy.MAC{0, 0, 0x5e, 0, 1, 5}
	for range rapid.IntRange(0, 2).Draw(t, "allowed") {
		a := policy.AllowedAddress{Prefix: rapid.SampledFrom(nets("10.0.0.7", "10.0.0.4/30", "2001:db8::8", "10.0.0.2", "2001:db8::4/126", "fe80::a:b:c:d", "fe80::/16")).Draw(t, "allowed network")}
		if rapid.Bool().Draw(t, "virtual MAC") {
			a.MAC = virtual
		}
		p.Allowed = append(p.Allowed, a)
	}
	p.Trusted = rapid.IntRange(0, 5).Draw(t, "trusted") == 0
	if rapid.IntRange(0, 3).Draw(t, "ethertypes") == 0 {
		p.EtherTypes = rapid.SampledFrom([][]uint16{{0x88b5}, {0x88b5, policy.EtherRARP}, {policy.EtherRARP}}).Draw(t, "listed")
	}
	return &policy.Instance{Name: fmt.Sprintf("i%d", n), Host: rapid.SampledFrom([]string{"h", "", "h", "x"}).Draw(t, "host"),
		Groups: rapid.SliceOfNDistinct(rapid.SampledFrom(groups), 0, len(groups), rapid.ID).Draw(t, "member of"), Ports: []policy.Port{p}}
}

// drawPacket draws a packet: mostly one that is aimed at a rule, else any honest packet of a host, half of them bent in a field or two.
func drawPacket(t *rapid.T, w policy.World) policy.Packet {
	if aim := rapid.IntRange(0, 9).Draw(t, "aim"); aim < 6 {
		if p, ok := drawAimed(t, w); ok {
			switch aim {
			case 0:
				bend(t, &p)
			case 1: // somebody outside claims to be the sender
				p.From, p.FromUplink, p.SrcMAC = "", true, policy.MAC{2, 9, 9, 9, 9, 9}
			}
			return p
		}
	}
	p := drawAny(t, w)
	drawConntrack(t, &p, w)
	return p
}

// drawAimed draws a packet that a rule of a port here is about, or nearly; half the time it is the reply.
func drawAimed(t *rapid.T, w policy.World) (policy.Packet, bool) {
	at, r, ok := drawTarget(t, w)
	if !ok {
		return policy.Packet{}, false
	}
	peer, address, ok := drawPeer(t, w, r.Peer)
	own := only(at.addresses, func(p netip.Prefix) bool { return p.Addr().Is4() == address.Is4() })
	if !ok || len(own) == 0 {
		return policy.Packet{}, false
	}
	tuple := policy.Tuple{Src: address, Dst: rapid.SampledFrom(own).Draw(t, "own").Addr(),
		Protocol: uint8(rapid.SampledFrom(protocols[1:]).Draw(t, "protocol"))}
	from, to := peer, at
	if r.Direction == policy.Egress {
		from, to, tuple.Src, tuple.Dst = at, peer, tuple.Dst, tuple.Src
	}
	serve(t, &tuple, r)
	p := policy.Packet{EtherType: policy.EtherIPv4, HopLimit: 64, Tuple: tuple, Fragment: rapid.SampledFrom([]policy.Fragment{0, 0, 0, 0, 0, 0, policy.FirstFragment, policy.LaterFragment}).Draw(t, "fragment")}
	if address.Is6() {
		p.EtherType = policy.EtherIPv6
	}
	side := rapid.SampledFrom([]policy.Side{policy.Unknown, policy.Unknown, policy.OriginalSide, policy.ReplySide, policy.ReplySide}).Draw(t, "side")
	if side == policy.ReplySide {
		from, to, p.Tuple = to, from, answer(tuple)
	}
	p.From, p.FromUplink, p.SrcMAC, p.DstMAC = from.port, from.port == "", from.mac, to.mac
	p.Conntrack = map[string]policy.Connection{}
	for _, h := range []host{from, to} {
		if rapid.IntRange(0, 5).Draw(t, "known") > 0 {
			p.Conntrack[h.port] = policy.Connection{Side: side, Original: tuple}
		}
	}
	return p, true
}

// host is a sender or receiver: a local port, or, with no name, somebody behind the uplink.
type host struct {
	port      string
	mac       policy.MAC
	addresses []netip.Prefix
}

func hostOf(i *policy.Instance) host {
	h := host{mac: i.Ports[0].MAC, addresses: i.Ports[0].Addresses}
	if i.IsLocal("h") {
		h.port = i.Ports[0].Name
	}
	return h
}

// drawTarget draws a port here and a rule of one of its groups.
func drawTarget(t *rapid.T, w policy.World) (host, policy.Rule, bool) {
	type pair struct {
		at   host
		rule policy.Rule
	}
	var pairs []pair
	for _, i := range w.Policy.Instances {
		for _, g := range w.Policy.Groups {
			for _, r := range g.Rules {
				if slices.Contains(i.Groups, g.Name) && i.IsLocal("h") && !i.Ports[0].Trusted {
					pairs = append(pairs, pair{hostOf(i), r})
				}
			}
		}
	}
	if len(pairs) == 0 {
		return host{}, policy.Rule{}, false
	}
	p := rapid.SampledFrom(pairs).Draw(t, "target")
	return p.at, p.rule, true
}

// drawPeer draws an address of a rule's peer, or one just outside, and who has it.
func drawPeer(t *rapid.T, w policy.World, p policy.Peer) (host, netip.Addr, bool) {
	in := []netip.Prefix{p.CIDR}
	if p.Group != "" {
		in = w.Policy.Members()[p.Group]
	}
	if len(in) == 0 {
		return host{}, netip.Addr{}, false
	}
	network := rapid.SampledFrom(in).Draw(t, "peer")
	candidates := []netip.Addr{network.Addr().Next(), network.Addr(), network.Addr()}
	for _, a := range slices.Concat(hosts4, hosts6, outside) {
		if network.Contains(a.Addr()) {
			candidates = append(candidates, a.Addr())
		}
	}
	address := rapid.SampledFrom(candidates).Draw(t, "peer address")
	for _, i := range w.Policy.Instances {
		if slices.ContainsFunc(i.Ports[0].Addresses, func(own netip.Prefix) bool { return own.Contains(address) }) {
			return hostOf(i), address, true
		}
	}
	return host{mac: policy.MAC{2, 9, 9, 9, 9, 9}}, address, true
}

// serve gives a connection the service of a rule, or one just beside it.
func serve(t *rapid.T, tuple *policy.Tuple, r policy.Rule) {
	if r.Protocol != policy.AnyProtocol {
		tuple.Protocol = uint8(r.Protocol)
	}
	near := rapid.SampledFrom([]uint16{r.Ports.First, r.Ports.Last, r.Ports.First, r.Ports.Last, r.Ports.First - 1, r.Ports.Last + 1}).Draw(t, "port")
	switch p := policy.Protocol(tuple.Protocol); {
	case p.HasPorts():
		tuple.SrcPort, tuple.DstPort = 4000, near
	case p == policy.ICMP && tuple.Src.Is4(), p == policy.ICMPv6 && tuple.Src.Is6():
		tuple.ICMPType, tuple.ICMPCode = uint8(max(0, r.ICMPType)), uint8(max(0, r.ICMPCode))
		if tuple.ICMPType == 0 || rapid.IntRange(0, 4).Draw(t, "echo") == 0 {
			tuple.ICMPType = family(tuple.Src, 8, 128)
		}
	}
}

func family(a netip.Addr, v4, v6 uint8) uint8 {
	if a.Is4() {
		return v4
	}
	return v6
}

// answer returns the tuple of the replies.
func answer(t policy.Tuple) policy.Tuple {
	t.Src, t.Dst, t.SrcPort, t.DstPort = t.Dst, t.Src, t.DstPort, t.SrcPort
	switch t.ICMPType {
	case 8:
		t.ICMPType = 0
	case 128:
		t.ICMPType = 129
	}
	return t
}

func drawAny(t *rapid.T, w policy.World) policy.Packet {
	from := rapid.IntRange(-1, len(w.Policy.Instances)-1).Draw(t, "from")
	p := policy.Packet{FromUplink: true, SrcMAC: policy.MAC{2, 9, 9, 9, 9, 9}, HopLimit: 255}
	own := outside
	if from >= 0 {
		port := w.Policy.Instances[from].Ports[0]
		p.FromUplink, p.From, p.SrcMAC = !w.Policy.Instances[from].IsLocal("h"), port.Name, port.MAC
		own = nil
		for _, u := range port.Uses() {
			own = append(own, u.Prefix)
		}
		own = append(own, outside[0])
	}
	target := policy.MAC{2, 0, 0, 0, 0, byte(rapid.IntRange(1, 7).Draw(t, "to"))}
	p.DstMAC = rapid.SampledFrom([]policy.MAC{target, target, target, policy.BroadcastMAC, policy.AllNodesMAC, policy.DHCPv6MAC,
		{0, 0, 0x5e, 0, 1, 5}, {0x33, 0x33, 0xff, 0, 0, 1}}).Draw(t, "destination MAC")
	own = append(own, linkLocals[rapid.IntRange(0, len(linkLocals)-1).Draw(t, "link-local")])
	src := rapid.SampledFrom(own).Draw(t, "source").Addr()
	sameFamily := func(d netip.Prefix) bool { return d.Addr().Is4() == src.Is4() }
	dst := rapid.SampledFrom(only(slices.Concat(hosts4, hosts6, hosts4, hosts6, outside), sameFamily)).Draw(t, "destination").Addr()
	if host := slices.IndexFunc(slices.Concat(hosts4, hosts6), func(h netip.Prefix) bool { return h.Addr() == dst }); host >= 0 && rapid.IntRange(0, 3).Draw(t, "right MAC") > 0 {
		p.DstMAC = policy.MAC{2, 0, 0, 0, 0, byte(host%len(hosts4) + 1)}
	}
	switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
	case kind == 0:
		p.EtherType = rapid.SampledFrom([]uint16{0x88b5, 0x88cc}).Draw(t, "ethertype")
	case kind == 1 && rapid.IntRange(0, 3).Draw(t, "RARP") == 0:
		p.EtherType, p.DstMAC = policy.EtherRARP, rapid.SampledFrom([]policy.MAC{policy.BroadcastMAC, target}).Draw(t, "RARP to")
		p.ARP = policy.ARP{Op: uint16(rapid.IntRange(2, 4).Draw(t, "op")), SHA: p.SrcMAC, SPA: netip.IPv4Unspecified(), TPA: netip.IPv4Unspecified()}
	case kind <= 2 && src.Is4():
		p.EtherType = policy.EtherARP
		p.ARP = policy.ARP{Op: uint16(rapid.IntRange(1, 3).Draw(t, "op")), SHA: p.SrcMAC, SPA: src, TPA: rapid.SampledFrom([]netip.Addr{dst, src}).Draw(t, "tpa")}
		drawAnnouncement(t, &p, w)
	case kind <= 2 && rapid.IntRange(0, 3).Draw(t, "listener") == 0:
		drawListener(t, &p, src)
	case kind <= 2:
		drawND(t, &p, src, dst)
		drawAnnouncement(t, &p, w)
	default:
		drawIP(t, &p, src, dst)
	}
	for range rapid.IntRange(0, 3).Draw(t, "bends") - 1 {
		bend(t, &p)
	}
	return p
}

func drawND(t *rapid.T, p *policy.Packet, src, dst netip.Addr) {
	p.EtherType = policy.EtherIPv6
	p.Tuple = policy.Tuple{Src: src, Dst: dst, Protocol: 58, ICMPType: uint8(rapid.IntRange(133, 137).Draw(t, "nd"))}
	targets := []netip.Addr{dst, src, netip.MustParseAddr("fe80::1"), netip.IPv6Unspecified(), linkLocals[0].Addr(), linkLocals[1].Addr(),
		linkLocals[2].Addr(), linkLocals[3].Addr()}
	p.ND.Target = rapid.SampledFrom(targets).Draw(t, "target")
	if p.ICMPType == policy.NeighborSolicitation && rapid.Bool().Draw(t, "to the group") {
		p.Dst, p.DstMAC = netip.MustParseAddr("ff02::1:ff00:1"), policy.MAC{0x33, 0x33, 0xff, 0, 0, 1}
	}
	if p.ICMPType == policy.RouterSolicitation && rapid.Bool().Draw(t, "from nobody") {
		p.Src = netip.IPv6Unspecified()
	}
	if p.ICMPType == policy.NeighborSolicitation && rapid.Bool().Draw(t, "dad") {
		p.Src, p.Dst, p.ND.Target = netip.IPv6Unspecified(), netip.MustParseAddr("ff02::1:ff00:1"), src
	}
	if p.ICMPType == policy.NeighborAdvertisement && rapid.Bool().Draw(t, "announce") {
		p.DstMAC, p.Dst = policy.AllNodesMAC, netip.MustParseAddr("ff02::1")
		p.ND.Target = rapid.SampledFrom([]netip.Addr{netip.MustParseAddr("fe80::1"), src}).Draw(t, "announced")
	}
	macs := []policy.MAC{{}, p.SrcMAC}
	p.ND.SLL, p.ND.TLL = rapid.SampledFrom(macs).Draw(t, "sll"), rapid.SampledFrom(macs).Draw(t, "tll")
	if p.ICMPType != policy.NeighborSolicitation && p.ICMPType != policy.NeighborAdvertisement {
		p.ND = policy.ND{}
	}
}

// drawListener draws multicast listener discovery (RFC 3810): an instance's report or a query.
func drawListener(t *rapid.T, p *policy.Packet, src netip.Addr) {
	p.EtherType, p.HopLimit, p.DstMAC = policy.EtherIPv6, 1, policy.MAC{0x33, 0x33, 0, 0, 0, 0x16}
	p.Tuple = policy.Tuple{Src: src, Dst: netip.MustParseAddr("ff02::16"), Protocol: uint8(policy.ICMPv6),
		ICMPType: rapid.SampledFrom([]uint8{130, 131, 132, 143, 144}).Draw(t, "listener type")}
	if rapid.IntRange(0, 3).Draw(t, "from nobody") == 0 {
		p.Src = netip.IPv6Unspecified()
	}
}

// drawAnnouncement turns some ARP and advertisements into what says that an allowed address moved.
func drawAnnouncement(t *rapid.T, p *policy.Packet, w policy.World) {
	var moved []policy.Use
	for _, i := range w.Policy.Instances {
		listed := i.Ports[0].Listed()[len(i.Ports[0].Addresses):]
		for _, u := range listed {
			if u.Prefix.Addr().Is4() == (p.EtherType == policy.EtherARP) {
				moved = append(moved, u)
			}
		}
	}
	if len(moved) == 0 || rapid.IntRange(0, 2).Draw(t, "moves") > 0 {
		return
	}
	u := rapid.SampledFrom(moved).Draw(t, "moved")
	p.SrcMAC, p.DstMAC = u.MAC, policy.BroadcastMAC
	p.ARP.SHA, p.ARP.SPA, p.ARP.TPA = u.MAC, u.Prefix.Addr(), u.Prefix.Addr()
	if p.EtherType == policy.EtherIPv6 {
		p.DstMAC, p.ARP = policy.AllNodesMAC, policy.ARP{}
		p.Tuple = policy.Tuple{Src: u.Prefix.Addr(), Dst: netip.MustParseAddr("ff02::1"), Protocol: uint8(policy.ICMPv6),
			ICMPType: policy.NeighborAdvertisement}
		p.ND = policy.ND{Target: u.Prefix.Addr(), TLL: u.MAC}
	}
}

func drawIP(t *rapid.T, p *policy.Packet, src, dst netip.Addr) {
	p.EtherType = policy.EtherIPv4
	if src.Is6() {
		p.EtherType = policy.EtherIPv6
	}
	p.Tuple = policy.Tuple{Src: src, Dst: dst, Protocol: uint8(rapid.SampledFrom(protocols[1:]).Draw(t, "protocol"))}
	p.Fragment = rapid.SampledFrom([]policy.Fragment{0, 0, 0, 0, 0, policy.FirstFragment, policy.LaterFragment}).Draw(t, "fragment")
	switch pr := policy.Protocol(p.Protocol); {
	case pr.HasPorts():
		p.SrcPort, p.DstPort = rapid.SampledFrom(ports).Draw(t, "from port"), rapid.SampledFrom(ports).Draw(t, "to port")
		drawDHCP(t, p)
	case pr == policy.ICMP && src.Is4(), pr == policy.ICMPv6 && src.Is6():
		p.ICMPType, p.ICMPCode = rapid.SampledFrom([]uint8{0, 3, 8, 128, 129}).Draw(t, "type"), uint8(rapid.IntRange(0, 1).Draw(t, "code"))
	}
}

// drawDHCP turns some UDP into what DHCP clients and servers say.
func drawDHCP(t *rapid.T, p *policy.Packet) {
	kind := rapid.IntRange(0, 5).Draw(t, "dhcp")
	if p.Protocol != uint8(policy.UDP) || kind > 2 {
		return
	}
	client, server := uint16(68), uint16(67)
	if p.Src.Is6() {
		client, server = 546, 547
	}
	p.SrcPort, p.DstPort = client, server
	switch kind {
	case 0:
		p.SrcPort, p.DstPort = server, client
		if answered := rapid.IntRange(0, 3).Draw(t, "answered"); answered == 0 && p.Src.Is4() {
			p.Dst = netip.MustParseAddr("255.255.255.255")
		} else if answered < 2 && p.Src.Is6() {
			p.Dst = rapid.SampledFrom(append(linkLocals[:4:4], netip.PrefixFrom(p.DstMAC.LinkLocal(), 128))).Draw(t, "answered at").Addr()
		}
	case 2:
		p.Dst = netip.MustParseAddr("fe80::1")
		if p.Src.Is4() {
			p.Dst = netip.MustParseAddr("10.0.0.254")
		}
	case 1:
		if p.Dst, p.DstMAC = netip.MustParseAddr("ff02::1:2"), policy.DHCPv6MAC; p.Src.Is4() {
			p.Dst, p.DstMAC = netip.MustParseAddr("255.255.255.255"), policy.BroadcastMAC
			if rapid.Bool().Draw(t, "discover") {
				p.Src = netip.IPv4Unspecified()
			}
		}
	}
}

// bend makes a packet dishonest in one respect.
func bend(t *rapid.T, p *policy.Packet) {
	other := policy.MAC{2, 0, 0, 0, 0, byte(rapid.IntRange(1, 4).Draw(t, "other MAC"))}
	address := rapid.SampledFrom(slices.Concat(hosts4, hosts6)).Draw(t, "other address").Addr()
	switch rapid.IntRange(0, 11).Draw(t, "bend") {
	case 0:
		p.SrcMAC = other
	case 1:
		p.Tagged = true
	case 2:
		p.SrcMAC[0] |= 1
	case 3:
		p.ARP.SHA = bentMAC(p.EtherType == policy.EtherARP || p.EtherType == policy.EtherRARP, other)
	case 4:
		if p.EtherType == policy.EtherARP && address.Is4() {
			p.ARP.SPA = rapid.SampledFrom([]netip.Addr{address, netip.IPv4Unspecified()}).Draw(t, "spa")
		}
	case 5:
		if p.Src.IsValid() && p.Src.Is4() == address.Is4() {
			p.Src = address
		}
	case 6:
		p.HopLimit = 64
	case 7:
		if p.IsNeighborDiscovery() {
			p.ICMPCode, p.ND = 1, policy.ND{}
			p.ND.Target = netip.IPv6Unspecified()
		}
	case 8:
		nd := p.IsNeighborDiscovery() && p.ICMPCode == 0 && (p.ICMPType == policy.NeighborSolicitation || p.ICMPType == policy.NeighborAdvertisement)
		p.ND.SLL, p.ND.TLL = bentMAC(nd, other), bentMAC(nd, other)
	case 10:
		p.Priority = true
	case 11:
		p.HopLimit = 1
	case 9:
		p.DstMAC = policy.MAC{1, 0, 0x5e, 0, 0, 1}
	}
}

func bentMAC(applies bool, m policy.MAC) policy.MAC {
	if applies {
		return m
	}
	return policy.MAC{}
}

// drawConntrack lets the zones of the local ports know the packet, or not.
func drawConntrack(t *rapid.T, p *policy.Packet, w policy.World) {
	p.Conntrack = map[string]policy.Connection{}
	if !p.Src.IsValid() {
		return
	}
	for _, i := range w.Policy.Instances {
		side := rapid.SampledFrom([]policy.Side{policy.Unknown, policy.Unknown, policy.OriginalSide, policy.ReplySide, policy.RelatedOriginal,
			policy.RelatedReply, policy.Invalid}).Draw(t, "side")
		c := policy.Connection{Side: side}
		switch side {
		case policy.OriginalSide:
			c.Original = p.Tuple
		case policy.ReplySide:
			c.Original = reversed(p.Tuple)
		case policy.RelatedOriginal, policy.RelatedReply:
			if p.Protocol != uint8(policy.ICMP) && p.Protocol != uint8(policy.ICMPv6) || p.Fragment != policy.Whole {
				c.Side = policy.Unknown
				break
			}
			c.Original = policy.Tuple{Src: p.Dst, Dst: p.Src, Protocol: uint8(policy.TCP), SrcPort: 4000, DstPort: rapid.SampledFrom(ports).Draw(t, "parent port")}
		}
		p.Conntrack[i.Ports[0].Name] = c
	}
}

func reversed(t policy.Tuple) policy.Tuple {
	t = answer(t)
	switch {
	case t.Protocol == uint8(policy.ICMP) && t.ICMPType == 0:
		t.ICMPType = 8
	case t.Protocol == uint8(policy.ICMPv6) && t.ICMPType == 129:
		t.ICMPType = 128
	}
	return t
}
