package flowtest

import (
	"net/netip"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// Seed is an example in Go values: web-1 and db-1 and mgmt-1 on this host, web-2 on another; a
// router's trusted port.
func Seed() flows.Input {
	mac := func(last byte) policy.MAC { return policy.MAC{2, 0, 0, 0, 0, last} }
	inst := func(name, host, group, ip4, ip6 string, last byte) *policy.Instance {
		return &policy.Instance{Name: name, Host: host, Groups: []string{group}, Ports: []policy.Port{{
			Name: "tap-" + name, MAC: mac(last), Addresses: policytest.Nets(ip4, ip6)}}}
	}
	p := &policy.Policy{
		Groups: []*policy.Group{
			{Name: "frontend", Rules: []policy.Rule{
				policytest.Rule("ingress tcp 80", "0.0.0.0/0"), policytest.Rule("ingress tcp 80", "::/0"),
				policytest.Rule("ingress tcp 22", "management")}},
			{Name: "backend", ExternalSources: policytest.Nets("198.51.100.128/25"), Rules: []policy.Rule{
				policytest.Rule("ingress tcp 3306", "frontend"),
				policytest.Rule("ingress tcp 22", "management"),
				policytest.Rule("ingress tcp 1-65535", "backend"),
				policytest.Rule("ingress udp 1-65535", "backend"),
				policytest.Rule("egress tcp 1-65535", "backend"),
				policytest.Rule("egress udp 1-65535", "backend"),
				policytest.Rule("egress tcp 53", "203.0.113.1/32"),
				policytest.Rule("egress udp 53", "203.0.113.1/32"),
				policytest.Rule("egress tcp 80-443", "0.0.0.0/0"),
				policytest.Rule("egress icmp 8/0", "203.0.113.0/24"),
				policytest.Rule("egress icmpv6", "2001:db8::/32"), policytest.Rule("ingress gre", "frontend")}},
			{Name: "management",
				Rules: []policy.Rule{policytest.Rule("ingress tcp 22", "198.51.100.0/24"),
					policytest.Rule("ingress any", "backend")}},
		},
		Instances: []*policy.Instance{
			inst("web-1", "hv1", "frontend", "203.0.113.11", "2001:db8::11", 0x11),
			inst("web-2", "hv2", "frontend", "203.0.113.12", "2001:db8::12", 0x12),
			inst("db-1", "hv1", "backend", "203.0.113.21", "2001:db8::21", 0x21),
			inst("db-2", "hv1", "backend", "203.0.113.22", "2001:db8::22", 0x22),
			inst("mgmt-1", "hv1", "management", "203.0.113.31", "2001:db8::31", 0x31),
			{Name: "router", Host: "hv1",
				Ports: []policy.Port{{Name: "tap-router", MAC: mac(0x99), Trusted: true,
					Addresses: policytest.Nets("203.0.113.2")}}},
		},
	}
	p.Instances[0].Ports[0].Allowed = []policy.AllowedAddress{
		{Prefix: policytest.Nets("203.0.113.200")[0]},
		{Prefix: policytest.Nets("203.0.113.201")[0], MAC: policy.MAC{0, 0, 0x5e, 0, 1, 5}}}
	p.Instances[4].Ports[0].Allowed = []policy.AllowedAddress{
		{Prefix: policytest.Nets("203.0.113.201")[0], MAC: policy.MAC{0, 0, 0x5e, 0, 1, 5}}}
	p.Instances[4].Ports[0].EtherTypes = []uint16{0x88b5}
	return Bound(p, policy.Site{Host: "hv1",
		Gateways: []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("fe80::1")}})
}
