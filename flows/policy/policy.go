package policy

import (
	"fmt"
	"net/netip"
)

// Policy is one complete, validated policy: every group and every instance of all hosts. Neither a
// policy nor anything that it points to is ever changed: another policy shares with it what is the
// same in both, so that what differs is found without reading all of it.
type Policy struct {
	Projects  []*Project  `json:"projects,omitempty"`
	Groups    []*Group    `json:"groups,omitempty"`
	Instances []*Instance `json:"instances,omitempty"`
}

// Position says where in a policy file a value was written, so that messages can name it.
// The zero Position means "not from a file".
type Position struct {
	File   string
	Line   int
	Column int
}

// String returns file:line:column, or "-" for the zero Position.
func (p Position) String() string {
	if p.Line == 0 {
		return "-"
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Group is a security group: a set of member instances, given by [Instance.Groups], and the rules
// for each of them.
type Group struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// IsNetwork = it is a named network: it has external sources only, and no instance is in it.
	// Networks and groups have different names.
	IsNetwork bool `json:"-"`
	// Shared = rules of other projects may name the group, too.
	Shared bool `json:"shared,omitempty"`
	// ExternalSources are networks that count as members where the group is a rule's peer; no rule
	// applies to them.
	ExternalSources []netip.Prefix `json:"external_sources,omitempty"`
	Rules           []Rule         `json:"rules,omitempty"`
	At              Position       `json:"at,omitzero"`
}

// Direction of traffic, seen from the instance.
type Direction uint8

// The zero Direction is neither, so that a zero Rule admits nothing.
const (
	Ingress Direction = iota + 1 // to the instance
	Egress                       // from the instance
)

// String returns the word that policy files use.
func (d Direction) String() string {
	switch d {
	case Ingress:
		return "ingress"
	case Egress:
		return "egress"
	}
	return "none"
}

// Opposite returns the direction of the replies.
func (d Direction) Opposite() Direction {
	switch d {
	case Ingress:
		return Egress
	case Egress:
		return Ingress
	}
	return 0
}

// Protocol is an IP protocol number (0-255, IANA "Assigned Internet Protocol Numbers") or
// [AnyProtocol].
type Protocol uint16

// The protocols that policy files know by name.
const (
	IPIP        Protocol = 4
	ICMP        Protocol = 1
	TCP         Protocol = 6
	UDP         Protocol = 17
	GRE         Protocol = 47
	ESP         Protocol = 50
	AH          Protocol = 51
	ICMPv6      Protocol = 58
	SCTP        Protocol = 132
	AnyProtocol Protocol = 256 // every protocol, every port, every ICMP type
)

// HasPorts says whether a rule of this protocol is about destination ports.
func (p Protocol) HasPorts() bool { return p == TCP || p == UDP || p == SCTP }

// HasTypes says whether a rule of this protocol may name ICMP types and codes.
func (p Protocol) HasTypes() bool { return p == ICMP || p == ICMPv6 }

// String returns the name that policy files use, or the number.
func (p Protocol) String() string {
	switch p {
	case IPIP:
		return "ipip"
	case ICMP:
		return "icmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case GRE:
		return "gre"
	case ESP:
		return "esp"
	case AH:
		return "ah"
	case ICMPv6:
		return "icmpv6"
	case SCTP:
		return "sctp"
	case AnyProtocol:
		return "any"
	}
	return fmt.Sprintf("%d", uint16(p))
}

// PortRange is a range of TCP, UDP or SCTP destination ports, both ends included. The zero
// PortRange holds no port.
type PortRange struct{ First, Last uint16 }

// Contains says whether the port is in the range. Port 0 is in no range.
func (r PortRange) Contains(port uint16) bool {
	return r.First != 0 && port >= r.First && port <= r.Last
}

// String returns "80" or "80-443".
func (r PortRange) String() string {
	if r.First == r.Last {
		return fmt.Sprintf("%d", r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// AnyICMP stands for every ICMP type, or every code, in a [Rule].
const AnyICMP int16 = -1

// Instance is a virtual machine or container: the groups it is a member of, and its ports.
type Instance struct {
	Name string `json:"name"`
	// the host it runs on; "" = local on every host that reads the policy
	Host string `json:"host,omitempty"`
	// MigratingTo is a second host on which it is local, because it is about to run there; "" = it
	// stays where it is.
	MigratingTo string   `json:"migrating_to,omitempty"`
	Groups      []string `json:"groups,omitempty"`
	Ports       []Port   `json:"ports,omitempty"`
	At          Position `json:"at,omitzero"`
}

// PortType says who makes the device of a port.
type PortType string

// The zero PortType is a device that exists already, made by libvirt or an operator.
const (
	ExistingDevice PortType = ""
	InternalDevice PortType = "internal" // made by Open vSwitch
)

// Port is one interface of an instance on the bridge.
type Port struct {
	// Name is the interface's name on the bridge, at most 15 bytes; where it is the IfaceID, the
	// interface may have any name.
	Name string `json:"name"`
	// IfaceID is what external_ids:iface-id of its interface says, whatever the interface is called;
	// "" = the port is known by the interface's name. It is one port's of all hosts.
	IfaceID string `json:"iface_id,omitempty"`
	MAC     MAC    `json:"mac"`
	// Addresses are the port's own: mostly /32 and /128, each of them owned by this port alone.
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	// Allowed are further addresses it may use, which other ports may use too (VRRP and the like).
	Allowed []AllowedAddress `json:"allowed_addresses,omitempty"`
	Type    PortType         `json:"type,omitempty"`
	// HostDevice = it is meant to be a device that the host itself uses, too.
	HostDevice bool     `json:"host_device,omitempty"`
	Trusted    bool     `json:"trusted,omitempty"`    // not filtered: a router, a DHCP server
	EtherTypes []uint16 `json:"ethertypes,omitempty"` // passed beside IPv4, ARP and IPv6
	// Limits are of its own; where there are none, those of the [Site] hold.
	Limits Limits `json:"limits,omitzero"`
	// LogDenied = the first packets of what the rules deny are logged; left open, as the [Site]
	// says.
	LogDenied Choice   `json:"log_denied,omitzero"`
	At        Position `json:"at,omitzero"`
}

// AllowedAddress is an address, or network, that a port may use beside its own.
type AllowedAddress struct {
	Prefix netip.Prefix `json:"address"`
	MAC    MAC          `json:"mac,omitzero"` // the zero MAC = the port's own
}

// Site is what the settings say of this host and its surroundings.
type Site struct {
	Host string `json:"host"` // instances of this host are local
	// Gateways are those whose gratuitous ARP and unsolicited NA reach the instances.
	Gateways []netip.Addr `json:"gateways,omitempty"`
	// DHCPServers may answer DHCP; empty = any server behind an uplink or a trusted port.
	DHCPServers []netip.Addr `json:"dhcp_servers,omitempty"`
	Limits      Limits       `json:"limits,omitzero"` // of every port that has none of its own
	// OutsideFragments is how many IP fragments a second come from outside to all those ports
	// together that have no limit of fragments of their own.
	OutsideFragments Limit `json:"outside_fragments_per_second,omitzero"`
	// of every port that chooses nothing of its own
	LogDenied bool `json:"log_denied,omitempty"`
	// UplinkSources says which source addresses frames of an uplink may have.
	UplinkSources UplinkSources `json:"uplink_sources"`
}

// UplinkSources says which source addresses frames of an uplink may have.
type UplinkSources uint8

// The zero UplinkSources is what works behind every router.
const (
	// RoutedSources: any. What a router sends on has its own MAC and somebody else's address,
	// which may be that of an instance.
	RoutedSources UplinkSources = iota
	// StrictSources: an address that the policy gives to an instance, on this host or another,
	// comes with a MAC only that the policy lists for it.
	StrictSources
)

// String returns the word of the settings.
func (u UplinkSources) String() string {
	if u == StrictSources {
		return "strict"
	}
	return "routed"
}
