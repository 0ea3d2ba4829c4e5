package policy

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A policy as JSON: the keys and words are those of policy files, and what is left out means the
// same, so that a policy file may be written from it. The API speaks it. Positions, which files do
// not have, are in "at". What is read is not valid for that alone: see [Validate].

// named are the protocols that have names, in the order of the documentation.
var named = [...]Protocol{TCP, UDP, SCTP, ICMP, ICMPv6, ESP, AH, GRE, IPIP, AnyProtocol}

// NamedProtocols returns the protocols that have names, in the order of the documentation.
func NamedProtocols() []Protocol { return named[:len(named):len(named)] }

// ParseProtocol reads the name of a protocol, in any case, or a number from 0 to 255 in decimal.
// IANA's name of ICMPv6 is one, too.
func ParseProtocol(word string) (Protocol, bool) {
	for _, p := range named {
		if strings.EqualFold(word, p.String()) {
			return p, true
		}
	}
	if strings.EqualFold(word, "ipv6-icmp") {
		return ICMPv6, true
	}
	n, err := strconv.ParseUint(word, 10, 8)
	return Protocol(n), err == nil && strconv.FormatUint(n, 10) == word
}

// MarshalText returns the word of policy files.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the word of policy files.
func (p *Protocol) UnmarshalText(text []byte) error {
	known, ok := ParseProtocol(string(text))
	if !ok {
		return fmt.Errorf("protocol %q is not known", text)
	}
	*p = known
	return nil
}

// MarshalText returns the word of policy files.
func (d Direction) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the word of policy files.
func (d *Direction) UnmarshalText(text []byte) error {
	for _, known := range []Direction{Ingress, Egress} {
		if string(text) == known.String() {
			*d = known
			return nil
		}
	}
	return fmt.Errorf("direction %q is not known; it must be ingress or egress", text)
}

// MarshalText returns the word of the settings.
func (u UplinkSources) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads the word of the settings; any other is an error.
func (u *UplinkSources) UnmarshalText(text []byte) error {
	for _, known := range []UplinkSources{RoutedSources, StrictSources} {
		if string(text) == known.String() {
			*u = known
			return nil
		}
	}
	return fmt.Errorf("uplink_sources: is %q; must be routed or strict", text)
}

// MarshalText returns "80" or "80-443".
func (r PortRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads "80" or "80-443".
func (r *PortRange) UnmarshalText(text []byte) error {
	first, last, isRange := strings.Cut(string(text), "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	*r = PortRange{First: uint16(from), Last: uint16(to)}
	if errors.Join(err1, err2) != nil {
		return fmt.Errorf("ports %q are not a port or a range of ports", text)
	}
	return nil
}

// MarshalText returns the address as [MAC.String] does.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads six bytes with colons or dashes.
func (m *MAC) UnmarshalText(text []byte) error {
	colons := strings.ReplaceAll(strings.ToLower(string(text)), "-", ":")
	raw, err := hex.DecodeString(strings.ReplaceAll(colons, ":", ""))
	copy(m[:], raw)
	if err != nil || m.String() != colons {
		return fmt.Errorf("mac %q is not six bytes", text)
	}
	return nil
}

// MarshalText returns file:line:column.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads file:line:column, of which the file may hold colons.
func (p *Position) UnmarshalText(text []byte) error {
	rest, column := cutLast(string(text))
	file, line := cutLast(rest)
	l, err1 := strconv.Atoi(line)
	c, err2 := strconv.Atoi(column)
	*p = Position{File: file, Line: l, Column: c}
	if errors.Join(err1, err2) != nil {
		return fmt.Errorf("position %q is not file:line:column", text)
	}
	return nil
}

func cutLast(s string) (before, after string) {
	n := max(0, strings.LastIndexByte(s, ':'))
	return s[:n], strings.TrimPrefix(s[n:], ":")
}

// MarshalJSON returns true or false. [Unset] is to be left out.
func (c Choice) MarshalJSON() ([]byte, error) { return strconv.AppendBool(nil, c == Yes), nil }

// UnmarshalJSON reads true or false.
func (c *Choice) UnmarshalJSON(text []byte) error {
	var yes bool
	if err := json.Unmarshal(text, &yes); err != nil {
		return err
	}
	if *c = No; yes {
		*c = Yes
	}
	return nil
}

// MarshalJSON returns a number, which is 0 for [Unlimited]. No limit of its own is to be left out.
func (l Limit) MarshalJSON() ([]byte, error) {
	if l == Unlimited {
		l = 0
	}
	return strconv.AppendUint(nil, uint64(l), 10), nil
}

// UnmarshalJSON reads a number; 0 is [Unlimited].
func (l *Limit) UnmarshalJSON(text []byte) error {
	var n uint32
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	if *l = Limit(n); n == 0 {
		*l = Unlimited
	}
	return nil
}

// policyJSON is a policy as JSON: named networks are apart from groups.
type policyJSON struct {
	Projects  []*Project                `json:"projects,omitempty"`
	Networks  map[string][]netip.Prefix `json:"networks,omitempty"`
	Groups    []*Group                  `json:"groups,omitempty"`
	Instances []*Instance               `json:"instances,omitempty"`
}

// MarshalJSON returns the policy with its named networks apart; where these are written is left
// out.
func (p Policy) MarshalJSON() ([]byte, error) {
	networks, groups := p.Apart()
	out := policyJSON{Projects: p.Projects, Groups: groups, Instances: p.Instances}
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
	*p = Policy{Projects: in.Projects, Instances: in.Instances}
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
