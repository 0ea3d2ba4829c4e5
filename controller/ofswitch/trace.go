package ofswitch

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/openflow"
)

// This file reads what ofproto/trace answers. Invariant: a datapath action that is not
// understood is an error.

// ErrUntranslated is what a packet gets whose way through the tables is endless; the switch drops
// it.
var ErrUntranslated = errors.New("the switch could not translate the packet")

// TraceResult is what a switch would do to a packet.
type TraceResult struct {
	Outputs   []uint32 // OpenFlow port numbers of the bridge, sorted, with repetitions
	Elsewhere bool     // it also leaves by a port of another bridge, behind a patch port
	Text      string   // what ofproto/trace said
}

// Last returns the last flow that the packet met, as "table 53: reg1=0x2, priority 50", or "" if
// none is told.
func (r TraceResult) Last() string {
	last := ""
	for _, m := range tableLine.FindAllStringSubmatch(r.Text, -1) {
		last = "table " + m[1] + ": " + m[2]
	}
	return last
}

// tableLine is a flow in a trace: " 0. in_port=1,vlan_tci=0x0000/0x1fff, priority 100, cookie
// 0x5043…".
var tableLine = regexp.MustCompile(`(?m)^ *(\d+)\. (.*)$`)

// Trace asks the switch what it would do to a packet, in the text of [TraceSpec]. Each
// ct(table=...) that the packet meets takes the next of the ctNext states ("trk,new"), in the order
// in which the copies are made, and "trk,new" behind the last; the tracker itself is not asked.
func (b *Tracer) Trace(ctx context.Context, spec string, ctNext ...string) (TraceResult, error) {
	args := []string{"ofproto/trace", b.name, spec}
	for _, state := range ctNext {
		args = append(args, "--ct-next", state)
	}
	text, err := b.run(ctx, args...)
	if err != nil {
		return TraceResult{}, fmt.Errorf("trace %s: %w", spec, err)
	}
	outputs, elsewhere, err := parseTrace(text, b.ports)
	if err != nil {
		return TraceResult{Text: text}, fmt.Errorf("trace %s: %w", spec, err)
	}
	return TraceResult{outputs, elsewhere, text}, nil
}

// parseTrace adds up the outputs of all passes of the packet through the tables: one line of
// datapath actions for each.
func parseTrace(text string, ports ports) ([]uint32, bool, error) {
	if strings.Contains(text, "Translation failed") {
		return nil, false, ErrUntranslated
	}
	const prefix = "Datapath actions: "
	var outputs []uint32
	passes, elsewhere := 0, false
	for _, line := range strings.Split(text, "\n") {
		actions, ok := strings.CutPrefix(line, prefix)
		if !ok {
			continue
		}
		passes++
		numbers, err := parseDatapath(actions)
		if err != nil {
			return nil, false, fmt.Errorf("%s%s: %w", prefix, actions, err)
		}
		for _, n := range numbers {
			own, known := ports.own[n]
			switch {
			case known:
				outputs = append(outputs, own)
			case ports.others[n]:
				elsewhere = true
			default:
				return nil, false, fmt.Errorf("%s%s: datapath port %d is not known", prefix,
					actions, n)
			}
		}
	}
	if passes == 0 {
		return nil, false, fmt.Errorf("no datapath actions in %q", text)
	}
	slices.Sort(outputs)
	return outputs, elsewhere, nil
}

// parseDatapath returns the datapath's numbers of the ports that one list of datapath actions sends
// to (odp-actions in the source of Open vSwitch).
func parseDatapath(actions string) ([]uint32, error) {
	var outputs []uint32
	for _, action := range openflow.Split(actions) {
		name, args, _ := strings.Cut(action, "(")
		switch name {
		case "drop", "ct", "ct_clear", "recirc", "set", "pop_vlan", "push_vlan", "meter":
			continue
		// a denied packet is shown; for whatever else it is sent up, ovs-vswitchd decides
		case "userspace":
			if strings.Contains(args, "controller(reason=1,") {
				continue
			}
		case "clone":
			inner, err := parseDatapath(strings.TrimSuffix(args, ")"))
			if err != nil {
				return nil, err
			}
			outputs = append(outputs, inner...)
			continue
		}
		number, err := strconv.ParseUint(action, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("datapath action %q is not understood", action)
		}
		outputs = append(outputs, uint32(number))
	}
	return outputs, nil
}
