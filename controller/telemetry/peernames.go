package telemetry

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// This file is how one end is named: an instance, a group, an address or a network. asked.go and
// watch.go call it. Invariant: an unknown name is an error.

// peerNames are the addresses that a name stands for.
type peerNames struct {
	isAny    bool
	single   map[netip.Addr]bool
	networks []netip.Prefix
}

// newPeerNames looks a name up in the policy in force, which may be nil; "" is any address.
func newPeerNames(p *policy.Policy, name string) (peerNames, error) {
	out := peerNames{single: map[netip.Addr]bool{}}
	if name == "" {
		out.isAny = true
		return out, nil
	}
	if a, err := netip.ParseAddr(name); err == nil {
		out.single[a] = true
		return out, nil
	}
	if n, err := netip.ParsePrefix(name); err == nil {
		out.networks = []netip.Prefix{n.Masked()}
		return out, nil
	}
	var known []string
	found := false
	if p != nil {
		for _, g := range p.Groups {
			known, found = append(known, g.Name), found || g.Name == name
		}
		for _, i := range p.Instances {
			known = append(known, i.Name)
			if i.Name == name || slices.Contains(i.Groups, name) {
				found = true
				out.add(i)
			}
		}
	}
	if !found {
		return out, fmt.Errorf("%q is no instance, no group, no address and no network%s; %w", name,
			wording.DidYouMean(name, known), ErrUnknownPort)
	}
	return out, nil
}

// add takes an instance's own addresses in.
func (n *peerNames) add(i *policy.Instance) {
	for _, port := range i.Ports {
		for _, a := range port.Addresses {
			if a.IsSingleIP() {
				n.single[a.Addr()] = true
			} else {
				n.networks = append(n.networks, a)
			}
		}
	}
}

// has says whether an address is one of them.
func (n peerNames) has(a netip.Addr) bool {
	return n.isAny || n.single[a] ||
		slices.ContainsFunc(n.networks, func(p netip.Prefix) bool { return p.Contains(a) })
}
