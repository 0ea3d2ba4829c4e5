package policydb

import (
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policytest"
)

func ownCPU(t testing.TB) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() int {
	debug.FreeOSMemory()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestMeasure(t *testing.T) {
	for _, size := range []policytest.FleetSize{{Groups: 100, Instances: 10_200, Rules: 6, Local: 200},
		{Groups: 200, Instances: 50_000, Rules: 6, Local: 50}} {
		s := cluster(t, 1)[0]
		func() {
			c := attach(t, s.endpoint)
			w := policytest.Fleet(size)
			placed(w.Policy)
			began := time.Now()
			put(t, c, w.Policy)
			t.Logf("put %v", time.Since(began))
		}()
		before := heap()
		var m0, m1 runtime.MemStats
		runtime.ReadMemStats(&m0)
		cpu, scpu, began := ownCPU(t), s.cpu(), time.Now()
		keep := filepath.Join(t.TempDir(), "x")
		f, stop := follow(t, FollowOptions{Endpoint: s.endpoint, Keep: keep})
		p, _, err := f.Load()
		require.NoError(t, err)
		t.Logf("%d instances: %v, own CPU %v (writer's cache is another process' in life), server %v", len(p.Instances), time.Since(began),
			ownCPU(t)-cpu, s.cpu()-scpu)
		runtime.ReadMemStats(&m1)
		t.Logf("heap +%d KiB, allocated %d MB", (heap()-before)>>10, (m1.TotalAlloc-m0.TotalAlloc)>>20)
		stop()
		cpu, began = ownCPU(t), time.Now()
		g := NewFollower(FollowOptions{Endpoint: s.endpoint, Keep: keep})
		t.Logf("recall %v CPU %v", time.Since(began), ownCPU(t)-cpu)
		_ = g
		runtime.KeepAlive(f)
		_ = fmt.Sprint
		_ = policy.Nowhere
	}
}
