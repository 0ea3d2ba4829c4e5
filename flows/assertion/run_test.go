package assertion

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policytest"
)

// fleetTests are a thousand assertions of all kinds about a fleet; those of two kinds do not hold.
func fleetTests(t testing.TB, groups, instances int) (out []Test) {
	add := func(line string, args ...any) {
		c, err := Parse(fmt.Sprintf(line, args...))
		require.NoError(t, err)
		out = append(out, Test{Claim: c})
	}
	group := func(n int) string { return fmt.Sprintf("group-%03d", n%groups) }
	for n := range 125 {
		add("%s -> %s http admitted", group(n+1), group(n))
		add("outside -> %s tcp/3306 denied", group(n))
		add("198.51.100.0/24 -> %s ssh admitted", group(n))
		add("outside -> vm-%d ping admitted ipv4", 31*n%instances)
		add("any -> vm-%d telnet denied", 17*n%instances)
		add("vm-%d -> vm-%d any denied", n, n+instances/2)
		add("%s -> %s ping denied ipv6", group(n), group(n+3))
		add("10.0.0.0/16 -> vm-%d https denied", 13*n%instances)
	}
	return out
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails of no argument of ours
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A thousand assertions about 50,000 instances in 500 groups cost seconds of a processor, most of
// them for counting who is there.
func TestThousandAssertionsOfAFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes a large fleet")
	}
	size := policytest.LargeFleet
	r := explain.Read(policytest.Fleet(size))
	tests := fleetTests(t, size.Groups, size.Instances)
	require.Len(t, tests, 1000)
	before := cpu()
	results, mistakes := Run(r, tests)
	spent := cpu() - before
	require.Empty(t, mistakes)
	holds := map[int]int{}
	for n, one := range results {
		if one.Holds {
			holds[n%8]++
		} else {
			require.NotEmpty(t, one.Findings)
		}
	}
	t.Log(spent, holds)
	require.Equal(t, 125, holds[3], "ping is admitted from everywhere")
	require.Zero(t, holds[0], "a part of http's members is in groups that close egress")
	require.Less(t, spent, 12*time.Second, "four times of what it costs on a machine with nothing else to do")
}
