//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/integration/fleetlab"
	"github.com/portcullis/portcullis/integration/testnet"
)

// What is there after the load, held against what was acknowledged. An API server answers of its
// own copy, and so does each member: the one that is asked may be behind the one by which a write
// was acknowledged, for a moment or as long as it stands still. Invariant: what is called lost is
// missing in a copy that is not older than the newest write that was acknowledged.

// acknowledged is a write that was answered as made.
type acknowledged struct {
	answer
	what, group  string // the description of its rule, and where that is
	generation   int
	attempts     int
	began, ended time.Time
}

// clock is how times of a day are told.
const clock = "15:04:05.000"

// acknowledge takes a write down.
func (l *load) acknowledge(w acknowledged) {
	var made struct{ Generation int }
	if err := json.Unmarshal([]byte(w.text), &made); err != nil || made.Generation == 0 {
		said := w.text
		l.strange.CompareAndSwap(nil, &said)
	}
	w.generation = made.Generation
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, w)
}

// note takes down what is done to servers and members.
func (l *load) note(format string, args ...any) {
	l.faults = append(l.faults, time.Now().UTC().Format(clock)+" "+fmt.Sprintf(format, args...))
}

// newest is the newest generation that was acknowledged.
func (l *load) newest() (generation int) {
	for _, w := range l.acked {
		generation = max(generation, w.generation)
	}
	return generation
}

// held is what one server or member has: the rules by their descriptions, and how often each.
type held struct {
	by         string
	generation int
	rules      map[string]int
	changes    map[int]string // of members: what the history says, by generation
}

// findings are what an audit has found, in words.
type findings struct{ lost, twice, forked []string }

func (f findings) judge(t *testing.T) {
	t.Helper()
	assert.Empty(t, f.lost, "acknowledged and not there")
	assert.Empty(t, f.twice, "there twice")
	assert.Empty(t, f.forked, "two writes were acknowledged as one generation")
}

// audit looks at every server and every member, each when it is not behind any more.
func (l *load) audit() (out findings) {
	newest := l.newest()
	var all []held
	for _, f := range l.fronts {
		all = append(all, l.answered(f, newest))
	}
	if err := l.lab.AwaitAlike(newest); err != nil {
		l.t.Error(err) // what they have is told all the same
	}
	for _, m := range l.lab.Members {
		all = append(all, l.kept(m))
	}
	made := map[int]string{}
	for _, w := range l.acked {
		if other := made[w.generation]; other != "" {
			out.forked = append(out.forked, other+" and "+l.story(w, all))
		}
		made[w.generation] = w.what
		if slices.ContainsFunc(all, func(h held) bool { return h.rules[w.what] == 0 }) {
			out.lost = append(out.lost, l.story(w, all))
		}
	}
	for _, h := range all {
		for what, n := range h.rules {
			if n > 1 {
				out.twice = append(out.twice, fmt.Sprintf("%s: %s %d times", h.by, what, n))
			}
		}
	}
	return out
}

// answered is what a server answers once it has a generation.
func (l *load) answered(f *front, generation int) (h held) {
	h.by = "API server " + f.address
	assert.Eventually(l.t, func() bool {
		req, err := http.NewRequest(http.MethodGet, "http://"+f.address+"/v1/policy", nil)
		require.NoError(l.t, err)
		req.Header.Set("Authorization", "Bearer "+l.tokens[0])
		res, err := l.client.Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		exported, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			return false
		}
		h.generation, _ = strconv.Atoi(res.Header.Get(apiserver.GenerationHeader))
		h.rules = described(exported)
		return h.generation >= generation
	}, testnet.Slowed(patience), 20*time.Millisecond, "%s has not generation %d", h.by, generation)
	return h
}

// described counts the rules of a policy file by their descriptions.
func described(file []byte) map[string]int {
	out := map[string]int{}
	for line := range bytes.Lines(file) {
		if _, what, isThere := bytes.Cut(line, []byte("description: ")); isThere {
			what, _, _ = bytes.Cut(what, []byte("}"))
			out[strings.Trim(string(what), `"`)]++
		}
	}
	return out
}

// kept is what a member has.
func (l *load) kept(m *fleetlab.Server) held {
	h := held{by: m.Name, rules: map[string]int{}, changes: map[int]string{}}
	all, err := m.Select(map[string][]string{"Global": {"generation"}, "Rule": {"description"},
		"Change": {"generation", "id", "at", "by", "from"}})
	require.NoError(l.t, err)
	for _, row := range all["Global"] {
		n, _ := row["generation"].(float64)
		h.generation = int(n)
	}
	for _, row := range all["Rule"] {
		if what, _ := row["description"].(string); what != "" {
			h.rules[what]++
		}
	}
	for _, row := range all["Change"] {
		n, _ := row["generation"].(float64)
		h.changes[int(n)] = fmt.Sprintf("%s at %.0f by %s, %s", row["id"], row["at"], row["by"],
			row["from"])
	}
	return h
}

// around is how long before a write and after it what was said and done is told.
const around = 3 * time.Second

// story is all that is known of a write that is not as it should be.
func (l *load) story(w acknowledged, all []held) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s: sent %s, acknowledged %s by %s as generation %d, request %s, attempt "+
		"%d\n", w.what, w.group, w.began.UTC().Format(clock), w.ended.UTC().Format(clock), w.from,
		w.generation, w.request, w.attempts)
	for _, other := range l.acked {
		if other.generation == w.generation && other.what != w.what {
			fmt.Fprintf(&b, "  %s was acknowledged as this generation, too, by %s\n", other.what, other.from)
		}
	}
	for _, h := range all {
		fmt.Fprintf(&b, "  %s, of generation %d, has it %d times; its history of generation %d: %s\n",
			h.by, h.generation, h.rules[w.what], w.generation, h.changes[w.generation])
	}
	for _, m := range l.lab.Members {
		entries, err := m.Written(`"` + w.what + `"`)
		fmt.Fprintf(&b, "  the file of %s has it in %q (%v)\n", m.Name, entries, err)
		lines, err := m.Said("|raft|")
		for _, line := range lines {
			at, _, _ := strings.Cut(line, "|")
			when, err := time.Parse(time.RFC3339, at)
			if err == nil && when.After(w.began.Add(-around)) && when.Before(w.ended.Add(around)) {
				fmt.Fprintf(&b, "  %s: %s\n", m.Name, line)
			}
		}
		if err != nil {
			fmt.Fprintln(&b, err)
		}
	}
	for _, line := range l.faults {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return b.String()
}

// waited calls a function when the first answer has come, and changes nothing.
type waited struct {
	http.RoundTripper
	then func()
}

func (w *waited) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := w.RoundTripper.RoundTrip(req)
	if err == nil && w.then != nil {
		w.then()
		w.then = nil
	}
	return res, err
}

// TestServe_AnOldCopyIsNoLoss has a member stand still that one of the servers follows: what was
// acknowledged by the other meanwhile is not there, and is not lost. What no copy has is.
func TestServe_AnOldCopyIsNoLoss(t *testing.T) {
	t.Parallel()
	lab := newFleet(t, fleetlab.Options{Members: 3})
	leader, err := lab.Leader()
	require.NoError(t, err)
	n := slices.IndexFunc(lab.Members, func(m *fleetlab.Server) bool { return m != leader })
	l := newLoad(t, lab, leader.Socket(), lab.Members[n].Socket())
	l.ctx = t.Context()
	goOn, err := lab.Members[n].Hang()
	require.NoError(t, err)
	require.True(t, l.write(0, 0))
	goesOn := make(chan error, 1)
	l.client.Transport = &waited{l.client.Transport, func() {
		require.Positive(t, l.newest())
		goesOn <- goOn()
	}}
	slices.Reverse(l.fronts) // the one that is behind is asked first
	l.audit().judge(t)
	require.NoError(t, <-goesOn)

	l.acked = append(l.acked, acknowledged{what: "w0-1", group: "g0", generation: 1,
		began: time.Now(), ended: time.Now()})
	missing := l.audit().lost
	require.Len(t, missing, 1)
	assert.Regexp(t, `(?s)^w0-1 in g0: .*m1, of generation \d+, has it 0 times; its history of `+
		`generation 1: .*by .*the file of m1 has it in \[\]`, missing[0])
}
