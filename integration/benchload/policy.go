package main

// The policy, as Portcullis reads it and as OVN does: the same groups, members and rules. The
// world writes both.
//
// Some of the instances here are clients, each of which has servers of its own on this host, in the
// same groups. Each group admits TCP from itself, and none admits UDP.

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// scenario is one host of a cloud.
type scenario struct {
	Ports   int    `json:"ports"`   // of this host, one for each instance
	Members int    `json:"members"` // instances elsewhere
	Groups  int    `json:"groups"`
	Seed    uint64 `json:"seed"`
}

const (
	memberships  = 3 // groups of each instance
	localHost    = "hv1"
	elsewhere    = "hv2"
	servers      = 8         // of each client
	perFile      = 100       // instances, or groups, of a file
	mostAtOnce   = 400 << 10 // bytes of a command line
	mostInstance = 1 << 16   // by its number an instance has its address
	streams      = 2         // clients that iperf3 sends from, to their first servers
)

func (s scenario) check() error {
	if s.clients() < streams || s.Groups < memberships || s.Ports+s.Members > mostInstance {
		return fmt.Errorf("want %d ports and %d groups or more, and at most %d instances",
			streams*(1+servers), memberships, mostInstance)
	}
	return nil
}

// clients are the first ports, then come a server of each, then another one of each; what is left
// talks with nobody.
func (s scenario) clients() int { return s.Ports / (1 + servers) }

// pairs is how many clients and servers know one another.
func (s scenario) pairs() int { return servers * s.clients() }

// pair is a client and a server, pair n counted around: the first is of the first client, the
// second of the second one.
func (s scenario) pair(n int) (client, server int) {
	n %= s.pairs()
	return n % s.clients(), s.clients() + n
}

// client says which client a port is or belongs to, and whether it is of any.
func (s scenario) client(n int) (int, bool) { return n % s.clients(), n < s.clients()+s.pairs() }

// draw chooses the groups of instance n. A client and its servers have the same.
func (s scenario) draw(n int) []int {
	if c, ok := s.client(n); ok {
		n = c
	}
	return rand.New(rand.NewPCG(s.Seed, uint64(n))).Perm(s.Groups)[:memberships]
}

func address(n int) string { return fmt.Sprintf("10.1.%d.%d", n>>8&255, n&255) }

func mac(n int) string { return fmt.Sprintf("02:00:00:00:%02x:%02x", n>>8&255, n&255) }

func portName(n int) string { return fmt.Sprintf("p%d", n) }

// rule is one rule of every group, in both languages. Its peer is a network, a group behind this
// one, or everywhere.
type rule struct {
	direction, protocol string
	first, last         int    // ports; 0 = all
	network             string // of the peer; "" = the group
	next                int    // the group so many behind this one
}

func rules() []rule {
	return []rule{
		{"ingress", "tcp", 22, 22, "198.51.100.0/24", 0},
		{"ingress", "tcp", 80, 443, "", 1},
		{"ingress", "tcp", 1, 65535, "", 0},
		{"egress", "tcp", 443, 443, "0.0.0.0/0", 0},
		{"egress", "udp", 53, 53, "0.0.0.0/0", 0},
		{"egress", "any", 0, 0, "", 0},
	}
}

// yaml is the rule of group g in a policy file.
func (r rule) yaml(g, groups int) string {
	text := fmt.Sprintf("direction: %s, protocol: %s", r.direction, r.protocol)
	if r.first > 0 {
		text += fmt.Sprintf(", ports: %d-%d", r.first, r.last)
	}
	if r.network != "" {
		return text + ", cidr: " + r.network
	}
	return text + fmt.Sprintf(", group: g%d", (g+r.next)%groups)
}

// acl is the rule of group g as OVN has it: direction and match.
func (r rule) acl(g, groups int) (direction, match string) {
	direction, port, peer := "to-lport", "outport", "ip4.src"
	if r.direction == "egress" {
		direction, port, peer = "from-lport", "inport", "ip4.dst"
	}
	match = fmt.Sprintf("%s == @pg%d && ip4", port, g)
	switch r.network {
	case "":
		match += fmt.Sprintf(" && %s == $as%d", peer, (g+r.next)%groups)
	case "0.0.0.0/0":
	default:
		match += fmt.Sprintf(" && %s == %s", peer, r.network)
	}
	if r.protocol != "any" {
		match += " && " + r.protocol
	}
	switch {
	case r.first == 0 || r.first == 1 && r.last == 65535:
	case r.first == r.last:
		match += fmt.Sprintf(" && %s.dst == %d", r.protocol, r.first)
	default:
		match += fmt.Sprintf(" && %[1]s.dst >= %[2]d && %[1]s.dst <= %[3]d", r.protocol, r.first, r.last)
	}
	return direction, match
}

func (s scenario) instance(n int) string {
	host := elsewhere
	if n < s.Ports {
		host = localHost
	}
	var groups []string
	for _, g := range s.draw(n) {
		groups = append(groups, fmt.Sprintf("g%d", g))
	}
	return fmt.Sprintf(
		"  - {name: i%d, host: %s, groups: [%s], ports: [{name: %s, mac: %q, addresses: [%s]}]}\n",
		n, host, strings.Join(groups, ", "), portName(n), mac(n), address(n))
}

func (s scenario) group(g int) string {
	text := fmt.Sprintf("  - name: g%d\n    rules:\n", g)
	for _, r := range rules() {
		text += "      - {" + r.yaml(g, s.Groups) + "}\n"
	}
	return text
}

// write makes the folder of the policy.
func (s scenario) write(folder string) error {
	for _, part := range []struct {
		name, key string
		count     int
		line      func(int) string
	}{{"groups", "groups", s.Groups, s.group}, {"instances", "instances", s.Ports + s.Members,
		s.instance}} {
		for from := 0; from < part.count; from += perFile {
			text := part.key + ":\n"
			for n := from; n < min(part.count, from+perFile); n++ {
				text += part.line(n)
			}
			name := filepath.Join(folder, fmt.Sprintf("%s-%06d.yaml", part.name, from))
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				return fmt.Errorf("write the policy: %w", err)
			}
		}
	}
	return nil
}

// northbound is the policy as commands of ovn-nbctl: one logical switch, a port group and an
// address set for each group, and the default of both directions.
func (s scenario) northbound() [][]string {
	out := [][]string{{"ls-add", "ls"}}
	var all []string
	local, members := make([][]string, s.Groups), make([][]string, s.Groups)
	for n := range s.Ports + s.Members {
		for _, g := range s.draw(n) {
			members[g] = append(members[g], fmt.Sprintf("%q", address(n)))
			if n < s.Ports {
				local[g] = append(local[g], portName(n))
			}
		}
		if n >= s.Ports {
			continue
		}
		all = append(all, portName(n))
		owner := mac(n) + " " + address(n)
		out = append(out, []string{"lsp-add", "ls", portName(n)},
			[]string{"lsp-set-addresses", portName(n), owner},
			[]string{"lsp-set-port-security", portName(n), owner})
	}
	for g := range s.Groups {
		out = append(out, append([]string{"pg-add", fmt.Sprintf("pg%d", g)}, local[g]...),
			[]string{"create", "Address_Set", fmt.Sprintf("name=as%d", g),
				"addresses=" + strings.Join(members[g], ",")})
	}
	out = append(out, append([]string{"pg-add", "all"}, all...),
		acl("all", "to-lport", 1000, "outport == @all && ip", "drop"),
		acl("all", "from-lport", 1000, "inport == @all && ip", "drop"))
	for g := range s.Groups {
		for _, r := range rules() {
			direction, match := r.acl(g, s.Groups)
			out = append(out, acl(fmt.Sprintf("pg%d", g), direction, 1001, match, "allow-related"))
		}
	}
	return out
}

func acl(group, direction string, priority int, match, verdict string) []string {
	return []string{"--type=port-group", "acl-add", group, direction, fmt.Sprint(priority), match,
		verdict}
}
