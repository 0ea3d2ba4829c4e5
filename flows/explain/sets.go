package explain

import (
	"net/netip"
	"slices"
	"sort"

	"go4.org/netipx"

	"github.com/portcullis/portcullis/flows/policy"
)

// Sets of addresses: what peers of rules are, and what is in some of them and not in others.
// access.go compares them. Invariant: what two large sets have in common is passed over, so that a
// group that lost one member costs little.

// addresses are a set, with its ranges in order. It never changes.
type addresses struct {
	*netipx.IPSet
	ranges []netipx.IPRange
}

func newAddresses(s *netipx.IPSet) *addresses { return &addresses{s, s.Ranges()} }

// peerSets are the addresses of peers under two policies. Peers that are the same in both are the
// same set, so that it is seen at once that they are.
type peerSets struct {
	shared map[string]*addresses // by the words of a rule's peers
	// groups that may not have the members that they had
	touched map[string]bool
}

// setIn returns the addresses of a rule's peers under one of the policies.
func (s *peerSets) setIn(x *Index, r *policy.Rule, own map[string]*addresses) *addresses {
	known, words := s.shared, r.PeerText()
	if slices.ContainsFunc(r.Peers, func(p policy.Peer) bool { return s.touched[p.Group] }) {
		known = own
	}
	if known[words] == nil {
		known[words] = newAddresses(x.peersOf(r))
	}
	return known[words]
}

// peersOf returns the addresses of a rule's peers.
func (x *Index) peersOf(r *policy.Rule) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range r.Peers {
		switch members := x.members(p.Group); {
		case p.Group == "":
			b.AddPrefix(p.CIDR)
		case members != nil && len(r.Peers) == 1:
			return members
		case members != nil:
			b.AddSet(members)
		}
	}
	set, _ := b.IPSet() // it fails only of networks that are not valid
	return set
}

// overlaps says whether some ranges, in any order, have an address in the set.
func (a *addresses) overlaps(ranges []netipx.IPRange) bool {
	return slices.ContainsFunc(ranges, func(r netipx.IPRange) bool {
		n := a.after(r.From())
		return n < len(a.ranges) && a.ranges[n].From().Compare(r.To()) <= 0
	})
}

// after returns the index of the first range that does not end before an address.
func (a *addresses) after(first netip.Addr) int {
	return sort.Search(len(a.ranges), func(n int) bool { return a.ranges[n].To().Compare(first) >= 0 })
}

// cut returns what ranges have that the set has not.
func (a *addresses) cut(ranges []netipx.IPRange) []netipx.IPRange {
	var out []netipx.IPRange
	for _, r := range ranges {
		first, ended := r.From(), false
		for n := a.after(first); n < len(a.ranges) && !ended; n++ {
			hole := a.ranges[n]
			if hole.From().Compare(r.To()) > 0 {
				break
			}
			if hole.From().Compare(first) > 0 {
				out = append(out, netipx.IPRangeFrom(first, hole.From().Prev()))
			}
			if ended = hole.To().Compare(r.To()) >= 0; !ended {
				first = hole.To().Next()
			}
		}
		if !ended {
			out = append(out, netipx.IPRangeFrom(first, r.To()))
		}
	}
	return out
}

// remaining returns the addresses of one family that are in any of the first sets and in none of the
// others; nil = there are none.
func remaining(in, without []*addresses, v4 bool) *netipx.IPSet {
	var rest []netipx.IPRange
	for _, s := range in {
		if slices.Contains(without, s) {
			continue
		}
		for _, r := range s.ranges {
			if r.From().Is4() == v4 {
				rest = append(rest, r)
			}
		}
	}
	var common []*addresses
	for _, s := range without { // first what may be nearly the same
		if slices.Contains(in, s) {
			common = append(common, s)
			continue
		}
		rest = s.cut(rest)
	}
	for _, s := range common {
		rest = s.cut(rest)
	}
	if len(rest) == 0 {
		return nil
	}
	var b netipx.IPSetBuilder
	for _, r := range rest {
		b.AddRange(r)
	}
	out, _ := b.IPSet() // all its parts are valid
	return out
}
