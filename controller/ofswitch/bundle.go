package ofswitch

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/flows/openflow"
)

// This file changes flows, in one bundle. The installer and the agent's search call
// [Switch.Apply]. Invariant: after a *[RejectedError] the switch holds what it held.

// RejectedError says which flow the switch, or ovs-ofctl on its behalf, refused. The bundle was
// rolled back: nothing was changed.
type RejectedError struct {
	Flow   openflow.Flow // the zero Flow: the bundle as a whole
	Reason string        // as Open vSwitch puts it
}

// Error is the reason and the flow.
func (e *RejectedError) Error() string {
	if e.Flow == (openflow.Flow{}) {
		return "the switch refuses the bundle: " + e.Reason
	}
	return fmt.Sprintf("the switch refuses a flow: %s: %s", e.Reason, e.Flow)
}

// IsOfMeter says whether a flow was refused because of a meter that somebody else has deleted: not
// the flow is to blame.
func (e *RejectedError) IsOfMeter() bool { return strings.Contains(e.Reason, "METER") }

// Apply makes the changes in one bundle: packets see the flows before or those after, and if one
// change fails, none is made. Deletes come first, and each takes the one flow of its
// [openflow.Key], whatever its cookie and actions are. Nothing is assumed of the flows that delta
// does not name.
//
// Flows of others that match by fields that we do not know are deleted beforehand, by ovs-ofctl.
//
// The bundle is written while the switch reads it: what it needs of memory does not grow with it.
//
// An error other than *[RejectedError] leaves it open whether the bundle was committed: read the
// flows back.
func (s *Switch) Apply(ctx context.Context, delta openflow.Delta) error {
	if delta.Empty() {
		return nil
	}
	if err := s.send(ctx, delta); err != nil {
		return fmt.Errorf("bundle of %d deletes and %d adds: %w", len(delta.Delete), len(delta.Add),
			err)
	}
	return nil
}

// send makes the changes, and names what the switch refuses of them. What somebody else has put
// into our tables may match by fields that we do not know: ovs-ofctl deletes that beforehand.
func (s *Switch) send(ctx context.Context, delta openflow.Delta) error {
	err := s.bundle(ctx, delta)
	of, refused := new(flowError), new(RefusedError)
	if errors.As(err, &of) && !errors.As(err, &refused) && of.command == openflow.DeleteStrict {
		if delta.Delete, err = s.deleteForeign(ctx, delta.Delete); err == nil {
			err = s.bundle(ctx, delta)
		}
	}
	isOfFlow := errors.As(err, &of)
	reason := ""
	switch {
	case errors.As(err, &refused):
		reason = s.reasonOf(ctx, refused)
	case isOfFlow && of.command == openflow.Add:
		reason = of.err.Error()
	default:
		return err
	}
	switch {
	case !isOfFlow:
		return &RejectedError{Reason: reason}
	case of.command == openflow.Add:
		return &RejectedError{Flow: of.flow, Reason: reason}
	}
	return &RejectedError{Reason: reason + ": delete " + of.flow.String()}
}

// deleteForeign deletes the flows that we cannot write as OpenFlow, and returns the others.
func (s *Switch) deleteForeign(ctx context.Context, list []openflow.Flow) (ours []openflow.Flow,
	err error) {
	var lines []byte
	for _, f := range list {
		if _, err := openflow.AppendFlowMod(nil, 0, openflow.DeleteStrict, f); err == nil {
			ours = append(ours, f)
			continue
		}
		lines = append(f.Key().AppendText(append(lines, "delete_strict "...)), '\n')
	}
	// Without --no-names ovs-ofctl asks first for the names of all ports and tables, which takes
	// longer than a small bundle.
	_, err = s.run(ctx, bytes.NewReader(lines), "--no-names", "--bundle", "add-flows",
		s.opts.Target, "-")
	return ours, err
}

// reasonOf puts what the switch said against a message into the words of Open vSwitch, such as
// OFPFMFC_TABLE_FULL.
func (s *Switch) reasonOf(ctx context.Context, e *RefusedError) string {
	out, err := s.run(ctx, strings.NewReader(hex.EncodeToString(e.message)), "ofp-print", "-")
	line, _, _ := strings.Cut(string(out), "\n")
	if _, words, ok := strings.Cut(line, "): "); err == nil && ok {
		return words
	}
	return "error " + e.numbers()
}

// worded returns an error with the words of Open vSwitch for what the switch refused, if it did.
func (s *Switch) worded(ctx context.Context, err error) error {
	refused := new(RefusedError)
	if errors.As(err, &refused) {
		refused.words = s.reasonOf(ctx, refused)
	}
	return err
}

// ErrUncertain is wrapped by an error that leaves it open whether the switch has made the changes
// of a bundle. After any other error it has made none.
var ErrUncertain = errors.New("it is not known whether the bundle was committed")

var errTooLong = errors.New("longer than an OpenFlow message")

// Send makes the changes of a delta on a switch, in one bundle: all of them, or none. The switch is
// named as for ovs-ofctl: "unix:/run/openvswitch/br-int.mgmt" or "tcp:192.0.2.1:6653". A delete
// takes the flow of its key, whatever its cookie and actions are.
//
// The messages are written while the switch reads them: what they need of memory does not grow with
// the delta.
func Send(ctx context.Context, target string, d openflow.Delta) error {
	return withConn(ctx, target, func(c *conn) error { return c.bundle(d) })
}

// bundle makes the changes on the connection on which the switch is listened to, so that it does
// not tell us of them one by one; on one of their own if there is none. Nothing of a bundle that
// failed is left in a conversation that goes on.
func (s *Switch) bundle(ctx context.Context, d openflow.Delta) error {
	c := s.shared.lend()
	if c == nil {
		return Send(ctx, s.opts.Target, d)
	}
	defer s.shared.giveBack()
	defer endWith(ctx, c.nc)()
	err := c.bundle(d)
	if err != nil {
		c.discard()
	}
	return ended(ctx, err)
}

// discard has the switch forget a bundle, and us all that it said of that.
func (c *conn) discard() {
	request := appendBarrier(appendControl(c.pending[:0], c.next(), discardRequest), c.next())
	c.pending, c.blamed = c.pending[:0], 0
	if _, err := c.nc.Write(request); err != nil {
		return // the conversation is over
	}
	for number := c.xid - 1; number != c.xid; {
		select {
		case number = <-c.answered:
		case <-c.over:
			return
		}
	}
	select {
	case <-c.failed:
	default:
	}
}

// bundle says all that there is to say about a bundle.
func (c *conn) bundle(d openflow.Delta) error {
	c.pending = appendControl(c.pending, c.next(), openRequest)
	first := c.xid + 1
	if err := c.mod(openflow.DeleteStrict, d.Delete); err != nil {
		return c.nameFlow(err, first, d)
	}
	if err := c.mod(openflow.Add, d.Add); err != nil {
		return c.nameFlow(err, first, d)
	}
	// A bundle is committed without what was refused of it (ovs-vswitchd 3.1), so all answers are
	// waited for.
	if err := c.barrier(); err != nil {
		return c.nameFlow(err, first, d)
	}
	c.pending = appendControl(c.pending, c.next(), commitRequest)
	err := c.await()
	if refused := new(RefusedError); err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	return c.nameFlow(err, first, d)
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

// nameFlow adds to an error which flow it is about, if it is about one. first is the number of the
// first flow mod: the deletes are numbered from there on, and the adds behind them.
func (c *conn) nameFlow(err error, first uint32, d openflow.Delta) error {
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
func (c *conn) mod(command uint8, list []openflow.Flow) error {
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
