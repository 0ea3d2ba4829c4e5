package hook

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// card is a network card of a machine, as whoever starts the machine knows it.
type card struct {
	device, ifaceID string // one of them
	mac             string
	addresses       []string // with or without the length of their networks
}

// port is the port of a card of a machine; where says where it is written.
func (c card) port(where string) (policy.Port, error) {
	about := fmt.Sprintf("%s, card %s", where, c.mac)
	p := policy.Port{Name: c.device}
	if c.device == "" {
		p.Name, p.IfaceID = c.ifaceID, c.ifaceID
	}
	if p.Name == "" {
		return p, fmt.Errorf("%s: its device has no name that stays", about)
	}
	if n, err := fmt.Sscanf(strings.ToLower(c.mac), "%02x:%02x:%02x:%02x:%02x:%02x", &p.MAC[0],
		&p.MAC[1], &p.MAC[2], &p.MAC[3], &p.MAC[4], &p.MAC[5]); n != len(p.MAC) || err != nil {
		return p, fmt.Errorf("%s: %q is no MAC; write 02:00:00:00:00:11", about, c.mac)
	}
	for _, text := range c.addresses {
		text, _, _ = strings.Cut(text, "/")
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return p, fmt.Errorf("%s: %q is no address; write 203.0.113.11, or 2001:db8::11", about, text)
		}
		p.Addresses = append(p.Addresses, netip.PrefixFrom(a, a.BitLen()))
	}
	if len(p.Addresses) == 0 {
		return p, fmt.Errorf("%s: no address is written there; without one it may not speak", about)
	}
	return p, nil
}

// instance is a machine with its cards.
func instance(name, where string, groups []string, cards []card) (policy.Instance, error) {
	i := policy.Instance{Name: name, Groups: groups}
	if len(cards) == 0 {
		return i, fmt.Errorf("%s: it is to be in the policy, and has no card on an Open vSwitch bridge",
			where)
	}
	for _, c := range cards {
		p, err := c.port(where)
		if err != nil {
			return i, err
		}
		i.Ports = append(i.Ports, p)
	}
	return i, nil
}
