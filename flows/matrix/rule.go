package matrix

import (
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// What a rule is made of: services and peers.

// servicesOf returns what a rule admits of each family.
func servicesOf(r *policy.Rule) (out [2]explain.Services) {
	ranges := policy.UnionOfPorts(r.Ports)
	if !r.Protocol.HasPorts() {
		ranges = []policy.PortRange{{}}
	}
	for v6 := range out {
		for _, ports := range ranges {
			out[v6] = out[v6].Union(explain.ServicesOf(policy.Service{Protocol: r.Protocol,
				Ports: ports, ICMPType: r.ICMPType, ICMPCode: r.ICMPCode}, v6 == 1))
		}
	}
	return out
}

func peersOf(r *policy.Rule) []policy.Peer { return policy.UnionOfPeers(r.Peers) }

// isNetwork says whether a group is a named network.
func isNetwork(g *policy.Group) bool { return g.IsNetwork }

// sourcesName is the end that a group's external sources are.
func sourcesName(g *policy.Group) string {
	if isNetwork(g) {
		return g.Name
	}
	return "external sources of " + g.Name
}
