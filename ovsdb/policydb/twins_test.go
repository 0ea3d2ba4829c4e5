package policydb

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
)

// TestTheRuleThatIsMeantGoes takes each of three rules of the same words away by its ID, and sees
// that the others keep theirs.
func TestTheRuleThatIsMeantGoes(t *testing.T) {
	c := attach(t, server(t).DB)
	web := &policy.Group{Name: "web", Rules: []policy.Rule{rule80(), rule443(), rule80(), rule80()}}
	put(t, c, &policy.Policy{Groups: []*policy.Group{web}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for left := 3; left > 0; left-- {
		before, err := c.View()
		require.NoError(t, err)
		ids := before.Rules["web"]
		require.Len(t, ids, left+1)
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(ids))), left+1)
		meant := -1
		for n, r := range before.Policy.Groups[0].Rules {
			if r.Equal(rule80()) && (meant < 0 || left%2 == 0) { // the first of them, or the last
				meant = n
			}
		}
		generation, err := c.ChangeView(ctx, by("a test"), func(v View) (Edited, error) {
			assert.Equal(t, before.Rules, v.Rules)
			g := *v.Policy.Groups[0]
			g.Rules = slices.Delete(slices.Clone(g.Rules), meant, meant+1)
			return Edited{Policy: &policy.Policy{Groups: []*policy.Group{&g}},
				Gone: []string{ids[meant]}}, nil
		})
		require.NoError(t, err)
		after, err := c.View()
		require.NoError(t, err)
		assert.Equal(t, generation, after.Generation)
		assert.ElementsMatch(t, slices.Delete(slices.Clone(ids), meant, meant+1), after.Rules["web"])
	}
}
