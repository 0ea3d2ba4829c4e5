package openflow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/portcullis/portcullis/flows"
)

// ErrUncertain is wrapped by an error that leaves it open whether the switch has made the changes of a bundle. After any other error it
// has made none.
var ErrUncertain = errors.New("it is not known whether the bundle was committed")

var errTooLong = errors.New("longer than an OpenFlow message")

// Send makes the changes of a delta on a switch, in one bundle: all of them, or none. The switch is named as for ovs-ofctl:
// "unix:/run/openvswitch/br-int.mgmt" or "tcp:192.0.2.1:6653". A delete takes the flow of its key, whatever its cookie and actions are.
//
// The messages are written while the switch reads them: what they need of memory does not grow with the delta.
func Send(ctx context.Context, target string, d flows.Delta) error {
	conn, err := dial(ctx, target)
	if err != nil {
		return err
	}
	c := &conversation{conn: conn, refused: make(chan error, 1), answered: make(chan struct{}, 1)}
	var listening sync.WaitGroup
	listening.Go(c.listen)
	defer listening.Wait()
	defer conn.Close() // a bundle that was not committed is forgotten
	defer endWith(ctx, conn)()
	return ended(ctx, c.bundle(d))
}

// conversation is one with a switch, about one bundle.
type conversation struct {
	conn    net.Conn
	pending []byte // whole messages that are not written yet
	xid     uint32 // of the last message

	refused  chan error    // has one slot: the first thing said against us, or the end of the conversation
	answered chan struct{} // has one slot: the last request was answered
}

// bundle says all that there is to say about a bundle.
func (c *conversation) bundle(d flows.Delta) error {
	c.pending = appendHello(c.pending, c.next())
	c.pending = appendControl(c.pending, c.next(), openRequest)
	if err := c.mod(flowDeleteStrict, d.Delete); err != nil {
		return err
	}
	if err := c.mod(flowAdd, d.Add); err != nil {
		return err
	}
	// A bundle is committed without what was refused of it (ovs-vswitchd 3.1), so all answers are waited for.
	c.pending = appendBarrier(c.pending, c.next())
	if err := c.ask(); err != nil {
		return err
	}
	c.pending = appendControl(c.pending, c.next(), commitRequest)
	err := c.ask()
	if refused := new(RefusedError); err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return err
}

func (c *conversation) next() uint32 {
	c.xid++
	return c.xid
}

// writeAt is how much is written in one go: each is a system call.
const writeAt = 64 << 10

// mod puts flow mods into the bundle.
func (c *conversation) mod(command uint8, list []flows.Flow) error {
	const longest = 1<<16 - 1
	for _, f := range list {
		at := len(c.pending)
		var err error
		c.pending, err = appendBundled(c.pending, c.next(), command, f)
		if size := len(c.pending) - at; err == nil && size > longest {
			err = fmt.Errorf("%w: %d bytes", errTooLong, size)
		}
		if err != nil {
			return fmt.Errorf("flow %s: %w", f, err)
		}
		if len(c.pending) >= writeAt {
			if err := c.write(); err != nil {
				return err
			}
		}
	}
	return nil
}

// write sends what is pending. The error is what the switch said, or else what we met.
func (c *conversation) write() error {
	_, err := c.conn.Write(c.pending)
	c.pending = c.pending[:0]
	if err != nil {
		return c.said(err)
	}
	return nil
}

// said is what the switch said against us, or else err.
func (c *conversation) said(err error) error {
	select {
	case refused := <-c.refused:
		return refused
	default:
		return err
	}
}

// ask sends what is pending, the last message of which is a request, and waits until that is answered.
func (c *conversation) ask() error {
	if err := c.write(); err != nil {
		return err
	}
	select {
	case <-c.answered:
		return c.said(nil) // it answers in order
	case err := <-c.refused:
		return err
	}
}

// listen reads what the switch says until the conversation ends.
func (c *conversation) listen() {
	for {
		m, err := receive(c.conn)
		if err != nil {
			c.refuse(err)
			return
		}
		c.hear(m)
	}
}

// hear takes in a message of the switch.
func (c *conversation) hear(m message) {
	if err := m.refusal(); err != nil {
		c.refuse(err)
	}
	if m.kind() == typeBarrierReply || m.isCommitted() {
		select {
		case c.answered <- struct{}{}:
		default: // nobody asked
		}
	}
}

// refuse notes what the switch said against us; only the first counts.
func (c *conversation) refuse(err error) {
	select {
	case c.refused <- err:
	default:
	}
}
