package testnet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/portcullis/portcullis/flows/policy"
)

// Spec says what a world is made of.
type Spec struct {
	// the policy file's text; its instances of this host are the hosts inside
	Policy      string
	Outside     []HostSpec   // the hosts beyond the uplink
	Gateways    []netip.Addr // settings of the same names
	DHCPServers []netip.Addr
	// Settings are further lines of the settings file.
	Settings string
	// Absent are names of instances, or Uplink, that are not there at first. See [World.Plug].
	Absent []string
	// Daemon is the program that is tested. With "" no daemon runs, and the bridge is a plain
	// learning switch: to show that the world sees what leaks.
	Daemon string
}

// The names of the settings that every world has in common.
const (
	Bridge  = "br-int"
	Uplink  = "up0"
	Machine = "hv1" // the host that instances are local to
)

// Outsider is a host beyond the uplink. The last byte of its MAC is number.
func Outsider(name string, number byte, addresses ...string) HostSpec {
	h := HostSpec{Name: name, Port: "o-" + name, MAC: policy.MAC{2, 0xee, 0, 0, 0, number}}
	for _, a := range addresses {
		h.Addresses = append(h.Addresses, netip.MustParseAddr(a))
	}
	return h
}

// document is what the world needs to know of a policy file. Judging the file is the daemon's
// business.
type document struct {
	Instances []struct {
		Name  string `yaml:"name"`
		Host  string `yaml:"host"`
		Ports []struct {
			Name      string   `yaml:"name"`
			MAC       string   `yaml:"mac"`
			Addresses []string `yaml:"addresses"`
		} `yaml:"ports"`
	} `yaml:"instances"`
}

// inside returns the hosts that a policy file puts on this machine.
func inside(text string) ([]HostSpec, error) { return InstancesOf(text, Machine, "") }

// InstancesOf returns the hosts that a policy file puts on one of the machines that are named, one
// for each port: the first port of an instance has the instance's name, the others their port's.
func InstancesOf(text string, machines ...string) ([]HostSpec, error) {
	var d document
	if err := yaml.Unmarshal([]byte(text), &d); err != nil {
		return nil, fmt.Errorf("read the instances of the policy: %w", err)
	}
	var out []HostSpec
	for _, i := range d.Instances {
		if !slices.Contains(machines, i.Host) {
			continue
		}
		for n, p := range i.Ports {
			h := HostSpec{Name: i.Name, Port: p.Name}
			if n > 0 {
				h.Name = p.Name
			}
			if _, err := fmt.Sscanf(p.MAC, "%02x:%02x:%02x:%02x:%02x:%02x", &h.MAC[0], &h.MAC[1],
				&h.MAC[2], &h.MAC[3], &h.MAC[4], &h.MAC[5]); err != nil {
				return nil, fmt.Errorf("MAC %q of port %s: %w", p.MAC, p.Name, err)
			}
			for _, text := range p.Addresses {
				// Of a network, the port has the first address.
				a, err := netip.ParseAddr(strings.Split(text, "/")[0])
				if err != nil {
					return nil, fmt.Errorf("address of port %s: %w", p.Name, err)
				}
				h.Addresses = append(h.Addresses, a)
			}
			out = append(out, h)
		}
	}
	return out, nil
}
