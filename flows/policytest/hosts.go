package policytest

import (
	"net/netip"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// Addr reads an address.
func Addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// Single is the network of one address.
func Single(s string) netip.Prefix { a := Addr(s); return netip.PrefixFrom(a, a.BitLen()) }

// MAC is the local MAC that ends so.
func MAC(last byte) policy.MAC { return policy.MAC{2, 0, 0, 0, 0, last} }

// World has the hosts that tables of tests are about: a and b in group web (tcp 80 from anywhere,
// all tcp from the own group), c in no group, d in closed (egress only tcp 443 to
// 198.51.100.0/24), e on another host in web, a router on a trusted port.
func World() spec.World {
	inst := func(name, host string, last byte, groups ...string) *policy.Instance {
		v4, v6 := netip.AddrFrom4([4]byte{203, 0, 113, last}), netip.MustParseAddr("2001:db8::"+name)
		return &policy.Instance{Name: name, Host: host, Groups: groups,
			Ports: []policy.Port{{Name: name, MAC: MAC(last),
				Addresses: []netip.Prefix{netip.PrefixFrom(v4, 32), netip.PrefixFrom(v6, 128)}}}}
	}
	tcp := func(d policy.Direction, first, last uint16, peer policy.Peer) policy.Rule {
		return policy.Rule{Direction: d, Protocol: policy.TCP,
			Ports: []policy.PortRange{{First: first, Last: last}}, ICMPType: -1, ICMPCode: -1,
			Peers: []policy.Peer{peer}}
	}
	any4 := policy.Peer{CIDR: netip.MustParsePrefix("0.0.0.0/0")}
	p := &policy.Policy{
		Groups: []*policy.Group{
			{Name: "web", Rules: []policy.Rule{tcp(policy.Ingress, 80, 80, any4),
				tcp(policy.Ingress, 1, 65535, policy.Peer{Group: "web"})},
				ExternalSources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			{Name: "closed", Rules: []policy.Rule{tcp(policy.Egress, 443, 443, policy.Peer{CIDR: netip.MustParsePrefix("198.51.100.0/24")}),
				{Direction: policy.Ingress, Protocol: policy.ICMP, ICMPType: 8, ICMPCode: 0,
					Peers: []policy.Peer{any4}}}},
		},
		Instances: []*policy.Instance{inst("a", "h", 0x0a, "web"), inst("b", "h", 0x0b, "web"),
			inst("c", "h", 0x0c), inst("d", "h", 0x0d, "closed"),
			inst("e", "x", 0x0e, "web"),
			{Name: "router", Host: "h",
				Ports: []policy.Port{{Name: "router", MAC: MAC(0x99), Trusted: true,
					Addresses: []netip.Prefix{Single("203.0.113.1")}}}}},
	}
	return spec.World{Policy: p,
		Site: policy.Site{Host: "h",
			Gateways: []netip.Addr{Addr("203.0.113.1"), Addr("203.0.113.254"), Addr("fe80::1")}}}
}
