package policydb

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/integration/gate"
)

// wayTo is a way to a server that can be shut, and counts what the server sends.
func wayTo(t testing.TB, m *member) *gate.Gate {
	g, err := gate.New(filepath.Join(m.dir, "way"), m.endpoint)
	require.NoError(t, err)
	t.Cleanup(g.Close)
	return g
}

// worked is the time that a server has worked, to the microsecond.
func (m *member) worked() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", m.cmd.Process.Pid))
	require.NoError(m.t, err)
	var nanoseconds int64
	_, err = fmt.Sscan(string(text), &nanoseconds)
	require.NoError(m.t, err)
	return time.Duration(nanoseconds)
}

// churn makes so many changes, each of one membership.
func churn(t testing.TB, c *Client, n int) (generation int) {
	t.Helper()
	for k := range n {
		var err error
		generation, err = c.Change(t.Context(), by("churn"),
			func(p *policy.Policy) (*policy.Policy, string, error) {
				next := *p
				next.Instances = append([]*policy.Instance(nil), p.Instances...)
				at := k % len(p.Instances)
				changed := *p.Instances[at]
				group := p.Groups[0].Name
				changed.Groups = slices.DeleteFunc(slices.Clone(changed.Groups),
					func(name string) bool { return name == group })
				if len(changed.Groups) == len(p.Instances[at].Groups) {
					changed.Groups = append(changed.Groups, group)
				}
				next.Instances[at] = &changed
				return &next, "churn", nil
			})
		require.NoError(t, err)
	}
	return generation
}

// After a lost connection, and after a restart, a host reads what was committed meanwhile and no
// more; what did not change is the same value.
func TestStreamResumes(t *testing.T) {
	m := cluster(t, 1)[0]
	c := attach(t, m.endpoint)
	w := policytest.Fleet(policytest.FleetSize{Groups: 20, Rules: 6, Instances: 2000, Local: 40})
	placed(w.Policy)
	put(t, c, w.Policy)
	churn(t, c, 1) // the server forgets a transaction that is larger than all rows
	way := wayTo(t, m)
	keep := filepath.Join(t.TempDir(), "database")
	f, stop := follow(t, FollowOptions{Endpoint: way.Endpoint, Keep: keep})
	before, _, err := f.Load()
	require.NoError(t, err)
	whole := way.Received()
	require.Greater(t, whole, int64(500_000))

	reconnect := func(again func()) {
		t.Helper()
		generation := churn(t, c, 93)
		received, worked := way.Received(), m.worked()
		again()
		await(t, f, func() bool {
			s := f.Following()
			return s.Standing == Current && s.Generation == generation
		})
		cost, bytes := m.worked()-worked, way.Received()-received
		t.Logf("resumed by %d bytes and %v of the server; all is %d bytes", bytes, cost, whole)
		require.Less(t, bytes, int64(20_000))
	}
	way.Shut()
	await(t, f, func() bool { return f.Following().Standing == Stale })
	reconnect(way.Open)
	after, _, err := f.Load()
	require.NoError(t, err)
	for n, i := range after.Instances {
		require.Equal(t, n >= 93, i == before.Instances[n], "only what changed is another value")
	}
	for n, g := range after.Groups {
		require.Same(t, before.Groups[n], g)
	}

	stop()
	reconnect(func() { f, _ = follow(t, FollowOptions{Endpoint: way.Endpoint, Keep: keep}) })
	want, _, err := c.Policy()
	require.NoError(t, err)
	got, _, err := f.Load()
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// A host that was away for longer than the server remembers reads everything, keeps the values of
// what stayed, and loses what went.
func TestRowsThatWentMeanwhile(t *testing.T) {
	m := cluster(t, 1)[0]
	c := attach(t, m.endpoint)
	put(t, c, small())
	way := wayTo(t, m)
	f, _ := follow(t, FollowOptions{Endpoint: way.Endpoint})
	before, _, err := f.Load()
	require.NoError(t, err)
	way.Shut()
	await(t, f, func() bool { return f.Following().Standing == Stale })
	churn(t, c, 150)
	next := small()
	next.Instances = next.Instances[1:]
	generation := put(t, c, next)
	way.Open()
	await(t, f, func() bool { return f.Following().Generation == generation })
	after, _, err := f.Load()
	require.NoError(t, err)
	require.Len(t, after.Instances, 1)
	require.Same(t, before.Instances[1], after.Instances[0])
	require.Same(t, before.Groups[0], after.Groups[0])
}

// A member that has lost its cluster is left for another one; without another one the policy is
// stale, and current again as soon as the cluster is there.
func TestAMemberThatIsCutOff(t *testing.T) {
	all := cluster(t, 3)
	c := attach(t, all[0].endpoint)
	put(t, c, small())
	alone, _ := follow(t, FollowOptions{Endpoint: all[2].endpoint})
	free, _ := follow(t, FollowOptions{Endpoint: endpoints(all...)})
	_, _, err := free.Load()
	require.NoError(t, err)
	all[0].kill()
	c = attach(t, all[1].endpoint)
	put(t, c, &policy.Policy{Groups: []*policy.Group{{Name: "after"}}})
	await(t, free, func() bool { return free.Following().Generation == 2 })
	all[1].kill()
	for _, f := range []*Follower{alone, free} {
		await(t, f, func() bool { return f.Following().Standing == Stale })
		p, _, err := f.Load()
		require.NoError(t, err)
		require.Equal(t, "after", p.Groups[0].Name)
	}
	require.Contains(t, alone.Following().Why, "no contact to the majority")
	all[0].start()
	for _, f := range []*Follower{alone, free} {
		await(t, f, func() bool { return f.Following().Standing == Current })
	}
}

// beat is what who keeps a database writes.
func beat(t testing.TB, m *member, at int) {
	t.Helper()
	m.transact(fmt.Sprintf(`{"op":"update","table":"Global","where":[],"row":{"beat":%d}}`, at))
}

// A relay goes on saying that it is connected after its source has died: the silence is found by
// the beat. A database that nobody keeps has none, and is not silent.
func TestADeadSourceBehindARelay(t *testing.T) {
	source := cluster(t, 1)[0]
	put(t, attach(t, source.endpoint), small())
	relay := relayOf(source)
	f := NewFollower(FollowOptions{Endpoint: relay.endpoint})
	f.timing.silence, f.timing.interval = time.Second, 10*time.Millisecond
	run(t, f)
	_, _, err := f.Load()
	require.NoError(t, err)
	time.Sleep(2 * f.timing.silence) // the one thing that only time shows: that nothing happens
	require.Equal(t, Current, f.Following().Standing, "nobody keeps it")
	beat(t, source, 1)
	beat(t, source, 2)
	f.mu.Lock()
	f.timing.silence = 2 * time.Second
	f.mu.Unlock()
	require.Eventually(t, func() bool {
		beat(t, source, int(time.Now().UnixMilli()))
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.freshness.isKept
	}, patience, 50*time.Millisecond)
	source.hang()
	await(t, f, func() bool { return f.Following().Standing == Stale })
	require.Contains(t, f.Following().Why, "not even the beat")
	p, _, err := f.Load()
	require.NoError(t, err)
	require.Len(t, p.Groups, 2)
	source.goOn()
	require.Eventually(t, func() bool {
		beat(t, source, int(time.Now().UnixMilli()))
		return f.Following().Standing == Current
	}, patience, 50*time.Millisecond)
}

// Another database at the place of the one before is followed, and said; an empty one takes nothing
// away.
func TestAnotherDatabase(t *testing.T) {
	first := cluster(t, 1)[0]
	c := attach(t, first.endpoint)
	put(t, c, small())
	put(t, c, small().Clone())
	f, _ := follow(t, FollowOptions{Endpoint: first.endpoint})
	was := f.Following()
	require.NotEmpty(t, was.Cluster)
	first.kill()
	second := cluster(t, 1)[0]
	require.NoError(t, os.Remove(strings.TrimPrefix(first.endpoint, "unix:")))
	require.NoError(t, os.Symlink(strings.TrimPrefix(second.endpoint, "unix:"),
		strings.TrimPrefix(first.endpoint, "unix:")))
	await(t, f, func() bool {
		_, warnings, _ := f.Load()
		return len(warnings) == 1 && strings.Contains(warnings[0].String(), "is empty")
	})
	p, _, err := f.Load()
	require.NoError(t, err)
	require.Len(t, p.Groups, 2)
	put(t, attach(t, second.endpoint), &policy.Policy{Groups: []*policy.Group{{Name: "new"}}})
	await(t, f, func() bool { return f.Following().Cluster != was.Cluster })
	p, warnings, err := f.Load()
	require.NoError(t, err)
	require.Equal(t, "new", p.Groups[0].Name)
	require.Contains(t, warnings[0].String(), "is another one than before")
}

// A restored backup has other rows throughout and fewer generations: it is not followed before its
// generation is raised, and then nothing is another value that a host would program anew.
func TestARestoredDatabase(t *testing.T) {
	m := cluster(t, 1)[0]
	c := attach(t, m.endpoint)
	put(t, c, small())
	f, _ := follow(t, FollowOptions{Endpoint: m.endpoint})
	before, _, err := f.Load()
	require.NoError(t, err)
	backup, err := os.Create(filepath.Join(m.dir, "backup"))
	require.NoError(t, err)
	defer backup.Close()
	save := exec.Command("ovsdb-client", "backup", m.endpoint, Name)
	save.Stdout = backup
	require.NoError(t, save.Run())
	generation := churn(t, c, 4)
	await(t, f, func() bool { return f.Following().Generation == generation })
	restore := exec.Command("ovsdb-client", "restore", m.endpoint, Name)
	_, err = backup.Seek(0, io.SeekStart)
	require.NoError(t, err)
	restore.Stdin = backup
	out, err := restore.CombinedOutput()
	require.NoError(t, err, "%s", out)
	await(t, f, func() bool { return f.Following().Standing == Behind })
	require.Equal(t, generation, f.Following().Generation)
	m.transact(`{"op":"update","table":"Global","where":[],"row":{"generation":100}}`)
	await(t, f, func() bool { return f.Following().Standing == Current })
	after, _, err := f.Load()
	require.NoError(t, err)
	require.True(t, policy.Changed(before, after).Empty())
}

// A file that is damaged, or that others could have written, is not believed; one that a crash has
// cut off in its last line is.
func TestWhatIsKept(t *testing.T) {
	m := cluster(t, 1)[0]
	c := attach(t, m.endpoint)
	put(t, c, small())
	keep := filepath.Join(t.TempDir(), "database")
	f, stop := follow(t, FollowOptions{Endpoint: m.endpoint, Keep: keep})
	generation := churn(t, c, 3)
	await(t, f, func() bool { return f.Following().Generation == generation })
	stop()
	m.kill()
	text, err := os.ReadFile(keep)
	require.NoError(t, err)
	load := func(text []byte, mode os.FileMode) (int, error) {
		require.NoError(t, os.Remove(keep))
		require.NoError(t, os.WriteFile(keep, text, mode))
		require.NoError(t, os.Chmod(keep, mode))
		f, stop := follow(t, FollowOptions{Endpoint: m.endpoint, Keep: keep})
		defer stop()
		_, _, err := f.Load()
		return f.Following().Generation, err
	}
	got, err := load(text, 0o600)
	require.NoError(t, err)
	require.Equal(t, generation, got)
	got, err = load(text[:len(text)-5], 0o600)
	require.NoError(t, err)
	require.Equal(t, generation-1, got, "the last update is as if it had not come")
	_, err = load(text, 0o666)
	require.ErrorContains(t, err, "cannot be read", "others could have written it")
	for _, at := range []int{20, len(text) / 2} {
		damaged := []byte(string(text))
		damaged[at] ^= 1
		_, err = load(damaged, 0o600)
		require.ErrorContains(t, err, "cannot be read", at)
	}
	_, err = load(text[:len(text)/3], 0o600)
	require.Error(t, err, "not all rows are there")
	_, err = load(nil, 0o600)
	require.Error(t, err)
}

// A server that has become silent is left for one that has not.
func TestASilentServerIsLeft(t *testing.T) {
	all := cluster(t, 3)
	put(t, attach(t, all[1].endpoint), small())
	relay := relayOf(all[0])
	f := NewFollower(FollowOptions{Endpoint: endpoints(relay, all[1], all[2])})
	f.timing.silence, f.timing.interval = 3*time.Second, 10*time.Millisecond
	run(t, f)
	at := 0
	beats := func() {
		at++
		beat(t, all[1], at)
	}
	require.Eventually(t, func() bool {
		beats()
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.freshness.isKept
	}, patience, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		if f.Following().Endpoint == relay.endpoint {
			return true
		}
		f.stream.Next(errors.New("a test"))
		return false
	}, patience, 300*time.Millisecond, "it follows the relay")
	all[0].hang()
	await(t, f, func() bool { return f.Following().Standing == Stale })
	require.Eventually(t, func() bool {
		beats()
		s := f.Following()
		return s.Standing == Current && s.Endpoint != relay.endpoint
	}, patience, 50*time.Millisecond)
}

// A group that somebody renames is renamed where others name it.
func TestARenamedGroup(t *testing.T) {
	m := cluster(t, 1)[0]
	c := attach(t, m.endpoint)
	put(t, c, small())
	f, _ := follow(t, FollowOptions{Endpoint: m.endpoint})
	m.transact(`{"op":"update","table":"Group","where":[["name","==","web"]],"row":{"name":"front"}}`)
	var got *policy.Policy
	await(t, f, func() bool {
		p, _, err := f.Load()
		got = p
		return err == nil && p.Groups[1].Name == "front"
	})
	want, _, err := c.Policy()
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, []string{"front"}, got.Instances[1].Groups)
	require.Equal(t, "front", got.Groups[0].Rules[0].Peers[0].Group)
}
