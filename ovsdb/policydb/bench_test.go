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

// The whole of medium is one change, and so one transaction.
func BenchmarkImport(b *testing.B) {
	p := medium()
	for b.Loop() {
		b.StopTimer()
		o := server(b)
		c := attach(b, o.DB)
		sent := c.Sent()
		b.StartTimer()
		put(b, c, Merged(&policy.Policy{}, p))
		b.ReportMetric(float64(c.Sent()-sent), "transactions")
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

// Three writers at one time, each with changes of its own.
func BenchmarkThreeWriters(b *testing.B) {
	o := server(b)
	put(b, attach(b, o.DB), Merged(&policy.Policy{}, medium()))
	writers := make([]*Client, 3)
	for n := range writers {
		writers[n] = attach(b, o.DB)
	}
	var left, number atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	began := time.Now()
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
}
