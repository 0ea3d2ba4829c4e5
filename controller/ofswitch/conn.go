package ofswitch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/flows/openflow"
)

// This file is a connection on which we ask and the switch answers. Bundles, meters, packets,
// settings and what listens use it. Invariant: only the first refusal counts, and none is lost.

var (
	errTarget   = errors.New("the target must be unix:PATH or tcp:HOST:PORT")
	errGone     = errors.New("the switch ended the conversation")
	errAnswer   = errors.New("an answer that is not understood")
	errProtocol = errors.New("the switch does not speak OpenFlow 1.5: see protocols of the bridge")
)

// RefusedError is what the switch said against a message: the numbers of OpenFlow 1.5, section
// 7.5.4.
type RefusedError struct {
	Type, Code uint16
	message    []byte // whole
	words      string // of Open vSwitch for it; "" = they are not known
}

// Error gives the words, or else the numbers.
func (e *RefusedError) Error() string {
	if e.words != "" {
		return "the switch refuses a message: " + e.words
	}
	return "the switch refuses a message: error " + e.numbers()
}

// numbers are those of the specification; of an extension's error, behind which its own are, these
// and whose they are (nx_vendor_error of nicira-ext.h; OpenFlow 1.5, section 7.5.4.21).
func (e *RefusedError) numbers() string {
	const vendorError, experimenter = 0xb0c2, 0xffff
	body := message(e.message).body()
	switch {
	case e.Type == vendorError && len(body) >= 12:
		return fmt.Sprintf("%d.%d of vendor %#x", binary.BigEndian.Uint16(body[8:]),
			binary.BigEndian.Uint16(body[10:]), binary.BigEndian.Uint32(body[4:]))
	case e.Type == experimenter && len(body) >= 8:
		return fmt.Sprintf("%d of experimenter %#x", e.Code, binary.BigEndian.Uint32(body[4:]))
	}
	return fmt.Sprintf("%d.%d", e.Type, e.Code)
}

// dial connects to a switch.
func dial(ctx context.Context, target string) (net.Conn, error) {
	network, address, _ := strings.Cut(target, ":")
	if network != "unix" && network != "tcp" {
		return nil, fmt.Errorf("%w: %s", errTarget, target)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, address)
}

// endWith has whatever waits for a connection end with ctx, until release is called.
func endWith(ctx context.Context, nc net.Conn) (release func() bool) {
	return context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
}

// ended tells the end of ctx where that is why something failed.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// conn is a connection in which we ask and the switch answers.
type conn struct {
	nc      net.Conn
	pending []byte // whole messages that are not written yet
	xid     uint32 // of the last message
	blamed  uint32 // the number of the message that was refused

	// has one slot: the first thing said against us, or the end of the conversation
	failed   chan failure
	answered chan uint32 // has one slot: the number of the request that was answered last

	// takes what the switch tells without being asked each time; nil = it tells nothing so. An
	// error ends the conversation.
	told func(*conn, message) (is bool, err error)
	over chan struct{} // closed when nothing more is heard
	why  error         // from then on
}

// failure is what was said against a message.
type failure struct {
	err     error
	message uint32 // its number; 0 = the conversation ended
}

// withConn says something to a switch, and ends the conversation.
func withConn(ctx context.Context, target string, say func(*conn) error) error {
	return withListener(ctx, target, nil, say)
}

// withListener is withConn for a conversation in which the switch tells, too: see [conn].
func withListener(ctx context.Context, target string, told func(*conn, message) (bool, error),
	say func(*conn) error) error {
	nc, err := dial(ctx, target)
	if err != nil {
		return ended(ctx, err)
	}
	c := &conn{nc: nc, failed: make(chan failure, 1), answered: make(chan uint32, 1),
		told: told, over: make(chan struct{})}
	var listening sync.WaitGroup
	listening.Go(c.listen)
	defer listening.Wait()
	defer nc.Close() // what was not committed is forgotten
	defer endWith(ctx, nc)()
	c.pending = appendHello(c.pending, c.next())
	return ended(ctx, say(c))
}

func (c *conn) next() uint32 {
	c.xid++
	return c.xid
}

// barrier waits until the switch has said all that it has to say against what it was told.
func (c *conn) barrier() error {
	c.pending = appendBarrier(c.pending, c.next())
	return c.await()
}

// write sends what is pending. The error is what the switch said, or else what we met.
func (c *conn) write() error {
	_, err := c.nc.Write(c.pending)
	c.pending = c.pending[:0]
	if err != nil {
		return c.said(err)
	}
	return nil
}

// said is what the switch said against us, or else err.
func (c *conn) said(err error) error {
	select {
	case refused := <-c.failed:
		return c.blamedFor(refused)
	default:
		return err
	}
}

// await sends what is pending, the last message of which is a request, and waits until that is
// answered.
func (c *conn) await() error {
	if err := c.write(); err != nil {
		return err
	}
	for {
		select {
		case number := <-c.answered:
			if number == c.xid {
				return c.said(nil) // it answers in order
			}
		case refused := <-c.failed:
			return c.blamedFor(refused)
		}
	}
}

func (c *conn) blamedFor(o failure) error {
	c.blamed = o.message
	return o.err
}

// listen reads what the switch says until the conversation ends.
func (c *conn) listen() {
	defer close(c.over)
	for c.why == nil {
		var m message
		if m, c.why = receive(c.nc); c.why == nil {
			c.why = c.handle(m)
		}
	}
	c.fail(failure{err: c.why})
}

// handle takes in a message of the switch. An error ends the conversation.
func (c *conn) handle(m message) error {
	if c.told != nil {
		if isTold, err := c.told(c, m); isTold || err != nil {
			return err
		}
	}
	if err := m.refusal(); err != nil {
		c.fail(failure{err, m.xid()})
	}
	if m.kind() == typeBarrierReply || m.isCommitted() {
		select {
		case <-c.answered: // nobody has waited for it
		default:
		}
		c.answered <- m.xid()
	}
	return nil
}

// fail notes what the switch said against us; only the first counts.
func (c *conn) fail(o failure) {
	select {
	case c.failed <- o:
	default:
	}
}

// message is one message, whole.
type message []byte

func (m message) kind() uint8  { return m[1] }
func (m message) xid() uint32  { return binary.BigEndian.Uint32(m[4:]) }
func (m message) body() []byte { return m[headerSize:] }

// receive returns the next message. What asks whether we are there is answered.
func receive(nc net.Conn) (message, error) {
	for {
		m, err := readMessage(nc)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errGone, err)
		}
		if m.kind() != typeEchoRequest {
			return m, nil
		}
		m[1] = typeEchoReply
		_, _ = nc.Write(m) // who writes or reads next meets the error, too
	}
}

func readMessage(r io.Reader) (message, error) {
	head := make(message, headerSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	m := make(message, max(headerSize, binary.BigEndian.Uint16(head[2:])))
	copy(m, head)
	_, err := io.ReadFull(r, m.body())
	return m, err
}

// refusal is what a message says against us, if it does.
func (m message) refusal() error {
	const helloFailed = 0
	switch body := m.body(); {
	case m.kind() == typeHello && m[0] < openflow.Version:
		return errProtocol
	case m.kind() == typeError && len(body) >= 4:
		if kind := binary.BigEndian.Uint16(body); kind != helloFailed {
			return &RefusedError{Type: kind, Code: binary.BigEndian.Uint16(body[2:]), message: m}
		}
		return errProtocol
	}
	return nil
}

// isCommitted says whether a message says that a bundle was committed.
func (m message) isCommitted() bool {
	body := m.body()
	return m.kind() == typeBundleControl && len(body) >= 8 &&
		binary.BigEndian.Uint16(body[4:]) == commitReply
}

// request asks a switch one multipart request and hands each part of the answer to take.
func request(ctx context.Context, target string, kind uint16, body []byte,
	take func(body []byte) error) error {
	conn, err := dial(ctx, target)
	if err != nil {
		return ended(ctx, err)
	}
	defer conn.Close()
	defer endWith(ctx, conn)()
	const number, more = 2, 1
	if _, err := conn.Write(appendMultipart(appendHello(nil, 1), typeMultipartRequest, number, kind,
		body)); err != nil {
		return ended(ctx, err)
	}
	for {
		m, err := receive(conn)
		if err == nil {
			err = m.refusal()
		}
		if err != nil {
			return ended(ctx, err)
		}
		if m.kind() != typeMultipartReply || m.xid() != number {
			continue
		}
		part := m.body()
		if len(part) < multipartSize || binary.BigEndian.Uint16(part) != kind {
			return fmt.Errorf("%w: %x", errAnswer, m)
		}
		if err := take(part[multipartSize:]); err != nil {
			return err
		}
		if binary.BigEndian.Uint16(part[2:])&more == 0 {
			return nil
		}
	}
}
