package generation

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// site is a policy file, and a store beside it, over several runs of a daemon.
type site struct {
	t     testing.TB
	file  string
	store *history.Store
	hook  *test.Hook
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	return &site{t: t, file: filepath.Join(dir, "policy.yaml"),
		store: history.Open(filepath.Join(dir, "state"), "br-int", history.Bounds{
			Generations: 10, Bytes: 1 << 20})}
}

func (p *site) write(text string) {
	p.t.Helper()
	require.NoError(p.t, os.WriteFile(p.file, []byte(text), 0o600))
}

// source is a daemon that has just been started.
func (p *site) source() *Source {
	log, hook := test.NewNullLogger()
	p.hook = hook
	entry := logrus.NewEntry(log)
	return New(Options{Files: policydir.NewFiles(p.file, entry), Store: p.store, Policy: p.file,
		Log: entry})
}

func names(p *policy.Policy) (out []string) {
	for _, i := range p.Instances {
		out = append(out, i.Name)
	}
	return out
}

// run has a source keep what waits, and ends it.
func run(t *testing.T, s *Source) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, s.Run(ctx))
}

const valid, other, broken = "instances: [{name: a}]\n", "instances: [{name: b}]\n", "groups: 1\n"

func TestAStartWithBrokenFilesRunsTheLastPolicy(t *testing.T) {
	p := newSite(t)
	p.write(valid)
	s := p.source()
	got, _, err := s.Load()
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names(got))
	run(t, s)
	digest := s.Digest()

	for what, spoil := range map[string]func(){
		"broken": func() { p.write(broken) }, "missing": func() { require.NoError(t, os.Remove(p.file)) },
	} {
		spoil()
		s = p.source()
		got, _, err = s.Load()
		var instead *history.Instead
		require.ErrorAs(t, err, &instead, what)
		require.Equal(t, 1, instead.Generation.Number)
		require.Equal(t, []string{"a"}, names(got))
		require.Equal(t, digest, s.Digest())
		again, _, err := s.Load()
		require.Error(t, err)
		require.Same(t, got, again, "the same for as long as the files are as they are")
	}
	p.write(other)
	got, _, err = s.Load()
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, names(got), "the moment they are valid they are taken")
	require.NotEqual(t, digest, s.Digest())
	p.write(broken)
	got, _, err = s.Load()
	require.Error(t, err)
	require.Nil(t, got, "later what is in force stays, and nothing older comes in its place")
	run(t, s)
	list, err := p.store.List()
	require.NoError(t, err)
	require.Len(t, list, 2)
	last, err := p.store.Policy(list[1])
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, names(last))
}

func TestAStartWithoutAKeptPolicyIsAnError(t *testing.T) {
	p := newSite(t)
	p.write(broken)
	got, _, err := p.source().Load()
	require.Nil(t, got)
	var mistakes strictyaml.Errors
	require.ErrorAs(t, err, &mistakes)
	require.ErrorContains(t, err, "and no kept policy can be run instead: no policy that was in "+
		"force is kept in "+p.store.Dir())

	p.write(valid)
	s := p.source()
	_, _, err = s.Load()
	require.NoError(t, err)
	run(t, s)
	require.NoError(t, os.Chmod(p.store.Dir(), 0o777))
	p.write(broken)
	got, _, err = p.source().Load()
	require.Nil(t, got)
	require.ErrorContains(t, err, "may be written by others (mode 0777): it is not believed")
}

// A restart keeps nothing anew: numbers count policies, not starts.
func TestGenerationsCountPolicies(t *testing.T) {
	p := newSite(t)
	p.write(valid)
	for range 3 {
		s := p.source()
		_, _, err := s.Load()
		require.NoError(t, err)
		_, _, err = s.Load()
		require.NoError(t, err)
		run(t, s)
	}
	list, err := p.store.List()
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.False(t, list[0].Folder)
	s := p.source()
	for _, text := range []string{other, valid, other} {
		p.write(text)
		_, _, err := s.Load()
		require.NoError(t, err)
	}
	run(t, s)
	list, err = p.store.List()
	require.NoError(t, err)
	require.Len(t, list, 4)
	for i, want := range []string{"a", "b", "a", "b"} {
		got, err := p.store.Policy(list[i])
		require.NoError(t, err)
		require.Equal(t, []string{want}, names(got))
	}
}

// What cannot be kept is told of once, is tried again, and stops no policy.
func TestAStoreThatCannotBeWrittenStopsNothing(t *testing.T) {
	p := newSite(t)
	p.write(valid)
	require.NoError(t, os.WriteFile(p.store.Dir(), nil, 0o600)) // no folder can be made there
	s := p.source()
	got, _, err := s.Load()
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, names(got))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	warned := func() (n int) {
		for _, e := range p.hook.AllEntries() {
			if e.Level == logrus.WarnLevel {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return warned() == 1 }, time.Minute, time.Millisecond)
	p.write(other)
	// before it is tried again: halfway it fails otherwise
	require.NoError(t, os.Remove(p.store.Dir()))
	_, _, err = s.Load()
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		list, err := p.store.List()
		return err == nil && len(list) == 2
	}, time.Minute, time.Millisecond, "both are kept, in their order")
	cancel()
	require.NoError(t, <-ended)
	require.Equal(t, 1, warned())
	require.True(t, slices.ContainsFunc(p.hook.AllEntries(), func(e *logrus.Entry) bool {
		return e.Message == "the policy in force is kept again"
	}))
}

// Changes that come faster than they are kept become one; the texts stay those of the last.
func TestManyChangesAreKeptAsOne(t *testing.T) {
	p := newSite(t)
	s := p.source()
	for i := range longestQueue + 5 {
		p.write(valid + "#" + string(rune('a'+i)))
		_, _, err := s.Load()
		require.NoError(t, err)
	}
	p.write(valid)
	_, _, err := s.Load()
	require.NoError(t, err)
	run(t, s)
	list, err := p.store.List()
	require.NoError(t, err)
	require.LessOrEqual(t, len(list), longestQueue)
	last, err := p.store.Texts(list[len(list)-1])
	require.NoError(t, err)
	require.Equal(t, valid, string(last[0]))
}
