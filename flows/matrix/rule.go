package matrix

import (
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// What a rule is made of: services and peers.

// servicesOf returns what a rule admits of each family.
func servicesOf(r *policy.Rule) (out [2]explain.Services) {
	if r.Protocol.HasPorts() && r.Ports.First == 0 {
		return out
	}
	for v6 := range out {
		out[v6] = explain.ServicesOf(policy.Service{Protocol: r.Protocol, Ports: r.Ports,
			ICMPType: r.ICMPType, ICMPCode: r.ICMPCode}, v6 == 1)
	}
	return out
}

func peersOf(r *policy.Rule) []policy.Peer { return []policy.Peer{r.Peer} }

// isNetwork says whether a group is a named network.
func isNetwork(*policy.Group) bool { return false }

// sourcesName is the end that a group's external sources are.
func sourcesName(g *policy.Group) string {
	if isNetwork(g) {
		return g.Name
	}
	return "external sources of " + g.Name
}
