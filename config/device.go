// Ports whose device the host itself uses. The agent calls it before it takes a port, and
// "portcullis check" for what this host would refuse. It judges; package hostnet asks the kernel.

package config

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Device is a network device of this host, as far as it tells whether the host itself uses it.
type Device struct {
	Names     []string       // its name, then others that the kernel knows it by
	Addresses []netip.Prefix // of the host, as they are set at the device
	Routes    []netip.Prefix // destinations that the host reaches by it, in whatever table
	Above     []string       // devices that are made of it: its bond or bridge, VLANs and the like
}

// DeviceMisfits returns the ports of this host whose device the host itself uses: one that has an
// address or a route of the host, or of which another is made that has. Link-local addresses do not
// count, as the kernel gives one to every device. Devices that Open vSwitch makes for the port are
// the port's, and host_device says that it is meant.
func (s Settings) DeviceMisfits(instances []*policy.Instance, devices []Device) (out []Misfit) {
	used := hostUses(devices)
	if len(used) == 0 {
		return nil
	}
	for _, i := range instances {
		if !i.IsLocal(s.Host) {
			continue
		}
		for _, port := range i.Ports {
			if use := used[port.Name]; use != "" && port.Type == policy.ExistingDevice &&
				!port.HostDevice &&
				// which are misfits in any case
				port.Name != s.Bridge && !slices.Contains(s.Uplinks, port.Name) {
				out = append(out, Misfit{port.Name,
					strictyaml.Error{At: port.At,
						Message: "the port " + wording.Quote(port.Name) +
							" is a device of the host itself: " +
							use + "; name the instance's own interface, or set host_device: true " +
							"if it is meant"}})
			}
		}
	}
	return out
}

// hostUses says in words what the host uses each device for, by all names. Devices that it does not
// use are left out.
func hostUses(devices []Device) map[string]string {
	byName := make(map[string]*Device, len(devices))
	for n := range devices {
		for _, name := range devices[n].Names {
			byName[name] = &devices[n]
		}
	}
	out := map[string]string{}
	for name, d := range byName {
		if use := d.use("it", byName, nil); use != "" {
			out[name] = use
		}
	}
	return out
}

// use says what the host uses a device for, or one that is made of it, which is none of those
// below; "" = nothing.
func (d *Device) use(name string, byName map[string]*Device, below []*Device) string {
	for _, a := range d.Addresses {
		if !a.Addr().IsLinkLocalUnicast() {
			return fmt.Sprintf("%s has the address %s", name, a)
		}
	}
	for _, r := range d.Routes {
		if !r.Addr().IsLinkLocalUnicast() && !r.Addr().IsMulticast() {
			return fmt.Sprintf("%s has the route to %s", name, r)
		}
	}
	below = append(below, d)
	for _, above := range d.Above {
		if other := byName[above]; other != nil && !slices.Contains(below, other) {
			if use := other.use(wording.Quote(above)+", which is made of it,", byName,
				below); use != "" {
				return use
			}
		}
	}
	return ""
}
