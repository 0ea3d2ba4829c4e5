package telemetry

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// However rules come, count and go: the number of series is bounded, a rule that has one keeps it,
// and no series goes down.
func TestSeriesAreBoundedAndNeverGoDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s series
		totals := map[uint32]uint64{}
		for id := range uint32(maxRuleSeries - 3) {
			totals[id+100] = 1
		}
		last, own := uint64(0), map[uint32]bool{}
		for range 20 {
			for _, id := range rapid.SliceOfN(rapid.Uint32Range(1, 12), 0, 4).Draw(t,
				"come or count") {
				totals[id] += rapid.Uint64Range(0, 9).Draw(t, "packets")
			}
			for _, id := range rapid.SliceOfN(rapid.Uint32Range(1, 12), 0, 2).Draw(t, "go") {
				delete(totals, id)
			}
			var rules []RuleCount
			for id, total := range totals {
				rules = append(rules, RuleCount{ID: id, Admitted: Traffic{Packets: total}})
			}
			slices.SortFunc(rules, func(a, b RuleCount) int { return int(a.ID) - int(b.ID) })
			others := s.assign(rules).Packets
			require.GreaterOrEqual(t, others, last)
			now, rest := map[uint32]bool{}, uint64(0)
			for _, r := range rules {
				if r.hasSeries {
					now[r.ID] = true
				} else {
					rest += r.Admitted.Packets
				}
				if own[r.ID] {
					require.True(t, r.hasSeries, "a rule keeps its series")
				}
			}
			require.LessOrEqual(t, len(now), maxRuleSeries)
			require.GreaterOrEqual(t, others, rest)
			last, own = others, now
		}
	})
}
