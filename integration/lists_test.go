//go:build integration

package integration

import (
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/testnet"
)

// withLists is a group whose rules have lists of all kinds.
var withLists = group{name: "listed", rules: []string{
	`{direction: ingress, protocol: TCP, ports: [ssh, 8000-8002, 443], ` +
		`cidr: [clients, 203.0.113.21/32], group: [peers, others]}`,
	`{direction: ingress, protocol: icmp, icmp_type: echo-request, cidr: clients}`,
	`{direction: ingress, protocol: ipv6-icmp, icmp_type: echo-request, cidr: clients}`,
	`{direction: egress, protocol: udp, ports: [dns, 123], cidr: [clients, "2001:db8::31/128"]}`,
}}

const (
	clientOnly   = "networks:\n  clients: [198.51.100.2/32, \"2001:db8:2::2/128\"]\n"
	attackerOnly = "networks:\n  clients: [198.51.100.66/32, \"2001:db8:2::66/128\"]\n"
)

var conjunctionID = regexp.MustCompile(`conj_id=\d+`)

// R-2, rules that list ports and peers: every combination of them is admitted, and nothing beside
// them, in both families. When the networks that a name stands for change, who left them is cut off
// and who came is admitted, by the same rules.
func TestR2_Lists(t *testing.T) {
	t.Parallel()
	machines := []machine{vm("a", 11, "listed"), vm("b", 21), vm("c", 31, "peers"),
		vm("d", 41, "others"), vm("e", 51)}
	groups := []group{withLists, {name: "peers"}, {name: "others"}}
	w := newWorld(t, testnet.Spec{Policy: clientOnly + document(groups, machines...),
		Outside: outside(), Daemon: daemon(t)})
	yes := []testnet.Service{testnet.TCP(22), testnet.TCP(443), testnet.TCP(8000), testnet.TCP(8002)}
	no := []testnet.Service{testnet.TCP(21), testnet.TCP(80), testnet.TCP(7999), testnet.TCP(8003),
		testnet.UDP(443), testnet.UDP(22)}
	from := map[string][2]bool{"client": {true, true}, "attacker": {}, "b": {true, false},
		"c": {true, true}, "d": {true, true}, "e": {}}
	ingress := func(t *testing.T) {
		t.Helper()
		for name, of := range from {
			for n, f := range families {
				for _, s := range yes {
					admits(t, w, name, "a", s, f, of[n])
				}
				for _, s := range no {
					admits(t, w, name, "a", s, f, false)
				}
			}
		}
	}
	others := func(t *testing.T, peer, stranger string) {
		t.Helper()
		for _, f := range families {
			admits(t, w, peer, "a", testnet.Ping(f), f, true)
			admits(t, w, stranger, "a", testnet.Ping(f), f, false)
			for _, s := range []testnet.Service{testnet.UDP(53), testnet.UDP(123)} {
				admits(t, w, "a", peer, s, f, true)
				admits(t, w, "a", stranger, s, f, false)
			}
			admits(t, w, "a", peer, testnet.UDP(54), f, false)
			admits(t, w, "a", peer, testnet.TCP(53), f, false)
			require.NoError(t, w.Reaches(peer, "a", testnet.TCP(8001), f))
		}
		// an egress rule of one network closes to all others, and ingress there is denied
		admits(t, w, "a", "c", testnet.UDP(53), testnet.IPv6, false)
		admits(t, w, "client", "a", testnet.Service{Protocol: policy.ICMP, Type: 13},
			testnet.IPv4, false)
	}
	require.Equal(t, testnet.IPv4, families[0])
	ingress(t)
	others(t, "client", "attacker")
	rules := idsOf(programOf(t, w))
	require.NotEmpty(t, rules)

	require.NoError(t, w.SetPolicy(attackerOnly+document(groups, machines...)))
	from["client"], from["attacker"] = from["attacker"], from["client"]
	ingress(t)
	others(t, "attacker", "client")
	require.Equal(t, rules, idsOf(programOf(t, w)), "rules keep their ids")
}

func idsOf(program string) []string {
	ids := conjunctionID.FindAllString(program, -1)
	slices.Sort(ids)
	return slices.Compact(ids)
}
