package flows_test

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"

	"github.com/portcullis/portcullis/flows/policytest"
)

// The rules of the dense stories: each protocol in each form, of one port and of a range that takes
// several masks.
var denseServices = []string{"any", "tcp 7", "tcp 5-80", "udp 7", "udp 5-80", "sctp 7", "sctp 5-80",
	"icmp", "icmp 8/-1", "icmp 8/0", "icmp 13/-1", "icmp 15/-1", "icmp 17/-1",
	"icmpv6", "icmpv6 128/-1", "icmpv6 128/0", "icmpv6 139/-1", "gre"}

// denseLists are lists in each combination of peers: of one band of priority, of several, of both
// families, and such that one is a peer for two reasons.
var denseLists = [][2]string{{"tcp 4,7,80-81", "g1"}, {"tcp 7,80", "0.0.0.0/0,::/0"},
	{"udp 7,80", "198.51.100.0/24,2001:db8:f::/48"}, {"any", "198.51.100.0/24,::/0"},
	{"any", "g1,198.51.100.0/24"}, {"tcp 7,80", "g1,g2"}, {"gre", "g1,0.0.0.0/0"},
	{"icmp 8/0", "g2,::/0"}, {"tcp 7", "g2"}, {"sctp 7", "g2"}, {"udp 5-80", "g1,g2"},
	{"gre", "g2,::/0"}, {"any", "g2"}, {"icmpv6 128/0", "g2"}, {"any", "g2,::/0"},
	{"tcp 7,80", "0.0.0.0/0,2001:db8:f::/48"}}

// denseStories tells one story for each rule: it stands alone, so that no other rule hides what is
// wrong with its flows, and packets of every kind around it come from and go to its peer and
// others.
func denseStories(must require.TestingT) []teller {
	var out []teller
	add := func(r policy.Rule, members int, more ...policy.Rule) {
		out = append(out, func() *story { return denseStory(must, r, members, slices.Clone(more)...) })
	}
	for _, service := range denseServices {
		for _, direction := range []string{"ingress", "egress"} {
			for _, peer := range []string{"g1", "198.51.100.0/24", "2001:db8:f::/48", "0.0.0.0/0",
				"::/0"} {
				r := policytest.Rule(direction+" "+service, peer)
				cidr := r.Peers[0].CIDR
				if cidr.IsValid() && (r.Protocol == policy.ICMP && cidr.Addr().Is6() ||
					r.Protocol == policy.ICMPv6 && cidr.Addr().Is4()) {
					continue
				}
				add(r, 1)
				add(r, 4)
			}
		}
	}
	for _, direction := range []string{"ingress", "egress"} {
		for _, service := range []string{"tcp 7", "udp 5-80", "icmpv6 128/0", "gre"} {
			r := policytest.Rule(direction+" "+service, "g1")
			add(r, 4, policytest.Rule(direction+" "+service, "g3"))
		}
		few := policytest.Rule(direction+" udp 7", "g2")
		add(few, 1, policytest.Rule(direction+" tcp 7", "g2"))
		for _, l := range denseLists {
			r := policytest.Rule(direction+" "+l[0], l[1])
			add(r, 1)
			add(r, 4)
		}
	}
	return out
}

// denseStory has so many members on this host, all in group g0, which has the rule and one that
// closes egress. The bystander's group has more rules, such as one that shares its service.
func denseStory(must require.TestingT, r policy.Rule, members int, more ...policy.Rule) *story {
	p := &policy.Policy{Groups: []*policy.Group{
		{Name: "g0", Rules: []policy.Rule{r, policytest.Rule("egress esp", "192.0.2.0/24")}},
		{Name: "closed", Rules: append(more, policytest.Rule("egress esp", "192.0.2.0/24"))},
		{Name: "g3", ExternalSources: policytest.Nets("198.51.101.0/24", "203.0.113.0/24",
			"192.0.2.128/25", "2001:db8:e::/48", "2001:db8:d::/48", "2001:db8:c::/48")},
		{Name: "g1", ExternalSources: policytest.Nets("198.51.100.0/24", "2001:db8:f::/48")},
		{Name: "g2", IsNetwork: true,
			ExternalSources: policytest.Nets("198.51.100.0/24", "2001:db8:f::/48")}}}
	for n := range members + 2 {
		i := &policy.Instance{Name: fmt.Sprintf("i%d", n), Host: "h", Groups: []string{"g0"},
			Ports: []policy.Port{{Name: fmt.Sprintf("p%d", n), MAC: smallMAC(n + 1),
				Addresses: policytest.Nets(fmt.Sprintf("10.0.0.%d", n+1), fmt.Sprintf("2001:db8::%d", n+1))}}}
		if n >= members {
			i.Host, i.Groups = "x", []string{"g1"}
		}
		p.Instances = append(p.Instances, i)
	}
	p.Instances = append(p.Instances,
		&policy.Instance{Name: "bystander", Groups: []string{"closed"},
			Ports: []policy.Port{{Name: "bystander", MAC: smallMAC(9),
				Addresses: policytest.Nets("10.0.0.9", "2001:db8::9")}}})
	s := &story{dense: true}
	sw := newStorySwitch(must, s, boundApart(p, policy.Site{Host: "h"}))
	for _, packet := range densePackets(p, r, members) {
		for _, a := range []age{outOfDate, current} {
			seen := s.seen(packet, a)
			if a == outOfDate ||
				slices.ContainsFunc(s.inputs[0].Bindings,
					func(b flows.Binding) bool { return seen.Known[b.Zone].Mark == b.Epoch }) {
				st, _ := s.send(must, sw, packet, seen)
				s.steps = append(s.steps, st)
			}
		}
	}
	return s
}

// densePackets lists packets between hosts elsewhere and the last port that has the rule, and one
// that has not.
func densePackets(p *policy.Policy, r policy.Rule, members int) []spec.Packet {
	var out []spec.Packet
	for _, port := range []policy.Port{p.Instances[members-1].Ports[0],
		p.Instances[len(p.Instances)-1].Ports[0]} {
		out = append(out, densePacketsOf(p, r, port, members)...)
	}
	return out
}

func densePacketsOf(p *policy.Policy, r policy.Rule, port policy.Port, members int) []spec.Packet {
	var out []spec.Packet
	for _, peer := range slices.Concat(p.Instances[members].Ports[0].Addresses,
		p.Instances[members+1].Ports[0].Addresses,
		policytest.Nets("198.51.100.0", "198.51.101.0", "2001:db8:f::1", "2001:db8:e::1")) {
		own := port.Addresses[0].Addr()
		if peer.Addr().Is6() {
			own = port.Addresses[1].Addr()
		}
		for _, tuple := range denseTuples(r) {
			out = append(out, denseSides(port, own, peer.Addr(), tuple, r.Direction)...)
			// what the rule admits is asked for by a fragment that goes the other way
			back := denseSides(port, own, peer.Addr(), tuple, r.Direction.Opposite())
			out = append(out, back[slices.IndexFunc(back,
				func(p spec.Packet) bool { return p.Fragment == spec.FirstFragment })])
		}
	}
	return out
}

// denseTuples lists what the rule admits, what it just does not, and what others admit.
func denseTuples(r policy.Rule) []spec.Tuple {
	var out []spec.Tuple
	for _, protocol := range []policy.Protocol{policy.TCP, policy.UDP, policy.SCTP} {
		for n, port := range []uint16{7, 6, 4, 80, 81} {
			if n == 0 || r.Protocol == protocol {
				out = append(out, spec.Tuple{Protocol: uint8(protocol), SrcPort: 4000, DstPort: port})
			}
		}
	}
	for _, protocol := range []policy.Protocol{policy.ICMP, policy.ICMPv6} {
		for n, a := range policy.ICMPAnswers(protocol == policy.ICMPv6) {
			for _, t := range [][2]uint8{{a.Request, 0}, {a.Answer, 0}, {a.Request, 1}} {
				if n == 0 || r.Protocol == protocol {
					out = append(out, spec.Tuple{Protocol: uint8(protocol), ICMPType: t[0], ICMPCode: t[1]})
				}
			}
		}
	}
	return append(out, spec.Tuple{Protocol: uint8(policy.GRE)},
		spec.Tuple{Protocol: uint8(policy.GRE) + 1})
}

// denseSides lists the first packet, later ones and fragments of a connection that one of the two
// opened.
func denseSides(port policy.Port, own, peer netip.Addr, tuple spec.Tuple,
	opened policy.Direction) []spec.Packet {
	if icmp := tuple.Protocol == uint8(policy.ICMP); (icmp ||
		tuple.Protocol == uint8(policy.ICMPv6)) && icmp != own.Is4() {
		tuple.ICMPType, tuple.ICMPCode = 0, 0 // nothing is shown of the ICMP of the other family
	}
	var out []spec.Packet
	tuple.Src, tuple.Dst = peer, own
	if opened == policy.Egress {
		tuple.Src, tuple.Dst = own, peer
	}
	for _, side := range []spec.Side{spec.Unknown, spec.OriginalSide, spec.ReplySide} {
		for _, f := range []spec.Fragment{spec.Whole, spec.FirstFragment, spec.LaterFragment} {
			p := spec.Packet{EtherType: policy.EtherIPv4, HopLimit: 64, Fragment: f, Tuple: tuple,
				Conntrack: map[string]spec.Connection{port.Name: {Side: side, Original: tuple}}}
			if own.Is6() {
				p.EtherType = policy.EtherIPv6
			}
			if side == spec.ReplySide {
				p.Tuple = policytest.Answer(tuple)
			}
			p.From, p.SrcMAC, p.DstMAC = port.Name, port.MAC, policy.MAC{2, 9, 9, 9, 9, 9}
			if p.Src != own {
				p.From, p.FromUplink, p.SrcMAC, p.DstMAC = "", true, p.DstMAC, port.MAC
			}
			out = append(out, p)
		}
	}
	return out
}
