package explain_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// What answers cost in a region of 500 groups and 50,000 instances, and in a small one.
// `go test -bench . ./flows/explain` measures them.

func eachFleet(b *testing.B, do func(b *testing.B, size policytest.FleetSize)) {
	b.Run("small", func(b *testing.B) { do(b, policytest.SmallFleet) })
	b.Run("large", func(b *testing.B) { do(b, policytest.LargeFleet) })
}

func ends(b *testing.B, r explain.Reader) (from, to explain.End) {
	from, err := r.FindEnd("vm-1")
	require.NoError(b, err)
	to, err = r.FindEnd("vm-250")
	require.NoError(b, err)
	return from, to
}

var (
	anyService = policy.Service{Protocol: policy.AnyProtocol, ICMPType: policy.AnyICMP,
		ICMPCode: policy.AnyICMP}
	tcp80 = explain.Ask(policy.Service{Protocol: policy.TCP,
		Ports: policy.PortRange{First: 80, Last: 80}})
)

func BenchmarkIndex(b *testing.B) {
	eachFleet(b, func(b *testing.B, size policytest.FleetSize) {
		w := policytest.Fleet(size)
		b.ReportAllocs()
		for b.Loop() {
			explain.Read(w)
		}
	})
}

func BenchmarkExplainOne(b *testing.B) {
	eachFleet(b, func(b *testing.B, size policytest.FleetSize) {
		r := explain.Read(policytest.Fleet(size))
		for b.Loop() {
			from, to := ends(b, r)
			r.Explain(from, to, tcp80)
		}
	})
}

func BenchmarkConverse(b *testing.B) {
	eachFleet(b, func(b *testing.B, size policytest.FleetSize) {
		r := explain.Read(policytest.Fleet(size))
		dhcp, _ := explain.ParseConversation("dhcp")
		for b.Loop() {
			from, _ := ends(b, r)
			r.Converse(dhcp, from, explain.End{})
		}
	})
}

func BenchmarkPeersOfOne(b *testing.B) {
	for name, s := range map[string]policy.Service{"any": anyService, "tcp": {Protocol: policy.TCP}} {
		b.Run(name, func(b *testing.B) {
			eachFleet(b, func(b *testing.B, size policytest.FleetSize) {
				r := explain.Read(policytest.Fleet(size))
				peers := 0
				for b.Loop() {
					_, to := ends(b, r)
					for reach := range r.Peers(to, policy.Ingress, explain.Ask(s)) {
						for _, i := range reach.Instances {
							peers += len(i.Peers)
						}
					}
				}
				b.ReportMetric(float64(peers)/float64(b.N), "peers")
			})
		})
	}
}

// withOneRule changes the port range of one rule.
func withOneRule(p *policy.Policy) *policy.Policy {
	out := &policy.Policy{Groups: slices.Clone(p.Groups), Instances: slices.Clone(p.Instances)}
	g := *out.Groups[len(p.Groups)/2]
	g.Rules = slices.Clone(g.Rules)
	ports := g.Rules[2].Ports[0]
	ports.First++
	g.Rules[2].Ports = []policy.PortRange{ports}
	out.Groups[len(p.Groups)/2] = &g
	return out
}

// withOneMove moves one instance to another group.
func withOneMove(p *policy.Policy) *policy.Policy {
	out := &policy.Policy{Groups: slices.Clone(p.Groups), Instances: slices.Clone(p.Instances)}
	i := *out.Instances[len(p.Instances)/3]
	i.Groups = []string{p.Groups[len(p.Groups)/2].Name}
	out.Instances[len(p.Instances)/3] = &i
	return out
}

// One thing changes in a policy that was looked up; the other was read from files.
func BenchmarkCompareAccess(b *testing.B) {
	for name, change := range map[string]func(*policy.Policy) *policy.Policy{"rule": withOneRule,
		"move": withOneMove} {
		b.Run(name, func(b *testing.B) {
			eachFleet(b, func(b *testing.B, size policytest.FleetSize) {
				p, read := policytest.Fleet(size).Policy, change(policytest.Fleet(size).Policy)
				before := explain.NewIndex(p)
				for b.Loop() {
					c := before.CompareAccess(explain.NewIndex(policy.Share(p, read)))
					require.NotEmpty(b, c.Loses, name)
				}
			})
		})
	}
}

// The same policy, read again.
func BenchmarkCompareSame(b *testing.B) {
	eachFleet(b, func(b *testing.B, size policytest.FleetSize) {
		p, read := policytest.Fleet(size).Policy, policytest.Fleet(size).Policy
		for b.Loop() {
			c := explain.CompareAccess(p, policy.Share(p, read))
			require.True(b, c.Empty())
		}
	})
}
