package policydb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

// programOf is what a host makes of a policy.
func programOf(t require.TestingT, p *policy.Policy, site policy.Site) string {
	in := flows.Input{Policy: p, Site: site, LastMeter: flows.MaxMeter}
	for _, i := range p.Instances {
		if i.IsLocal(site.Host) {
			n := i.Ports[0].Name[1] - '0' // the same in whatever order
			in.Bindings = append(in.Bindings, flows.Binding{Port: i.Ports[0].Name,
				OFPort: uint32(n + 1), Zone: uint16(n + 1), Epoch: 1})
		}
	}
	program, err := flows.Compile(in)
	require.NoError(t, err)
	return program.String()
}

// Random sequences of changes through rows are the same policy as without: the same flows, and one
// writer's state is every reader's.
func TestRowsAreThePolicy(t *testing.T) {
	o := server(t)
	writer, reader := attach(t, o.DB), attach(t, o.DB)
	keep := filepath.Join(t.TempDir(), "database")
	host, stop := follow(t, FollowOptions{Endpoint: o.DB, Keep: keep})
	changes := 0
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		for range 3 {
			placed(w.Policy)
			if len(policy.Validate(w.Policy)) > 0 {
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			want := policytest.InProjects(t, w.Policy)
			require.Empty(t, policy.Validate(want))
			generation, err := writer.Change(ctx, by("random"),
				func(*policy.Policy) (*policy.Policy, string, error) { return want, "", nil })
			require.NoError(t, err)
			got, at, err := writer.Policy()
			require.NoError(t, err)
			require.Equal(t, generation, at)
			require.Equal(t, content(want), content(got))
			require.Equal(t, programOf(t, want, w.Site), programOf(t, got, w.Site))
			await(t, reader, func() bool {
				_, at, err := reader.Policy()
				return err == nil && at == generation
			})
			again, _, err := reader.Policy()
			require.NoError(t, err)
			require.Equal(t, got, again)
			await(t, host, func() bool { return host.Following().Generation == generation })
			followed, warnings, err := host.Load()
			require.NoError(t, err)
			require.Empty(t, warnings)
			require.Equal(t, got, followed)
			w.Policy = policytest.DrawSuccessor(t, w.Policy)
			changes++
		}
	})
	t.Logf("%d changes", changes)
	require.Positive(t, changes)
	last, _, err := host.Load()
	require.NoError(t, err)
	stop()
	kept, _, err := NewFollower(FollowOptions{Endpoint: o.DB, Keep: keep}).Load()
	require.NoError(t, err)
	require.Equal(t, last, kept, "what was kept is what was read")
}

// content is a policy as the database would have it, in the order of names.
func content(p *policy.Policy) string {
	sorted := Merged(&policy.Policy{}, p)
	slices.SortFunc(sorted.Projects, func(a, b *policy.Project) int {
		return strings.Compare(a.Name, b.Name)
	})
	slices.SortFunc(sorted.Groups, func(a, b *policy.Group) int {
		return strings.Compare(a.Name, b.Name)
	})
	slices.SortFunc(sorted.Instances, func(a, b *policy.Instance) int {
		return strings.Compare(a.Name, b.Name)
	})
	return string(policyfile.Marshal(sorted))
}

// placed gives every instance a host: one without is nowhere in a database.
func placed(p *policy.Policy) {
	for n, i := range p.Instances {
		if i.Host == "" {
			copied := *i
			copied.Host = "h"
			p.Instances[n] = &copied
		}
	}
}

// What did not change is the same value, however often rows are read.
func TestUnchangedRowsAreTheSameValues(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	before, _, err := c.Policy()
	require.NoError(t, err)
	_, err = c.Change(t.Context(), by("one"), func(p *policy.Policy) (*policy.Policy, string, error) {
		next := *p
		next.Instances = append([]*policy.Instance(nil), p.Instances...)
		changed := *p.Instances[1]
		changed.Groups = []string{"db", "web"}
		next.Instances[1] = &changed
		return &next, "web-1 joins db", nil
	})
	require.NoError(t, err)
	after, generation, err := c.Policy()
	require.NoError(t, err)
	require.Equal(t, 2, generation)
	require.Same(t, before.Groups[0], after.Groups[0])
	require.Same(t, before.Groups[1], after.Groups[1])
	require.Same(t, before.Instances[0], after.Instances[0])
	require.Equal(t, []string{"db", "web"}, after.Instances[1].Groups)
	rows, err := transact(o, `{"op":"select","table":"Rule","where":[],"columns":["_uuid"]}`)
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(rows, `"uuid"`), "rules were not written again: %s", rows)
}

// Two who write at one time lose nothing of each other's.
func TestWritersDoNotLoseEachOthersChanges(t *testing.T) {
	o := server(t)
	put(t, attach(t, o.DB), &policy.Policy{Groups: []*policy.Group{{Name: "start"}}})
	const each, writers = 20, 3
	var all sync.WaitGroup
	for n := range writers {
		c := attach(t, o.DB)
		changes := make([]Change, each)
		for k := range changes {
			changes[k] = by(fmt.Sprint("writer", n))
		}
		all.Go(func() {
			for k, change := range changes {
				_, err := c.Change(t.Context(), change,
					func(p *policy.Policy) (*policy.Policy, string, error) {
						next := *p
						next.Groups = append([]*policy.Group{
							{Name: fmt.Sprintf("g-%d-%d", n, k)}}, p.Groups...)
						return &next, "", nil
					})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	c := attach(t, o.DB)
	p, generation, err := c.Policy()
	require.NoError(t, err)
	require.Equal(t, 1+each*writers, generation)
	require.Len(t, p.Groups, 1+each*writers)
	history, err := c.History()
	require.NoError(t, err)
	require.Len(t, history, generation)
}

// A request that is repeated is made once.
func TestAChangeIsMadeOnce(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	change := by("twice")
	for range 2 {
		generation, err := c.Change(t.Context(), change,
			func(p *policy.Policy) (*policy.Policy, string, error) {
				next := *p
				next.Groups = append([]*policy.Group{{Name: fmt.Sprint("g", len(p.Groups))}},
					p.Groups...)
				return &next, "", nil
			})
		require.NoError(t, err)
		require.Equal(t, 2, generation)
	}
	p, _, err := c.Policy()
	require.NoError(t, err)
	require.Len(t, p.Groups, 3)
}

// The answer to a transaction is lost with the connection: the change was made, and is not made
// again.
func TestALostAnswerIsNoSecondChange(t *testing.T) {
	o := server(t)
	put(t, attach(t, o.DB), small())
	path, lose := losing(t, strings.TrimPrefix(o.DB, "unix:"))
	c := attach(t, "unix:"+path)
	lose()
	generation, err := c.Change(t.Context(), by("unlucky"),
		func(p *policy.Policy) (*policy.Policy, string, error) {
			next := *p
			next.Groups = append([]*policy.Group{{Name: fmt.Sprint("g", len(p.Groups))}},
				p.Groups...)
			return &next, "", nil
		})
	require.NoError(t, err)
	require.Equal(t, 2, generation)
	p, _, err := c.Policy()
	require.NoError(t, err)
	require.Len(t, p.Groups, 3)
}

// losing is a way to a server on which, once lose was called, the next connection's end comes
// instead of the server's next message.
func losing(t *testing.T, target string) (path string, lose func()) {
	path = filepath.Join(filepath.Dir(target), "losing.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	var mu sync.Mutex
	isLosing := false
	take := func() bool {
		mu.Lock()
		defer mu.Unlock()
		was := isLosing
		isLosing = false
		return was
	}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", target)
			if err != nil {
				_ = near.Close()
				continue
			}
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() {
				defer near.Close()
				buffer := make([]byte, 1<<16)
				for {
					n, err := far.Read(buffer)
					if err != nil || take() {
						return
					}
					_, _ = near.Write(buffer[:n])
				}
			}()
		}
	}()
	return path, func() { mu.Lock(); defer mu.Unlock(); isLosing = true }
}

// What is not valid is refused with all that is wrong, and nothing is written.
func TestAnInvalidPolicyIsNotWritten(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	bad := small()
	bad.Groups[0].Rules = append(bad.Groups[0].Rules, policytest.Rule("ingress tcp 22", "nobody"))
	bad.Instances[1].Ports[0].MAC = bad.Instances[0].Ports[0].MAC
	_, err := c.Change(t.Context(), by("bad"), func(*policy.Policy) (*policy.Policy, string, error) {
		return bad, "", nil
	})
	var invalid *InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Len(t, invalid.Unwrap(), 2)
	require.ErrorContains(t, err, `group "db": rules[1].group: there is no group "nobody"`)
	require.ErrorContains(t, err, `instance "db-1"`)
	_, generation, err := c.Policy()
	require.NoError(t, err)
	require.Equal(t, 1, generation)
	want := errors.New("what the caller says")
	_, err = c.Change(t.Context(), by("bad"), func(*policy.Policy) (*policy.Policy, string, error) {
		return nil, "", want
	})
	require.ErrorIs(t, err, want)
}

func TestHistoryAndRollback(t *testing.T) {
	o := server(t)
	c := attach(t, o.DB)
	put(t, c, small())
	first, _, err := c.Policy()
	require.NoError(t, err)
	second := small()
	second.Groups = second.Groups[1:]
	second.Groups[0].Rules = second.Groups[0].Rules[:1]
	second.Instances = second.Instances[1:]
	put(t, c, second)
	put(t, c, &policy.Policy{Groups: []*policy.Group{{Name: "other"}}})
	history, err := c.History()
	require.NoError(t, err)
	require.Len(t, history, 3)
	require.Equal(t, 3, history[0].Generation)
	require.Equal(t, "put", history[0].By)
	require.Equal(t, "a test", history[0].From)
	require.Equal(t, "all of it", history[0].Summary)

	generation, err := c.Rollback(t.Context(), by("undo"), 1)
	require.NoError(t, err)
	require.Equal(t, 4, generation)
	got, _, err := c.Policy()
	require.NoError(t, err)
	require.Equal(t, first, got)
	for _, none := range []int{-1, 4, 5} {
		_, err = c.Rollback(t.Context(), by("undo"), none)
		require.ErrorContains(t, err, "those from 0 to 3 can")
	}
	_, err = c.Rollback(t.Context(), by("undo"), 3)
	require.NoError(t, err)
	got, _, err = c.Policy()
	require.NoError(t, err)
	require.Len(t, got.Groups, 1)
}
