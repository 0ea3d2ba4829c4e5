package explain

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"go4.org/netipx"
	"pgregory.net/rapid"
)

// What is left of sets is what the library's builder makes of them.
func TestRemainingIsTheDifference(t *testing.T) {
	left := 0
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) *addresses {
			var list []netip.Prefix
			for range rapid.IntRange(0, 4).Draw(t, what) {
				a := netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(0, 31).Draw(t, "address"))})
				bits := rapid.SampledFrom([]int{0, 27, 29, 31, 32}).Draw(t, "bits")
				if rapid.IntRange(0, 3).Draw(t, "family") == 0 {
					a, bits = netip.AddrFrom16([16]byte{15: a.As4()[3]}), bits+96
				}
				list = append(list, netip.PrefixFrom(a, bits).Masked())
			}
			return newAddresses(setOf(list...))
		}
		all := []*addresses{draw("a"), draw("b"), draw("c"), draw("d"), allAddresses}
		some := func(what string) []*addresses {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, 4,
				func(a *addresses) *addresses { return a }).Draw(t, what)
		}
		in, without := some("in"), some("without")
		for _, family := range []netip.Prefix{allOf4, allOf6} {
			var b netipx.IPSetBuilder
			for _, s := range in {
				b.AddSet(s.IPSet)
			}
			for _, s := range without {
				b.RemoveSet(s.IPSet)
			}
			b.Intersect(setOf(family))
			want, _ := b.IPSet()
			got := remaining(in, without, family == allOf4)
			if got == nil {
				got = setOf()
			}
			require.Equal(t, want.Prefixes(), got.Prefixes())
			left += len(want.Prefixes())
			for _, s := range all {
				require.Equal(t, s.Overlaps(want), s.overlaps(want.Ranges()))
			}
		}
	})
	require.Positive(t, left)
}
