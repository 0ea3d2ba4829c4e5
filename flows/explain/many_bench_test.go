package explain_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// many is how many rules one change replaces.
const many = 20_000

// ruleShapes are what 20,000 rules may be: rule n of a group, before and after it is replaced.
var ruleShapes = map[string]func(n, turn int) (what, peer string){
	"ports": func(n, turn int) (string, string) {
		return fmt.Sprintf("ingress %s %d", [...]string{"tcp", "udp"}[turn], n+1), "peers"
	},
	"networks": func(n, turn int) (string, string) { return "ingress tcp 80", network(n, turn) },
	"both": func(n, turn int) (string, string) {
		return fmt.Sprintf("ingress tcp %d", n+1), network(n, turn)
	},
	"half": func(n, turn int) (string, string) {
		if n%2 == 0 {
			return "ingress any", network(n, 0)
		}
		return fmt.Sprintf("ingress tcp %d", n), network(n, turn)
	},
}

func network(n, turn int) string {
	return netip.AddrFrom4([4]byte{byte(172 + turn), byte(n >> 12), byte(n >> 4), byte(n << 4)}).
		String() + "/28"
}

// manyRules is a policy of groups that have as many rules together, and 10 members each.
func manyRules(groups int, rule func(n, turn int) (what, peer string), turn int) *policy.Policy {
	p := &policy.Policy{Groups: []*policy.Group{{Name: "peers"}}}
	for g := range groups {
		group := &policy.Group{Name: fmt.Sprintf("group-%d", g)}
		for n := range many / groups {
			what, peer := rule(n, turn)
			r := policytest.Rule(what, peer)
			r.At = policy.Position{File: "many.yaml", Line: g*many + n, Column: 9}
			group.Rules = append(group.Rules, r)
		}
		p.Groups = append(p.Groups, group)
	}
	for n := range 10 * (groups + 1) {
		address := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		p.Instances = append(p.Instances, &policy.Instance{Name: fmt.Sprintf("vm-%d", n),
			Groups: []string{p.Groups[n/10].Name}, Ports: []policy.Port{{Name: fmt.Sprintf("tap%d", n),
				MAC:       policy.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)},
				Addresses: []netip.Prefix{netip.PrefixFrom(address, 32)}}}})
	}
	return p
}

// All of 20,000 rules are replaced, in one group or in many.
func BenchmarkCompareManyRules(b *testing.B) {
	for name, rule := range ruleShapes {
		for _, groups := range []int{1, 500} {
			b.Run(fmt.Sprintf("%s/groups=%d", name, groups), func(b *testing.B) {
				before, after := manyRules(groups, rule, 0), manyRules(groups, rule, 1)
				b.ReportAllocs()
				for b.Loop() {
					c := explain.CompareAccess(before, policy.Share(before, after))
					require.NotEmpty(b, c.Loses)
					require.NotEmpty(b, c.Gains)
				}
			})
		}
	}
}
