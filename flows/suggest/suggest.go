// Package suggest says which rules would admit a first packet that is denied, the narrowest first.
// The API server asks it. It decides nothing: what it says is held against the rules' own judge,
// [explain.Index.Admits]. Pure.
package suggest

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// Answer is what it would take. The packet passes when one of the choices of every need is made, as
// far as rules decide: the guards are not asked.
type Answer struct {
	// IsAdmitted = the rules admit it as they are
	IsAdmitted bool   `json:"admitted"`
	Needs      []Need `json:"needs"`
}

// Need is one port whose rules do not admit the packet, and the rules of which each would.
type Need struct {
	Direction string   `json:"direction"` // seen from the instance
	Instance  string   `json:"instance"`
	Port      string   `json:"port"`
	Choices   []Choice `json:"choices"`
	// Reason is why there is no choice.
	Reason string `json:"reason,omitempty"`
}

// Choice is a rule, and the group that it would be added to.
type Choice struct {
	Group string      `json:"group"`
	Rule  policy.Rule `json:"rule"`
	// Members is how many instances the group has, and Peers how many those of the rule are: to all
	// of them the rule would apply; for an address that is one.
	Members int `json:"members"`
	Peers   int `json:"peers"`
}

// errNobodys says that rules have no part in it.
var errNobodys = errors.New("neither address is of an instance: no rule is asked about it")

// For says which rules would admit a packet.
func For(index *explain.Index, t spec.Tuple) (Answer, error) {
	out := Answer{Needs: []Need{}}
	p := index.Policy()
	src, dst := find(p, index.OwnerOf(t.Src), t.Src), find(p, index.OwnerOf(t.Dst), t.Dst)
	if src.instance == nil && dst.instance == nil {
		return out, errNobodys
	}
	for _, one := range []side{{policy.Egress, src, dst, t.Dst}, {policy.Ingress, dst, src, t.Src}} {
		if one.at.instance == nil || index.Admits(one.at.instance, one.at.port, one.direction, t) {
			continue
		}
		out.Needs = append(out.Needs, one.need(p, t))
	}
	out.IsAdmitted = len(out.Needs) == 0
	return out, nil
}

// place is a port and the instance that has it; the zero place is nowhere.
type place struct {
	instance *policy.Instance
	port     *policy.Port
}

// find finds the port of an instance that uses an address.
func find(p *policy.Policy, name string, a netip.Addr) place {
	i := p.Instance(name)
	if i == nil {
		return place{}
	}
	for at := range i.Ports {
		if slices.ContainsFunc(i.Ports[at].Uses(), func(u policy.Use) bool {
			return u.Prefix.Contains(a)
		}) {
			return place{i, &i.Ports[at]}
		}
	}
	return place{}
}

// side is the packet as the rules of one port see it.
type side struct {
	direction policy.Direction
	at, peer  place
	remote    netip.Addr
}

// need lists the rules that would do.
func (s side) need(p *policy.Policy, t spec.Tuple) Need {
	out := Need{Direction: s.direction.String(), Instance: s.at.instance.Name, Port: s.at.port.Name,
		Choices: []Choice{}}
	if len(s.at.instance.Groups) == 0 {
		out.Reason = "the instance is in no group: rules are of groups"
		return out
	}
	members := p.MemberCounts()
	for _, group := range s.at.instance.Groups {
		for _, peer := range s.peers() {
			c := Choice{Group: group, Rule: s.rule(t, peer), Members: members[group], Peers: 1}
			if peer.Group != "" {
				c.Peers = members[peer.Group]
			}
			if s.would(p, c, t) {
				out.Choices = append(out.Choices, c)
			}
		}
	}
	slices.SortStableFunc(out.Choices, func(a, b Choice) int {
		return cmp.Or(cmp.Compare(a.Members*a.Peers, b.Members*b.Peers), cmp.Compare(a.Group, b.Group))
	})
	return out
}

// peers are the words for the other end: its groups, and its address.
func (s side) peers() (out []policy.Peer) {
	if s.peer.instance != nil {
		for _, g := range s.peer.instance.Groups {
			out = append(out, policy.Peer{Group: g})
		}
	}
	return append(out, policy.Peer{CIDR: netip.PrefixFrom(s.remote, s.remote.BitLen())})
}

// rule is the narrowest one for a packet and a peer.
func (s side) rule(t spec.Tuple, peer policy.Peer) policy.Rule {
	r := policy.Rule{Direction: s.direction, Protocol: policy.Protocol(t.Protocol),
		ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP, Peers: []policy.Peer{peer}}
	switch {
	case r.Protocol.HasPorts():
		r.Ports = []policy.PortRange{{First: t.DstPort, Last: t.DstPort}}
	case r.Protocol.HasTypes():
		r.ICMPType, r.ICMPCode = int16(t.ICMPType), int16(t.ICMPCode)
	}
	return r
}

// would says whether the rule admits the packet: a group admits by the own addresses of its
// members, so the peer's group does not do for every address.
func (s side) would(p *policy.Policy, c Choice, t spec.Tuple) bool {
	small := &policy.Policy{Instances: []*policy.Instance{s.at.instance}}
	if s.peer.instance != nil && s.peer.instance != s.at.instance {
		small.Instances = append(small.Instances, s.peer.instance)
	}
	for _, g := range p.Groups {
		switch {
		case g.Name == c.Group:
			next := *g
			next.Rules = append(slices.Clone(g.Rules), c.Rule)
			small.Groups = append(small.Groups, &next)
		case slices.ContainsFunc(small.Instances, func(i *policy.Instance) bool {
			return slices.Contains(i.Groups, g.Name)
		}):
			small.Groups = append(small.Groups, g)
		}
	}
	return explain.NewIndex(small).Admits(s.at.instance, s.at.port, s.direction, t)
}
