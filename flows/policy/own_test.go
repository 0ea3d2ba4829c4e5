package policy

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawOwners makes a few ports that own networks of one small range, and link-local ones now and
// then.
func drawOwners(t *rapid.T) *Policy {
	i := &Instance{Name: "i"}
	for n := range rapid.IntRange(1, 6).Draw(t, "ports") {
		p := Port{Name: string(rune('a' + n)), MAC: MAC{2, 0, 0, 0, 0, byte(n)}}
		for range rapid.IntRange(0, 3).Draw(t, "addresses") {
			p.Addresses = append(p.Addresses, drawOwn(t))
		}
		i.Ports = append(i.Ports, p)
	}
	return &Policy{Instances: []*Instance{i}}
}

func drawOwn(t *rapid.T) netip.Prefix {
	last, bits := rapid.Byte().Draw(t, "last"), rapid.IntRange(24, 32).Draw(t, "bits")
	switch rapid.IntRange(0, 9).Draw(t, "family") {
	case 0: // maybe that of a MAC
		return netip.PrefixFrom(MAC{2, 0, 0, 0, 0, last & 7}.LinkLocal(), bits+96).Masked()
	case 1:
		a := netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 15: last})
		return netip.PrefixFrom(a, bits+96).Masked()
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), bits).Masked()
}

// TestOverlapsAreThoseOfPairs compares what is found in sorted networks with a look at every pair.
func TestOverlapsAreThoseOfPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawOwners(t)
		ports := p.Instances[0].Ports
		conflict := false
		for n := range ports {
			for _, other := range ports[:n] {
				for _, a := range ownOf(ports[n]) {
					conflict = conflict || slices.ContainsFunc(ownOf(other), a.Overlaps)
				}
			}
		}
		var v Validator
		problems := v.Validate(p)
		require.Equal(t, conflict, len(problems) > 0, "%v", problems)

		asked := drawOwn(t)
		other := slices.ContainsFunc(ports[1:], func(
			q Port) bool {
			return slices.ContainsFunc(ownOf(q), asked.Overlaps)
		})
		ports[0].Allowed = []AllowedAddress{{Prefix: asked, MAC: MAC{2, 9}}}
		v.own.collect(p)
		if !conflict {
			require.Equal(t, other, v.own.ownerOf(asked, portAt{0, 0}) != nil)
		}
	})
}

// ownOf returns what is the port's own, as [Port.Uses] has it.
func ownOf(p Port) (out []netip.Prefix) {
	p.Allowed = nil
	for _, u := range p.Uses() {
		out = append(out, u.Prefix)
	}
	return out
}

func TestOrderOfNetworksIsThatOfPrefixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawOwn(t), drawOwn(t)
		x, y := networkOf(a), networkOf(b)
		require.Equal(t, ComparePrefix(a, b), compareNetwork(&x, &y), "%s %s", a, b)
		if ComparePrefix(a, b) <= 0 {
			require.Equal(t, a.Overlaps(b), x.holds(&y), "%s %s", a, b)
		}
	})
}

// The link-local address that a port owns beside what it lists is the one that it may use.
func TestLinkLocalIsAsThePortUsesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Port{MAC: MAC{2, 0, 0, 0, 0, 1}}
		for range rapid.IntRange(0, 2).Draw(t, "addresses") {
			p.Addresses = append(p.Addresses, drawOwn(t))
		}
		for range rapid.IntRange(0, 2).Draw(t, "allowed") {
			other := rapid.SampledFrom([]MAC{{}, {2, 0, 0, 0, 0, 2}}).Draw(t, "mac")
			p.Allowed = append(p.Allowed, AllowedAddress{drawOwn(t), other})
		}
		isUsed := slices.ContainsFunc(p.Uses(), func(u Use) bool {
			return u.MAC == p.MAC && u.Prefix == netip.PrefixFrom(p.MAC.LinkLocal(), 128)
		})
		isListed := slices.ContainsFunc(p.Listed(), func(u Use) bool {
			return u.MAC == p.MAC && u.Prefix == netip.PrefixFrom(p.MAC.LinkLocal(), 128)
		})
		require.Equal(t, isUsed, p.hasOwnIPv6() || isListed)
	})
}
