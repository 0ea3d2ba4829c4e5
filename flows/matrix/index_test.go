package matrix_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/matrix"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// A part says of its pairs what the whole says, in the same words, and nothing of others.
func TestPartIsOfTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawWorld(t).Policy
		whole, err := matrix.Ask(p, matrix.Question{})
		require.NoError(t, err)
		var names []string
		for _, e := range whole.Ends {
			names = append(names, e.Name)
		}
		some := rapid.SliceOfDistinct(rapid.SampledFrom(names), func(n string) string { return n })
		q := matrix.Part{From: some.Draw(t, "from"), To: some.Draw(t, "to")}
		part, err := matrix.NewIndex(p).Ask(q)
		require.NoError(t, err)

		has := func(list []string, name string) bool {
			return strings.Contains("\n"+strings.Join(list, "\n")+"\n", "\n"+name+"\n")
		}
		var cells []matrix.Row
		for _, c := range whole.Cells {
			if has(q.From, c.From) && has(q.To, c.To) {
				cells = append(cells, c)
			}
		}
		require.NotNil(t, part.Ends, "none is an empty list")
		require.ElementsMatch(t, cells, part.Cells)
		var arrows, got []string
		for _, a := range whole.Arrows {
			if has(q.From, a.From) && has(q.To, a.To) {
				arrows = append(arrows, fmt.Sprint(a.From, a.To, a.Direction, a.Services, a.Rules, a.Lacks))
			}
		}
		for _, a := range part.Arrows {
			got = append(got, fmt.Sprint(a.From, a.To, a.Direction, a.Services, a.Rules, a.Lacks))
		}
		require.Equal(t, arrows, got)
		for _, e := range part.Ends {
			require.True(t, has(q.From, e.Name) || has(q.To, e.Name), e.Name)
		}
	})
}

func TestPartsThatCannotBe(t *testing.T) {
	p := &policy.Policy{Groups: []*policy.Group{{Name: "web"}}}
	b := matrix.NewIndex(p)
	var unknown *matrix.ErrUnknown
	_, err := b.Ask(matrix.Part{From: []string{"wev"}, To: []string{"web"}})
	require.ErrorAs(t, err, &unknown)
	require.ErrorContains(t, err, `"wev"`)
	require.ErrorContains(t, err, "web")
	many := make([]string, 101)
	var large *matrix.ErrLarge
	_, err = b.Ask(matrix.Part{From: many, To: many})
	require.ErrorAs(t, err, &large)
	none, err := b.Ask(matrix.Part{})
	require.NoError(t, err)
	require.Empty(t, none.Cells)
}

// Several may ask one board at once.
func TestIndexIsShared(t *testing.T) {
	p := &policy.Policy{}
	for n := range 20 {
		p.Groups = append(p.Groups, &policy.Group{Name: fmt.Sprint("g", n), Rules: []policy.Rule{
			policytest.Rule("ingress tcp 22", fmt.Sprint("g", (n+1)%20))}})
	}
	b := matrix.NewIndex(p)
	want, err := b.Ask(matrix.Part{From: []string{"g1"}, To: []string{"g0"}})
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			got, err := b.Ask(matrix.Part{From: []string{"g1"}, To: []string{"g0"}})
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
	all.Wait()
}

// What a screen of a table costs in a policy of 3,000 groups and 50,000 instances, beside what
// looking at that policy costs once.
func BenchmarkPart(b *testing.B) {
	p := enormous()
	board := matrix.NewIndex(p)
	var q matrix.Part
	for n := range 40 {
		q.From, q.To = append(q.From, fmt.Sprint("g", 70*n)), append(q.To, fmt.Sprint("g", 70*n+1))
	}
	b.Run("part", func(b *testing.B) {
		for b.Loop() {
			_, err := board.Ask(q)
			require.NoError(b, err)
		}
	})
	b.Run("board", func(b *testing.B) {
		for b.Loop() {
			matrix.NewIndex(p)
		}
	})
}

func enormous() *policy.Policy {
	p := huge(1)
	for n := 500; n < 3000; n++ {
		p.Groups = append(p.Groups, &policy.Group{Name: fmt.Sprint("g", n),
			Rules: p.Groups[n%500].Rules})
	}
	for n, i := range p.Instances {
		i.Groups = []string{fmt.Sprint("g", n%3000)}
	}
	return p
}
