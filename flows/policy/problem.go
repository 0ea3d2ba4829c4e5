package policy

import "fmt"

// What is wrong with a policy, as values: [Validate] and [Doubts] make them, policy files add
// lines.

// Kind is what an [Object] is.
type Kind uint8

// The kinds of objects.
const (
	AGroup Kind = iota
	AnInstance
	AProject
)

// Object is a group, an instance or a project of a policy: by its index in the policy, and by name.
type Object struct {
	Kind  Kind
	Index int
	Name  string
}

// String returns for example group "web".
func (o Object) String() string {
	words := [...]string{AGroup: "group", AnInstance: "instance", AProject: "project"}
	return fmt.Sprintf("%s %q", words[o.Kind], o.Name)
}

// Problem is something in a policy that is not valid, or is valid but hardly meant.
type Problem struct {
	Object Object
	Field  string // of the object, such as name or ports[0].mac; indexes count from 0
	Text   string // what is wrong and what would be right

	veiled     string // Text without what only operators may know; "" = the same
	other      Object // that has the value, too
	otherField string
	value      string // "" = there is no other
}

// String returns one line: object, field, text.
func (p Problem) String() string { return p.Object.String() + ": " + p.Field + ": " + p.Text }

// Place says in words where a field of an object is, for problems that are about two places.
type Place func(o Object, field string) string

// byIndex is the Place of a policy that comes from no file, such as groups[0].name.
func byIndex(o Object, field string) string {
	lists := [...]string{AGroup: "groups", AnInstance: "instances", AProject: "projects"}
	return fmt.Sprintf("%s[%d].%s", lists[o.Kind], o.Index, field)
}

// location is a value within a group or an instance. It is put into words only if something is
// wrong, so it is as small as it can be.
type location struct {
	kind  Kind
	list  key   // of the object, which holds the value; none = the object itself has it
	key   key   // of the value; none = the entry of list itself
	inner key   // of an entry that is a mapping; none = the entry itself
	index int32 // of the object
	nth   int32 // in list
	entry int32 // in the list that key is; -1 = key is no list
}

// key is a field of an object, as policy files and the API call it.
type key uint8

// The fields that something can be wrong with.
const (
	none key = iota
	keyName
	keyDescription
	keySources
	keyShared
	keyRules
	keyProtocol
	keyRulePorts
	keyType
	keyCode
	keyCIDR
	keyGroup
	keyHost
	keyMigratingTo
	keyGroups
	keyPorts
	keyIfaceID
	keyMAC
	keyAddresses
	keyAllowed
	keyAddress
	keyDevice
	keyHostDevice
	keyEtherTypes
	keyLimits
	keyConnections
	keyNewConnections
	keyARPNDDHCP
	keyFragments
	keyLogDenied
)

var keyNames = [...]string{
	keyName: "name", keyDescription: "description", keySources: "external_sources", keyShared: "shared",
	keyRules:    "rules",
	keyProtocol: "protocol", keyRulePorts: "ports", keyType: "icmp_type", keyCode: "icmp_code",
	keyCIDR: "cidr", keyGroup: "group", keyHost: "host", keyMigratingTo: "migrating_to",
	keyGroups: "groups", keyPorts: "ports", keyIfaceID: "iface_id",
	keyMAC: "mac", keyAddresses: "addresses", keyAllowed: "allowed_addresses",
	keyAddress: "address",
	keyDevice:  "type", keyHostDevice: "host_device", keyEtherTypes: "ethertypes",
	keyLimits:      "limits",
	keyConnections: "connections", keyNewConnections: "new_connections_per_second",
	keyARPNDDHCP: "arp_nd_dhcp_per_second", keyFragments: "fragments_per_second",
	keyLogDenied: "log_denied",
}

// field puts the way from the object to the value into words.
func (s location) field() string {
	out := keyNames[s.key]
	if s.list != none {
		out = fmt.Sprintf("%s[%d]", keyNames[s.list], s.nth)
		if s.key != none {
			out += "." + keyNames[s.key]
		}
	}
	if s.entry >= 0 {
		out = fmt.Sprintf("%s[%d]", out, s.entry)
	}
	if s.inner != none {
		out += "." + keyNames[s.inner]
	}
	return out
}

func ofGroup(index int) location { return location{kind: AGroup, index: int32(index), entry: -1} }

func ofProject(index int) location {
	return location{kind: AProject, index: int32(index), entry: -1}
}

func ofInstance(index int) location {
	return location{kind: AnInstance, index: int32(index), entry: -1}
}

func (s location) at(k key) location {
	s.key = k
	return s
}

func (s location) in(list key, nth int) location {
	s.list, s.nth = list, int32(nth)
	return s
}

func (s location) of(k key, entry int) location {
	s.key, s.entry = k, int32(entry)
	return s
}

func (s location) sub(inner key) location {
	s.inner = inner
	return s
}
