package benchfleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A raw client of ovsdb-server: JSON-RPC (RFC 7047, 4) without a copy of anything. The scenes hold
// thousands of them, and count what is on the wire. Invariant: what it costs is the server's and
// the wire's cost, not that of a host.

// wire is one connection.
type wire struct {
	conn     net.Conn
	onUpdate func(update json.RawMessage, at time.Time) // parameters of an update3; nil = nobody asks
	received atomic.Int64                               // bytes
	lost     chan struct{}                              // closed when the connection is gone

	sending sync.Mutex
	mu      sync.Mutex
	last    int
	waiting map[int]chan message // nil = the connection is gone
}

// message is what the server sends.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// object is an object of JSON, such as an operation.
type object map[string]any

var errLost = errors.New("the connection is lost")

// backlog is how long a client waits where too many connect to a socket at one time: the kernel
// refuses then, and does not let anybody wait.
const backlog = 10 * time.Millisecond

// dial connects to an endpoint, as clients call it.
func dial(ctx context.Context, endpoint string,
	heard func(json.RawMessage, time.Time)) (*wire, error) {
	network, address, _ := strings.Cut(endpoint, ":")
	for {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if errors.Is(err, syscall.EAGAIN) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(backlog):
				continue
			}
		}
		if err != nil {
			return nil, fmt.Errorf("connect to the database: %w", err)
		}
		w := &wire{conn: conn, onUpdate: heard, lost: make(chan struct{}),
			waiting: map[int]chan message{}}
		go w.receive()
		return w, nil
	}
}

// Read counts what is received.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.conn.Read(p)
	w.received.Add(int64(n))
	return n, err
}

func (w *wire) close() { _ = w.conn.Close() }

// receive takes what the server sends until the connection ends.
func (w *wire) receive() {
	defer close(w.lost)
	for in := json.NewDecoder(w); ; {
		var m message
		if in.Decode(&m) != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, waiting := range w.waiting {
				close(waiting)
			}
			w.waiting = nil
			return
		}
		at := time.Now()
		switch {
		case m.Method == "echo":
			_ = w.send(object{"id": m.ID, "result": m.Params, "error": nil})
		case m.Method != "":
			if w.onUpdate != nil {
				w.onUpdate(m.Params, at)
			}
		default:
			w.deliver(m)
		}
	}
}

func (w *wire) deliver(m message) {
	var id int
	_ = json.Unmarshal(m.ID, &id) // what is no number is an answer to nobody
	w.mu.Lock()
	defer w.mu.Unlock()
	if waiting := w.waiting[id]; waiting != nil {
		delete(w.waiting, id)
		waiting <- m
	}
}

func (w *wire) send(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write a request: %w", err)
	}
	w.sending.Lock()
	defer w.sending.Unlock()
	_, err = w.conn.Write(text)
	return err
}

// call asks the server for something.
func (w *wire) call(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	answer := make(chan message, 1)
	w.mu.Lock()
	if w.waiting == nil {
		w.mu.Unlock()
		return nil, errLost
	}
	w.last++
	id := w.last
	w.waiting[id] = answer
	w.mu.Unlock()
	if params == nil {
		params = []any{}
	}
	if err := w.send(object{"id": id, "method": method, "params": params}); err != nil {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	select {
	case m, ok := <-answer:
		if !ok {
			return nil, errLost
		}
		if len(m.Error) > 0 && !bytes.Equal(m.Error, []byte("null")) {
			return nil, fmt.Errorf("%s: %s", method, m.Error)
		}
		return m.Result, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// echo asks for nothing.
func (w *wire) echo(ctx context.Context) error {
	_, err := w.call(ctx, "echo", "x")
	return err
}

// answer is what an operation of a transaction comes to.
type answer struct {
	Error   string           `json:"error"`
	Details string           `json:"details"`
	Rows    []map[string]any `json:"rows"`
}

// transact makes one transaction; what is wrong with an operation is an error.
func (w *wire) transact(ctx context.Context, database string, operations ...object) ([]answer,
	error) {
	params := []any{database}
	for _, o := range operations {
		params = append(params, o)
	}
	text, err := w.call(ctx, "transact", params...)
	if err != nil {
		return nil, err
	}
	var out []*answer
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("read an answer: %w", err)
	}
	answers := make([]answer, len(out))
	for n, a := range out {
		if a == nil {
			return nil, fmt.Errorf("operation %d was not reached", n)
		}
		if answers[n] = *a; a.Error != "" {
			return nil, fmt.Errorf("operation %d: %s: %s", n, a.Error, a.Details)
		}
	}
	return answers, nil
}

// elements are those of a set or a reference, as columns have them; one alone stands for itself.
func elements(column any) []string {
	list, ok := column.([]any)
	if !ok {
		return []string{fmt.Sprint(column)}
	}
	if len(list) != 2 || list[0] != "set" {
		return []string{fmt.Sprint(list[len(list)-1])}
	}
	var out []string
	for _, element := range list[1].([]any) {
		out = append(out, elements(element)...)
	}
	return out
}

// set and reference write them.
func set[T any](list ...T) any  { return []any{"set", list} }
func reference(uuid string) any { return []any{"uuid", uuid} }

// at is the condition of one row; any other has the server look at the whole table.
func at(uuid string) any { return []any{[]any{"_uuid", "==", reference(uuid)}} }
