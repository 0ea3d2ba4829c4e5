// How a policy fits the settings. The agent leaves out the ports that do not; "portcullis check"
// reports them.

package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Misfit is a port of a policy that must not be taken as an instance's: it would cut the host off,
// or speak for a gateway. Error says where it is and what would be right.
type Misfit struct {
	Port string // its name
	strictyaml.Error
}

// Check says how a policy does not fit the settings and the devices of this host: what
// [Settings.Misfits] and [Settings.DeviceMisfits] find. The error, if any, is of type
// [strictyaml.Errors].
func (s Settings) Check(p *policy.Policy, devices []Device) error {
	var out strictyaml.Report
	for _, m := range append(s.Misfits(p.Instances), s.DeviceMisfits(p.Instances, devices)...) {
		out.Errors = append(out.Errors, m.Error)
	}
	if problems, _ := out.Sorted(); len(problems) > 0 {
		return problems
	}
	return nil
}

// Misfits returns the ports that the settings alone tell of: a port of this host that is the bridge
// or an uplink, and a port of any host that could speak as a gateway though nobody said that it
// may.
func (s Settings) Misfits(instances []*policy.Instance) (out []Misfit) {
	misfit := func(port policy.Port, words ...string) {
		out = append(out, Misfit{port.Name, strictyaml.Error{At: port.At,
			Message: "the port " + wording.Quote(port.Name) + " " + strings.Join(words, "")}})
	}
	for _, i := range instances {
		for _, port := range i.Ports {
			switch isLocal := i.IsLocal(s.Host); {
			case isLocal && port.Name == s.Bridge:
				misfit(port, "is the bridge itself; name the instance's own interface")
			case isLocal && slices.Contains(s.Uplinks, port.Name):
				misfit(port, "is an uplink in the settings; it cannot be an instance's")
			default:
				if network, gateway, ok := s.asGateway(port); ok {
					misfit(port, "may use ", policy.AddressText(network),
						", but the settings list ", gateway.String(),
						" as a gateway; give it networks without that, or set trusted: true if "+
							"it is the gateway")
				}
			}
		}
	}
	return out
}

// asGateway returns a network that a port may use, and the gateway in it, if there is one. A
// trusted port may well be the gateway. How wide the network is does not matter: who may use an
// address answers for it (ARP, neighbour discovery).
func (s Settings) asGateway(port policy.Port) (network netip.Prefix, gateway netip.Addr, ok bool) {
	if port.Trusted || len(s.Gateways) == 0 {
		return network, gateway, false
	}
	for _, u := range port.Uses() {
		for _, g := range s.Gateways {
			if u.Prefix.Contains(g) {
				return u.Prefix, g, true
			}
		}
	}
	return network, gateway, false
}
