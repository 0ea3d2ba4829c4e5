package matrix_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// huge is a policy of 500 groups with 10 rules each and 50,000 instances, each of them in some
// groups that dice chose.
func huge(memberships int) *policy.Policy {
	const groups, rules, instances = 500, 10, 50_000
	p := &policy.Policy{}
	name := func(n int) string { return fmt.Sprintf("g%d", n%groups) }
	for g := range groups {
		list := []policy.Rule{policytest.Rule("ingress tcp 22", "198.51.100.0/24"),
			policytest.Rule("ingress tcp 80-443", name(g+1)),
			policytest.Rule("ingress tcp 1-65535", name(g)),
			policytest.Rule("egress tcp 443", "0.0.0.0/0"),
			policytest.Rule("egress udp 53", "0.0.0.0/0"), policytest.Rule("egress any", name(g))}
		for r := len(list); r < rules; r++ {
			list = append(list, policytest.Rule(fmt.Sprint("ingress udp ", 1000+r), name(g+2)))
		}
		p.Groups = append(p.Groups, &policy.Group{Name: name(g), Rules: list})
	}
	for n := range instances {
		i := &policy.Instance{Name: fmt.Sprint("i", n), Ports: []policy.Port{{Name: fmt.Sprint("p", n),
			MAC:       policy.MAC{2, 0, 0, byte(n >> 16), byte(n >> 8), byte(n)},
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32)}}}}
		for _, g := range rand.New(rand.NewPCG(1, uint64(n))).Perm(groups)[:memberships] {
			i.Groups = append(i.Groups, name(g))
		}
		p.Instances = append(p.Instances, i)
	}
	return p
}

// What a matrix of groups costs where each instance is in one, and where nearly all of them are in
// two that no other is in: under a second.
func BenchmarkGroups(b *testing.B) {
	for memberships := 1; memberships <= 3; memberships++ {
		p := huge(memberships)
		b.Run(fmt.Sprint("memberships=", memberships), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m, err := matrix.Of(p, matrix.Question{})
				require.NoError(b, err)
				b.ReportMetric(float64(len(m.Cells)), "cells")
			}
		})
	}
}

func BenchmarkInstances(b *testing.B) {
	p := huge(2)
	for b.Loop() {
		_, err := matrix.Of(p, matrix.Question{Instances: true, From: "g1", To: "g0"})
		require.NoError(b, err)
	}
}

// A group of 20,000 rules, each about a network of its own.
func BenchmarkManyNetworks(b *testing.B) {
	p := huge(1)
	p.Groups, p.Instances = p.Groups[:2], p.Instances[:20]
	for n, i := range p.Instances {
		i.Groups = []string{p.Groups[n%2].Name}
	}
	for n := range 20_000 {
		network := netip.AddrFrom4([4]byte{172, byte(n >> 12), byte(n >> 4), byte(n << 4)})
		p.Groups[0].Rules = append(p.Groups[0].Rules,
			policytest.Rule("ingress tcp 80", network.String()+"/28"))
	}
	for _, instances := range []bool{false, true} {
		b.Run(fmt.Sprint("instances=", instances), func(b *testing.B) {
			for b.Loop() {
				m, err := matrix.Of(p, matrix.Question{Instances: instances})
				require.NoError(b, err)
				require.Greater(b, len(m.Cells), 20_000)
			}
		})
	}
}
