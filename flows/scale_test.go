package flows_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"

	"github.com/portcullis/portcullis/flows/flowtest"
	"github.com/portcullis/portcullis/flows/policytest"
)

// cloud is a host with local ports among members elsewhere. Group g admits ssh from a network, http
// from the next group, and all tcp from itself; https and dns to anywhere, anything to itself.
// Every instance is a member of `memberships` groups.
func cloud(local, elsewhere, groups, memberships int) flows.Input {
	p := &policy.Policy{}
	for g := range groups {
		own, next := fmt.Sprintf("g%d", g), fmt.Sprintf("g%d", (g+1)%groups)
		p.Groups = append(p.Groups, &policy.Group{Name: own, Rules: []policy.Rule{
			policytest.Rule("ingress tcp 22", "198.51.100.0/24"),
			policytest.Rule("ingress tcp 80-443", next), policytest.Rule("ingress tcp 1-65535", own),
			policytest.Rule("egress tcp 443", "0.0.0.0/0"), policytest.Rule("egress udp 53", "0.0.0.0/0"),
			policytest.Rule("egress any", own)}})
	}
	for n := range local + elsewhere {
		i := &policy.Instance{Name: fmt.Sprintf("i%d", n), Host: "elsewhere"}
		if n < local {
			i.Host = "here"
		}
		for k := range memberships {
			i.Groups = append(i.Groups, fmt.Sprintf("g%d", (n+k*37)%groups))
		}
		address := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		i.Ports = []policy.Port{{Name: fmt.Sprintf("p%d", n), MAC: policy.MAC{2, 0, 0, byte(n >> 16), byte(n >> 8), byte(n)},
			Addresses: []netip.Prefix{netip.PrefixFrom(address, 32)}}}
		p.Instances = append(p.Instances, i)
	}
	return flowtest.Bound(p, policy.Site{Host: "here"})
}

// The budget of a medium cloud: 200 ports here, 10,000 members elsewhere, 100 groups.
func TestFlowCountOfMediumCloud(t *testing.T) {
	p, err := flows.Compile(cloud(200, 10_000, 100, 2))
	require.NoError(t, err)
	byTable := map[uint8]int{}
	for _, f := range p.Flows {
		byTable[f.Table]++
	}
	t.Logf("%d flows: %v", len(p.Flows), byTable)
	require.Less(t, len(p.Flows), 32_000)
}

// Flows grow by members + ports·rules, never by their product.
func TestFlowCountIsASum(t *testing.T) {
	count := func(elsewhere int) int {
		p, err := flows.Compile(cloud(50, elsewhere, 10, 2))
		require.NoError(t, err)
		return len(p.Flows)
	}
	small, large := count(1_000), count(2_000)
	require.Equal(t, 2*1_000, large-small,
		"each member costs one flow for each direction that names its groups")
}

func BenchmarkCompileMedium(b *testing.B) {
	in := cloud(200, 10_000, 100, 2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := flows.Compile(in); err != nil {
			b.Fatal(err)
		}
	}
}

// Two programs of a medium cloud that differ in one flow, both held in memory.
func BenchmarkDiffMedium(b *testing.B) {
	program, err := flows.Compile(cloud(200, 10_000, 100, 2))
	require.NoError(b, err)
	held := append([]openflow.Flow(nil), program.Flows...)
	held[len(held)/2].Actions = openflow.ParseActions("changed by hand")
	b.ReportAllocs()
	for b.Loop() {
		if delta := openflow.Diff(program.Flows, held); delta.Len() != 1 {
			b.Fatal(delta)
		}
	}
}

// What a start does: the flows come one by one from the switch and are held against the program.
func BenchmarkCompareMedium(b *testing.B) {
	var c flows.Compiler
	_, err := c.Update(cloud(200, 10_000, 100, 2))
	require.NoError(b, err)
	held := append([]openflow.Flow(nil), c.Program().Flows...)
	held[len(held)/2].Actions = openflow.ParseActions("changed by hand")
	b.ReportAllocs()
	for b.Loop() {
		if difference, err := c.Compare(listed(held, nil)); err != nil || difference.Delta().Len() != 1 {
			b.Fatal(difference, err)
		}
	}
}
