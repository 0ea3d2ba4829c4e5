package ofswitch

import (
	"context"
	"errors"
	"fmt"

	"github.com/portcullis/portcullis/flows/openflow"
)

// ErrUncertain is wrapped by an error that leaves it open whether the switch has made the changes of a bundle. After any other error it
// has made none.
var ErrUncertain = errors.New("it is not known whether the bundle was committed")

var errTooLong = errors.New("longer than an OpenFlow message")

// Send makes the changes of a delta on a switch, in one bundle: all of them, or none. The switch is named as for ovs-ofctl:
// "unix:/run/openvswitch/br-int.mgmt" or "tcp:192.0.2.1:6653". A delete takes the flow of its key, whatever its cookie and actions are.
//
// The messages are written while the switch reads them: what they need of memory does not grow with the delta.
func Send(ctx context.Context, target string, d openflow.Delta) error {
	return converse(ctx, target, func(c *conversation) error { return c.bundle(d) })
}

// bundle says all that there is to say about a bundle.
func (c *conversation) bundle(d openflow.Delta) error {
	c.pending = appendControl(c.pending, c.next(), openRequest)
	first := c.xid + 1
	if err := c.mod(openflow.DeleteStrict, d.Delete); err != nil {
		return c.named(err, first, d)
	}
	if err := c.mod(openflow.Add, d.Add); err != nil {
		return c.named(err, first, d)
	}
	// A bundle is committed without what was refused of it (ovs-vswitchd 3.1), so all answers are waited for.
	if err := c.settle(); err != nil {
		return c.named(err, first, d)
	}
	c.pending = appendControl(c.pending, c.next(), commitRequest)
	err := c.ask()
	if refused := new(RefusedError); err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return c.named(err, first, d)
}

// flowError says which flow of a bundle cannot be written as OpenFlow or, if it wraps a
// *[RefusedError], is refused by the switch.
type flowError struct {
	command uint8
	flow    openflow.Flow
	err     error
}

func (e *flowError) Error() string { return fmt.Sprintf("flow %s: %v", e.flow, e.err) }
func (e *flowError) Unwrap() error { return e.err }

// named adds to an error which flow it is about, if it is about one. first is the number of the first
// flow mod: the deletes are numbered from there on, and the adds behind them.
func (c *conversation) named(err error, first uint32, d openflow.Delta) error {
	refused, n := new(RefusedError), uint64(c.blamed)-uint64(first)
	switch adds := n - uint64(len(d.Delete)); {
	case !errors.As(err, &refused):
	case n < uint64(len(d.Delete)):
		return &flowError{openflow.DeleteStrict, d.Delete[n], err}
	case n < uint64(d.Len()):
		return &flowError{openflow.Add, d.Add[adds], err}
	}
	return err
}

// writeAt is how much is written in one go: each is a system call.
const writeAt = 64 << 10

// mod puts flow mods into the bundle.
func (c *conversation) mod(command uint8, list []openflow.Flow) error {
	const longest = 1<<16 - 1
	for _, f := range list {
		at := len(c.pending)
		var err error
		c.pending, err = appendBundled(c.pending, c.next(), command, f)
		if size := len(c.pending) - at; err == nil && size > longest {
			err = fmt.Errorf("%w: %d bytes", errTooLong, size)
		}
		if err != nil {
			return &flowError{command, f, err}
		}
		if len(c.pending) >= writeAt {
			if err := c.write(); err != nil {
				return err
			}
		}
	}
	return nil
}
