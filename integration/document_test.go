//go:build integration

package integration

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// group is a group of a policy file.
type group struct {
	name     string
	external []string
	rules    []string
}

// machine is an instance of a policy file with one port.
type machine struct {
	name      string
	host      string
	number    byte // of its MAC, and of its addresses unless they are given
	groups    []string
	addresses []string
	extra     string // further fields of the port, as the file has them: ", trusted: true"
}

// vm is an instance with an address of both families: 203.0.113.NUMBER and 2001:db8::NUMBER (in
// decimal digits).
func vm(name string, number byte, groups ...string) machine {
	return machine{name: name, number: number, groups: groups,
		addresses: []string{fmt.Sprintf("203.0.113.%d", number), fmt.Sprintf("2001:db8::%d", number)}}
}

func (m machine) with(fields string) machine     { m.extra += ", " + fields; return m }
func (m machine) at(addresses ...string) machine { m.addresses = addresses; return m }
func (m machine) on(host string) machine         { m.host = host; return m }

func (m machine) mac() policy.MAC { return policy.MAC{2, 0, 0, 0, 0, m.number} }

// spec is the machine as a host of the network.
func (m machine) spec() testnet.HostSpec {
	h := testnet.HostSpec{Name: m.name, Port: "tap-" + m.name, MAC: m.mac()}
	for _, a := range m.addresses {
		h.Addresses = append(h.Addresses, netip.MustParseAddr(a))
	}
	return h
}

// in and out write a rule: its service ("tcp 80", "icmp 8/0", "icmp", "any"), and its peer: a CIDR,
// or "@" and a group.
func in(service, peer string) string  { return rule("ingress", service, peer) }
func out(service, peer string) string { return rule("egress", service, peer) }

func rule(direction, service, peer string) string {
	protocol, detail, _ := strings.Cut(service, " ")
	fields := []string{"direction: " + direction, "protocol: " + protocol}
	switch {
	case detail != "" && strings.HasPrefix(protocol, "icmp"):
		kind, code, ok := strings.Cut(detail, "/")
		fields = append(fields, "icmp_type: "+kind)
		if ok {
			fields = append(fields, "icmp_code: "+code)
		}
	case detail != "":
		fields = append(fields, "ports: "+detail)
	}
	if name, ok := strings.CutPrefix(peer, "@"); ok {
		fields = append(fields, "group: "+name)
	} else {
		fields = append(fields, fmt.Sprintf("cidr: %q", peer))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// document writes a policy file.
func document(groups []group, machines ...machine) string {
	var b strings.Builder
	if len(groups) > 0 {
		b.WriteString("groups:\n")
	}
	for _, g := range groups {
		fmt.Fprintf(&b, "  - name: %s\n    external_sources: [%s]\n    rules:", g.name,
			quoted(g.external))
		if len(g.rules) == 0 {
			b.WriteString(" []")
		}
		b.WriteString("\n")
		for _, r := range g.rules {
			fmt.Fprintf(&b, "      - %s\n", r)
		}
	}
	b.WriteString("instances:\n")
	for _, m := range machines {
		host := m.host
		if host == "" {
			host = testnet.Machine
		}
		fmt.Fprintf(&b, "  - name: %s\n    host: %s\n    groups: [%s]\n    ports:\n      - {name: tap-%s, mac: %q, addresses: [%s]%s}\n",
			m.name, host, strings.Join(m.groups, ", "), m.name, m.mac(), quoted(m.addresses), m.extra)
	}
	return b.String()
}

func quoted(texts []string) string {
	var out []string
	for _, t := range texts {
		out = append(out, fmt.Sprintf("%q", t))
	}
	return strings.Join(out, ", ")
}

// The hosts beyond the uplink.
func outside() []testnet.HostSpec {
	return []testnet.HostSpec{
		testnet.Outsider("router", 1, "203.0.113.1", "2001:db8::1"),
		testnet.Outsider("client", 2, "198.51.100.2", "2001:db8:2::2"),
		testnet.Outsider("attacker", 6, "198.51.100.66", "2001:db8:2::66"),
	}
}

var gateways = []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")}

// first is the machine's first address.
func (m machine) first() netip.Addr { return netip.MustParseAddr(m.addresses[0]) }
