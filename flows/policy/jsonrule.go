package policy

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
)

// Rules and named networks as JSON: see json.go.

// policyJSON is a policy as JSON: named networks are apart from groups.
type policyJSON struct {
	Networks  map[string][]netip.Prefix `json:"networks,omitempty"`
	Groups    []*Group                  `json:"groups,omitempty"`
	Instances []*Instance               `json:"instances,omitempty"`
}

// MarshalJSON returns the policy with its named networks apart; where these are written is left
// out.
func (p Policy) MarshalJSON() ([]byte, error) {
	networks, groups := p.Apart()
	out := policyJSON{Groups: groups, Instances: p.Instances}
	if len(networks) > 0 {
		out.Networks = make(map[string][]netip.Prefix, len(networks))
	}
	for _, n := range networks {
		out.Networks[n.Name] = n.ExternalSources
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON returns.
func (p *Policy) UnmarshalJSON(text []byte) error {
	var in policyJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*p = Policy{Instances: in.Instances}
	for _, name := range slices.Sorted(maps.Keys(in.Networks)) {
		p.Groups = append(p.Groups,
			&Group{Name: name, IsNetwork: true, ExternalSources: in.Networks[name]})
	}
	p.Groups = append(p.Groups, in.Groups...)
	return nil
}

// ruleJSON is a rule as JSON. A type or code that is left out is any.
type ruleJSON struct {
	Direction   Direction        `json:"direction"`
	Protocol    Protocol         `json:"protocol"`
	Ports       some[PortRange]  `json:"ports,omitempty"`
	ICMPType    *int16           `json:"icmp_type,omitempty"`
	ICMPCode    *int16           `json:"icmp_code,omitempty"`
	CIDR        some[peerOfCIDR] `json:"cidr,omitempty"`
	Group       some[string]     `json:"group,omitempty"`
	Description string           `json:"description,omitempty"`
	At          Position         `json:"at,omitzero"`
}

// some is a list, of which one item stands for itself.
type some[T any] []T

// MarshalJSON returns the item, or a list of several.
func (s some[T]) MarshalJSON() ([]byte, error) {
	if len(s) == 1 {
		return json.Marshal(s[0])
	}
	return json.Marshal([]T(s))
}

// UnmarshalJSON reads an item or a list.
func (s *some[T]) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		return json.Unmarshal(text, (*[]T)(s))
	}
	var one T
	err := json.Unmarshal(text, &one)
	*s = some[T]{one}
	return err
}

// peerOfCIDR is a peer that is written as cidr: a network, or the name of one.
type peerOfCIDR Peer

// MarshalText returns the network, or its name.
func (p peerOfCIDR) MarshalText() ([]byte, error) {
	if p.IsNetwork {
		return []byte(p.Group), nil
	}
	return p.CIDR.MarshalText()
}

// UnmarshalText reads a network, or the name of one.
func (p *peerOfCIDR) UnmarshalText(text []byte) error {
	if IsNetworkName(string(text)) {
		*p = peerOfCIDR{Group: string(text), IsNetwork: true}
		return nil
	}
	return p.CIDR.UnmarshalText(text)
}

// MarshalJSON returns the rule with its peers among its keys.
func (r Rule) MarshalJSON() ([]byte, error) {
	out := ruleJSON{Direction: r.Direction, Protocol: r.Protocol, Ports: r.Ports,
		Description: r.Description, At: r.At}
	for _, p := range r.Peers {
		if p.kind() == 0 {
			out.CIDR = append(out.CIDR, peerOfCIDR(p))
		} else {
			out.Group = append(out.Group, p.Group)
		}
	}
	if r.ICMPType != AnyICMP {
		out.ICMPType = &r.ICMPType
	}
	if r.ICMPCode != AnyICMP {
		out.ICMPCode = &r.ICMPCode
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON returns.
func (r *Rule) UnmarshalJSON(text []byte) error {
	kind, code := AnyICMP, AnyICMP
	in := ruleJSON{ICMPType: &kind, ICMPCode: &code}
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*r = Rule{Direction: in.Direction, Protocol: in.Protocol, Ports: in.Ports, ICMPType: kind,
		ICMPCode: code, Description: in.Description, At: in.At}
	for _, p := range in.CIDR {
		r.Peers = append(r.Peers, Peer(p))
	}
	for _, g := range in.Group {
		r.Peers = append(r.Peers, Peer{Group: g})
	}
	return nil
}
