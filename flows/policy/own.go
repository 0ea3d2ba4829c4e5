package policy

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"sort"
)

// Who owns which network, for [Validate] and [Doubts]. Networks are either apart or one within the
// other, so that in their order, the wider first, those around one are found behind it.

// ownNetworks are the networks that ports have as their own, in order. The memory is kept.
type ownNetworks struct {
	policy *Policy
	list   []ownNetwork
}

// ownNetwork is a network that one port has as its own: its address as two numbers, IPv4 in the
// upper half of the first.
type ownNetwork struct {
	high, low uint64
	at        portAt
	entry     int32 // in the port's addresses; -1 = the link-local address of its MAC
	outer     int32 // the smallest other that holds this one, by index; -1 = none
	bits      int16
	is6       bool
}

func (o *ownNetwork) isDerived() bool { return o.entry < 0 }

func (o *ownNetwork) location() location {
	if o.isDerived() {
		return o.at.location().at(keyMAC)
	}
	return o.at.location().of(keyAddresses, int(o.entry))
}

// isAfter says whether a network was listed after another.
func (o *ownNetwork) isAfter(p *ownNetwork) bool {
	return cmp.Or(cmp.Compare(o.at.instance, p.at.instance), cmp.Compare(o.at.port, p.at.port)) > 0
}

func networkOf(p netip.Prefix) ownNetwork {
	o := ownNetwork{is6: p.Addr().Is6(), bits: int16(p.Bits())}
	if o.is6 {
		raw := p.Addr().As16()
		o.high, o.low = binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
	} else {
		raw := p.Addr().As4()
		o.high = uint64(binary.BigEndian.Uint32(raw[:])) << 32
	}
	return o
}

// compareNetwork orders networks: IPv4 first, then by address, then the wider first.
func compareNetwork(a, b *ownNetwork) int {
	switch {
	case a.is6 != b.is6:
		if b.is6 {
			return -1
		}
		return 1
	case a.high != b.high:
		return cmp.Compare(a.high, b.high)
	case a.low != b.low:
		return cmp.Compare(a.low, b.low)
	}
	return int(a.bits) - int(b.bits)
}

// holds says whether a network is, or is around, another that is not before it in the order.
func (o *ownNetwork) holds(p *ownNetwork) bool {
	if o.is6 != p.is6 || o.bits > p.bits {
		return false
	}
	high, low := ^uint64(0), ^uint64(0)
	if o.bits <= 64 {
		high, low = ^(^uint64(0) >> o.bits), 0
	} else {
		low = ^(^uint64(0) >> (o.bits - 64))
	}
	return (o.high^p.high)&high == 0 && (o.low^p.low)&low == 0
}

// collect makes the list that of a policy. The link-local addresses that follow from MACs are in it
// only if anybody lists a network that could hold one: else they contradict nothing but equal MACs.
func (x *ownNetworks) collect(p *Policy) {
	x.policy, x.list = p, x.list[:0]
	x.written(p, netip.Addr.Is4)
	from := len(x.list)
	slices.SortFunc(x.list, compareOwn)
	x.written(p, netip.Addr.Is6)
	if anyLinkLocal(p) {
		x.derived(p)
	}
	slices.SortFunc(x.list[from:], compareOwn)
	for n := range x.list {
		outer := int32(n) - 1
		for outer >= 0 && !x.list[outer].holds(&x.list[n]) {
			outer = x.list[outer].outer
		}
		x.list[n].outer = outer
	}
}

// compareOwn orders networks, and equal ones as they were listed.
func compareOwn(a, b ownNetwork) int {
	if c := compareNetwork(&a, &b); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.at.instance, b.at.instance), cmp.Compare(a.at.port, b.at.port),
		cmp.Compare(a.entry, b.entry))
}

// written adds the addresses of one family that ports list.
func (x *ownNetworks) written(p *Policy, isOfFamily func(netip.Addr) bool) {
	for n, i := range p.Instances {
		for nth := range i.Ports {
			for entry, a := range i.Ports[nth].Addresses {
				if isOfFamily(a.Addr()) {
					x.add(a, portAt{int32(n), int32(nth)}, entry)
				}
			}
		}
	}
}

// derived adds the link-local addresses of the MACs of ports with IPv6: see [Port.Uses].
func (x *ownNetworks) derived(p *Policy) {
	for n, i := range p.Instances {
		for nth := range i.Ports {
			if port := &i.Ports[nth]; !port.MAC.IsZero() && port.hasOwnIPv6() {
				x.add(netip.PrefixFrom(port.MAC.LinkLocal(), 128), portAt{int32(n), int32(nth)}, -1)
			}
		}
	}
}

func (x *ownNetworks) add(p netip.Prefix, at portAt, entry int) {
	o := networkOf(p)
	o.at, o.entry = at, int32(entry)
	x.list = append(x.list, o)
}

// anyLinkLocal says whether a port lists a network with link-local addresses.
func anyLinkLocal(p *Policy) bool {
	return slices.ContainsFunc(p.Instances, func(i *Instance) bool {
		for n := range i.Ports {
			if i.Ports[n].anyNetwork(LinkLocalNet.Overlaps) {
				return true
			}
		}
		return false
	})
}

// around returns the smallest other network that holds one of the list; nil = none.
func (x *ownNetworks) around(o *ownNetwork) *ownNetwork {
	if o.outer < 0 {
		return nil
	}
	return &x.list[o.outer]
}

func (x *ownNetworks) prefix(o *ownNetwork) netip.Prefix {
	if port := x.policy.port(o.at); !o.isDerived() {
		return port.Addresses[o.entry]
	} else {
		return netip.PrefixFrom(port.MAC.LinkLocal(), 128)
	}
}

// text puts a network into words.
func (x *ownNetworks) text(o *ownNetwork) string {
	if o.isDerived() {
		return "the link-local address " + AddressText(x.prefix(o)) + " of the MAC"
	}
	return AddressText(x.prefix(o))
}

// ownerOf returns the first network in or around p that another port owns, if any. Of ports that
// own networks within each other, which is a problem of its own, it may miss one.
func (x *ownNetworks) ownerOf(p netip.Prefix, self portAt) *ownNetwork {
	asked := networkOf(p)
	first := sort.Search(len(x.list), func(n int) bool {
		return compareNetwork(&x.list[n], &asked) >= 0
	})
	for n := first; n < len(x.list) && asked.holds(&x.list[n]); n++ {
		if x.list[n].at != self {
			return &x.list[n]
		}
	}
	for n := int32(first) - 1; n >= 0; n = x.list[n].outer {
		if o := &x.list[n]; o.holds(&asked) && o.at != self {
			return o
		}
	}
	return nil
}

// hasOwnIPv6 says whether the port's own MAC goes with an IPv6 address: see [Port.Uses].
func (p *Port) hasOwnIPv6() bool {
	isOwn := func(a AllowedAddress) bool { return a.MAC.IsZero() && isIPv6(a.Prefix) }
	return slices.ContainsFunc(p.Addresses, isIPv6) || slices.ContainsFunc(p.Allowed, isOwn)
}

func isIPv6(p netip.Prefix) bool { return p.Addr().Is6() }
