package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// databaseName is the name of Open vSwitch's database.
const databaseName = "Open_vSwitch"

// wire is the connection that transactions and the lock go by: JSON-RPC 1.0 as in RFC 7047, 4. libovsdb has no locks, and a lock is of
// the connection that asked for it, so that only a transaction on the same one can assert it.
type wire struct {
	conn net.Conn
	lock string        // the name of the lock; "" = none
	held chan struct{} // closed as soon as the lock is ours
	lost chan struct{} // closed when the connection, or the lock, is gone

	sending sync.Mutex
	out     *json.Encoder

	mu      sync.Mutex
	last    uint64 // number of the last request
	waiting map[uint64]chan message
	isHeld  bool
	err     error // why it was lost
}

// message is a request, an answer or a notification (RFC 7047, 4). An id that is null is a notification's.
type message struct {
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	ID     json.RawMessage `json:"id"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
}

// request is a message of ours that wants an answer.
type request struct {
	Method string `json:"method"`
	Params []any  `json:"params"`
	ID     uint64 `json:"id"`
}

// answer is what a request of the server's gets.
type answer struct {
	Result json.RawMessage `json:"result"`
	Error  any             `json:"error"`
	ID     json.RawMessage `json:"id"`
}

// errStolen says that the lock went to somebody who took it by force (RFC 7047, 4.1.10).
var errStolen = errors.New("the lock of the bridge was stolen")

// dial opens a wire to an endpoint that checkEndpoint admits.
func dial(ctx context.Context, endpoint, lock string) (*wire, error) {
	network, address, _ := strings.Cut(endpoint, ":")
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w := &wire{conn: conn, lock: lock, held: make(chan struct{}), lost: make(chan struct{}), out: json.NewEncoder(conn),
		waiting: map[uint64]chan message{}}
	go w.read()
	return w, nil
}

// read takes what the server sends until the connection ends.
func (w *wire) read() {
	in := json.NewDecoder(w.conn)
	for {
		var m message
		if err := in.Decode(&m); err != nil {
			w.end(err)
			return
		}
		switch m.Method {
		case "":
			w.deliver(m)
		case "echo":
			_ = w.send(answer{Result: m.Params, ID: m.ID}) // a connection that is broken is noticed above
		case "locked":
			w.hold()
		case "stolen":
			w.end(errStolen)
			return
		}
	}
}

// deliver hands an answer to who waits for it.
func (w *wire) deliver(m message) {
	var id uint64
	if json.Unmarshal(m.ID, &id) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if waiter, ok := w.waiting[id]; ok {
		delete(w.waiting, id)
		waiter <- m
	}
}

// hold notes that the lock is ours.
func (w *wire) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.isHeld {
		w.isHeld = true
		close(w.held)
	}
}

// end closes the connection, which gives the lock back. The first reason stays.
func (w *wire) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = fmt.Errorf("%w: %w", ErrNotConnected, err)
		close(w.lost)
		_ = w.conn.Close()
	}
}

// reason says why the wire was lost; nil while it is not.
func (w *wire) reason() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *wire) send(m any) error {
	w.sending.Lock()
	defer w.sending.Unlock()
	return w.out.Encode(m)
}

// call asks the server and reads its answer into result.
func (w *wire) call(ctx context.Context, method string, result any, params ...any) error {
	w.mu.Lock()
	w.last++
	id, answered := w.last, make(chan message, 1)
	w.waiting[id] = answered
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting, id)
	}()
	// A server that does not read holds up whoever writes: what is cut off in the middle ends the connection.
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetWriteDeadline(time.Unix(1, 0)) })
	err := w.send(request{Method: method, Params: params, ID: id})
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		w.end(err)
		return w.reason()
	}
	select {
	case m := <-answered:
		if len(m.Error) > 0 && string(m.Error) != "null" {
			return fmt.Errorf("%s: %s", method, m.Error)
		}
		return json.Unmarshal(m.Result, result)
	case <-w.lost:
		return w.reason()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take asks for the lock and says whether it is ours now. If it is not, the server remembers the wish: see held.
func (w *wire) take(ctx context.Context) (bool, error) {
	var reply struct {
		Locked bool `json:"locked"`
	}
	if err := w.call(ctx, "lock", &reply, w.lock); err != nil {
		return false, fmt.Errorf("take the lock: %w", err)
	}
	if reply.Locked {
		w.hold()
	}
	return reply.Locked, nil
}

// probe asks whether the server is still there.
func (w *wire) probe(ctx context.Context) error {
	var reply []string
	return w.call(ctx, "echo", &reply, "portcullis")
}
