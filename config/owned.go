package config

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
		return "the link-local address " + text(r.network) + " of the MAC"
	}
	return text(r.network)
}

// text returns a network, or the address if it is one, as people write it.
func text(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// linkLocal returns the address that a port with IPv6 owns beside the written ones: see [policy.Port.Uses].
func linkLocal(p *rawPort) (r addressRange, ok bool) {
	if p.MAC.IsZero() {
		return r, false
	}
	own := netip.PrefixFrom(p.MAC.LinkLocal(), 128)
	for _, use := range p.Uses() {
		if use == (policy.Use{MAC: p.MAC, Prefix: own}) {
			return addressRange{own, true}, true
		}
	}
	return r, false
}

// ownerOf returns the first network in or around p that another port owns, if any. Of ports that own networks within each other,
// which is an error of its own, it may miss one.
func ownerOf(owned []ownedNetwork, p netip.Prefix, self *rawPort) *ownedNetwork {
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
