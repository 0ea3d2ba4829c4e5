package config

import (
	"slices"

	"github.com/portcullis/portcullis/flows/policy"
)

// Check says how a policy does not fit the settings: a port of this host that is the bridge or an uplink (which would be filtered
// then, and cut the host off), or an address that the settings give to a gateway (whose ARP would be dropped as a forgery).
// The error, if any, is of type [Errors].
func (s Settings) Check(p *policy.Policy) error {
	var out Errors
	for _, i := range p.Instances {
		for _, port := range i.Ports {
			if i.IsLocal(s.Host) && port.Name == s.Bridge {
				out = append(out, Error{port.At, "", "the port " + quote(port.Name) + " is the bridge itself; name the instance's own interface"})
			}
			if i.IsLocal(s.Host) && slices.Contains(s.Uplinks, port.Name) {
				out = append(out, Error{port.At, "", "the port " + quote(port.Name) + " is an uplink in the settings; it cannot be an instance's"})
			}
			out = append(out, s.gatewayErrors(port)...)
		}
	}
	if len(out) > 0 {
		return out
	}
	return nil
}

func (s Settings) gatewayErrors(port policy.Port) (out Errors) {
	if port.Trusted {
		return nil // the gateway may well be an instance
	}
	for _, g := range s.Gateways {
		for _, a := range port.Addresses {
			if a.Contains(g) {
				out = append(out, Error{port.At, "", "the port " + quote(port.Name) + " has " + text(a) + ", but the settings list " +
					g.String() + " as a gateway; give it another address, or set trusted: true if it is the gateway"})
			}
		}
	}
	return out
}
