package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/integration/benchfleet"
	"github.com/portcullis/portcullis/integration/measure"
)

// The policies that are measured are valid, each change of them as well, and the same seed gives
// the same bytes.
func TestScenariosAreValid(t *testing.T) {
	sc := scenario{Ports: 5, Members: 230, Groups: 120, Memberships: 3, Rules: 9, Seed: 7}
	folder, again := t.TempDir(), t.TempDir()
	require.NoError(t, sc.write(folder))
	require.NoError(t, sc.write(again))
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, 1+2+3)
	for _, f := range files {
		require.Equal(t, read(t, folder, f.Name()), read(t, again, f.Name()))
	}
	var loader policydir.Loader
	p, _, err := loader.Load(folder)
	require.NoError(t, err)
	require.Len(t, p.Groups, 120)
	require.Len(t, p.Instances, 235)
	for _, g := range p.Groups {
		require.Len(t, g.Rules, 9)
	}
	l := &lab{scenario: sc}
	do, undo := l.prepared()
	for _, pair := range append(l.pairs(), [2]change{do, undo}) {
		for _, c := range pair {
			before := read(t, folder, c.file)
			require.NotEqual(t, before, c.text, c.name)
			require.NoError(t, os.WriteFile(filepath.Join(folder, c.file), []byte(c.text), 0o600))
			_, _, err := loader.Load(folder)
			require.NoError(t, err, c.name)
		}
		require.Equal(t, read(t, again, pair[1].file), pair[1].text, "the second undoes the first")
	}
}

func read(t *testing.T, folder, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	require.NoError(t, err)
	return string(text)
}

// good is a result that meets every target.
func good() *result {
	r := &result{Size: "medium", Flows: 31_999,
		Traffic: &traffic{Connects: pair{Pipeline: 7, Normal: 10},
			Throughput: pair{Pipeline: 7.5, Normal: 10}}}
	for _, name := range []string{"cold start", "restart without change", "reload without change"} {
		r.Starts = append(r.Starts,
			figure{Name: name, Timing: measure.Timing{Median: 10}, Floor: measure.Timing{Median: 10}})
	}
	r.Changes = []figure{{Name: "member added", Timing: measure.Timing{Median: 30}, Floor: measure.Timing{Median: 10}}}
	r.Prepared = figure{Name: "member added beside prepared hashes", Timing: measure.Timing{Median: 12},
		Floor: measure.Timing{Median: 10}}
	r.Daemon.AfterStart, r.Daemon.IdleCPU = 100<<20, 1
	return r
}

// Each target can be missed, and nothing but it is missed then.
func TestJudge(t *testing.T) {
	for _, v := range judge(good()) {
		require.True(t, v.Pass, v)
	}
	for target, spoil := range map[string]func(*result){
		"flows <":                      func(r *result) { r.Flows++ },
		"cold start / ":                func(r *result) { r.Starts[0].Median = 15.1 },
		"restart without change, flow": func(r *result) { r.Starts[1].Mods = 1 },
		"restart without change / ":    func(r *result) { r.Starts[1].Median = 10.1 },
		"reload without change / ":     func(r *result) { r.Starts[2].Median = 10.1 },
		"member added / ":              func(r *result) { r.Changes[0].Median = 30.1 },
		"member added beside prepared": func(r *result) { r.Prepared.Median = 12.1 },
		"flow repaired": func(r *result) {
			r.Repaired = measure.Timing{Samples: 1, Median: 1001}
		},
		"resident":                        func(r *result) { r.Daemon.AtEnd = 101 << 20 },
		"idle CPU":                        func(r *result) { r.Daemon.IdleCPU = 1.1 },
		"new connections per second":      func(r *result) { r.Traffic.Connects.Pipeline = 6.9 },
		"established TCP throughput / NO": func(r *result) { r.Traffic.Throughput.Pipeline = 7.4 },
	} {
		r := good()
		spoil(r)
		missed := slices.DeleteFunc(judge(r), func(v measure.Verdict) bool { return v.Pass })
		require.Len(t, missed, 1, target)
		require.True(t, strings.HasPrefix(missed[0].Target, target), "%s: %s", target, missed[0])
	}
}

// What is measured is in the page.
func TestPageIsCurrent(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	copied := filepath.Join(t.TempDir(), "performance")
	require.NoError(t, os.CopyFS(copied, os.DirFS(filepath.Join(docs, "performance"))))
	page := filepath.Join(t.TempDir(), "performance.md")
	require.NoError(t, writePage(page, copied))
	require.Equal(t, read(t, docs, "performance.md"), read(t, filepath.Dir(page), "performance.md"),
		"make bench-page")
	plots, err := filepath.Glob(filepath.Join(copied, "*.svg"))
	require.NoError(t, err)
	for _, p := range plots {
		require.Equal(t, read(t, filepath.Join(docs, "performance"), filepath.Base(p)),
			read(t, copied, filepath.Base(p)), "make bench-page")
	}
}

// The two ends of the traffic, without a switch between them.
func TestPeers(t *testing.T) {
	var said strings.Builder
	for _, args := range [][]string{nil, {"stream", "127.0.0.1", "x"}, {"dance", "127.0.0.1", "1"}} {
		require.ErrorIs(t, peer(args, &said), errPeer)
	}
	for _, port := range []int{sinkPort, echoPort} {
		l, err := net.Listen("tcp", at("127.0.0.1", port))
		if err != nil {
			t.Skipf("SKIPPED, NOT TESTED: the port is taken: %v", err)
		}
		defer l.Close()
		go accept(l, port)
	}
	for _, kind := range []string{"stream", "trips", "connects"} {
		require.NoError(t, peer([]string{kind, "127.0.0.1", "0.1"}, &said), kind)
	}
	require.Len(t, strings.Fields(said.String()), 3)
	require.NotContains(t, strings.Fields(said.String()), "0")
	found, err := scan("127.0.0.1", 0)
	require.NoError(t, err)
	require.Zero(t, found)
	require.Error(t, errors.Join(peer([]string{"scatter", "127.0.0.1", "0"}, &said)),
		"nobody listens there")
}

// What was measured of a fleet is in the page, with its pictures; what was not is left out.
func TestPageTellsOfAFleet(t *testing.T) {
	results := filepath.Join(t.TempDir(), "performance")
	page := filepath.Join(t.TempDir(), "performance.md")
	require.NoError(t, os.MkdirAll(results, 0o755))
	require.NoError(t, writePage(page, results))
	require.NotContains(t, read(t, filepath.Dir(page), "performance.md"), "## A fleet")
	r := benchfleet.Result{Size: "full", Force: &benchfleet.Force{Members: 12_345},
		Hosts:     []benchfleet.Host{{Flows: 23_456}},
		Reconnect: &benchfleet.Reconnect{Bytes: 34_567}, Imports: []benchfleet.Import{{Took: 45_678}},
		Writers: &benchfleet.Writers{Many: 3, Rate: 56_789},
		Fans:    []benchfleet.Fan{{Clients: 10, CPU: 1}, {Clients: 1_000, CPU: 10, Rate: 678}},
		Relayed: &benchfleet.Fan{Clients: 1_000, Relays: 3, RelayCPU: 7.89},
		Restart: &benchfleet.Restart{Clients: 1_000, Resumed: 991},
		Daemons: []benchfleet.Daemons{{Hosts: 10}, {Hosts: 87, Members: 2_345}}}
	require.NoError(t, measure.Save(filepath.Join(results, fleetFile), r))
	require.NoError(t, writePage(page, results))
	text := read(t, filepath.Dir(page), "performance.md")
	for _, part := range []string{"12,345", "23,456", "34,567", "45,678", "56,789", "678", "7.89",
		"991", "| 87 |", "| 10,000 | 10 |", "**missed**", "performance/fleet-fanout.svg"} {
		require.Contains(t, text, part)
	}
	plots, err := filepath.Glob(filepath.Join(results, "fleet-*.svg"))
	require.NoError(t, err)
	require.Len(t, plots, 4)
}
