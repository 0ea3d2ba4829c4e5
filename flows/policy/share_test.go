package policy_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// What is shared says the same, and has by pointer all that did not change.
func TestShareKeepsWhatIsTheSame(t *testing.T) {
	kept, differ := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		before := policytest.DrawWorld(t).Policy
		after := policytest.DrawSuccessor(t, before)
		got := policy.Share(before, after)
		require.Equal(t, after, got)
		want := policy.Changed(before, after)
		left := policy.Changed(before, got)
		require.ElementsMatch(t, want.GoneGroups, left.GoneGroups)
		require.ElementsMatch(t, want.NewGroups, left.NewGroups)
		require.ElementsMatch(t, want.GoneInstances, left.GoneInstances)
		require.ElementsMatch(t, want.NewInstances, left.NewInstances)
		was := map[any]bool{}
		for _, g := range before.Groups {
			was[g] = true
		}
		for _, i := range before.Instances {
			was[i] = true
		}
		apart := 0
		for _, g := range got.Groups {
			if !was[g] {
				apart++
			}
		}
		for _, i := range got.Instances {
			if !was[i] {
				apart++
			}
		}
		require.Equal(t, len(want.NewGroups)+len(want.NewInstances), apart)
		kept, differ = kept+len(got.Groups)+len(got.Instances)-apart, differ+apart
	})
	require.Positive(t, kept)
	require.Positive(t, differ)
}
