package flows_test

import (
	"net/netip"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
)

// The seed example in Go values: web-1 and db-1 and mgmt-1 on this host, web-2 on another; a router's trusted port.
func seed() flows.Input {
	mac := func(last byte) policy.MAC { return policy.MAC{2, 0, 0, 0, 0, last} }
	inst := func(name, host, group, ip4, ip6 string, last byte) *policy.Instance {
		return &policy.Instance{Name: name, Host: host, Groups: []string{group}, Ports: []policy.Port{{
			Name: "tap-" + name, MAC: mac(last), Addresses: nets(ip4, ip6)}}}
	}
	p := &policy.Policy{
		Groups: []*policy.Group{
			{Name: "frontend", Rules: []policy.Rule{
				rule("ingress tcp 80", "0.0.0.0/0"), rule("ingress tcp 80", "::/0"), rule("ingress tcp 22", "management")}},
			{Name: "backend", ExternalSources: nets("198.51.100.128/25"), Rules: []policy.Rule{
				rule("ingress tcp 3306", "frontend"), rule("ingress tcp 22", "management"),
				rule("ingress tcp 1-65535", "backend"), rule("ingress udp 1-65535", "backend"),
				rule("egress tcp 1-65535", "backend"), rule("egress udp 1-65535", "backend"),
				rule("egress tcp 53", "203.0.113.1/32"), rule("egress udp 53", "203.0.113.1/32"), rule("egress tcp 80-443", "0.0.0.0/0"),
				rule("egress icmp 8/0", "203.0.113.0/24"), rule("egress icmpv6", "2001:db8::/32"), rule("ingress gre", "frontend")}},
			{Name: "management", Rules: []policy.Rule{rule("ingress tcp 22", "198.51.100.0/24"), rule("ingress any", "backend")}},
		},
		Instances: []*policy.Instance{
			inst("web-1", "hv1", "frontend", "203.0.113.11", "2001:db8::11", 0x11),
			inst("web-2", "hv2", "frontend", "203.0.113.12", "2001:db8::12", 0x12),
			inst("db-1", "hv1", "backend", "203.0.113.21", "2001:db8::21", 0x21),
			inst("db-2", "hv1", "backend", "203.0.113.22", "2001:db8::22", 0x22),
			inst("mgmt-1", "hv1", "management", "203.0.113.31", "2001:db8::31", 0x31),
			{Name: "router", Host: "hv1", Ports: []policy.Port{{Name: "tap-router", MAC: mac(0x99), Trusted: true, Addresses: nets("203.0.113.2")}}},
		},
	}
	p.Instances[0].Ports[0].Allowed = []policy.AllowedAddress{{Prefix: nets("203.0.113.200")[0]}, {Prefix: nets("203.0.113.201")[0], MAC: policy.MAC{0, 0, 0x5e, 0, 1, 5}}}
	p.Instances[4].Ports[0].Allowed = []policy.AllowedAddress{{Prefix: nets("203.0.113.201")[0], MAC: policy.MAC{0, 0, 0x5e, 0, 1, 5}}}
	p.Instances[4].Ports[0].EtherTypes = []uint16{0x88b5}
	return bound(p, policy.Site{Host: "hv1", Gateways: []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("fe80::1")}})
}

// bound puts every local port on the switch, in the order of the policy, and the uplink behind them.
func bound(p *policy.Policy, site policy.Site) flows.Input {
	in := flows.Input{Policy: p, Site: site}
	n := uint32(0)
	for _, i := range p.Instances {
		for _, port := range i.Ports {
			if i.IsLocal(site.Host) {
				n++
				in.Bindings = append(in.Bindings, flows.Binding{Port: port.Name, OFPort: n, Zone: uint16(n), Epoch: 1})
			}
		}
	}
	in.Uplinks = []flows.Uplink{{Name: "eth1", OFPort: n + 1}}
	return in
}
