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
// Flows of others that match by fields that we do not know are deleted beforehand, by ovs-ofctl.
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
	if err := s.send(ctx, delta); err != nil {
		s.ledger.forget()
		return fmt.Errorf("bundle of %d deletes and %d adds: %w", len(delta.Delete), len(delta.Add), err)
	}
	return nil
}

// send makes the changes, and names what the switch refuses of them. What somebody else has put into
// our tables may match by fields that we do not know: ovs-ofctl deletes that beforehand.
func (s *Switch) send(ctx context.Context, delta openflow.Delta) error {
	err := Send(ctx, s.opts.Target, delta)
	of, refused := new(flowError), new(RefusedError)
	if errors.As(err, &of) && !errors.As(err, &refused) && of.command == openflow.DeleteStrict {
		if delta.Delete, err = s.deleteForeign(ctx, delta.Delete); err == nil {
			err = Send(ctx, s.opts.Target, delta)
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
func (s *Switch) deleteForeign(ctx context.Context, list []openflow.Flow) (ours []openflow.Flow, err error) {
	var lines []byte
	for _, f := range list {
		if _, err := openflow.AppendFlowMod(nil, 0, openflow.DeleteStrict, f); err == nil {
			ours = append(ours, f)
			continue
		}
		lines = append(f.Key().AppendText(append(lines, "delete_strict "...)), '\n')
	}
	// Without --no-names ovs-ofctl asks first for the names of all ports and tables, which takes longer than a small bundle.
	_, err = s.run(ctx, bytes.NewReader(lines), "--no-names", "--bundle", "add-flows", s.opts.Target, "-")
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
	return e.Error()
}

// address is what the switch's words for a flow mod, or for an event, say of its flow in any case.
type address struct {
	table  uint8
	cookie uint64
}

func addressOf(f openflow.Flow) address { return address{f.Table, f.Cookie} }
