package benchfleet

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/integration/sandbox"
)

// The policies that are measured are valid, and have what they are named for.
func TestWorldsAreValid(t *testing.T) {
	for _, e := range extents() {
		for _, w := range append(e.worlds, e.world) {
			p := w.policy()
			require.Empty(t, policy.Validate(p))
			require.Len(t, p.Instances, w.Ports)
			here := slices.DeleteFunc(slices.Clone(p.Instances), func(i *policy.Instance) bool {
				return i.Host != localHost
			})
			require.Len(t, here, w.Local)
		}
	}
	p := crowd(1_000, 4)
	require.Empty(t, policy.Validate(p))
	for _, i := range p.Instances {
		require.Equal(t, []string{p.Groups[0].Name}, i.Groups)
	}
}

// good is a result that meets every budget.
func good() *Result {
	ms := func(v float64) measure.Timing { return measure.Timing{Median: v} }
	large := medium()
	large.Ports = largeWorld
	return &Result{
		Imports: []Import{{World: medium(), Members: 1, Took: maxImport, Transactions: maxTransactions}},
		Hosts: []Host{{World: medium(), Database: Footprint{Resident: maxMemory << 20,
			CPU: maxSyncCPU}}, {World: large, Database: Footprint{Resident: maxMemoryLarge << 20}}},
		Force:     &Force{Added: ms(8), Floor: ms(1)},
		Reconnect: &Reconnect{Commits: 100, Bytes: maxReconnectBytes, CPU: maxReconnectCPU},
		Writers: &Writers{Many: 3, Leader: ms(maxCommit), Follower: ms(maxCommit),
			Rate: minRate},
		Fans:    []Fan{{Clients: manyFans, Last: ms(10), Echoes: ms(10)}},
		Restart: &Restart{Clients: 9, Resumed: 9},
		Daemons: []Daemons{{Hosts: 10, CPU: 1, Added: ms(10)}, {Hosts: 100, CPU: 1.5,
			Added: ms(150)}},
	}
}

// Each budget can be missed, and nothing but it is missed then.
func TestJudge(t *testing.T) {
	for _, v := range Judge(good()) {
		require.True(t, v.Pass, v)
	}
	require.Empty(t, Judge(&Result{}), "what was not measured is not judged")
	for target, spoil := range map[string]func(*Result){
		"commit to flow in force":          func(r *Result) { r.Force.Added.Median = 8.1 },
		"change at the last of 1,000":      func(r *Result) { r.Fans[0].Last.Median = 10.1 },
		"CPU of a change at each of 100":   func(r *Result) { r.Daemons[1].CPU = 1.6 },
		"change in force on all of 100":    func(r *Result) { r.Daemons[1].Added.Median = 151 },
		"memory above a file at medium":    func(r *Result) { r.Hosts[0].Database.Resident += 1 << 20 },
		"memory above a file at 50,000":    func(r *Result) { r.Hosts[1].Database.Resident += 1 << 20 },
		"CPU of the first start":           func(r *Result) { r.Hosts[0].Database.CPU += 0.1 },
		"reconnect within 100 commits, by": func(r *Result) { r.Reconnect.Bytes++ },
		"reconnect within 100 commits, CP": func(r *Result) { r.Reconnect.CPU++ },
		"reconnect within 100 commits, bu": func(r *Result) { r.Reconnect.Bundles++ },
		"import of medium ":                func(r *Result) { r.Imports[0].Took++ },
		"import of medium, trans":          func(r *Result) { r.Imports[0].Transactions++ },
		"commit at the leader":             func(r *Result) { r.Writers.Leader.Median++ },
		"commit at a follower":             func(r *Result) { r.Writers.Follower.Median++ },
		"changes of 3 writers":             func(r *Result) { r.Writers.Rate-- },
		"clients that have to read":        func(r *Result) { r.Restart.Resumed-- },
	} {
		r := good()
		spoil(r)
		missed := slices.DeleteFunc(Judge(r), func(v measure.Verdict) bool { return v.Pass })
		require.Len(t, missed, 1, target)
		require.True(t, strings.HasPrefix(missed[0].Target, target), "%s: %s", target, missed[0])
	}
}

// The scenes that need no daemon run in small, on the real server, and find what must be there.
func TestSmallScenes(t *testing.T) {
	sandbox.Require(t)
	r, err := Run(t.Context(), Options{Size: "small", Scenes: []string{"restart"}, Log: io.Discard})
	require.NoError(t, err)
	require.Equal(t, r.Restart.Clients, r.Restart.Resumed, "a cluster tells what came after")
	require.Positive(t, r.Restart.ReadMB)
	require.Less(t, r.Restart.Bytes, 10_000.)
	_, err = Run(t.Context(), Options{Size: "tiny"})
	require.ErrorContains(t, err, "tiny")
	var said strings.Builder
	r.Print(&said, Judge(r))
	require.Contains(t, said.String(), "PASS")
}

// What is calculated for larger fleets is on the lines through what was measured.
func TestCapacity(t *testing.T) {
	ms := func(v float64) measure.Timing { return measure.Timing{Median: v} }
	r := &Result{Fans: []Fan{{Clients: 10, CPU: 1.1}, {Clients: 1_000, CPU: 11, Bytes: 400,
		Commit: ms(2), Last: ms(40)}}, Restart: &Restart{Clients: 1_000, CPU: 2, ReadCPU: 0.25}}
	each, none := r.PerClient()
	require.InDelta(t, 0.01, each, 1e-9)
	require.InDelta(t, 1, none, 1e-9)
	require.Equal(t, 49_900, r.PerServer(1))
	require.Equal(t, 4_900, r.PerServer(10))
	require.Zero(t, r.PerServer(1_000), "it is busy without clients")
	one := r.Capacity(1_000)
	require.Equal(t, 0, one.Relays)
	require.InDelta(t, 11, one.SourceCPU, 1e-9)
	require.InDelta(t, 40, one.Last, 1e-9)
	require.InDelta(t, 500/11., one.Rate, 1e-9)
	require.InDelta(t, 0.4, one.Traffic, 1e-9)
	require.InDelta(t, 2, one.Resume, 1e-9)
	require.InDelta(t, 250, one.Read, 1e-9)
	ten := r.Capacity(10_000)
	require.Equal(t, 10, ten.Relays)
	require.InDelta(t, 1.1, ten.SourceCPU, 1e-9)
	require.InDelta(t, 11, ten.RelayCPU, 1e-9)
	require.InDelta(t, 42, ten.Last, 1e-9, "the way to the relays comes first")
	require.InDelta(t, 250, ten.Read, 1e-9)
	require.Len(t, r.Capacities(), 4)
	require.Empty(t, (&Result{}).Capacities())
	require.Zero(t, (&Result{}).PerServer(1))
}
