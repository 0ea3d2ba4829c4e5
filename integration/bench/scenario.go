package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// scenario is one host of a cloud: local ports among members elsewhere, of groups that name one
// another.
type scenario struct {
	Ports       int    `json:"ports"`       // local, one for each instance
	Members     int    `json:"members"`     // instances elsewhere
	Groups      int    `json:"groups"`      //
	Memberships int    `json:"memberships"` // groups of each instance
	Rules       int    `json:"rules"`       // of each group
	Seed        uint64 `json:"seed"`
}

// baseRules is how many rules each group has: as many as [scenario.group] writes by itself.
const baseRules = 6

// size is a scenario with a name, and how often things are measured in it.
type size struct {
	name                    string
	scenario                scenario
	starts, samples, rounds int
}

func sizes() []size {
	return []size{
		{"small", scenario{Ports: 50, Members: 1_000, Groups: 20, Memberships: 2, Rules: baseRules}, 3,
			15, 3},
		{"medium", scenario{Ports: 200, Members: 10_000, Groups: 100, Memberships: 2, Rules: baseRules},
			9, 50, 15},
		{"large", scenario{Ports: 500, Members: 50_000, Groups: 200, Memberships: 3, Rules: baseRules}, 3,
			30, 0},
		{"huge", scenario{Ports: 1_000, Members: 200_000, Groups: 1_000, Memberships: 3,
			Rules: baseRules}, 3, 20, 0},
	}
}

func sizeNames() []string {
	var out []string
	for _, s := range sizes() {
		out = append(out, s.name)
	}
	return out
}

// The policy is a folder of files: groups-000.yaml, local.yaml, remote-000.yaml and so on.
const (
	perFile   = 100 // instances, or groups, of one file
	localHost = "hv1"
	elsewhere = "hv2"
)

// draw chooses the groups of instance n: as many as there are memberships, none twice. Each
// instance has dice of its own, so that it stays the same when others come or go.
func (s scenario) draw(n int) []string {
	dice := rand.New(rand.NewPCG(s.Seed, uint64(n)))
	var out []string
	for _, g := range dice.Perm(s.Groups)[:s.Memberships] {
		out = append(out, fmt.Sprintf("g%d", g))
	}
	return out
}

// instance is a line of a policy file. Its number gives its name, its MAC and its address in
// 10.0.0.0/8.
func instance(n int, host string, groups []string) string {
	return fmt.Sprintf("  - {name: i%d, host: %s, groups: [%s], ports: [{name: p%d, mac: \"02:00:00:%02x:%02x:%02x\", addresses: [%s]}]}\n",
		n, host, strings.Join(groups, ", "), n, n>>16&255, n>>8&255, n&255, address(n))
}

func address(n int) string { return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255) }

// group is the text of group g: ssh from a network, the web from the next group, anything from
// itself; the web and names to anywhere, anything to itself. Rules beyond these admit further
// services from the group after the next.
func (s scenario) group(g int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: g%d\n    rules:\n", g)
	rule := func(text string, args ...any) { fmt.Fprintf(&b, "      - {"+text+"}\n", args...) }
	rule("direction: ingress, protocol: tcp, ports: 22, cidr: 198.51.100.0/24")
	rule("direction: ingress, protocol: tcp, ports: 80-443, group: g%d", (g+1)%s.Groups)
	rule("direction: ingress, protocol: tcp, ports: 1-65535, group: g%d", g)
	rule("direction: egress, protocol: tcp, ports: 443, cidr: 0.0.0.0/0")
	rule("direction: egress, protocol: udp, ports: 53, cidr: 0.0.0.0/0")
	rule("direction: egress, protocol: any, group: g%d", g)
	for r := baseRules; r < s.Rules; r++ {
		rule("direction: ingress, protocol: udp, ports: %d, group: g%d", 1000+r, (g+2)%s.Groups)
	}
	return b.String()
}

// groupsFile is one file of groups. extra follows the rules of its first group.
func (s scenario) groupsFile(n int, extra string) string {
	var b strings.Builder
	b.WriteString("groups:\n")
	for g := n * perFile; g < min(s.Groups, (n+1)*perFile); g++ {
		b.WriteString(s.group(g))
		if g == n*perFile {
			b.WriteString(extra)
		}
	}
	return b.String()
}

// localFile has the instances of this host.
func (s scenario) localFile(extra string) string {
	var b strings.Builder
	b.WriteString("instances:\n")
	for n := range s.Ports {
		b.WriteString(instance(n, localHost, s.draw(n)))
	}
	return b.String() + extra
}

// remoteFile is one file of members elsewhere.
func (s scenario) remoteFile(n int, extra string) string {
	var b strings.Builder
	b.WriteString("instances:\n")
	for i := n * perFile; i < min(s.Members, (n+1)*perFile); i++ {
		b.WriteString(instance(s.Ports+i, elsewhere, s.draw(s.Ports+i)))
	}
	return b.String() + extra
}

// write makes the folder of the policy.
func (s scenario) write(folder string) error {
	files := map[string]string{"local.yaml": s.localFile("")}
	for n := range (s.Groups + perFile - 1) / perFile {
		files[fmt.Sprintf("groups-%03d.yaml", n)] = s.groupsFile(n, "")
	}
	for n := range (s.Members + perFile - 1) / perFile {
		files[remoteName(n)] = s.remoteFile(n, "")
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the policy: %w", err)
		}
	}
	return nil
}

func remoteName(n int) string { return fmt.Sprintf("remote-%03d.yaml", n) }
