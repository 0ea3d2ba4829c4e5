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

// Rule reads "ingress tcp 80-443", "egress icmp 8/0", "ingress any"; the peer is a network or a
// group.
func Rule(what, peer string) policy.Rule {
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
		if n, _ := fmt.Sscanf(words[2], "%d-%d", &r.Ports.First, &r.Ports.Last); n == 1 {
			r.Ports.Last = r.Ports.First
		}
	} else if words[2] != "" {
		fmt.Sscanf(words[2], "%d/%d", &r.ICMPType, &r.ICMPCode)
	}
	if strings.Contains(peer, "/") {
		r.Peer.CIDR = netip.MustParsePrefix(peer)
	} else {
		r.Peer.Group = peer
	}
	return r
}
