package policydb

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	libovsdb "github.com/ovn-org/libovsdb/ovsdb"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/client"
	"github.com/portcullis/portcullis/ovsdb/policydb/rows"
)

// try makes a change on trial: a group of that name.
func try(t *testing.T, c *Client, name string) int {
	t.Helper()
	change := by("trying")
	change.Trial = time.Minute
	generation, err := c.Change(t.Context(), change, with(name))
	require.NoError(t, err)
	return generation
}

// with is an Edit that adds a group.
func with(name string) Edit {
	return func(p *policy.Policy) (*policy.Policy, string, error) {
		next := *p
		next.Groups = append([]*policy.Group{{Name: name}}, p.Groups...)
		return &next, "one more group", nil
	}
}

func hasGroup(t *testing.T, c *Client, name string) bool {
	t.Helper()
	p, _, err := c.Policy()
	require.NoError(t, err)
	for _, g := range p.Groups {
		if g.Name == name {
			return true
		}
	}
	return false
}

// describing is an Edit that alters a group.
func describing(name string) Edit {
	return func(p *policy.Policy) (*policy.Policy, string, error) {
		next := *p
		next.Groups = slices.Clone(p.Groups)
		for n, g := range next.Groups {
			if g.Name == name {
				other := *g
				other.Description = "another one"
				next.Groups[n] = &other
			}
		}
		return &next, "described", nil
	}
}

// inGroup is an Edit that puts the first instance into one more group.
func inGroup(name string) Edit {
	return func(p *policy.Policy) (*policy.Policy, string, error) {
		next, first := *p, *p.Instances[0]
		first.Groups = append(slices.Clone(first.Groups), name)
		next.Instances = append([]*policy.Instance{&first}, p.Instances[1:]...)
		return &next, "joined", nil
	}
}

// What concerns no object of a trial is changed meanwhile, and stays when that is taken back; what
// could not stay is refused. With a trial that is confirmed all of it stays.
func TestChangesBesideATrial(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	first := small().Groups[0].Name
	for _, isKept := range []bool{false, true} {
		tried := try(t, c, "new")
		for n, name := range []string{"x", "y"} {
			made, err := c.Change(t.Context(), by("other"), with(name))
			require.NoError(t, err)
			require.Equal(t, tried+1+n, made)
		}
		on, err := c.OnTrial()
		require.NoError(t, err)
		require.Equal(t, tried, on.Generation, "it goes on")
		_, err = c.Change(t.Context(), by("other"), inGroup("new"))
		require.ErrorContains(t, err, "is on trial until", "it could not stay without the group")
		_, err = c.Change(t.Context(), by("other"), inGroup("x"))
		require.NoError(t, err)
		if isKept {
			_, err = c.Confirm(t.Context(), tried)
			require.NoError(t, err)
		} else {
			made, err := c.Abandon(t.Context(), by("upkeep"), tried, "not confirmed")
			require.NoError(t, err)
			require.Equal(t, tried+4, made)
			_, err = c.Confirm(t.Context(), tried)
			require.ErrorContains(t, err, fmt.Sprintf("was taken back by generation %d", made))
		}
		require.Equal(t, isKept, hasGroup(t, c, "new"))
		require.True(t, hasGroup(t, c, "x") && hasGroup(t, c, "y") && hasGroup(t, c, first))
		p, _, err := c.Policy()
		require.NoError(t, err)
		require.Contains(t, p.Instances[0].Groups, "x")
		on, err = c.OnTrial()
		require.NoError(t, err)
		require.Nil(t, on)
		_, err = c.Rollback(t.Context(), by("operator"), tried-1)
		require.NoError(t, err)
		require.False(t, hasGroup(t, c, "x") || hasGroup(t, c, "new"), "the history has no gap")
	}
}

// A trial that changes so much beside it that its undoing would be forgotten ends that first.
func TestATrialIsNotForgotten(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	tried := try(t, c, "new")
	var err error
	for n := 0; err == nil && n < keptChanges+1; n++ {
		_, err = c.Change(t.Context(), by("other"), with("g"+strconv.Itoa(n)))
	}
	require.ErrorContains(t, err, "is on trial until")
	_, err = c.Abandon(t.Context(), by("upkeep"), tried, "not confirmed")
	require.NoError(t, err)
	require.False(t, hasGroup(t, c, "new"))
	require.True(t, hasGroup(t, c, "g0"))
}

// A change on trial is confirmed, or taken back, and nothing that concerns it comes between.
func TestTrial(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	_, err := c.Confirm(t.Context(), 0)
	require.ErrorIs(t, err, ErrNoTrial)

	require.Equal(t, 2, try(t, c, "new"))
	on, err := c.OnTrial()
	require.NoError(t, err)
	require.Equal(t, 2, on.Generation)
	require.Equal(t, time.Minute, on.Window())
	for _, make := range []func() error{
		func() error { _, err := c.Change(t.Context(), by("other"), describing("new")); return err },
		func() error { _, err := c.Change(t.Context(), by("other"), inGroup("new")); return err },
		func() error { _, err := c.Rollback(t.Context(), by("other"), 0); return err },
		func() error {
			second := by("other")
			second.Trial = time.Minute
			_, err := c.Change(t.Context(), second, with("x"))
			return err
		},
	} {
		err := make()
		require.ErrorContains(t, err, "generation 2 of trying is on trial until")
		require.ErrorContains(t, err, "portcullis confirm")
	}
	confirmed, err := c.Confirm(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 2, confirmed)
	_, err = c.Confirm(t.Context(), 2)
	require.NoError(t, err, "confirmed is confirmed")
	_, err = c.Change(t.Context(), by("other"), with("x"))
	require.NoError(t, err)
	require.True(t, hasGroup(t, c, "new"))

	require.Equal(t, 4, try(t, c, "bad"))
	back, err := c.Abandon(t.Context(), by("upkeep"), 4, "not confirmed")
	require.NoError(t, err)
	require.Equal(t, 5, back)
	require.False(t, hasGroup(t, c, "bad"))
	require.True(t, hasGroup(t, c, "x"))
	_, err = c.Confirm(t.Context(), 4)
	require.ErrorContains(t, err, "was taken back by generation 5")
	_, err = c.Abandon(t.Context(), by("upkeep"), 4, "not confirmed")
	require.ErrorIs(t, err, ErrNoTrial)
	history, err := c.History()
	require.NoError(t, err)
	require.Equal(t, "not confirmed: back to generation 3", history[0].Summary)
	require.False(t, history[1].ConfirmBy.IsZero())

	require.Equal(t, 6, try(t, c, "bad"))
	_, err = c.Rollback(t.Context(), by("operator"), 5)
	require.NoError(t, err, "what was before the trial may be had again")
}

// Who names a generation that is on trial no more ends no other trial, and is told how it is.
func TestATrialIsEndedByItsGeneration(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	kept := try(t, c, "kept")
	_, err := c.Confirm(t.Context(), kept)
	require.NoError(t, err)
	gone := try(t, c, "gone")
	back, err := c.Abandon(t.Context(), by("operator"), gone, "taken back")
	require.NoError(t, err)
	other := try(t, c, "other")

	_, err = c.Confirm(t.Context(), kept)
	require.EqualError(t, err, fmt.Sprintf("generation %d is on trial, not %d", other, kept))
	require.ErrorIs(t, err, ErrNoTrial)
	_, err = c.Confirm(t.Context(), gone)
	require.ErrorContains(t, err, fmt.Sprintf("was taken back by generation %d", back))
	for _, n := range []int{kept, gone} {
		_, err = c.Abandon(t.Context(), by("operator"), n, "taken back")
		require.ErrorContains(t, err, fmt.Sprintf("generation %d is on trial, not %d", other, n))
		require.ErrorIs(t, err, ErrNoTrial)
	}
	on, err := c.OnTrial()
	require.NoError(t, err)
	require.Equal(t, other, on.Generation)
	list, err := c.History()
	require.NoError(t, err)
	require.NoError(t, Stood(list, kept))
	require.ErrorContains(t, Stood(list, gone), "was taken back")
	require.ErrorIs(t, Stood(list, other+9), ErrNoTrial)
}

// Whoever confirms while another takes back: one of the two happens, never both.
func TestConfirmAndAbandonAtOneTime(t *testing.T) {
	o := server(t)
	a, b := attach(t, o.DB), attach(t, o.DB)
	put(t, a, small())
	confirmed, abandoned := 0, 0
	for range 30 {
		generation := try(t, a, "new")
		await(t, b, func() bool { on, err := b.OnTrial(); return err == nil && on != nil })
		ended := make(chan error)
		go func() {
			_, err := b.Abandon(t.Context(), Change{ID: "back" + by("").ID, At: time.Now()},
				generation, "late")
			ended <- err
		}()
		_, kept := a.Confirm(t.Context(), generation)
		lost := <-ended
		require.True(t, (kept == nil) != (lost == nil), "%v, %v", kept, lost)
		await(t, a, func() bool { on, err := a.OnTrial(); return err == nil && on == nil })
		require.Equal(t, kept == nil, hasGroup(t, a, "new"))
		if kept != nil {
			abandoned++
			continue
		}
		confirmed++
		_, err := a.Rollback(t.Context(), by("clean"), generation-1)
		require.NoError(t, err)
	}
	t.Logf("%d confirmed, %d taken back", confirmed, abandoned)
}

// Somebody of a project changes nothing of others, and is told nothing of them.
func TestAChangeOfAProject(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	p := small()
	p.Projects = []*policy.Project{{Name: "a"}}
	put(t, c, p)
	change := by("a's")
	change.Project = "a"
	_, err := c.Change(t.Context(), change, with("stray"))
	require.ErrorContains(t, err, `"stray" is not of the project "a"`)
	_, err = c.Change(t.Context(), change, func(p *policy.Policy) (*policy.Policy, string, error) {
		next := *p
		next.Projects = nil
		return &next, "", nil
	})
	require.ErrorContains(t, err, "only an operator")
	taking := func(p *policy.Policy) (*policy.Policy, string, error) {
		next, port := *p, p.Instances[1].Ports[0]
		port.Name = "tap9"
		next.Instances = append([]*policy.Instance{{Name: "a/1", Ports: []policy.Port{port},
			Host: "hv9"}}, p.Instances...)
		return &next, "", nil
	}
	_, err = c.Change(t.Context(), change, taking)
	require.ErrorContains(t, err, "02:00:00:00:00:01 is taken")
	require.NotContains(t, err.Error(), "tap1")
	_, err = c.Change(t.Context(), by("operator"), taking)
	require.ErrorContains(t, err, `instance "web-1"`)
	_, err = c.Change(t.Context(), change, with("a/web"))
	require.NoError(t, err)
}

// The past is bounded in number and in size; what is left is without a gap.
func TestOldChangesAreForgotten(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	large := strings.Repeat("x", keptBytes/4)
	for n := range 5 {
		remember(t, c, large, 100+n)
	}
	require.NoError(t, c.Forget(t.Context()))
	h, err := c.History()
	require.NoError(t, err)
	require.Len(t, h, 4)
	require.Equal(t, 104, h[0].Generation)
	var many []int
	for n := range 1400 {
		many = append(many, 1000+n)
	}
	remember(t, c, "{}", many...)
	require.NoError(t, c.Forget(t.Context()))
	h, err = c.History()
	require.NoError(t, err)
	require.Len(t, h, keptChanges)
	require.Equal(t, 2399, h[0].Generation)
}

// remember puts changes into the database that nobody made.
func remember(t *testing.T, c *Client, undo string, generations ...int) {
	t.Helper()
	isWritten := false
	require.NoError(t, c.Update(t.Context(), func(client.Rows) ([]client.Operation, error) {
		var w client.Operations
		for _, n := range generations {
			w.Insert("a change", rows.ChangeTable, libovsdb.Row{"generation": n, "undo": undo,
				"id": "c" + strconv.Itoa(n)})
		}
		if isWritten {
			return nil, nil
		}
		isWritten = true
		return w, nil
	}))
}

// What is forgotten cannot be had again, and that is said.
func TestNoWayBackBehindWhatIsForgotten(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	for _, name := range []string{"one", "two", "three"} {
		_, err := c.Change(t.Context(), by(name), with(name))
		require.NoError(t, err)
	}
	_, err := transact(o, `{"op":"delete","table":"Change","where":[["generation","<=",2]]}`)
	require.NoError(t, err)
	await(t, c, func() bool { h, err := c.History(); return err == nil && len(h) == 2 })
	_, err = c.Rollback(t.Context(), by("far"), 1)
	require.ErrorContains(t, err, "generation 1 cannot be had again: those from 2 to 3 can")
	_, err = c.Formerly(1)
	require.Error(t, err)
	p, err := c.Formerly(2)
	require.NoError(t, err)
	require.Len(t, p.Groups, 3)
	_, err = c.Rollback(t.Context(), by("near"), 2)
	require.NoError(t, err)
}

// What took changes back is found for all of them as it is for each.
func TestEndedIsWhatEndedByFinds(t *testing.T) {
	ended, stand := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var list []Entry
		for n := range rapid.IntRange(0, 12).Draw(t, "changes") {
			e := Entry{Generation: n + 1}
			if rapid.Bool().Draw(t, "on trial") {
				e.ConfirmBy = time.Unix(1, 0)
			}
			if rapid.Bool().Draw(t, "beside") {
				e.Beside = rapid.IntRange(0, n).Draw(t, "of")
			}
			list = append(list, e)
		}
		list = rapid.Permutation(list).Draw(t, "order")
		all := Ended(list)
		for _, e := range list {
			by := EndedBy(list, e)
			require.Equal(t, by, all[e.Generation], "%+v of %+v", e, list)
			if ended += min(by, 1); by == 0 {
				stand++
			}
		}
	})
	require.Positive(t, ended)
	require.Positive(t, stand)
}
