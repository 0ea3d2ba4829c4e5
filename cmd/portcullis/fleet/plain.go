package fleet

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// Groups and instances of files as a database would give them back: without the places where they
// are written, with lists in the order that sets are read in. Apply compares by it. Invariant: what
// was applied is found unchanged.

func plainGroup(g *policy.Group) *policy.Group {
	out := *g
	out.At = policy.Position{}
	out.ExternalSources = sorted(g.ExternalSources, policy.ComparePrefix)
	out.Rules = nil
	for _, r := range g.Rules {
		r.At = policy.Position{}
		r.Ports, r.Peers = policy.UnionOfPorts(r.Ports), policy.UnionOfPeers(r.Peers)
		out.Rules = append(out.Rules, r)
	}
	slices.SortStableFunc(out.Rules, func(a, b policy.Rule) int {
		return strings.Compare(a.String()+"\n"+a.Description, b.String()+"\n"+b.Description)
	})
	return &out
}

func plainInstance(i *policy.Instance) *policy.Instance {
	out := *i
	out.At = policy.Position{}
	if out.Host == "" {
		out.Host = policy.Nowhere
	}
	out.Groups = sorted(i.Groups, strings.Compare)
	out.Ports = nil
	for _, p := range i.Ports {
		p.At = policy.Position{}
		p.Addresses = sorted(p.Addresses, netip.Prefix.Compare)
		p.EtherTypes = sorted(p.EtherTypes, func(a, b uint16) int { return int(a) - int(b) })
		p.Allowed = sorted(p.Allowed, func(a, b policy.AllowedAddress) int {
			return strings.Compare(a.Prefix.String()+" "+a.MAC.String(),
				b.Prefix.String()+" "+b.MAC.String())
		})
		out.Ports = append(out.Ports, p)
	}
	slices.SortFunc(out.Ports, func(a, b policy.Port) int { return strings.Compare(a.Name, b.Name) })
	return &out
}

// sorted is a list as a set: in order, and each once; none stays none.
func sorted[T comparable](list []T, compare func(a, b T) int) []T {
	if len(list) == 0 {
		return nil
	}
	return slices.Compact(slices.SortedFunc(slices.Values(list), compare))
}
