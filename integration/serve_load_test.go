//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/integration/fleetlab"
)

// Two API servers before one database of three members, many clients that write at the same time,
// and servers and members that are killed and stopped meanwhile. `make stress-api` runs it for
// longer.

const (
	loadWriters = 200
	loadGroups  = 20
	loadTokens  = 20
	// faultEvery is how often something is killed or stopped, and faultTime how long it stays so.
	faultEvery = 4 * time.Second
	faultTime  = 2 * time.Second
)

// loadTime is how long the clients write.
func loadTime(t *testing.T) time.Duration {
	text := os.Getenv("API_TIME")
	if text == "" {
		return 12 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "API_TIME")
	return d
}

// front is an API server that can be killed and started again at the same port.
type front struct {
	t       *testing.T
	address string
	db      string
	flags   []string
	mu      sync.Mutex
	cmd     *exec.Cmd
}

func newFront(t *testing.T, db string, flags ...string) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &front{t: t, address: l.Addr().String(), db: db, flags: flags}
	require.NoError(t, l.Close())
	require.NoError(t, f.start())
	t.Cleanup(f.kill)
	require.Eventually(t, func() bool {
		res, err := http.Get("http://" + f.address + "/healthz")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK
	}, patience, 20*time.Millisecond)
	return f
}

func (f *front) start() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cmd = exec.Command(daemon(f.t), append([]string{"serve", "--db", f.db, "--listen", f.address,
		"--socket", "", "--log-level", "error"}, f.flags...)...)
	return f.cmd.Start()
}

func (f *front) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.cmd.Process.Signal(syscall.SIGKILL)
	_ = f.cmd.Wait()
}

// load is what the clients do and see.
type load struct {
	t      *testing.T
	fronts []*front
	tokens []string
	client http.Client
	ctx    context.Context // until the clients stop

	mu      sync.Mutex
	acked   []string        // descriptions of rules that were acknowledged
	tried   map[string]bool // of all that were sent
	times   []time.Duration // of acknowledged requests, retries included
	again   atomic.Int64    // requests that were repeated
	strange atomic.Pointer[string]
}

// write sends one rule until it is acknowledged, with one key, to one server or the other.
func (l *load) write(writer, n int) bool {
	what := fmt.Sprintf("w%d-%d", writer, n)
	group := fmt.Sprintf("g%d", rand.IntN(loadGroups))
	body := fmt.Sprintf(`{"direction":"ingress","protocol":"tcp","ports":"%d","cidr":"198.51.100.%d/32",`+
		`"description":"%s"}`, 1+rand.IntN(60000), rand.IntN(256), what)
	l.mu.Lock()
	l.tried[what] = true
	l.mu.Unlock()
	began := time.Now()
	for attempt := 0; ; attempt++ {
		if l.ctx.Err() != nil {
			return false // it may have been made, or not
		}
		status, text := l.send(writer, attempt, "/v1/groups/"+group+"/rules", body, what)
		switch {
		case status == http.StatusCreated:
			l.mu.Lock()
			l.acked, l.times = append(l.acked, what), append(l.times, time.Since(began))
			l.mu.Unlock()
			return true
		case status != 0 && status != http.StatusServiceUnavailable &&
			status != http.StatusTooManyRequests && status != http.StatusInternalServerError:
			said := fmt.Sprintf("%d %s", status, text)
			l.strange.CompareAndSwap(nil, &said)
			return false
		}
		l.again.Add(1)
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
	}
}

// send posts; 0 = there was no answer.
func (l *load) send(writer, attempt int, path, body, key string) (status int, text string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://"+l.fronts[(writer+attempt)%len(l.fronts)].address+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+l.tokens[writer%len(l.tokens)])
	req.Header.Set("Idempotency-Key", key)
	res, err := l.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	all, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(all)
}

// TestServe_UnderLoad loses no acknowledged write, and makes none twice.
func TestServe_UnderLoad(t *testing.T) {
	lab := newFleet(t, fleetlab.Options{Members: 3})
	l := &load{t: t, tried: map[string]bool{}, client: http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: loadWriters}}}
	for range 2 {
		l.fronts = append(l.fronts, newFront(t, lab.Sockets()))
	}
	for range loadTokens {
		out, err := exec.Command(daemon(t), "token", "create", "--role", "editor", "--db",
			lab.Sockets(), "-o", "json").Output()
		require.NoError(t, err)
		var made struct{ Token string }
		require.NoError(t, json.Unmarshal(out, &made))
		l.tokens = append(l.tokens, made.Token)
	}
	var groups []string
	for n := range loadGroups {
		groups = append(groups, fmt.Sprintf(`{"name":"g%d"}`, n))
	}
	require.Eventually(t, func() bool {
		status, _ := l.send(0, 0, "/v1/changes", `{"put":{"groups":[`+strings.Join(groups, ",")+`]}}`, "g")
		return status == http.StatusOK
	}, patience, 100*time.Millisecond)
	alone := l.floor()

	ctx, cancel := context.WithTimeout(context.Background(), loadTime(t))
	defer cancel()
	l.ctx = ctx
	var writers sync.WaitGroup
	for w := range loadWriters {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				l.write(w, n)
			}
		})
	}
	faults := l.disturb(ctx, lab)
	writers.Wait()
	if said := l.strange.Load(); said != nil {
		t.Fatalf("an answer that nobody expects: %s", *said)
	}
	found := l.found()
	lost, twice := 0, 0
	for _, what := range l.acked {
		if found[what] == 0 {
			lost++
		}
	}
	for _, n := range found {
		if n > 1 {
			twice++
		}
	}
	slices.Sort(l.times)
	at := func(share float64) time.Duration { return l.times[int(share*float64(len(l.times)-1))] }
	require.NotEmpty(t, l.acked)
	t.Logf("%d writers, %s, %d faults: %d writes acknowledged (%.0f/s), %d requests repeated, %d lost, "+
		"%d made twice; p50 %s, p99 %s; one writer alone, before: p50 %s", loadWriters, loadTime(t), faults,
		len(l.acked), float64(len(l.acked))/loadTime(t).Seconds(), l.again.Load(), lost, twice,
		at(.5).Round(time.Millisecond), at(.99).Round(time.Millisecond),
		alone.Round(10*time.Microsecond))
	assert.Zero(t, lost, "acknowledged and not there")
	assert.Zero(t, twice, "there twice")
	assert.Positive(t, faults)
}

// floor is the median of one writer alone.
func (l *load) floor() time.Duration {
	var times []time.Duration
	for n := range 30 {
		began := time.Now()
		status, text := l.send(0, 0, "/v1/groups/g0/rules", fmt.Sprintf(`{"direction":"egress",`+
			`"protocol":"udp","ports":"%d","cidr":"192.0.2.0/24"}`, n+1), fmt.Sprint("floor", n))
		require.Equal(l.t, http.StatusCreated, status, text)
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// disturb kills and stops what there is, one thing at a time, and returns how often.
func (l *load) disturb(ctx context.Context, lab *fleetlab.Lab) (faults int) {
	ticks := time.NewTicker(faultEvery)
	defer ticks.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return faults
		case <-ticks.C:
		}
		faults++
		switch n % 3 {
		case 0: // a server of the API dies
			f := l.fronts[rand.IntN(len(l.fronts))]
			f.kill()
			time.Sleep(faultTime / 4)
			require.NoError(l.t, f.start())
		case 1: // the leader dies
			m, err := lab.Leader()
			require.NoError(l.t, err)
			require.NoError(l.t, m.Kill())
			time.Sleep(faultTime)
			require.NoError(l.t, m.Start())
		case 2: // a member stops where it is
			goOn, err := lab.Members[rand.IntN(len(lab.Members))].Hang()
			require.NoError(l.t, err)
			time.Sleep(faultTime)
			require.NoError(l.t, goOn())
		}
	}
}

// found counts the rules that are there, by their descriptions.
func (l *load) found() map[string]int {
	out := map[string]int{}
	var exported []byte
	require.Eventually(l.t, func() bool {
		req, err := http.NewRequest(http.MethodGet, "http://"+l.fronts[0].address+"/v1/policy", nil)
		require.NoError(l.t, err)
		req.Header.Set("Authorization", "Bearer "+l.tokens[0])
		res, err := l.client.Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		exported, err = io.ReadAll(res.Body)
		return err == nil && res.StatusCode == http.StatusOK
	}, patience, 200*time.Millisecond)
	for line := range bytes.Lines(exported) {
		if _, what, isThere := bytes.Cut(line, []byte("description: ")); isThere {
			what, _, _ = bytes.Cut(what, []byte("}"))
			out[strings.Trim(string(what), `"`)]++
		}
	}
	return out
}
