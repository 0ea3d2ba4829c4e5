package explain

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// What rules admit and others do not, and which rules have a part in it, is what a walk over all
// rules and all services finds.
func TestDifferenceIsThePlainOne(t *testing.T) {
	met := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		var sets []*addresses
		for range rapid.SampledFrom([]int{3, 6, 40}).Draw(t, "sets") {
			sets = append(sets, drawAddresses(t))
		}
		sets = append(sets, allAddresses)
		a, b := drawAccess(t, sets), drawAccess(t, sets)
		got, want := a.minus(b, never), a.plainMinus(b)
		require.Len(t, got, len(want))
		rules := newAdmission(a)
		for n, c := range got {
			require.Equal(t, want[n].Services, c.Services)
			require.Equal(t, want[n].peers.Prefixes(), c.peers.Prefixes())
			require.Equal(t, a.plainAdmitting(c), rules.of(c))
			met["changes"]++
			met["rules"] += len(c.Rules)
			if len(c.Services) > 1 {
				met["several services"]++
			}
		}
		if len(b.rules) > most {
			met["many"] += len(got)
		}
		for _, s := range sets {
			for _, o := range sets {
				require.Equal(t, s.Overlaps(o.IPSet), s.overlaps(o))
			}
		}
	})
	t.Log(met)
	for _, what := range []string{"changes", "several services", "many"} {
		require.Positive(t, met[what], what)
	}
}

func never() bool { return false }

func drawAddresses(t *rapid.T) *addresses {
	var list []netip.Prefix
	for range rapid.IntRange(0, 4).Draw(t, "networks") {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(0, 31).Draw(t, "address"))})
		bits := rapid.SampledFrom([]int{0, 27, 29, 31, 32, 32}).Draw(t, "bits")
		if rapid.IntRange(0, 3).Draw(t, "family") == 0 {
			a, bits = netip.AddrFrom16([16]byte{15: a.As4()[3]}), bits+96
		}
		list = append(list, netip.PrefixFrom(a, bits).Masked())
	}
	return newAddresses(setOf(list...))
}

// drawAccess draws rules with some sets as peers.
func drawAccess(t *rapid.T, sets []*addresses) portAccess {
	var out portAccess
	for n := range rapid.IntRange(0, 2*len(sets)).Draw(t, "rules") {
		first := rapid.Uint16Range(1, 12).Draw(t, "port")
		r := policy.Rule{ICMPType: policy.AnyICMP, ICMPCode: policy.AnyICMP, Protocol: rapid.SampledFrom(
			[]policy.Protocol{policy.TCP, policy.TCP, policy.UDP, policy.ICMP, policy.ICMPv6,
				policy.AnyProtocol}).Draw(t, "protocol"),
			Ports: []policy.PortRange{{First: first,
				Last: first + rapid.Uint16Range(0, 6).Draw(t, "ports")}}}
		out.rules = append(out.rules, accessRule{
			Named: Named{Group: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "group"),
				Rule: r.String(), At: policy.Position{Line: n}.String()},
			peers: rapid.SampledFrom(sets).Draw(t, "peers"), services: servicesOf(r)})
	}
	return out
}

// A comparison that is over gives up wherever it is, and says so; one that is not is whole.
func TestComparisonGivesUp(t *testing.T) {
	before := policytest.Fleet(policytest.SmallFleet).Policy
	after := before.Clone()
	for _, g := range after.Groups {
		for n := range g.Rules {
			g.Rules[n].Protocol, g.Rules[n].Ports = policy.AnyProtocol, nil
		}
	}
	want, asked := CompareAccess(before, after), 0
	compare := func(limit int) (AccessChanges, bool) {
		asked = 0
		return NewIndex(before).CompareAccessUntil(NewIndex(after),
			func() bool { asked++; return asked > limit })
	}
	got, isWhole := compare(1 << 30)
	require.True(t, isWhole)
	require.Equal(t, want, got)
	all := asked
	require.Greater(t, all, 1000)
	for _, limit := range []int{0, 1, 10, 100, all / 2, all - 1} {
		_, isWhole := compare(limit)
		require.False(t, isWhole)
		require.LessOrEqual(t, asked, limit+10, "it gives up at once")
	}
}
