package ofctl

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/portcullis/portcullis/flows"
)

// RejectedError says which flow the switch, or ovs-ofctl on its behalf, refused. The bundle was rolled back: nothing was changed.
type RejectedError struct {
	Flow   flows.Flow
	Reason string // as Open vSwitch puts it
}

// Error is the reason and the flow.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("the switch refuses a flow: %s: %s", e.Reason, e.Flow)
}

// Apply makes the changes in one bundle: packets see the flows before or those after, and if one change fails, none is made. Deletes
// come first.
//
// want is the whole program that the switch holds afterwards. A flow is deleted by its table and full cookie, because the library
// knows no strict delete; where a wanted flow has that same cookie (somebody copied it to a flow of his own) it is added again in the
// same bundle.
//
// An error other than *[RejectedError] leaves it open whether the bundle was committed: read the flows back.
func (s *Switch) Apply(ctx context.Context, delta flows.Delta, want []flows.Flow) error {
	if delta.Empty() {
		return nil
	}
	adds := append(sharingCookie(delta, want), delta.Add...)
	s.ledger.expect(delta.Delete, adds)
	defer s.ledger.settle()
	var failure error
	err := s.client(ctx, &failure).OpenFlow.AddFlowBundle(s.opts.Target, func(tx *ovs.FlowTransaction) error {
		for _, f := range delta.Delete {
			tx.Delete(&ovs.MatchFlow{Table: int(f.Table), Cookie: f.Cookie, CookieMask: ^uint64(0)})
		}
		for _, f := range adds {
			tx.Add(libraryFlow(f))
		}
		return tx.Commit()
	})
	if err != nil {
		s.ledger.forget()
		if failure != nil {
			err = explain(failure, delta.Delete, adds)
		}
		return fmt.Errorf("bundle of %d deletes and %d adds: %w", len(delta.Delete), len(adds), err)
	}
	return nil
}

// address is what a delete names.
type address struct {
	table  uint8
	cookie uint64
}

func addressOf(f flows.Flow) address { return address{f.Table, f.Cookie} }

// sharingCookie returns the wanted flows that the deletes would take along and that are not added anyway.
func sharingCookie(delta flows.Delta, want []flows.Flow) []flows.Flow {
	if len(delta.Delete) == 0 {
		return nil
	}
	deleted := make(map[address]bool, len(delta.Delete))
	for _, f := range delta.Delete {
		deleted[addressOf(f)] = true
	}
	added := make(map[flows.Key]bool)
	for _, f := range delta.Add {
		if deleted[addressOf(f)] {
			added[f.Key()] = true
		}
	}
	var shared []flows.Flow
	for _, f := range want {
		if deleted[addressOf(f)] && !added[f.Key()] {
			shared = append(shared, f)
		}
	}
	return shared
}

// libraryFlow puts a flow into the library's terms without loss: the match and the actions are handed through as text, because what
// the library can parse and print is less than what Open vSwitch knows.
func libraryFlow(f flows.Flow) *ovs.Flow {
	lib := &ovs.Flow{Table: int(f.Table), Priority: int(f.Priority), Cookie: f.Cookie, Actions: []ovs.Action{verbatim(f.Actions)}}
	if f.Match != "" {
		lib.Matches = []ovs.Match{verbatim(f.Match)}
	}
	return lib
}

// verbatim is a match or a list of actions that is text already.
type verbatim string

// MarshalText returns the text.
func (v verbatim) MarshalText() ([]byte, error) { return []byte(v), nil }

// GoString returns the text as a Go expression.
func (v verbatim) GoString() string { return fmt.Sprintf("ofctl.verbatim(%q)", string(v)) }

var (
	// refusedByTool is a line that ovs-ofctl itself cannot accept: `ovs-ofctl: -:3: unknown table "300"`.
	refusedByTool = regexp.MustCompile(`(?m)^ovs-ofctl: -:(\d+): (.*)$`)
	// refusedBySwitch is a flow mod that the switch cannot accept:
	// `Error OFPBAC_BAD_OUT_GROUP for: OFPT_FLOW_MOD (OF1.5) (xid=0x7): ADD table:3 priority=1,in_port=7 cookie:0x77 actions=group:7`.
	refusedBySwitch = regexp.MustCompile(`(?m)^Error (\S+) for: OFPT_FLOW_MOD \S+ \S+ \S+ (.*)$`)
	tableInMod      = regexp.MustCompile(`\btable:(\d+)`)
	cookieInMod     = regexp.MustCompile(`\bcookie:0x([0-9a-f]+)`)
)

// explain finds the flow that made a bundle fail in what ovs-ofctl said.
func explain(failure error, deletes, adds []flows.Flow) error {
	var command *commandError
	if !errors.As(failure, &command) {
		return failure
	}
	if m := refusedByTool.FindStringSubmatch(command.said); m != nil {
		line, _ := strconv.Atoi(m[1])
		if line > len(deletes) && line <= len(deletes)+len(adds) {
			return &RejectedError{Flow: adds[line-len(deletes)-1], Reason: m[2]}
		}
		return fmt.Errorf("line %d: %s", line, m[2])
	}
	if m := refusedBySwitch.FindStringSubmatch(command.said); m != nil {
		for _, f := range adds {
			if isMod(m[2], f) {
				return &RejectedError{Flow: f, Reason: m[1]}
			}
		}
		return fmt.Errorf("%s: %s", m[1], m[2])
	}
	return failure
}

// isMod says whether the switch's words for a flow mod are about a flow. Table 0 and cookie 0 are left out there.
func isMod(mod string, f flows.Flow) bool {
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
