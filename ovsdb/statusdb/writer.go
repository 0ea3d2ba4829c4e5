package statusdb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/ovsdb/client"
)

// A Writer keeps the rows of one host equal to what the host reported last. The daemon runs it.
// Invariant: whoever reports is never held up, and a server that is gone or refuses costs nothing
// but the report.

// Options say where a Writer writes, and as whom.
type Options struct {
	// Endpoint is that of the policy database, of which any server will do.
	Endpoint string
	TLS      *tls.Config
	Host     string
	Log      *logrus.Entry // nil discards
}

// pace is how often a Writer writes.
type pace struct {
	gather time.Duration // within this, at a time of its own, a change is written
	beat   time.Duration // about as often it says that it is still there
	answer time.Duration // how long a server may think
	again  time.Duration // the pause before another attempt
}

// SilentAfter is when a host that says nothing is one that is silent: some beats have failed.
const SilentAfter = 3 * time.Minute

func defaultPace() pace {
	return pace{gather: 5 * time.Second, beat: time.Minute, answer: 10 * time.Second,
		again: time.Second}
}

// Writer writes the reports of one host.
type Writer struct {
	opts    Options
	pace    pace
	changed chan struct{} // one slot

	mu     sync.Mutex
	report *Report // nil = none yet
}

// NewWriter makes a Writer; it does nothing until Run.
func NewWriter(opts Options) *Writer {
	opts.Log = client.OrSilent(opts.Log)
	return &Writer{opts: opts, pace: defaultPace(), changed: make(chan struct{}, 1)}
}

// Report takes what is to be written. It never blocks; of several the last one counts.
func (w *Writer) Report(r Report) {
	w.mu.Lock()
	w.report = &r
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// last is what was reported last.
func (w *Writer) last() (Report, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.report == nil {
		return Report{}, false
	}
	return *w.report, true
}

// Run writes until ctx ends, and returns nil then.
func (w *Writer) Run(ctx context.Context) error {
	servers := strings.Split(w.opts.Endpoint, ",")
	rand.Shuffle(len(servers), func(i, j int) {
		servers[i], servers[j] = servers[j], servers[i]
	})
	told := ""
	for n := 0; ; n = (n + 1) % len(servers) {
		err := w.serve(ctx, servers[n])
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, errOtherRows) && err.Error() != told {
			told = err.Error()
			w.opts.Log.WithError(err).Info("the status of this host is not written")
		}
		pause := w.pace.again/2 + rand.N(w.pace.again)
		if errors.Is(err, errOtherRows) {
			n += len(servers) - 1 // the same server
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// errOtherRows says that somebody else has taken rows of this host away.
var errOtherRows = errors.New("the rows of this host are others")

// serve writes to one server until that fails.
func (w *Writer) serve(ctx context.Context, endpoint string) error {
	dialing, cancel := context.WithTimeout(ctx, w.pace.answer)
	defer cancel()
	conn, err := client.Dial(dialing, endpoint, w.opts.TLS)
	if err != nil {
		return err
	}
	defer conn.Close()
	own, err := w.own(ctx, conn)
	for err == nil {
		var r Report
		if r, err = w.wait(ctx, conn, own); err == nil {
			own, err = w.write(ctx, conn, own, r)
		}
	}
	return err
}

// own asks for the rows that the server has.
func (w *Writer) own(ctx context.Context, conn *client.Conn) (ownRows, error) {
	ctx, cancel := context.WithTimeout(ctx, w.pace.answer)
	defer cancel()
	results, err := conn.Transact(ctx, Name, selectOwn(w.opts.Host))
	if err != nil {
		return ownRows{}, err
	}
	return readOwn(results)
}

// wait returns what is to be written when it is due: at once where somebody waits for it, a change
// after a while that gathers others, and after a long time that nothing has changed.
func (w *Writer) wait(ctx context.Context, conn *client.Conn, own ownRows) (Report, error) {
	beat := time.NewTimer(w.pace.beat*3/4 + rand.N(w.pace.beat/2))
	defer beat.Stop()
	var gathered <-chan time.Time
	for {
		r, isThere := w.last()
		switch {
		case !isThere || own.holds(r):
			gathered = nil
		case own.generation() < min(r.Asked, r.Generation):
			return r, nil
		case gathered == nil:
			gathered = time.After(rand.N(w.pace.gather))
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-conn.Lost():
			return r, fmt.Errorf("the server has closed the connection")
		case <-w.changed:
		case <-gathered:
			return r, nil
		case <-beat.C:
			if isThere {
				return r, nil
			}
			beat.Reset(w.pace.beat)
		}
	}
}

// write makes the rows say what the report says, and returns them.
func (w *Writer) write(ctx context.Context, conn *client.Conn, own ownRows,
	r Report) (ownRows, error) {
	ctx, cancel := context.WithTimeout(ctx, w.pace.answer)
	defer cancel()
	ops := own.plan(w.opts.Host, r, time.Now())
	results, err := conn.Transact(ctx, Name, ops)
	if err != nil {
		return own, err
	}
	next := ownRows{hostUUID: own.hostUUID, host: r.hostColumns(),
		ports: make(map[string]ownPort, len(r.Ports))}
	for _, p := range r.Ports {
		next.ports[p.Name] = ownPort{own.ports[p.Name].uuid, p.columns()}
	}
	for n, op := range ops {
		switch {
		case op.Op.Op != "insert":
			if results[n].Count != 1 {
				return own, errOtherRows
			}
		case op.Op.Table == hostTable:
			next.hostUUID = results[n].UUID.GoUUID
		default:
			name := op.Op.Row["name"].(string)
			next.ports[name] = ownPort{results[n].UUID.GoUUID, next.ports[name].row}
		}
	}
	return next, nil
}
