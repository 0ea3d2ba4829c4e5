package policydb

import (
	"context"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policytest"
	"github.com/portcullis/portcullis/ovsdb/client"
)

// ownCPU is the time that this process has worked.
func ownCPU(t testing.TB) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// heap is what is in use.
func heap() int {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// What a host pays for a policy of 10,200 ports: reading all of it, keeping it, and one change. The
// log has the times, which `make bench-fleet` judges; what it keeps is judged here.
func TestWhatAHostPays(t *testing.T) {
	m := cluster(t, 1)[0]
	w := policytest.Fleet(policytest.FleetSize{Groups: 100, Rules: 6, Instances: 10_200, Local: 200})
	placed(w.Policy)
	load(t, m, func(c *Client) { put(t, c, w.Policy) })
	w.Policy = nil
	before, cpu, server := heap(), ownCPU(t), m.worked()
	keep := filepath.Join(t.TempDir(), "database")
	f, stop := follow(t, FollowOptions{Endpoint: m.endpoint, Keep: keep})
	spent, worked := ownCPU(t)-cpu, m.worked()-server
	grown := heap() - before
	t.Logf("first read: %v, of the server %v; heap %d KiB more", spent, worked, grown>>10)
	require.Less(t, grown, 40<<20)
	p, _, err := f.Load()
	require.NoError(t, err)
	require.Len(t, p.Instances, 10_200)

	load(t, m, func(c *Client) {
		churn(t, c, 1)
		for range 20 {
			generation := churn(t, c, 1)
			await(t, f, func() bool { return f.Following().Generation == generation })
		}
	})
	stop()
	cpu = ownCPU(t)
	again := NewFollower(FollowOptions{Endpoint: m.endpoint, Keep: keep})
	t.Logf("a start from what is kept: %v", ownCPU(t)-cpu)
	kept, _, err := again.Load()
	require.NoError(t, err)
	require.Len(t, kept.Instances, 10_200)
	runtime.KeepAlive(f)
}

// BenchmarkCommitToLoad is what one commit costs a host, from the update to the policy.
func BenchmarkCommitToLoad(b *testing.B) {
	w := policytest.Fleet(policytest.FleetSize{Groups: 100, Rules: 6, Instances: 10_200, Local: 200})
	placed(w.Policy)
	server := cluster(b, 1)[0]
	load(b, server, func(c *Client) { put(b, c, w.Policy) })
	f, stop := follow(b, FollowOptions{Endpoint: server.endpoint})
	stop()
	m := f.mirror
	var uuid string
	for id := range m.ports {
		uuid = id
	}
	group := m.ports[uuid].Groups[0]
	b.ResetTimer()
	for b.Loop() {
		update := `{"Port":{"` + uuid + `":{"modify":{"groups":["uuid","` + group + `"]}}}}`
		require.NoError(b, replay(f, update))
		_, _, err := f.Load()
		require.NoError(b, err)
	}
}

// load has something done with a Client that is gone afterwards.
func load(t testing.TB, m *member, do func(*Client)) {
	t.Helper()
	c, err := New(Options{Endpoint: m.endpoint})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	await(t, c, func() bool { _, _, err := c.Policy(); return err == nil })
	do(c)
	cancel()
	require.NoError(t, <-done)
}

// replay has a Follower take an update.
func replay(f *Follower, update string) error {
	batch := (*receiver)(f).Begin(client.Changes)
	if err := client.Replay([]byte(update), batch); err != nil {
		return err
	}
	batch.Commit("x", []byte(update))
	return nil
}
