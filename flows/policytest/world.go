package policytest

import (
	"fmt"
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// The random worlds are small, so that what they draw meets: few addresses, few ports, boundaries
// preferred.
var (
	Hosts4 = Nets("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6")
	Hosts6 = Nets("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5",
		"2001:db8::6")
	Outside = Nets("10.0.0.0", "10.0.0.7", "10.0.0.8", "192.0.2.1", "2001:db8::8", "2001:db9::1",
		"fe80::1", "10.0.0.254")
	networks = Nets("0.0.0.0/0", "10.0.0.0/24", "10.0.0.0/30", "10.0.0.2/31", "10.0.0.2",
		"192.0.2.0/24", "::/0", "2001:db8::/32", "2001:db8::2/127", "2001:db8::3", "fe80::/10")
	// Link-local addresses: chosen by hosts, made of a MAC, numbered by hand, and of no use.
	LinkLocals = Nets("fe80::1c3a:55ff:1234:9abc", "fe80::a:b:c:d", "fe80::9:8:7:6", "fe80::ff:fe00:2",
		"fe80::ff:fe00:99", "fe80::2", "fe80:0:0:1::5")
	Ports = []uint16{1, 2, 22, 67, 68, 79, 80, 81, 443, 444, 546, 547, 1023, 1024, 32768, 65534,
		65535}
	Protocols = []policy.Protocol{policy.AnyProtocol, policy.TCP, policy.UDP, policy.SCTP,
		policy.ICMP, policy.ICMPv6, policy.GRE, policy.ESP, 44, 0, 2}
	Site = policy.Site{Host: "h",
		Gateways: []netip.Addr{netip.MustParseAddr("10.0.0.254"), netip.MustParseAddr("fe80::1")}}
)

// DrawWorld draws a small world: up to three groups and five instances.
func DrawWorld(t *rapid.T) spec.World {
	w := spec.World{Policy: &policy.Policy{}, Site: Site}
	if rapid.Bool().Draw(t, "list servers") {
		w.Site.DHCPServers = []netip.Addr{netip.MustParseAddr("10.0.0.254"),
			netip.MustParseAddr("fe80::1"), netip.MustParseAddr("192.0.2.1")}
	}
	if rapid.Bool().Draw(t, "gateway that chose its address") {
		w.Site.Gateways = append(slices.Clone(Site.Gateways), LinkLocals[2].Addr())
	}
	if rapid.IntRange(0, 2).Draw(t, "strict") == 0 {
		w.Site.UplinkSources = policy.StrictSources
	}
	names := []string{"g0", "g1", "g2"}[:rapid.IntRange(1, 3).Draw(t, "groups")]
	for _, name := range names {
		g := &policy.Group{Name: name,
			Rules: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policy.Rule { return DrawRule(t, names) }),
				0, 5).Draw(t, "rules")}
		g.ExternalSources = drawSources(t)
		w.Policy.Groups = append(w.Policy.Groups, g)
	}
	w.Policy.Groups = append(w.Policy.Groups,
		&policy.Group{Name: Network, IsNetwork: true, ExternalSources: drawSources(t)})
	for n := range rapid.IntRange(1, 5).Draw(t, "instances") {
		w.Policy.Instances = append(w.Policy.Instances, drawInstance(t, n, names))
	}
	return w
}

// DrawRule draws any rule; its peer is one of the groups, or a network.
func DrawRule(t *rapid.T, groups []string) policy.Rule {
	r := policy.Rule{Direction: rapid.SampledFrom([]policy.Direction{policy.Ingress,
		policy.Egress}).Draw(t, "direction"),
		Protocol: rapid.SampledFrom(Protocols).Draw(t, "protocol"), ICMPType: policy.AnyICMP,
		ICMPCode: policy.AnyICMP}
	if r.Protocol.HasPorts() {
		r.Ports = rapid.SliceOfN(rapid.Custom(drawPorts), 1, maxItems(t)).Draw(t, "ports")
	}
	if r.Protocol.HasTypes() {
		r.ICMPType = int16(rapid.SampledFrom([]int{-1, -1, 0, 3, 8, 8, 13, 15, 17, 128, 128, 129,
			139}).Draw(t, "type"))
		if r.ICMPType >= 0 {
			r.ICMPCode = int16(rapid.IntRange(-1, 1).Draw(t, "code"))
		}
	}
	r.Peers = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policy.Peer {
		return drawRulePeer(t, r.Protocol, groups)
	}), 1, maxItems(t)).Draw(t, "peers")
	return r
}

// maxItems is how long a list of a rule may be: mostly it is one item.
func maxItems(t *rapid.T) int { return rapid.SampledFrom([]int{1, 1, 1, 2, 4}).Draw(t, "items") }

func drawPorts(t *rapid.T) policy.PortRange {
	a, b := rapid.SampledFrom(Ports).Draw(t, "first"), rapid.SampledFrom(Ports).Draw(t, "last")
	return policy.PortRange{First: min(a, b), Last: max(a, b)}
}

// drawRulePeer draws a peer that a rule of a protocol may have.
func drawRulePeer(t *rapid.T, protocol policy.Protocol, groups []string) policy.Peer {
	switch rapid.IntRange(0, 8).Draw(t, "kind of peer") {
	case 0, 1, 2, 3:
		return policy.Peer{Group: rapid.SampledFrom(groups).Draw(t, "group")}
	case 4:
		return policy.Peer{Group: Network, IsNetwork: true}
	}
	fits := func(p netip.Prefix) bool {
		return !(protocol == policy.ICMP && p.Addr().Is6() || protocol == policy.ICMPv6 &&
			p.Addr().Is4())
	}
	return policy.Peer{CIDR: rapid.SampledFrom(only(networks, fits)).Draw(t, "cidr").Masked()}
}

// Network is the name of the one named network of the random worlds.
const Network = "n0"

func drawSources(t *rapid.T) []netip.Prefix {
	return masked(rapid.SliceOfNDistinct(rapid.SampledFrom(networks), 0, 2, rapid.ID).Draw(t,
		"sources"))
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
		p.Addresses = append(p.Addresses, Hosts4[n])
	}
	if kind < 5 {
		p.Addresses = append(p.Addresses, Hosts6[n])
	}
	virtual := policy.MAC{0, 0, 0x5e, 0, 1, 5}
	for range rapid.IntRange(0, 2).Draw(t, "allowed") {
		a := policy.AllowedAddress{
			Prefix: rapid.SampledFrom(Nets("10.0.0.7", "10.0.0.4/30", "2001:db8::8", "10.0.0.2",
				"2001:db8::4/126", "fe80::a:b:c:d", "fe80::/16")).Draw(t, "allowed network")}
		if rapid.Bool().Draw(t, "virtual MAC") {
			a.MAC = virtual
		}
		p.Allowed = append(p.Allowed, a)
	}
	p.Trusted = rapid.IntRange(0, 5).Draw(t, "trusted") == 0
	if rapid.IntRange(0, 3).Draw(t, "ethertypes") == 0 {
		p.EtherTypes = rapid.SampledFrom([][]uint16{{0x88b5}, {0x88b5, policy.EtherRARP},
			{policy.EtherRARP}}).Draw(t, "listed")
	}
	place := rapid.SampledFrom([][2]string{{"h"}, {}, {"h"}, {"x"}, {"h", "x"}, {"x", "h"}}).Draw(t,
		"host")
	return &policy.Instance{Name: fmt.Sprintf("i%d", n), Host: place[0], MigratingTo: place[1],
		Groups: rapid.SliceOfNDistinct(rapid.SampledFrom(groups), 0, len(groups), rapid.ID).Draw(t,
			"member of"), Ports: []policy.Port{p}}
}

// DrawSuccessor draws a policy that differs from another in a few things, or in nothing but its
// order.
func DrawSuccessor(t *rapid.T, old *policy.Policy) *policy.Policy {
	p := old.Clone()
	names := []string{}
	for _, g := range p.Groups {
		if !g.IsNetwork {
			names = append(names, g.Name)
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "edits") {
		g := rapid.SampledFrom(p.Groups).Draw(t, "edited group")
		switch kind := rapid.IntRange(0, 9).Draw(t, "edit"); {
		case g.IsNetwork:
			g.ExternalSources = drawSources(t)
		case kind < 3 && len(g.Rules) > 0:
			n := rapid.IntRange(0, len(g.Rules)-1).Draw(t, "removed")
			g.Rules = slices.Delete(g.Rules, n, n+1)
		case kind < 6:
			g.Rules = append(g.Rules, DrawRule(t, names))
		case kind == 6:
			g.ExternalSources = drawSources(t)
		case kind == 7 && len(p.Instances) > 0:
			i := rapid.SampledFrom(p.Instances).Draw(t, "edited instance")
			i.Groups = rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, len(names), rapid.ID).Draw(t,
				"member of")
		case kind == 8 && len(p.Instances) > 0:
			n := rapid.IntRange(0, len(p.Instances)-1).Draw(t, "replaced")
			number := int(p.Instances[n].Name[1] - '0')
			if p.Instances[n] = drawInstance(t, number, names); rapid.Bool().Draw(t, "gone") {
				p.Instances = slices.Delete(p.Instances, n, n+1)
			}
		case len(p.Instances) > 0:
			i := rapid.SampledFrom(p.Instances).Draw(t, "edited port")
			i.Ports[0].Trusted = !i.Ports[0].Trusted
		}
	}
	p.Groups = rapid.Permutation(p.Groups).Draw(t, "order")
	return p
}
