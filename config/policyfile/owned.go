package policyfile

import (
	"net/netip"
	"sort"

	"github.com/portcullis/portcullis/flows/policy"
)

// addressRange is a network that a port owns, and how it came to it.
type addressRange struct {
	network netip.Prefix
	derived bool // made of the port's MAC, not written
}

// String returns the network, or the address if it is one.
func (r addressRange) String() string {
	if r.derived {
		return "the link-local address " + AddressText(r.network) + " of the MAC"
	}
	return AddressText(r.network)
}

// addressText returns a network, or the address if it is one, as people write it.
func AddressText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// linkLocal returns the address that a port with IPv6 owns beside the written ones: see [policy.Port.Uses].
func linkLocal(p *policy.Port) (own netip.Prefix, ok bool) {
	if p.MAC.IsZero() || !hasIPv6(p) {
		return own, false
	}
	return netip.PrefixFrom(p.MAC.LinkLocal(), 128), true
}

// hasIPv6 says whether the port's own MAC goes with an IPv6 address.
func hasIPv6(p *policy.Port) bool {
	for _, a := range p.Addresses {
		if a.Addr().Is6() {
			return true
		}
	}
	for _, a := range p.Allowed {
		if a.Prefix.Addr().Is6() && a.MAC.IsZero() {
			return true
		}
	}
	return false
}

// ownerOf returns the first network in or around p that another port owns, if any. Of ports that own networks within each other,
// which is an error of its own, it may miss one.
func ownerOf(owned []ownedNetwork, p netip.Prefix, self *localPort) *ownedNetwork {
	at := sort.Search(len(owned), func(i int) bool { return policy.ComparePrefix(owned[i].network, p) >= 0 })
	for i := at; i < len(owned) && owned[i].network.Overlaps(p); i++ {
		if owned[i].port != self {
			return &owned[i]
		}
	}
	if at == 0 {
		return nil
	}
	for o := &owned[at-1]; o != nil; o = o.around {
		if o.network.Overlaps(p) && o.port != self {
			return o
		}
	}
	return nil
}
