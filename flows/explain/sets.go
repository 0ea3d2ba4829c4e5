package explain

import (
	"encoding/binary"
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
	sixth  int // the first range of IPv6
}

func newAddresses(s *netipx.IPSet) *addresses {
	out := &addresses{IPSet: s, ranges: s.Ranges()}
	out.sixth = sort.Search(len(out.ranges), func(n int) bool { return out.ranges[n].From().Is6() })
	return out
}

// family returns the ranges of a family.
func (a *addresses) family(v4 bool) []netipx.IPRange {
	if v4 {
		return a.ranges[:a.sixth]
	}
	return a.ranges[a.sixth:]
}

// key tells sets apart.
func (a *addresses) key() string {
	out := binary.AppendUvarint(make([]byte, 0, 32*len(a.ranges)+8), uint64(a.sixth))
	for _, r := range a.ranges {
		first, last := r.From().As16(), r.To().As16()
		out = append(append(out, first[:]...), last[:]...)
	}
	return string(out)
}

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

// overlaps says whether two sets have an address in common.
func (a *addresses) overlaps(b *addresses) bool {
	if len(a.ranges) < len(b.ranges) {
		a, b = b, a
	}
	return slices.ContainsFunc(b.ranges, func(r netipx.IPRange) bool {
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

// subtraction takes what some rules admit from what others do, in one family.
type subtraction struct {
	v4    bool
	over  func() bool
	sets  []*addresses
	known map[*addresses]int32 // their numbers
	steps map[string]*leftover
}

// leftover are the addresses that are left of what is admitted at a node, and above it.
type leftover struct {
	number  int
	rest    *addresses   // nil = none
	without []*addresses // that were taken away
}

// most is how many sets are taken away one by one; more are put together first.
const most = 16

// left returns, for each piece, the addresses of the rules of a that admit it and of no such rule
// of b; nil = there are none. It returns nothing when it is over.
func (s *subtraction) left(all pieces, a, b portAccess) []*addresses {
	s.known, s.steps = map[*addresses]int32{}, map[string]*leftover{}
	in, without := s.numbers(all, a), s.numbers(all, b)
	nodes := make([]*leftover, len(in))
	if len(nodes) > 0 {
		nodes[0] = &leftover{}
	}
	for n := 1; n < len(nodes); n++ {
		if nodes[n] = nodes[n/2]; len(in[n])+len(without[n]) == 0 {
			continue
		}
		if s.over() {
			return nil
		}
		nodes[n] = s.step(nodes[n/2], in[n], without[n])
	}
	out := make([]*addresses, all.count())
	for n := range out {
		out[n] = nodes[all.count()+n].rest
	}
	return out
}

// numbers returns the numbers of the peers of the rules at each node, in order.
func (s *subtraction) numbers(all pieces, a portAccess) [][]int32 {
	v6 := 1
	if s.v4 {
		v6 = 0
	}
	out := make([][]int32, 2*all.count())
	for _, r := range a.rules {
		if len(r.peers.family(s.v4)) == 0 {
			continue
		}
		number, known := s.known[r.peers]
		if !known {
			number = int32(len(s.sets))
			s.known[r.peers], s.sets = number, append(s.sets, r.peers)
		}
		for _, services := range r.services[v6] {
			for node := range all.nodes(services) {
				out[node] = append(out[node], number)
			}
		}
	}
	for n := range out {
		slices.Sort(out[n])
		out[n] = slices.Compact(out[n])
	}
	return out
}

// step returns what is left at a node where sets are admitted and taken away, below another. Where
// the same was asked before it is the same again.
func (s *subtraction) step(from *leftover, in, without []int32) *leftover {
	key := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(from.number)), uint64(len(in)))
	for _, n := range slices.Concat(in, without) {
		key = binary.AppendUvarint(key, uint64(n))
	}
	if s.steps[string(key)] == nil {
		out := s.leftover(from, in, without)
		out.number = len(s.steps) + 1
		s.steps[string(key)] = out
	}
	return s.steps[string(key)]
}

func (s *subtraction) leftover(from *leftover, in, without []int32) *leftover {
	var more []netipx.IPRange
	for _, n := range in {
		if _, isTaken := slices.BinarySearch(without, n); !isTaken {
			more = append(more, s.sets[n].family(s.v4)...)
		}
	}
	taken := s.taken(without)
	out := &leftover{rest: from.rest, without: slices.Concat(from.without, taken)}
	var rest []netipx.IPRange
	if from.rest != nil {
		rest = from.rest.ranges
	}
	for _, set := range taken { // first what may be nearly the same
		more, rest = set.cut(more), set.cut(rest)
	}
	for _, set := range slices.Backward(from.without) {
		more = set.cut(more)
	}
	switch {
	case len(more)+len(rest) == 0:
		out.rest = nil
	case len(more) > 0 || !slices.Equal(rest, from.rest.ranges):
		out.rest = rangesTogether(more, rest)
	}
	return out
}

// taken returns sets, by their numbers; if they are many, one of all of them.
func (s *subtraction) taken(numbers []int32) []*addresses {
	var out []*addresses
	for _, n := range numbers {
		out = append(out, s.sets[n])
	}
	if len(out) <= most {
		return out
	}
	var all [][]netipx.IPRange
	for _, set := range out {
		all = append(all, set.family(s.v4))
	}
	return []*addresses{rangesTogether(all...)}
}

func rangesTogether(lists ...[]netipx.IPRange) *addresses {
	var b netipx.IPSetBuilder
	for _, list := range lists {
		for _, r := range list {
			b.AddRange(r)
		}
	}
	out, _ := b.IPSet() // all its parts are valid
	return newAddresses(out)
}
