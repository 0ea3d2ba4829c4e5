package flows_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// Rules that share a service, or their peers, come and go in every way, and what they share is
// there as long as one of them is: the program is that of the rules that are left, and all of them
// are in it.
func TestRulesThatShareTheirParts(t *testing.T) {
	in := func(rules int) flows.Input {
		p := &policy.Policy{}
		g := &policy.Group{Name: "g"}
		for n, r := range []string{"ingress udp 7", "ingress udp 7", "ingress udp 7", "ingress udp 8"} {
			if rules>>n&1 == 1 {
				g.Rules = append(g.Rules, policytest.Rule(r, fmt.Sprintf("peer%d", n%3)))
			}
		}
		p.Groups = append(p.Groups, g)
		for n := range 3 {
			p.Groups = append(p.Groups, peerGroup(n))
		}
		p.Instances = membersOf(g)
		return flowtest.Bound(p, policy.Site{Host: "h"})
	}
	var want [16]*flows.Program
	for n := range want {
		want[n] = mustCompile(t, in(n))
		require.Empty(t, want[n].LeftOut)
	}
	require.Contains(t, want[1].String(), "conjunction(")
	var c flows.Compiler
	for from := range want {
		for to := range want {
			for _, n := range []int{from, to} {
				_, err := c.Update(in(n))
				require.NoError(t, err)
				require.Empty(t, c.LeftOut(), "rules %04b, %04b", from, to)
				left := openflow.Diff(want[n].Flows, c.Program().Flows)
				require.True(t, left.Empty(), "rules %04b, %04b: %v", from, to, left)
			}
		}
	}
}

// peerGroup is the group peerN, of so many networks that a rule for it has clauses.
func peerGroup(n int) *policy.Group {
	return &policy.Group{Name: fmt.Sprintf("peer%d", n),
		ExternalSources: policytest.Nets(fmt.Sprintf("198.51.%d.1", n),
			fmt.Sprintf("198.51.%d.2", n), fmt.Sprintf("198.51.%d.3", n))}
}

// membersOf are instances of a group with a port each, so many that its rules have clauses.
func membersOf(g *policy.Group) []*policy.Instance {
	out := make([]*policy.Instance, 3)
	for n := range out {
		out[n] = &policy.Instance{Name: fmt.Sprintf("i%d", n), Host: "h", Groups: []string{g.Name},
			Ports: []policy.Port{{Name: fmt.Sprintf("p%d", n), MAC: smallMAC(n + 1),
				Addresses: policytest.Hosts4[n : n+1]}}}
	}
	return out
}
