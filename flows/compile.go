package flows

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
)

// Binding says where a port of the policy is on the switch.
type Binding struct {
	Port   string // the interface's name
	OFPort uint32 // its OpenFlow port number, never 0
	Zone   uint16 // its conntrack zone, never 0, and its key in the pipeline: no two ports of a bridge share one
	Epoch  uint32 // the revision at which it last lost a permission, never 0
}

// Uplink is a port of the bridge toward the physical network.
type Uplink struct {
	Name   string
	OFPort uint32
}

// Input is all that a program depends on.
type Input struct {
	Policy   *policy.Policy
	Site     policy.Site
	Bindings []Binding // of the local ports that the switch has; the others are left out, but count as members
	Uplinks  []Uplink
	// LastMeter is the highest meter that the switch has; limits that need a later one are left out. 0 = it cannot meter.
	LastMeter uint32
	// InnerTags says that the switch reads VLAN headers behind the first. Priority tags then stay out: a flow that its userspace datapath
	// has cached for frames with one header of VLAN 0 is used for those with another behind it, too.
	InnerTags bool
}

// Same says whether two inputs are the same, with the very same policy.
func (in Input) Same(other Input) bool {
	return in.Policy == other.Policy && slices.Equal(in.Bindings, other.Bindings) && in.hasSurroundings(other)
}

// hasSurroundings says whether two inputs differ in policy and bindings at most.
func (in Input) hasSurroundings(other Input) bool {
	return in.Site.Equal(other.Site) && slices.Equal(in.Uplinks, other.Uplinks) && in.LastMeter == other.LastMeter &&
		in.InnerTags == other.InnerTags
}

// Compile turns a policy into the program of this host's bridge. The same input gives the same bytes,
// whatever the order of groups, rules, instances and bindings. What cannot be compiled is left out and
// named in the program. The error is that of a flow which is about no port, rule or address: of the
// site or the uplinks.
func Compile(in Input) (*Program, error) {
	var c Compiler
	if _, err := c.Update(in); err != nil {
		return nil, err
	}
	return c.Program(), nil
}

// lastOFPort is the highest OpenFlow port number that a port may have (OpenFlow 1.5, section 7.2.1: those
// above are reserved).
const lastOFPort = 0xfeff

// checkBindings returns the bindings that are of use, by port, and why the others are not. Of two that
// want the same the first by name has it.
func checkBindings(in Input) (bound map[string]Binding, unbound map[string]string) {
	bound, unbound = make(map[string]Binding, len(in.Bindings)), map[string]string{}
	zones, numbers := make(map[uint16]string, len(in.Bindings)), make(map[uint32]string, len(in.Bindings))
	for _, u := range in.Uplinks {
		numbers[u.OFPort] = u.Name
	}
	byName := slices.SortedFunc(slices.Values(in.Bindings), func(a, b Binding) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.OFPort, b.OFPort), cmp.Compare(a.Epoch, b.Epoch))
	})
	for _, b := range byName {
		reason := unusable(b, zones[b.Zone], numbers[b.OFPort])
		if _, twice := bound[b.Port]; twice {
			reason = "it is bound twice"
		}
		if reason != "" {
			unbound[b.Port] = reason
			continue
		}
		zones[b.Zone], numbers[b.OFPort], bound[b.Port] = b.Port, b.Port, b
	}
	for name := range unbound {
		delete(bound, name) // of a port that is bound twice nobody knows where it is
	}
	return bound, unbound
}

// unusable says why a binding is of no use; "" = it is. The others are the ports that have its zone and
// its number.
func unusable(b Binding, sameZone, sameNumber string) string {
	switch {
	case b.OFPort == 0 || b.Zone == 0 || b.Epoch == 0:
		return fmt.Sprintf("OpenFlow port %d, zone %d, epoch %d: none may be 0", b.OFPort, b.Zone, b.Epoch)
	case b.OFPort > lastOFPort:
		return fmt.Sprintf("OpenFlow port %d: that of a port is at most %d", b.OFPort, lastOFPort)
	case sameZone != "":
		return fmt.Sprintf("port %s has its zone %d, too", sameZone, b.Zone)
	case sameNumber != "":
		return fmt.Sprintf("port %s has its OpenFlow port %d, too", sameNumber, b.OFPort)
	}
	return ""
}
