package hook

import (
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/flows/policy"
)

// libvirt's hook (https://libvirt.org/hooks.html): NAME OPERATION SUB EXTRA, and the domain on
// standard input. It must not call libvirt, and what it prints at `migrate` replaces the domain.

// domain is what is read of a domain's XML.
type domain struct {
	Metadata struct {
		Instance *struct {
			Groups    string `xml:"groups,attr"`
			Addresses string `xml:"addresses,attr"` // of the only card
			Ports     []struct {
				MAC       string `xml:"mac,attr"`
				Addresses string `xml:"addresses,attr"`
			} `xml:"port"`
		} `xml:"urn:portcullis:1 instance"`
	} `xml:"metadata"`
	Interfaces []netDevice `xml:"devices>interface"`
}

// netDevice is a card of a domain, and the device of this host behind it.
type netDevice struct {
	MAC struct {
		Address string `xml:"address,attr"`
	} `xml:"mac"`
	VirtualPort struct {
		Type       string `xml:"type,attr"`
		Parameters struct {
			ID string `xml:"interfaceid,attr"`
		} `xml:"parameters"`
	} `xml:"virtualport"`
	Target struct {
		Device string `xml:"dev,attr"`
	} `xml:"target"`
}

// isOfOVS says whether the device is plugged into an Open vSwitch.
func (d *netDevice) isOfOVS() bool { return d.VirtualPort.Type == "openvswitch" }

func newLibvirt(f *cli.Files) *cobra.Command {
	return &cobra.Command{Use: "libvirt NAME OPERATION SUBOPERATION EXTRA",
		Short: "Of libvirt's hook qemu, with the domain on standard input",
		Args:  cobra.RangeArgs(2, 4),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cli.Outcome(libvirt(cmd, f, args[0], args[1]))
		}}
}

// libvirtMoments are the operations that mean something. libvirtd that is started again says of the
// machines that run: reconnect. The last one is our own: see follow.
var libvirtMoments = map[string]moment{"prepare": starts, "reconnect": runs, "migrate": awaited,
	"restore": starts, "release": ends, arrival: arrived}

func libvirt(cmd *cobra.Command, f *cli.Files, name, operation string) error {
	m := libvirtMoments[operation]
	if m == arrived {
		if !awaitArrival(filepath.Join(libvirtStates, name+".xml"), arrivalTimes) {
			return nil
		}
		return happen(cmd, f, m, policy.Instance{Name: name})
	}
	text, err := io.ReadAll(cmd.InOrStdin())
	if err != nil || m == nothing {
		return err
	}
	i, err := ofDomain(name, text)
	if err != nil && m == ends {
		i, err = &policy.Instance{Name: name}, nil // whatever is wrong with it has gone
	}
	if err != nil || i == nil {
		return err
	}
	if err := happen(cmd, f, m, *i); err != nil || m != awaited {
		return err
	}
	return follow(f, name)
}

// ofDomain reads an instance from a domain's XML; nil = it says nothing of one.
func ofDomain(name string, text []byte) (*policy.Instance, error) {
	var d domain
	where := "domain " + name
	if err := xml.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	meta := d.Metadata.Instance
	if meta == nil {
		return nil, nil //nolint:nilnil // it is none of ours
	}
	addresses := map[string]string{}
	for _, p := range meta.Ports {
		addresses[strings.ToLower(p.MAC)] = p.Addresses
	}
	var cards []card
	for _, one := range d.Interfaces {
		if one.isOfOVS() {
			mac := strings.ToLower(one.MAC.Address)
			cards = append(cards, card{device: one.Target.Device, mac: mac,
				ifaceID: one.VirtualPort.Parameters.ID, addresses: words(addresses[mac])})
		}
	}
	if len(cards) == 1 && meta.Addresses != "" {
		cards[0].addresses = words(meta.Addresses)
	}
	i, err := instance(name, where, words(meta.Groups), cards)
	return &i, err
}
