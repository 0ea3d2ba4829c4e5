package ofswitch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/openflow"
)

// RejectedError says which flow the switch, or ovs-ofctl on its behalf, refused. The bundle was rolled back: nothing was changed.
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

// IsOfMeter says whether a flow was refused because of a meter that somebody else has deleted: not the
// flow is to blame.
func (e *RejectedError) IsOfMeter() bool { return strings.Contains(e.Reason, "METER") }

// Apply makes the changes in one bundle: packets see the flows before or those after, and if one change fails, none is made. Deletes
// come first, and each takes the one flow of its [openflow.Key], whatever its cookie and actions are. Nothing is assumed of the flows that
// delta does not name.
//
// The bundle is written while the switch reads it: what it needs of memory does not grow with it.
//
// An error other than *[RejectedError] leaves it open whether the bundle was committed: read the flows back.
func (s *Switch) Apply(ctx context.Context, delta openflow.Delta) error {
	if delta.Empty() {
		return nil
	}
	s.ledger.expect(delta.Delete, delta.Add)
	defer s.ledger.settle()
	err := Send(ctx, s.opts.Target, delta)
	if err != nil && !errors.Is(err, ErrUncertain) {
		err = s.applyByTool(ctx, delta, err)
	}
	if err != nil {
		s.ledger.forget()
		return fmt.Errorf("bundle of %d deletes and %d adds: %w", len(delta.Delete), len(delta.Add), err)
	}
	return nil
}

// applyByTool has ovs-ofctl make the changes, because we could not. It understands whatever somebody else may have put into our tables, and
// says which flow the switch refuses.
func (s *Switch) applyByTool(ctx context.Context, delta openflow.Delta, because error) error {
	s.opts.Log.WithError(because).Debug("the bundle is left to " + tool)
	// Without --no-names ovs-ofctl asks first for the names of all ports and tables, which takes longer than a small bundle.
	_, err := s.run(ctx, &bundle{delta: delta}, "--no-names", "--bundle", "add-flows", s.opts.Target, "-")
	if err == nil {
		return nil
	}
	err = explain(err, delta)
	if rejected := new(RejectedError); errors.As(err, &rejected) {
		return err
	}
	return fmt.Errorf("%w; without %s: %w", err, tool, because)
}

// bundle reads as the flow file of a delta, a line for each flow mod. Its lines are made as they are read.
type bundle struct {
	delta openflow.Delta
	next  int    // the first flow mod that was not begun
	line  []byte // what is left of the one before
	space []byte // of line
}

// Read fills p as far as there are lines: each write to the tool's standard input is a system call.
func (b *bundle) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(b.line) == 0 && !b.advance() {
			return n, io.EOF
		}
		copied := copy(p[n:], b.line)
		b.line, n = b.line[copied:], n+copied
	}
	return n, nil
}

// advance makes the next line, unless there is none.
func (b *bundle) advance() bool {
	line := b.space[:0]
	switch add := b.next - len(b.delta.Delete); {
	case add < 0:
		line = b.delta.Delete[b.next].Key().AppendText(append(line, "delete_strict "...))
	case add < len(b.delta.Add):
		line = b.delta.Add[add].AppendText(append(line, "add "...))
	default:
		return false
	}
	b.space = append(line, '\n')
	b.line = b.space
	b.next++
	return true
}

var (
	// refusedByTool is a line that ovs-ofctl itself cannot accept: `ovs-ofctl: -:3: unknown table "300"`.
	refusedByTool = regexp.MustCompile(`(?m)^ovs-ofctl: -:(\d+): (.*)$`)
	// refusedBySwitch is a flow mod that the switch cannot accept:
	// `Error OFPBAC_BAD_OUT_GROUP for: OFPT_FLOW_MOD (OF1.5) (xid=0x7): ADD table:3 priority=1,in_port=7 cookie:0x77 actions=group:7`.
	refusedBySwitch = regexp.MustCompile(`(?m)^Error (\S+) for: OFPT_FLOW_MOD \S+ \S+ \S+ (.*)$`)
	// refusedBundle is what the switch says against a bundle as a whole: `Error OFPBFC_BAD_ID for: OFPT_BUNDLE_CONTROL (OF1.5) (xid=0x8): …`.
	refusedBundle = regexp.MustCompile(`(?m)^Error (\S+) for: OFPT_BUNDLE_\S+ `)
	tableInMod    = regexp.MustCompile(`\btable:(\d+)`)
	cookieInMod   = regexp.MustCompile(`\bcookie:0x([0-9a-f]+)`)
)

// explain finds the flow that made a bundle fail in what ovs-ofctl said.
func explain(failure error, delta openflow.Delta) error {
	var command *commandError
	if !errors.As(failure, &command) {
		return failure
	}
	if m := refusedByTool.FindStringSubmatch(command.said); m != nil {
		line, _ := strconv.Atoi(m[1])
		return refusedLine(line, m[2], delta)
	}
	if m := refusedBySwitch.FindStringSubmatch(command.said); m != nil {
		for _, f := range delta.Add {
			if isMod(m[2], f) {
				return &RejectedError{Flow: f, Reason: m[1]}
			}
		}
		return &RejectedError{Reason: m[1] + ": " + m[2]} // a delete
	}
	if m := refusedBundle.FindStringSubmatch(command.said); m != nil {
		return &RejectedError{Reason: m[1]}
	}
	return failure
}

// refusedLine is about a line of the bundle, counted from 1.
func refusedLine(line int, reason string, delta openflow.Delta) error {
	switch add := line - 1 - len(delta.Delete); {
	case line >= 1 && add < 0:
		return fmt.Errorf("delete %s: %s", delta.Delete[line-1], reason)
	case line >= 1 && add < len(delta.Add):
		return &RejectedError{Flow: delta.Add[add], Reason: reason}
	}
	return fmt.Errorf("line %d: %s", line, reason)
}

// isMod says whether the switch's words for a flow mod are about a flow. Table 0 and cookie 0 are left out there.
func isMod(mod string, f openflow.Flow) bool {
	var table, cookie uint64
	head, _, _ := strings.Cut(mod, "actions=")
	if m := tableInMod.FindStringSubmatch(head); m != nil {
		table, _ = strconv.ParseUint(m[1], 10, 8)
	}
	if m := cookieInMod.FindStringSubmatch(head); m != nil {
		cookie, _ = strconv.ParseUint(m[1], 16, 64)
	}
	return addressOf(f) == address{uint8(table), cookie}
}

// address is what the switch's words for a flow mod, or for an event, say of its flow in any case.
type address struct {
	table  uint8
	cookie uint64
}

func addressOf(f openflow.Flow) address { return address{f.Table, f.Cookie} }
