package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A rule, and the lists that it is made of. Lists are unions: neither the order of their items nor
// an item that another covers means anything, so neither is part of a rule's words, by which it is
// known everywhere ([Rule.String]).

// MaxRuleItems is how many ports, or peers, one rule may list.
const MaxRuleItems = 100

// Peer is the other side of a rule: exactly one of a network and a group. The zero Peer is nobody.
type Peer struct {
	CIDR  netip.Prefix // masked: no host bits
	Group string
	// IsNetwork = the group is a named network: see [Group.IsNetwork].
	IsNetwork bool
}

// String returns the network, "group NAME" or "network NAME".
func (p Peer) String() string {
	switch {
	case p.Group != "" && p.IsNetwork:
		return "network " + p.Group
	case p.Group != "":
		return "group " + p.Group
	case p.CIDR.IsValid():
		return p.CIDR.String()
	}
	return "nobody"
}

// Rule admits connections in one direction: those that are to one of its ports, with one of its
// peers. Rules only admit; their order never matters. The zero Rule admits nothing.
type Rule struct {
	Direction   Direction
	Protocol    Protocol
	Ports       []PortRange // of tcp, udp and sctp; none for all others
	ICMPType    int16       // of icmp and icmpv6: 0-255 or AnyICMP; AnyICMP for all others
	ICMPCode    int16       // as ICMPType
	Peers       []Peer
	Description string
	At          Position
}

// String says the rule in words that are the same for the same permission: the description and the
// position are not part of it, nor is the order of a list.
func (r Rule) String() string {
	return r.Direction.String() + " " + r.ServiceText() + " " + r.Preposition() + " " + r.PeerText()
}

// ServiceText is the middle of the rule's words: "tcp 80, 443".
func (r Rule) ServiceText() string {
	s := r.Protocol.String()
	if r.Protocol.HasPorts() {
		s += " " + portsText(r.Ports)
	}
	if r.Protocol.HasTypes() && r.ICMPType != AnyICMP {
		s += fmt.Sprintf(" type %d", r.ICMPType)
		if r.ICMPCode != AnyICMP {
			s += fmt.Sprintf(" code %d", r.ICMPCode)
		}
	}
	return s
}

// Preposition is "to" of egress, else "from".
func (r Rule) Preposition() string {
	if r.Direction == Egress {
		return "to"
	}
	return "from"
}

// PeerText is the end of the rule's words: "10.0.0.0/8, group web".
func (r Rule) PeerText() string {
	return joined(UnionOfPeers(r.Peers), Peer{}.String())
}

func portsText(ports []PortRange) string { return joined(UnionOfPorts(ports), PortRange{}.String()) }

// joined puts a list into words; none is what an empty one is called.
func joined[T fmt.Stringer](list []T, none string) string {
	switch len(list) {
	case 0:
		return none
	case 1:
		return list[0].String()
	}
	words := make([]string, len(list))
	for n, v := range list {
		words[n] = v.String()
	}
	return strings.Join(words, ", ")
}

// Names says whether the rule names a group as a peer.
func (r Rule) Names(group string) bool {
	return slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.Group == group && group != "" })
}

// IsWithheld says whether the rule is one that admits nothing: see [Nobody].
func (r Rule) IsWithheld() bool { return len(r.Peers) == 1 && r.Peers[0] == Nobody }

// Equal says whether two rules are the same but for their description and where they are written.
func (r Rule) Equal(s Rule) bool {
	return r.Direction == s.Direction && r.Protocol == s.Protocol && r.ICMPType == s.ICMPType &&
		r.ICMPCode == s.ICMPCode && slices.Equal(UnionOfPorts(r.Ports), UnionOfPorts(s.Ports)) &&
		slices.Equal(UnionOfPeers(r.Peers), UnionOfPeers(s.Peers))
}

// UnionOfPorts returns the ports of a list as sorted ranges that neither meet nor overlap. Ranges
// that hold no port are left out. The list is not changed, and returned if it is so already.
func UnionOfPorts(list []PortRange) []PortRange {
	if isUnion(list, func(a, b PortRange) bool { return uint32(a.Last)+1 < uint32(b.First) },
		PortRange.isValid) {
		return list
	}
	sorted := slices.DeleteFunc(slices.Clone(list), func(r PortRange) bool { return !r.isValid() })
	slices.SortFunc(sorted, func(a, b PortRange) int { return cmp.Compare(a.First, b.First) })
	out := sorted[:0]
	for _, r := range sorted {
		if n := len(out); n > 0 && uint32(r.First) <= uint32(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// UnionOfPeers returns the peers of a list without those that another covers: networks first, in
// the order of their addresses, then groups by their names. The list is not changed, and returned
// if it is so already.
func UnionOfPeers(list []Peer) []Peer {
	if isUnion(list, func(a, b Peer) bool { return comparePeer(a, b) < 0 && !a.Covers(b) },
		Peer.isSomebody) {
		return list
	}
	sorted := slices.DeleteFunc(slices.Clone(list), func(p Peer) bool { return !p.isSomebody() })
	slices.SortFunc(sorted, comparePeer)
	out := sorted[:0]
	for _, p := range sorted {
		// a network stands before all that it holds, and nothing else stands between them
		if n := len(out); n == 0 || !out[n-1].Covers(p) {
			out = append(out, p)
		}
	}
	return out
}

// isUnion says whether each item of a list is valid and apart from the next one.
func isUnion[T any](list []T, apart func(a, b T) bool, isValid func(T) bool) bool {
	for n, v := range list {
		if !isValid(v) || n > 0 && !apart(list[n-1], v) {
			return false
		}
	}
	return true
}

func (r PortRange) isValid() bool { return r.First != 0 && r.First <= r.Last }

func (p Peer) isSomebody() bool { return p.Group != "" || p.CIDR.IsValid() }

func comparePeer(a, b Peer) int {
	switch {
	case a.Group == "" && b.Group == "":
		return ComparePrefix(a.CIDR, b.CIDR)
	case a.Group == "":
		return -1
	case b.Group == "":
		return 1
	}
	return cmp.Or(compareBool(a.IsNetwork, b.IsNetwork), cmp.Compare(a.Group, b.Group))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Covers says whether whoever is one peer is the other, too, for certain.
func (p Peer) Covers(q Peer) bool {
	if p.Group != "" || q.Group != "" {
		return p == q
	}
	return p.CIDR.Bits() <= q.CIDR.Bits() && p.CIDR.Contains(q.CIDR.Addr())
}
