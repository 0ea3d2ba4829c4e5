package policydb

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// Values of the policy as columns have them, and back. read.go and write.go call this. Invariant:
// what a value is written as is read as the same value.

// The keys of Port.limits; 0 is none at all, and a key that is missing what the settings say.
const (
	limitConnections    = "connections"
	limitNewConnections = "new_connections_per_second"
	limitARPNDDHCP      = "arp_nd_dhcp_per_second"
	limitFragments      = "fragments_per_second"
)

// limitsColumn writes limits.
func limitsColumn(l policy.Limits) map[string]int {
	out := map[string]int{}
	for key, limit := range map[string]policy.Limit{limitConnections: l.Connections,
		limitNewConnections: l.NewConnections, limitARPNDDHCP: l.ARPNDDHCP,
		limitFragments: l.Fragments} {
		switch limit {
		case 0:
		case policy.Unlimited:
			out[key] = 0
		default:
			out[key] = int(limit)
		}
	}
	return out
}

// limits reads them. A negative number, which the schema does not admit, is over every limit.
func limits(column map[string]int) policy.Limits {
	of := func(key string) policy.Limit {
		switch n, isSet := column[key]; {
		case !isSet:
			return 0
		case n == 0:
			return policy.Unlimited
		default:
			return policy.Limit(uint32(n))
		}
	}
	return policy.Limits{Connections: of(limitConnections), NewConnections: of(limitNewConnections),
		ARPNDDHCP: of(limitARPNDDHCP), Fragments: of(limitFragments)}
}

// choiceColumn writes Port.log_denied: an element, or none where the settings decide.
func choiceColumn(c policy.Choice) libovsdb.OvsSet {
	if c == policy.Unset {
		return client.Set[bool](nil)
	}
	return client.Set([]bool{c == policy.Yes})
}

// choice reads it.
func choice(column *bool) policy.Choice {
	switch {
	case column == nil:
		return policy.Unset
	case *column:
		return policy.Yes
	}
	return policy.No
}

// allowedColumn writes "ADDRESS" or "ADDRESS MAC".
func allowedColumn(a policy.AllowedAddress) string {
	if a.MAC == (policy.MAC{}) {
		return a.Prefix.String()
	}
	return a.Prefix.String() + " " + a.MAC.String()
}

// texts reads the elements of a set by their type's UnmarshalText, in the order of the texts: a set
// has none of its own, and every host is to make the same policy.
func texts[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](column string, set []string) ([]T, error) {
	var out []T
	for _, text := range sorted(set) {
		var v T
		if err := P(&v).UnmarshalText([]byte(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", column, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// stringsOf writes the elements of a set.
func stringsOf[T fmt.Stringer](list []T) []string {
	out := make([]string, len(list))
	for n, v := range list {
		out[n] = v.String()
	}
	return sorted(out)
}

// networks reads networks: those that can be read, and an error about the others.
func networks(column string, set []string) (list []netip.Prefix, errs error) {
	for _, text := range set {
		one, err := network(text)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", column, err))
			continue
		}
		list = append(list, one)
	}
	slices.SortFunc(list, policy.ComparePrefix)
	return list, errs
}

// network reads a network, or an address, which is the network of it alone.
func network(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		return netip.PrefixFrom(a, a.BitLen()), err
	}
	return netip.ParsePrefix(text)
}

// allowed reads Port.allowed: what can be read, and an error about the rest.
func allowed(set []string) (out []policy.AllowedAddress, errs error) {
	for _, text := range sorted(set) {
		address, mac, hasMAC := strings.Cut(text, " ")
		prefix, err := network(address)
		one := policy.AllowedAddress{Prefix: prefix}
		if err == nil && hasMAC {
			err = one.MAC.UnmarshalText([]byte(mac))
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("allowed: %w", err))
			continue
		}
		out = append(out, one)
	}
	return out, errs
}

// rule reads a rule; names are those of the groups by their UUIDs.
func rule(row *rows.Rule, names map[string]*rows.Group) (policy.Rule, error) {
	out := policy.Rule{Protocol: policy.Protocol(uint16(row.Protocol)), ICMPType: icmp(row.ICMPType),
		ICMPCode: icmp(row.ICMPCode), Description: row.Description}
	if err := out.Direction.UnmarshalText([]byte(row.Direction)); err != nil {
		return out, err
	}
	var err error
	if out.Ports, err = texts[policy.PortRange]("ports", row.Ports); err != nil {
		return out, err
	}
	out.Ports = policy.UnionOfPorts(out.Ports)
	list, err := networks("cidrs", row.Cidrs)
	if err != nil {
		return out, err
	}
	for _, network := range list {
		out.Peers = append(out.Peers, policy.Peer{CIDR: network})
	}
	for _, uuid := range row.Peers {
		group := names[uuid]
		if group == nil {
			return out, fmt.Errorf("peers: group %s is not there", uuid)
		}
		out.Peers = append(out.Peers,
			policy.Peer{Group: group.Name, IsNetwork: group.IsNetwork})
	}
	out.Peers = policy.UnionOfPeers(out.Peers)
	return out, nil
}

// icmp reads a type or code; none is any.
func icmp(column *int) int16 {
	if column == nil {
		return policy.AnyICMP
	}
	return int16(*column)
}
