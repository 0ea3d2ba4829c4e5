package policytest

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// Nets reads networks; an address alone is the network of it.
func Nets(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		if !strings.Contains(s, "/") {
			a := netip.MustParseAddr(s)
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// Rule reads "ingress tcp 80-443", "ingress tcp 22,80-443", "egress icmp 8/0", "ingress any"; the
// peers are networks or groups, with commas between them.
func Rule(what, peers string) policy.Rule {
	words := append(strings.Fields(what), "")
	r := policy.Rule{Direction: policy.Ingress, ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP}
	if words[0] == "egress" {
		r.Direction = policy.Egress
	}
	for p := policy.Protocol(0); p <= policy.AnyProtocol; p++ {
		if p.String() == words[1] {
			r.Protocol = p
		}
	}
	if r.Protocol.HasPorts() {
		for _, word := range strings.Split(words[2], ",") {
			var ports policy.PortRange
			if n, _ := fmt.Sscanf(word, "%d-%d", &ports.First, &ports.Last); n == 1 {
				ports.Last = ports.First
			}
			r.Ports = append(r.Ports, ports)
		}
	} else if words[2] != "" {
		fmt.Sscanf(words[2], "%d/%d", &r.ICMPType, &r.ICMPCode)
	}
	for _, peer := range strings.Split(peers, ",") {
		if network, err := netip.ParsePrefix(peer); err == nil {
			r.Peers = append(r.Peers, policy.Peer{CIDR: network})
		} else {
			r.Peers = append(r.Peers, policy.Peer{Group: peer})
		}
	}
	return r
}
