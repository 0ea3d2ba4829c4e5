package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// connection speaks JSON-RPC 1.0 with the server, as in RFC 7047, 4. Rows, transactions and the
// lock go by one connection: a lock is of the connection that asked for it, and the server sends
// what a transaction changed before it says that it is done.
type connection struct {
	net    net.Conn
	idle   atomic.Int64  // the longest silence of the server, in nanoseconds; 0 = as long as it likes
	locked chan struct{} // closed as soon as the lock is ours
	lost   chan struct{} // closed when the connection, or the lock, is gone
	done   chan struct{} // closed when nothing more is received

	sending sync.Mutex
	out     *json.Encoder

	mu      sync.Mutex
	last    uint64 // number of the last request
	waiting map[uint64]func(message)
	// takes the parameters of an update; nil = none is expected
	update func(json.RawMessage) error
	// takes the next result as it comes, for who does not want to hold it whole; nil = nobody does
	stream   func(*json.Decoder) error
	isLocked bool
	err      error // why it was lost
}

// message is a request, an answer or a notification (RFC 7047, 4). An id that is null is a
// notification's.
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

// Why a connection ends.
var (
	errClosed = errors.New("closed")
	errStolen = errors.New("the lock was stolen") // by force (RFC 7047, 4.1.10)
)

func newConnection(conn net.Conn) *connection { return converse(conn, maxMessage) }

// converse takes no message with more bytes than longest.
func converse(conn net.Conn, longest int) *connection {
	c := &connection{net: conn, locked: make(chan struct{}), lost: make(chan struct{}),
		done: make(chan struct{}),
		out:  json.NewEncoder(conn), waiting: map[uint64]func(message){}}
	go c.receive(longest)
	return c
}

// receive takes what the server sends, one message after the other, until the connection ends.
func (c *connection) receive(longest int) {
	defer close(c.done)
	from := &paced{conn: c.net, idle: &c.idle}
	in := json.NewDecoder(bufio.NewReaderSize(from, receiveBuffer))
	for {
		from.left = longest
		m, err := c.next(in)
		if err == nil {
			err = c.dispatch(m)
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// dispatch hands one message on; an error ends the connection.
func (c *connection) dispatch(m message) error {
	switch m.Method {
	case "":
		c.deliver(m)
	case "echo":
		_ = c.send(answer{Result: m.Params, ID: m.ID}) // what is broken is noticed by receive
	case "update2", "update3":
		c.mu.Lock()
		update := c.update
		c.mu.Unlock()
		if update != nil {
			return update(m.Params)
		}
	case "locked":
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.isLocked {
			c.isLocked = true
			close(c.locked)
		}
	case "stolen":
		return errStolen
	}
	return nil
}

// deliver hands an answer to who waits for it, if anybody still does.
func (c *connection) deliver(m message) {
	var id uint64
	if json.Unmarshal(m.ID, &id) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if take, ok := c.waiting[id]; ok {
		delete(c.waiting, id)
		take(m)
	}
}

// end closes the connection, which gives the lock back. The first reason stays.
func (c *connection) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = fmt.Errorf("%w: %w", ErrNotConnected, err)
		close(c.lost)
		_ = c.net.Close()
	}
}

// reason says why the connection was lost; nil while it is not.
func (c *connection) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *connection) send(m any) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.out.Encode(m)
}

// call asks the server and reads its answer into result.
func (c *connection) call(ctx context.Context, method string, result any, params ...any) error {
	read := func(answer json.RawMessage) error { return json.Unmarshal(answer, result) }
	return c.request(ctx, method, read, params...)
}

// request asks the server. The answer is read before any later message is taken, and not once
// request has returned.
func (c *connection) request(ctx context.Context, method string, read func(json.RawMessage) error,
	params ...any) error {
	answered := make(chan error, 1)
	c.mu.Lock()
	c.last++
	id := c.last
	c.waiting[id] = func(m message) {
		if len(m.Error) > 0 && string(m.Error) != "null" {
			answered <- &refusal{method, m.Error}
			return
		}
		answered <- read(m.Result)
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, id)
	}()
	if err := c.sendUntil(ctx, request{Method: method, Params: params, ID: id}); err != nil {
		c.end(err)
		return c.reason()
	}
	select {
	case err := <-answered:
		return err
	case <-c.lost:
		return c.reason()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeGrace is how much longer than who asks has time a message that is being sent may take: one
// that is cut off in the middle ends the connection, for all who use it.
const writeGrace = 2 * time.Second

// sendUntil sends a request. A server that does not read holds up whoever writes, so that it ends
// the connection some time after ctx; a server that reads does not, however short ctx is.
func (c *connection) sendUntil(ctx context.Context, m request) error {
	bounded := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(bounded)
		_ = c.net.SetWriteDeadline(time.Now().Add(writeGrace))
	})
	err := c.send(m)
	if !stop() {
		<-bounded
		_ = c.net.SetWriteDeadline(time.Time{})
	}
	return err
}

// probe asks whether the server is still there.
func (c *connection) probe(ctx context.Context) error {
	var reply []string
	return c.call(ctx, "echo", &reply, "portcullis")
}
