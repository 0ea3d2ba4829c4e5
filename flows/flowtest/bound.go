package flowtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/spec"
)

// Bound puts every local port on the switch, in the order of the policy, and the uplink behind
// them.
func Bound(p *policy.Policy, site policy.Site) flows.Input {
	in := flows.Input{Policy: p, Site: site}
	n := uint32(0)
	for _, i := range p.Instances {
		for _, port := range i.Ports {
			if i.IsLocal(site.Host) {
				n++
				in.Bindings = append(in.Bindings,
					flows.Binding{Port: port.Name, OFPort: n, Zone: uint16(n), Epoch: 1})
			}
		}
	}
	in.Uplinks = []flows.Uplink{{Name: "eth1", OFPort: n + 1}}
	return in
}

// ReceiversOf names who gets a packet by a decision: local ports and the uplink, sorted.
func ReceiversOf(d spec.Decision) string {
	names := slices.Clone(d.Ports)
	if d.Uplink {
		names = append(names, "eth1")
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// Receivers names who is behind the outputs of a switch of the input, sorted.
func Receivers(in flows.Input, outputs []uint32) string {
	names := map[uint32]string{}
	for _, b := range in.Bindings {
		names[b.OFPort] = b.Port
	}
	for _, u := range in.Uplinks {
		names[u.OFPort] = u.Name
	}
	var got []string
	for _, o := range outputs {
		name, ok := names[o]
		if !ok {
			name = fmt.Sprintf("unknown port %d", o)
		}
		got = append(got, name)
	}
	slices.Sort(got)
	return strings.Join(got, " ")
}
