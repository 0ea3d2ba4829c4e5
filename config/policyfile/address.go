// Networks, addresses and MACs as people write them. Called by the readers of rules and ports, and
// of the settings; what is valid says package policy.

package policyfile

import (
	"net"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// readNetwork reads a CIDR, as rules and external sources have it, and clears its host bits.
func readNetwork(n strictyaml.Node) (netip.Prefix, bool) {
	s, ok := n.Text()
	if !ok {
		return netip.Prefix{}, false
	}
	p, problem := parseNetwork(s)
	if problem != "" {
		n.Errorf("%s", problem)
		return netip.Prefix{}, false
	}
	if p != p.Masked() {
		n.Warnf("%s has host bits; taken as %s", p, p.Masked())
	}
	return p.Masked(), true
}

func parseNetwork(s string) (p netip.Prefix, problem string) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return p, "is " + wording.Quote(s) + " without a length; write " +
			netip.PrefixFrom(a, a.BitLen()).String() + " for this one address"
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p,
			"is " + wording.Quote(s) + "; must be a network such as 192.0.2.0/24 or 2001:db8::/64" +
				networkHint(s)
	}
	if p.Addr().Is4In6() {
		return p, "is IPv4-mapped; " + policy.MappedHint(p)
	}
	return p, ""
}

// readOwnNetwork reads an address, or network, that an interface uses as its own.
func readOwnNetwork(n strictyaml.Node) (netip.Prefix, bool) {
	s, ok := n.Text()
	if !ok {
		return netip.Prefix{}, false
	}
	p, problem := parseOwn(s)
	if problem != "" {
		n.Errorf("%s", problem)
		return netip.Prefix{}, false
	}
	return p, true
}

// parseOwn refuses host bits instead of clearing them: who writes 203.0.113.11/24 means one address
// and its netmask, and must not be given the whole network.
func parseOwn(s string) (p netip.Prefix, problem string) {
	if a, problem := ParseAddress(s); problem == "" {
		return netip.PrefixFrom(a, a.BitLen()), ""
	} else if !strings.Contains(s, "/") {
		return p, problem
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p,
			"is " + wording.Quote(s) +
				"; must be an address such as 192.0.2.1 or 2001:db8::1, or a network such as " +
				"192.0.2.0/28" + networkHint(s)
	case p.Addr().Is4In6():
		return p, "is IPv4-mapped; " + policy.MappedHint(p)
	case p != p.Masked():
		return p, "is " + wording.Quote(s) + ", an address with a netmask; write " +
			p.Addr().String() + " for the one address, or " +
			p.Masked().String() + " for all of the network"
	}
	return p, ""
}

// ParseAddress reads one address without a zone.
func ParseAddress(s string) (a netip.Addr, problem string) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return a, "is " + wording.Quote(s) + "; must be an address such as 192.0.2.1 or " +
			"2001:db8::1" + addressHint(s)
	case a.Zone() != "":
		return a, "is " + wording.Quote(s) + "; write it without the zone: " +
			a.WithZone("").String()
	case a.Is4In6():
		return a, "is " + wording.Quote(s) + ", an IPv4-mapped address; write " + a.Unmap().String()
	}
	return a, ""
}

// addressHint says what is probably meant by a text that is no address.
func addressHint(s string) string {
	if p, err := netip.ParsePrefix(s); err == nil {
		return "; write " + p.Addr().String()
	}
	return octetsHint(s, true)
}

// readMAC reads the MAC of an interface.
func readMAC(n strictyaml.Node) (policy.MAC, bool) {
	s, ok := n.Text()
	if !ok {
		return policy.MAC{}, false
	}
	m, problem := parseMAC(s)
	if problem != "" {
		n.Errorf("%s", problem)
	}
	return m, problem == ""
}

func parseMAC(s string) (m policy.MAC, problem string) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != len(m) {
		return m, "is " + wording.Quote(s) + "; must be six bytes, such as 02:00:00:00:00:11"
	}
	copy(m[:], hw)
	return m, ""
}
