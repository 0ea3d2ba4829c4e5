package policytest

import (
	"fmt"
	"net/netip"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// Fleets: policies of a given size, for benchmarks and for tests of what a size costs.

// FleetSize is how much a fleet has of what.
type FleetSize struct {
	Groups, Rules    int // rules of each group
	Instances, Local int // local: of the host of the site
}

// The sizes that are measured: one for every test, and what a provider's region has.
var (
	SmallFleet = FleetSize{Groups: 20, Rules: 10, Instances: 500, Local: 20}
	LargeFleet = FleetSize{Groups: 500, Rules: 10, Instances: 50_000, Local: 200}
)

// Fleet makes a policy of a size. Each group admits ssh from a network, http and a range of ports
// from other groups, and ping from everywhere; every fourth closes egress but for names, https and
// a group. Every instance is in two groups and has an IPv4 address, every second an IPv6 one; the
// local ones are spread over all of them, and other hosts have as many. The same size gives the
// same policy, with positions as in a file.
func Fleet(size FleetSize) spec.World {
	p := &policy.Policy{}
	for n := range size.Groups {
		p.Groups = append(p.Groups, fleetGroup(n, size))
	}
	every := max(1, size.Instances/max(1, size.Local))
	for n := range size.Instances {
		p.Instances = append(p.Instances, fleetInstance(n, fmt.Sprintf("hv%d", 1+n%every), size))
	}
	return spec.World{Policy: p, Site: policy.Site{Host: "hv1",
		Gateways: []netip.Addr{netip.MustParseAddr("10.255.255.254")}}}
}

func groupName(n int, size FleetSize) string { return fmt.Sprintf("group-%03d", n%size.Groups) }

func fleetGroup(n int, size FleetSize) *policy.Group {
	g := &policy.Group{Name: groupName(n, size)}
	texts := [][2]string{{"ingress tcp 22", "198.51.100.0/24"}, {"ingress icmp", "0.0.0.0/0"},
		{"ingress tcp 80-443", groupName(n+1, size)}, {"ingress any", groupName(n, size)},
		{"ingress tcp 8443", "203.0.113.0/24"}}
	if n%4 == 0 {
		texts = append(texts, [2]string{"egress udp 53", "0.0.0.0/0"},
			[2]string{"egress tcp 443", "0.0.0.0/0"}, [2]string{"egress any", groupName(n+7, size)})
	}
	for k := len(texts); k < size.Rules; k++ {
		texts = append(texts, [2]string{fmt.Sprintf("ingress tcp %d-%d", 3000+100*k, 3050+100*k),
			groupName(n+k*k, size)})
	}
	for k, t := range texts[:min(len(texts), size.Rules)] {
		r := Rule(t[0], t[1])
		r.At = policy.Position{File: "fleet.yaml", Line: 2 + n*(size.Rules+2) + k, Column: 9}
		g.Rules = append(g.Rules, r)
	}
	return g
}

func fleetInstance(n int, host string, size FleetSize) *policy.Instance {
	low := [3]byte{byte(n >> 16), byte(n >> 8), byte(n)}
	port := policy.Port{Name: fmt.Sprintf("tap%d", n), MAC: policy.MAC{2, 0, 0, low[0], low[1], low[2]},
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, low[0], low[1], low[2]}),
			32)}}
	if n%2 == 0 {
		address := netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 13: low[0], 14: low[1],
			15: low[2]})
		port.Addresses = append(port.Addresses, netip.PrefixFrom(address, 128))
	}
	return &policy.Instance{Name: fmt.Sprintf("vm-%d", n), Host: host,
		Groups: []string{groupName(n, size), groupName(n/7+1, size)}, Ports: []policy.Port{port},
		At: policy.Position{File: "fleet.yaml", Line: 10_000 + n, Column: 5}}
}
