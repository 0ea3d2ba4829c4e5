package benchfleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/integration/measure"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Raw clients that follow a database, as hosts do: they ask for what comes after the last
// transaction that they know of. fanout.go and restart.go call this.

// audience is many of them.
type audience struct {
	members []*listener
	mark    atomic.Pointer[[]byte] // what is waited for
	arrived chan time.Time         // of each that has heard it
}

// listener is one of them.
type listener struct {
	endpoint string
	wire     *wire

	mu    sync.Mutex
	known string // the last transaction
}

// nothing is the transaction that no database knows: after it comes everything.
const nothing = "00000000-0000-0000-0000-000000000000"

// atOnce is how many connect at one time.
const atOnce = 32

var errDeaf = errors.New("not every client has heard of a change")

// newAudience has n clients follow the servers in turn. They do not ask for the rows that are
// there, which is measured elsewhere.
func newAudience(ctx context.Context, s *measure.Shim, n int, servers ...*server) (*audience,
	error) {
	a := &audience{arrived: make(chan time.Time, 4*n)}
	a.mark.Store(&[]byte{0})
	for i := range n {
		a.members = append(a.members, &listener{endpoint: servers[i%len(servers)].endpoint,
			known: nothing})
	}
	s.Cleanup(a.close)
	return a, a.each(atOnce, func(l *listener) error {
		if err := a.connect(ctx, l); err != nil {
			return err
		}
		_, err := l.follow(ctx, false)
		return err
	})
}

func (a *audience) close() {
	for _, l := range a.members {
		if l.wire != nil {
			l.wire.close()
		}
	}
}

// each does something for all members, some at one time.
func (a *audience) each(some int, do func(*listener) error) error {
	room, errs := make(chan struct{}, some), make([]error, len(a.members))
	var all sync.WaitGroup
	for n, l := range a.members {
		room <- struct{}{}
		all.Go(func() {
			errs[n] = do(l)
			<-room
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// connect has a member connect; what it has received before still counts.
func (a *audience) connect(ctx context.Context, l *listener) error {
	w, err := dial(ctx, l.endpoint, func(update json.RawMessage, at time.Time) {
		// ["rows","TRANSACTION",{...}]: reading it as JSON would cost what a host's work costs
		if parts := bytes.SplitN(update, []byte{'"'}, 5); len(parts) == 5 {
			l.learn(string(parts[3]))
		}
		if bytes.Contains(update, *a.mark.Load()) {
			a.arrived <- at
		}
	})
	if err != nil {
		return err
	}
	if l.wire != nil {
		w.received.Add(l.wire.received.Load())
	}
	l.wire = w
	return nil
}

func (l *listener) learn(transaction string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = transaction
}

// tables are those that a host follows.
func tables() []string { return []string{"Global", "Project", "Group", "Rule", "Port"} }

// follow asks for what comes after the last known transaction, and says whether the server could
// tell just that. Where it could not, it sends the rows that are there, if they are wanted.
func (l *listener) follow(ctx context.Context, wantsRows bool) (resumed bool, err error) {
	asked := object{}
	for _, table := range tables() {
		asked[table] = []any{object{"select": object{"initial": wantsRows, "insert": true,
			"delete": true, "modify": true}}}
	}
	l.mu.Lock()
	known := l.known
	l.mu.Unlock()
	text, err := l.wire.call(ctx, "monitor_cond_since", policydb.Name, "rows", asked, known)
	if err != nil {
		return false, err
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil || len(parts) != 3 {
		return false, fmt.Errorf("read an answer of %d bytes: %w", len(text), err)
	}
	l.learn(strings.Trim(string(parts[1]), `"`))
	return string(parts[0]) == "true", nil
}

// heed waits for a change, from the moment before it was made until all have heard of it.
func (a *audience) heed(ctx context.Context, mark []byte,
	change func() error) (commit, last time.Duration, err error) {
	a.mark.Store(&mark)
	began := time.Now()
	if err := change(); err != nil {
		return 0, 0, err
	}
	commit = time.Since(began)
	late := time.NewTimer(measure.Patience)
	defer late.Stop()
	for range a.members {
		select {
		case at := <-a.arrived:
			last = max(last, at.Sub(began))
		case <-late.C:
			return 0, 0, errDeaf
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
	}
	return commit, last, nil
}

// echoes has all ask for nothing at one time, and returns when all have their answers.
func (a *audience) echoes(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := a.each(len(a.members), func(l *listener) error { return l.wire.echo(ctx) })
	return time.Since(began), err
}

// received is what all have received so far, in bytes.
func (a *audience) received() (n int64) {
	for _, l := range a.members {
		n += l.wire.received.Load()
	}
	return n
}

// jittered is a pause that is not the same for all, as hosts make one before they connect again.
func jittered(pause time.Duration) time.Duration {
	return pause/2 + rand.N(pause/2)
}
