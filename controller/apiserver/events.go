package apiserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Changes as they come, and how trials end, as server-sent events (HTML, section 9.2). A stream that
// broke goes on where it was: the ID of a change is its generation. What is on trial has no past: it
// is told when a stream begins, and whenever it is another change or none. Invariant: a stream ends
// when the token that opened it does, and streams are bounded, so that they take nothing from those
// who ask.

const (
	// pulse is how often a stream says that it is alive.
	pulse = 15 * time.Second
	// maxStreams are open at a time, and maxOwnStreams of one token or user.
	maxStreams    = 1000
	maxOwnStreams = 20
	// eventTime bounds how long a client may take to read an event.
	eventTime = 30 * time.Second
)

// news tells streams that the database has changed. The zero news is ready.
type news struct {
	mu      sync.Mutex
	changed chan struct{} // closed at the next change
}

// next is closed when something changes from now on.
func (n *news) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

func (n *news) broadcast() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// Follow tells streams of changes until ctx ends. Nobody else receives from the client's Changed.
func (s *Server) Follow(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.DB.Changed():
			s.news.broadcast()
		}
	}
}

// streams counts those that are open.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

// open counts one more, of somebody; close is to be called when it ends.
func (t *streams) open(who string) (end func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all >= maxStreams {
		return nil, problemf(http.StatusServiceUnavailable, "%d streams are open already", maxStreams)
	}
	if t.of[who] >= maxOwnStreams {
		return nil, problemf(http.StatusTooManyRequests, "%s has %d streams open already", who,
			maxOwnStreams)
	}
	if t.of == nil {
		t.of = map[string]int{}
	}
	t.all++
	t.of[who]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.all--
		if t.of[who]--; t.of[who] == 0 {
			delete(t.of, who)
		}
	}, nil
}

// stream writes events until its context ends.
type stream func(ctx context.Context, w io.Writer) error

// events answers changes from a generation on, and what is on trial.
func (s *Server) events(r *request) (*reply, error) {
	from, err := s.resumeAt(r)
	if err != nil {
		return nil, err
	}
	return &reply{stream: func(ctx context.Context, w io.Writer) error {
		told := 0 // on trial
		for {
			changed := s.news.next()
			list, err := s.DB.HistoryAfter(from)
			if err == nil {
				from, err = writeChanges(w, list, from)
			}
			if err == nil {
				told, err = s.writeTrial(w, told)
			}
			if err != nil {
				return err
			}
			if err := s.await(ctx, r, w, changed); err != nil {
				return err
			}
		}
	}}, nil
}

// resumeAt is the generation after which a stream begins: what the client saw last, or the present
// one.
func (s *Server) resumeAt(r *request) (int, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.query.Get("since")
	}
	if text == "" {
		_, now, err := s.DB.Readable()
		return now, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, problemf(http.StatusBadRequest, "%q is no number of a generation to go on after", text)
	}
	return n, nil
}

// writeChanges writes the changes after a generation, the oldest first, and returns the last. Where
// the database has forgotten some it says so.
func writeChanges(w io.Writer, newestFirst []policydb.Entry, from int) (int, error) {
	for _, e := range slices.Backward(newestFirst) {
		if e.Generation <= from {
			continue
		}
		if e.Generation > from+1 {
			if err := writeEvent(w, "gap", from, map[string]int{"from": from + 1,
				"to": e.Generation - 1}); err != nil {
				return from, err
			}
		}
		if err := writeEvent(w, "change", e.Generation, changeOf(e)); err != nil {
			return from, err
		}
		from = e.Generation
	}
	return from, nil
}

// writeTrial writes which change is on trial, if it is another than was told; 0 = none. It returns
// what is told now. The event has no ID: a stream goes on by changes.
func (s *Server) writeTrial(w io.Writer, told int) (int, error) {
	trial, now, err := s.onTrial()
	if err != nil || now == told {
		return told, err
	}
	_, err = fmt.Fprintf(w, "event: trial\ndata: %s\n", marshal(Trials{trial}))
	return now, err
}

// writeEvent writes one event.
func writeEvent(w io.Writer, kind string, id int, data any) error {
	_, err := fmt.Fprintf(w, "event: %s\nid: %d\ndata: %s\n", kind, id, marshal(data))
	return err
}

// await waits for news, and ends a stream whose client may not ask any more.
func (s *Server) await(ctx context.Context, r *request, w io.Writer,
	changed <-chan struct{}) error {
	alive := time.NewTimer(pulse)
	defer alive.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
	case <-alive.C:
		if _, err := io.WriteString(w, alivePulse); err != nil {
			return err
		}
	}
	return s.stillMay(r.who)
}

// alivePulse is a comment, which no client takes for an event.
const alivePulse = ": still here\n\n"

// writeStream sends a stream; each event is out at once.
func (s *Server) writeStream(w http.ResponseWriter, r *request, run stream) (int, error) {
	end, err := s.streams.open(r.who.How + " " + r.who.Name)
	if err != nil {
		return 0, err
	}
	defer end()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx passes it on at once
	w.WriteHeader(http.StatusOK)
	out := flushed{w, http.NewResponseController(w)}
	// the time to send a request does not bound its answer; writers without deadlines are of tests
	_ = out.control.SetReadDeadline(time.Time{})
	if _, err := io.WriteString(out, ": this is a stream of events\n\n"); err != nil {
		return http.StatusOK, nil //nolint:nilerr // the client is gone
	}
	ctx, stop := s.whileMay(r.Context(), r.who)
	defer stop()
	_ = run(ctx, out) // a stream ends as its client wants, or its token does
	return http.StatusOK, nil
}

// flushed sends each write at once, and gives a client that does not read it up.
type flushed struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (f flushed) Write(text []byte) (int, error) {
	_ = f.control.SetWriteDeadline(time.Now().Add(eventTime)) // writers without deadlines are of tests
	n, err := f.ResponseWriter.Write(text)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}

// OpenStreams is how many streams are open.
func (s *Server) OpenStreams() int {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	return s.streams.all
}
