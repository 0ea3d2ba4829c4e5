//go:build integration

package integration

import (
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
	lab    *fleetlab.Lab
	fronts []*front
	tokens []string
	client http.Client
	ctx    context.Context // until the clients stop

	mu      sync.Mutex
	acked   []acknowledged
	again   atomic.Int64 // requests that were repeated
	strange atomic.Pointer[string]
	faults  []string // with their times
}

// newLoad has two API servers, and tokens of clients.
func newLoad(t *testing.T, lab *fleetlab.Lab, dbs ...string) *load {
	t.Helper()
	l := &load{t: t, lab: lab, client: http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: loadWriters}}}
	for _, m := range lab.Members {
		require.NoError(t, m.TellElections())
	}
	for _, db := range dbs {
		l.fronts = append(l.fronts, newFront(t, db))
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
		return l.send(0, 0, "/v1/changes", `{"put":{"groups":[`+strings.Join(groups, ",")+`]}}`,
			"g").status == http.StatusOK
	}, patience, 100*time.Millisecond)
	return l
}

// write sends one rule until it is acknowledged, with one key, to one server or the other.
func (l *load) write(writer, n int) bool {
	w := acknowledged{what: fmt.Sprintf("w%d-%d", writer, n),
		group: fmt.Sprintf("g%d", rand.IntN(loadGroups)), began: time.Now()}
	body := fmt.Sprintf(`{"direction":"ingress","protocol":"tcp","ports":"%d","cidr":"198.51.100.%d/32",`+
		`"description":"%s"}`, 1+rand.IntN(60000), rand.IntN(256), w.what)
	for attempt := 0; ; attempt++ {
		if l.ctx.Err() != nil {
			return false // it may have been made, or not
		}
		w.answer = l.send(writer, attempt, "/v1/groups/"+w.group+"/rules", body, w.what)
		switch status := w.status; {
		case status == http.StatusCreated:
			w.attempts, w.ended = attempt+1, time.Now()
			l.acknowledge(w)
			return true
		case status != 0 && status != http.StatusServiceUnavailable &&
			status != http.StatusTooManyRequests && status != http.StatusInternalServerError:
			said := fmt.Sprintf("%d %s", status, w.text)
			l.strange.CompareAndSwap(nil, &said)
			return false
		}
		l.again.Add(1)
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
	}
}

// answer is what an API server said.
type answer struct {
	status  int // 0 = there was none
	text    string
	request string // the request's ID, in the server's log
	from    string // the server
}

// send posts.
func (l *load) send(writer, attempt int, path, body, key string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	f := l.fronts[(writer+attempt)%len(l.fronts)]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.address+path,
		strings.NewReader(body))
	if err != nil {
		return answer{text: err.Error()}
	}
	req.Header.Set("Authorization", "Bearer "+l.tokens[writer%len(l.tokens)])
	req.Header.Set("Idempotency-Key", key)
	res, err := l.client.Do(req)
	if err != nil {
		return answer{text: err.Error()}
	}
	defer res.Body.Close()
	all, _ := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, text: string(all), request: res.Header.Get("X-Request-Id"),
		from: f.address}
}

// TestServe_UnderLoad loses no acknowledged write, and makes none twice.
func TestServe_UnderLoad(t *testing.T) {
	lab := newFleet(t, fleetlab.Options{Members: 3})
	l := newLoad(t, lab, lab.Sockets(), lab.Sockets())
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
	l.disturb(ctx)
	writers.Wait()
	if said := l.strange.Load(); said != nil {
		t.Fatalf("an answer that nobody expects: %s", *said)
	}
	require.NotEmpty(t, l.acked)
	found := l.audit()
	var times []time.Duration
	for _, w := range l.acked {
		times = append(times, w.ended.Sub(w.began))
	}
	slices.Sort(times)
	at := func(share float64) time.Duration { return times[int(share*float64(len(times)-1))] }
	t.Logf("%d writers, %s, %d faults: %d writes acknowledged (%.0f/s), %d requests repeated, %d lost, "+
		"%d made twice; p50 %s, p99 %s; one writer alone, before: p50 %s", loadWriters, loadTime(t),
		len(l.faults)/2, len(l.acked), float64(len(l.acked))/loadTime(t).Seconds(), l.again.Load(),
		len(found.lost), len(found.twice), at(.5).Round(time.Millisecond), at(.99).Round(time.Millisecond),
		alone.Round(10*time.Microsecond))
	found.judge(t)
	assert.NotEmpty(t, l.faults)
}

// floor is the median of one writer alone.
func (l *load) floor() time.Duration {
	var times []time.Duration
	for n := range 30 {
		began := time.Now()
		made := l.send(0, 0, "/v1/groups/g0/rules", fmt.Sprintf(`{"direction":"egress",`+
			`"protocol":"udp","ports":"%d","cidr":"192.0.2.0/24"}`, n+1), fmt.Sprint("floor", n))
		require.Equal(l.t, http.StatusCreated, made.status, made.text)
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// disturb kills and stops what there is, one thing at a time.
func (l *load) disturb(ctx context.Context) {
	ticks := time.NewTicker(faultEvery)
	defer ticks.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		switch n % 3 {
		case 0:
			f := l.fronts[rand.IntN(len(l.fronts))]
			l.note("API server %s is killed", f.address)
			f.kill()
			time.Sleep(faultTime / 4)
			require.NoError(l.t, f.start())
		case 1:
			m, err := l.lab.Leader()
			require.NoError(l.t, err)
			l.note("%s, which leads, is killed", m.Name)
			require.NoError(l.t, m.Kill())
			time.Sleep(faultTime)
			require.NoError(l.t, m.Start())
			require.NoError(l.t, m.TellElections())
		case 2:
			m := l.lab.Members[rand.IntN(len(l.lab.Members))]
			l.note("%s stops where it is", m.Name)
			goOn, err := m.Hang()
			require.NoError(l.t, err)
			time.Sleep(faultTime)
			require.NoError(l.t, goOn())
		}
		l.note("it is over")
	}
}
