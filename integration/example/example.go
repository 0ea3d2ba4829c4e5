package example

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/portcullis/portcullis/integration/testnet"
)

// PolicyFile is the example policy, from the root of the repository.
const PolicyFile = "docs/examples/policy.yaml"

// Outside are the hosts beyond the uplink. The office is where 198.51.100.0/24 is.
func Outside() []testnet.HostSpec {
	return []testnet.HostSpec{
		testnet.Outsider("router", 1, "203.0.113.1", "2001:db8:0:1::1"),
		testnet.Outsider("office", 2, "198.51.100.10", "2001:db8:ff::10"),
		testnet.Outsider("public", 3, "192.0.2.80", "2001:db8:ee::80"),
	}
}

// Spec is the world of the example policy.
func Spec(policyFile, daemon string) (testnet.Spec, error) {
	text, err := os.ReadFile(policyFile)
	if err != nil {
		return testnet.Spec{}, fmt.Errorf("read the example policy: %w", err)
	}
	return testnet.Spec{Policy: string(text), Outside: Outside(), Daemon: daemon,
		Gateways: []netip.Addr{netip.MustParseAddr("203.0.113.1"),
			netip.MustParseAddr("2001:db8:0:1::1")}}, nil
}

// OnHosts is a policy file whose instances have no host, with the instances on hosts in turn.
func OnHosts(text string, hosts ...string) string {
	head, instances, _ := strings.Cut(text, "\ninstances:\n")
	lines := strings.Split(instances, "\n")
	placed := 0
	for n, line := range lines {
		if strings.HasPrefix(line, "  - name: ") {
			lines[n] = line + "\n    host: " + hosts[placed%len(hosts)]
			placed++
		}
	}
	return head + "\ninstances:\n" + strings.Join(lines, "\n")
}

// Letter is a service in a [Table].
type Letter struct {
	Sign    string
	Name    string
	Service func(testnet.Family) testnet.Service
}

// Letters are the services that are tried, in the order of their signs in a cell.
func Letters() []Letter {
	fixed := func(s testnet.Service) func(testnet.Family) testnet.Service {
		return func(testnet.Family) testnet.Service { return s }
	}
	return []Letter{
		{"s", "ssh tcp/22", fixed(testnet.TCP(22))},
		{"w", "web tcp/80", fixed(testnet.TCP(80))},
		{"t", "tls tcp/443", fixed(testnet.TCP(443))},
		{"m", "mysql tcp/3306", fixed(testnet.TCP(3306))},
		{"d", "dns udp/53", fixed(testnet.UDP(53))},
		{"p", "ping", testnet.Ping},
	}
}

// Table says which services (by their signs) one host reaches at another.
type Table struct {
	Hosts []string // of rows and columns
	Cells [][]string
}

// NoWay is the cell of two hosts beyond the uplink, and of a host and itself: the switch is not
// between them.
const NoWay = "."

// Nothing is the cell of hosts that reach nothing of each other.
const Nothing = "-"

// Expected is what the policy says, read by a person.
func Expected(f testnet.Family) Table {
	rows := `
to        web-1  web-2  db-1   db-2   mgmt-1 router office public  
web-1     .      w      m      m      -      swtmdp swtmdp swtmdp
web-2     w      .      m      m      -      swtmdp swtmdp swtmdp
db-1      w      w      .      swtmd  -      wtd    wt     wt
db-2      w      w      swtmd  .      -      wtd    wt     wt
mgmt-1    sw     sw     s      s      .      swtmdp swtmdp swtmdp
router    w      w      -      -      -      .      .      .
office    w      w      -      -      s      .      .      .
public    w      w      -      -      -      .      .      .`
	// the router's services and the office are known by their IPv4 addresses only
	if f == testnet.IPv6 {
		rows = strings.NewReplacer("wtd ", "wt  ", "-      -      s ", "-      -      - ").Replace(rows)
	}
	return parse(rows)
}

func parse(text string) Table {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	t := Table{Hosts: strings.Fields(lines[0])[1:]}
	for _, line := range lines[1:] {
		t.Cells = append(t.Cells, strings.Fields(line)[1:])
	}
	return t
}

// Network is where the example's hosts are: a world, or a fleet.
type Network interface {
	Admits(from, to string, s testnet.Service, f testnet.Family) (bool, error)
	Reaches(from, to string, s testnet.Service, f testnet.Family) error
}

// Seen tries every service between every two hosts. Whether a service is reached is found without
// knowing what is expected: its first packet must arrive at its receiver and at nobody else, and
// then a real connection must carry data in both directions.
func Seen(w Network, f testnet.Family) (Table, error) {
	t := Table{Hosts: Expected(f).Hosts}
	for _, from := range t.Hosts {
		var row []string
		for _, to := range t.Hosts {
			cell, err := seenBetween(w, from, to, f)
			if err != nil {
				return t, err
			}
			row = append(row, cell)
		}
		t.Cells = append(t.Cells, row)
	}
	return t, nil
}

func seenBetween(w Network, from, to string, f testnet.Family) (string, error) {
	if from == to || isOutside(from) && isOutside(to) {
		return NoWay, nil
	}
	cell := ""
	for _, l := range Letters() {
		admitted, err := w.Admits(from, to, l.Service(f), f)
		if err != nil {
			return "", err
		}
		if !admitted {
			continue
		}
		if err := w.Reaches(from, to, l.Service(f), f); err != nil {
			return "", fmt.Errorf("the first packet arrives, but no connection comes about: %w", err)
		}
		cell += l.Sign
	}
	if cell == "" {
		return Nothing, nil
	}
	return cell, nil
}

func isOutside(name string) bool {
	for _, h := range Outside() {
		if h.Name == name {
			return true
		}
	}
	return false
}
