package main

import (
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policydir"
)

func TestSeries(t *testing.T) {
	var s series
	require.Zero(t, s.median())
	require.Zero(t, s.quantile(0.99))
	for _, v := range []float64{5, 1, 3, 2, 4} {
		s = append(s, v)
	}
	require.Equal(t, 3.0, s.median())
	require.Equal(t, 5.0, s.quantile(0.99))
	require.Equal(t, 1.0, s.quantile(0.2))
	s = append(s, 6)
	require.Equal(t, 3.5, s.median())
	s.add(1500 * time.Microsecond)
	require.Equal(t, 1.5, s[6])
}

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
			figure{Name: name, timing: timing{Median: 10}, Floor: timing{Median: 10}})
	}
	r.Changes = []figure{{Name: "member added", timing: timing{Median: 30}, Floor: timing{Median: 10}}}
	r.Prepared = figure{Name: "member added beside prepared hashes", timing: timing{Median: 12},
		Floor: timing{Median: 10}}
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
			r.Repaired = timing{Samples: 1, Median: 1001}
		},
		"resident":                        func(r *result) { r.Daemon.AtEnd = 101 << 20 },
		"idle CPU":                        func(r *result) { r.Daemon.IdleCPU = 1.1 },
		"new connections per second":      func(r *result) { r.Traffic.Connects.Pipeline = 6.9 },
		"established TCP throughput / NO": func(r *result) { r.Traffic.Throughput.Pipeline = 7.4 },
	} {
		r := good()
		spoil(r)
		missed := slices.DeleteFunc(judge(r), func(v verdict) bool { return v.Pass })
		require.Len(t, missed, 1, target)
		require.True(t, strings.HasPrefix(missed[0].Target, target), "%s: %s", target, missed[0])
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	var text strings.Builder
	p := plot{Title: "a <b>", What: "members", Unit: "ms", Values: []int{0, 500, 1200},
		Lines: []plotLine{{"one & two", []float64{1, 2, 3}}, {"none", []float64{0, 0, 0}}}}
	require.NoError(t, p.write(&text))
	for decoder := xml.NewDecoder(strings.NewReader(text.String())); ; {
		if _, err := decoder.Token(); err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
	require.Contains(t, text.String(), "2,000")
}

func TestNumbers(t *testing.T) {
	require.Equal(t, []string{"0", "2.5", "999", "1,000", "1,234,567"},
		[]string{number(0), number(2.5), number(999), number(1000), number(1234567)})
	require.Equal(t, []float64{1, 1, 2, 2.5, 5, 10, 2000},
		[]float64{roundUp(0), roundUp(1), roundUp(1.5), roundUp(2.1), roundUp(3), roundUp(6),
			roundUp(1200)})
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

// A failure in what was written for tests ends the measurement, and what was begun is cleaned up in
// turn.
func TestShim(t *testing.T) {
	var done []int
	err := during(func(s *shim) error {
		s.Cleanup(func() { done = append(done, 1) })
		s.Cleanup(func() { done = append(done, 2) })
		s.Fatalf("no %s", "way")
		return nil
	})
	require.EqualError(t, err, "no way")
	require.Equal(t, []int{2, 1}, done)
	require.Panics(t, func() { _ = during(func(*shim) error { panic("a mistake") }) })
	require.ErrorIs(t, during(func(*shim) error { return errMissed }), errMissed)
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
