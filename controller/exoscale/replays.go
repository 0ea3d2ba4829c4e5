package exoscale

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"
	"time"

	"github.com/portcullis/portcullis/controller/apiserver"
)

// One write per signature. A signature has no nonce: until it expires, who has seen a request could
// send it again, and clients do so themselves where an answer was lost. handler.go asks. Invariant:
// a write is made once. Who repeats it is answered as before while nothing else was changed since,
// and is refused then.
//
// The database knows the requests of the changes that it remembers, whichever server made them;
// here are those of this server that changed nothing, or were refused. Reading may be repeated: two
// equal questions within a second have one signature.

// mostSeen is how many writes are remembered; the oldest go first.
const mostSeen = 100_000

// outcome is a write, and what came of it.
type outcome struct {
	done    chan struct{} // closed once the rest is there
	expires time.Time

	isOpen     bool // nobody knows whether it was made: it may be tried again
	generation int
	reply      any
	err        error
}

// replays are the writes that were seen. The zero replays are ready.
type replays struct {
	mu    sync.Mutex
	of    map[string]*outcome
	queue []string // the oldest first
}

// requestID is the ID of a signed request: as Change.ID it is the same at every server.
func (s *signed) requestID() string {
	sum := sha256.Sum256(append([]byte(s.key+"\n"), s.mac...))
	return "v2-" + hex.EncodeToString(sum[:20])
}

// once has a write made, if it is the first of its ID; else it waits for what came of that.
func (r *replays) once(ctx context.Context, id string, now, expires time.Time,
	make func() (int, any, error)) (o *outcome, isFirst bool, err error) {
	for {
		o, isFirst = r.begin(id, now, expires)
		if isFirst {
			o.generation, o.reply, o.err = make()
			r.end(id, o)
			return o, true, nil
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-o.done:
		}
		if !o.isOpen {
			return o, false, nil
		}
	}
}

func (r *replays) begin(id string, now, expires time.Time) (*outcome, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.of[id]; o != nil {
		return o, false
	}
	if r.of == nil {
		r.of = map[string]*outcome{}
	}
	r.forget(now)
	o := &outcome{done: make(chan struct{}), expires: expires}
	r.of[id] = o
	r.queue = append(r.queue, id)
	return o, true
}

// forget makes room for one more: the oldest go that are over, or are too many.
func (r *replays) forget(now time.Time) {
	for len(r.queue) > 0 {
		o := r.of[r.queue[0]]
		if o != nil && now.Before(o.expires) && len(r.queue) < mostSeen {
			return
		}
		delete(r.of, r.queue[0])
		r.queue = r.queue[1:]
	}
}

// end tells those who wait. What failed for want of a database may be tried again.
func (r *replays) end(id string, o *outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.err != nil {
		p, isKnown := apiserver.RefusalOf(o.err)
		o.isOpen = !isKnown || p.Status >= http.StatusInternalServerError
	}
	if o.isOpen {
		delete(r.of, id)
	}
	close(o.done)
}

// errReplayed refuses what was made already, and is not how things are any more.
func errReplayed() *apiserver.Problem {
	return apiserver.Refusal(http.StatusConflict, "this very request was made already, and something "+
		"was changed since; if it is meant again, sign it anew: a second later it is another one")
}
