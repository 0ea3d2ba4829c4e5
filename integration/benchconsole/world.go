package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// The policies that are looked at. scenes.go uses them. The same seed gives the same policy.

var tierNames = []string{"web", "app", "db"}

// tierName is a group of a policy of tiers: three to a service.
func tierName(n int) string { return fmt.Sprintf("shop-%d-%s", n/3, tierNames[n%3]) }

const everyone = "0.0.0.0/0"

// tiers is a policy as companies have it: services of three tiers that speak with the next one,
// some with another service's, and management that reaches all. It has 10 rules for three groups.
func tiers(groups, instances int) *policy.Policy {
	roll := rand.New(rand.NewPCG(1, 1))
	p := &policy.Policy{Groups: []*policy.Group{named("management",
		policytest.Rule("ingress tcp 22", "198.51.100.0/24"))}}
	for n := range groups - 1 {
		rules := []policy.Rule{policytest.Rule("ingress tcp 22", "management")}
		switch n % 3 {
		case 0:
			rules = append(rules, policytest.Rule("ingress tcp 80-443", everyone),
				policytest.Rule("egress tcp 443", everyone), policytest.Rule("egress any", tierName(n+1)))
		case 1:
			other := n
			if roll.IntN(3) == 0 {
				other = roll.IntN(groups-1) / 3 * 3
			}
			rules = append(rules, policytest.Rule("ingress tcp 8080", tierName(n-1)),
				policytest.Rule("ingress tcp 8443", tierName(other)))
		case 2:
			rules = append(rules, policytest.Rule("ingress tcp 5432", tierName(n-1)),
				policytest.Rule("ingress tcp 5433", tierName(n)))
		}
		p.Groups = append(p.Groups, named(tierName(n), rules...))
	}
	return withInstances(p, instances)
}

// edges is a policy of which nothing can be made out: each rule is from anywhere to anywhere.
func edges(groups, rules int) *policy.Policy {
	roll := rand.New(rand.NewPCG(1, 2))
	p := &policy.Policy{}
	for n := range groups {
		p.Groups = append(p.Groups, named(tierName(n)))
	}
	for n := range rules {
		g := p.Groups[roll.IntN(groups)]
		g.Rules = append(g.Rules, policytest.Rule(fmt.Sprintf("ingress tcp %d", 1000+n),
			tierName(roll.IntN(groups))))
	}
	return withInstances(p, groups)
}

func named(name string, rules ...policy.Rule) *policy.Group {
	return &policy.Group{Name: name, Rules: rules}
}

// withInstances gives the groups members, evenly.
func withInstances(p *policy.Policy, count int) *policy.Policy {
	for n := range count {
		low := [3]byte{byte(n >> 16), byte(n >> 8), byte(n)}
		address := netip.AddrFrom4([4]byte{10, low[0], low[1], low[2]})
		p.Instances = append(p.Instances, &policy.Instance{Name: fmt.Sprintf("vm-%d", n),
			Host: fmt.Sprintf("hv%d", n%50), Groups: []string{p.Groups[n%len(p.Groups)].Name},
			Ports: []policy.Port{{Name: fmt.Sprintf("tap%d", n),
				MAC:       policy.MAC{2, 0, 0, low[0], low[1], low[2]},
				Addresses: []netip.Prefix{netip.PrefixFrom(address, 32)}}}})
	}
	return p
}
