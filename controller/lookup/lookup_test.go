package lookup_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/controller/lookup"
	"github.com/portcullis/portcullis/flows/policy"
)

// A view is made once of each policy, and of another policy anew: no answer is that of an older
// one.
func TestViewsAreOfThePolicyThatIsAskedAbout(t *testing.T) {
	var c lookup.Cache
	one, two := &policy.Policy{}, &policy.Policy{Groups: []*policy.Group{{Name: "web"}}}
	made := 0
	view := func(p *policy.Policy, project string) *lookup.View {
		return c.View(p, project, func() *policy.Policy { made++; return p })
	}
	first := view(one, "")
	assert.Same(t, first, view(one, ""))
	assert.NotSame(t, first, view(one, "acme"))
	assert.Equal(t, 2, made)
	assert.Empty(t, first.Index().Policy().Groups)
	assert.Len(t, view(two, "").Index().Policy().Groups, 1)
	assert.Empty(t, view(one, "").Index().Policy().Groups)
	for n := range 1000 {
		view(two, fmt.Sprint(n))
	}
	assert.Len(t, view(two, "").Index().Policy().Groups, 1)
}

// Tables are the same whether they were asked for before, by whomever; mistakes are not kept as
// answers.
func TestTables(t *testing.T) {
	var c lookup.Cache
	p := &policy.Policy{Groups: []*policy.Group{{Name: "web"}, {Name: "db"}}}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := range 100 {
				v := c.View(p, "", func() *policy.Policy { return p })
				found, err := v.Matrix(api.MatrixQuestion{From: []string{"web", "db"}[n%2],
					Service: fmt.Sprintf("tcp/%d", 1+n%40)})
				if assert.NoError(t, err) {
					assert.NotNil(t, found)
				}
			}
		})
	}
	all.Wait()
	v := c.View(p, "", func() *policy.Policy { return p })
	for range 2 {
		_, err := v.Matrix(api.MatrixQuestion{From: "none"})
		require.Error(t, err)
		_, err = v.Matrix(api.MatrixQuestion{Service: "nonsense/0"})
		require.Error(t, err)
	}
	a, err := v.Matrix(api.MatrixQuestion{})
	require.NoError(t, err)
	b, err := v.Matrix(api.MatrixQuestion{})
	require.NoError(t, err)
	assert.Same(t, a, b)
}
