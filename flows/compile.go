package flows

import (
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

// Compile turns a policy into the program of this host's bridge. The same input gives the same bytes, whatever the order of groups,
// rules, instances and bindings. Errors: a binding that is not of a local port, or is incomplete, or shares its zone or OpenFlow port;
// a flow that no switch would take.
func Compile(in Input) (*Program, error) {
	var c Compiler
	if _, err := c.Update(in); err != nil {
		return nil, err
	}
	return c.Program(), nil
}

// checkBindings returns the bindings by port.
func checkBindings(in Input) (map[string]Binding, error) {
	bound := make(map[string]Binding, len(in.Bindings))
	zones, numbers := make(map[uint16]string, len(in.Bindings)), make(map[uint32]string, len(in.Bindings))
	for _, u := range in.Uplinks {
		numbers[u.OFPort] = u.Name
	}
	for _, b := range in.Bindings {
		if b.OFPort == 0 || b.Zone == 0 || b.Epoch == 0 {
			return nil, fmt.Errorf("port %s: OpenFlow port %d, zone %d, epoch %d: none may be 0", b.Port, b.OFPort, b.Zone, b.Epoch)
		}
		if other, taken := zones[b.Zone]; taken {
			return nil, fmt.Errorf("ports %s and %s: both have zone %d", other, b.Port, b.Zone)
		}
		if other, taken := numbers[b.OFPort]; taken {
			return nil, fmt.Errorf("ports %s and %s: both are OpenFlow port %d", other, b.Port, b.OFPort)
		}
		zones[b.Zone], numbers[b.OFPort], bound[b.Port] = b.Port, b.Port, b
	}
	return bound, nil
}
