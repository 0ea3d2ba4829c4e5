package policydb

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/edit"
	"github.com/portcullis/portcullis/flows/policytest"
)

// medium is what the budgets of a fleet are for: 100 groups, 600 rules, 10,200 ports on 51 hosts.
func medium() *policy.Policy {
	return policytest.Fleet(policytest.FleetSize{Groups: 100, Rules: 6, Instances: 10_200,
		Local: 200}).Policy
}

// editing is an edit as a policy database takes it.
func editing(e edit.Edit) Edit {
	return func(p *policy.Policy) (*policy.Policy, string, error) {
		next, err := e(p)
		return next, "one more", err
	}
}

// rss is the memory of a process, in megabytes.
func rss(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	require.NoError(b, err)
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	kilobytes, err := strconv.Atoi(strings.Fields(after)[0])
	require.NoError(b, err)
	return float64(kilobytes) / 1024
}

// used is the time of the processors that this process has taken, in seconds.
func used(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// The whole of medium is one change, and so one transaction.
func BenchmarkImport(b *testing.B) {
	p := medium()
	for b.Loop() {
		b.StopTimer()
		o := server(b)
		c := attach(b, o.DB)
		sent, before := c.Sent(), used(b)
		b.StartTimer()
		put(b, c, Merged(&policy.Policy{}, p))
		b.StopTimer()
		b.ReportMetric(used(b)-before, "s-CPU-of-the-writer")
		b.ReportMetric(float64(c.Sent()-sent), "transactions")
		b.ReportMetric(rss(b, o.DBPID()), "MB-of-the-server")
		b.StartTimer()
	}
}

// One member more at a time, where 10,200 are.
func BenchmarkChange(b *testing.B) {
	o := server(b)
	c := attach(b, o.DB)
	put(b, c, Merged(&policy.Policy{}, medium()))
	_, _, err := c.Policy()
	require.NoError(b, err)
	n := 0
	for b.Loop() {
		n++
		_, err := c.Change(b.Context(), by("one"), editing(toggled(n)))
		require.NoError(b, err)
	}
}

// The same on three members, by way of one that is not the leader, held against what its server
// takes for an empty transaction.
func BenchmarkChangeOfThreeMembers(b *testing.B) {
	members := cluster(b, 3)
	c := attach(b, members[2].endpoint)
	put(b, c, Merged(&policy.Policy{}, medium()))
	var took []time.Duration
	for n := 1; b.Loop(); n++ {
		began := time.Now()
		_, err := c.Change(b.Context(), by("one"), editing(toggled(n)))
		require.NoError(b, err)
		took = append(took, time.Since(began))
	}
	var bare []time.Duration
	for range 100 {
		seen, err := c.Pulse()
		require.NoError(b, err)
		began := time.Now()
		require.NoError(b, c.Beat(b.Context(), seen, began))
		bare = append(bare, time.Since(began))
	}
	b.ReportMetric(median(took).Seconds()*1000, "ms-p50")
	b.ReportMetric(median(bare).Seconds()*1000, "ms-p50-of-a-beat")
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// toggled puts an instance into a group, or takes it out.
func toggled(n int) edit.Edit {
	name := fmt.Sprintf("vm-%d", n/2*37%10_200)
	const group = "group-050"
	return func(p *policy.Policy) (*policy.Policy, error) {
		at := slices.IndexFunc(p.Instances, func(i *policy.Instance) bool { return i.Name == name })
		if slices.Contains(p.Instances[at].Groups, group) {
			return edit.Leave(name, group)(p)
		}
		return edit.Join(name, group)(p)
	}
}

// Three writers at one time, each at a member of its own and with changes of its own.
func BenchmarkThreeWriters(b *testing.B) {
	members := cluster(b, 3)
	writers := make([]*Client, len(members))
	for n, m := range members {
		writers[n] = attach(b, m.endpoint)
	}
	last := put(b, writers[0], Merged(&policy.Policy{}, medium()))
	for _, c := range writers {
		await(b, c, func() bool { _, at, err := c.Policy(); return err == nil && at == last })
	}
	var left, number atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	began, before := time.Now(), used(b)
	var all sync.WaitGroup
	for n, c := range writers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				k := number.Add(1)
				change := Change{ID: fmt.Sprint("w", n, "-", k), At: time.Now(), By: "w"}
				_, err := c.Change(b.Context(), change, editing(toggled(int(k))))
				require.NoError(b, err)
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "changes/s")
	b.ReportMetric(1000*(used(b)-before)/float64(b.N), "ms-CPU-of-three-writers")
}
