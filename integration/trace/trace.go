package trace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/flowtest"
)

// ErrUntranslated is what a packet gets whose way through the tables is endless; the switch drops it.
var ErrUntranslated = errors.New("the switch could not translate the packet")

// Result is what a real switch would do to a packet.
type Result struct {
	Outputs []uint32 // OpenFlow port numbers, sorted, with repetitions
	Text    string   // what ofproto/trace said
}

// Trace asks the switch what it would do to a packet. Each ct(table=...) that the packet meets takes the next of the ctNext states
// ("trk,new"), in the order in which the copies are made, and "trk,new" behind the last; the tracker itself is not asked.
func (b *Bridge) Trace(ctx context.Context, p flowtest.Packet, ctNext ...string) (Result, error) {
	args := []string{"ofproto/trace", b.name, Spec(p)}
	for _, state := range ctNext {
		args = append(args, "--ct-next", state)
	}
	text, err := b.appctl(ctx, args...)
	if err != nil {
		return Result{}, fmt.Errorf("trace %s: %w", Spec(p), err)
	}
	outputs, err := parseTrace(text, b.ports)
	if err != nil {
		return Result{Text: text}, fmt.Errorf("trace %s: %w", Spec(p), err)
	}
	return Result{outputs, text}, nil
}

// parseTrace adds up the outputs of all passes of the packet through the tables: one line of datapath actions for each.
func parseTrace(text string, ports map[uint32]uint32) ([]uint32, error) {
	if strings.Contains(text, "Translation failed") {
		return nil, ErrUntranslated
	}
	const prefix = "Datapath actions: "
	var outputs []uint32
	passes := 0
	for _, line := range strings.Split(text, "\n") {
		actions, ok := strings.CutPrefix(line, prefix)
		if !ok {
			continue
		}
		passes++
		out, err := parseDatapath(actions, ports)
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", prefix, actions, err)
		}
		outputs = append(outputs, out...)
	}
	if passes == 0 {
		return nil, fmt.Errorf("no datapath actions in %q", text)
	}
	slices.Sort(outputs)
	return outputs, nil
}

// parseDatapath returns the outputs of one list of datapath actions (odp-actions in the source of Open vSwitch).
func parseDatapath(actions string, ports map[uint32]uint32) ([]uint32, error) {
	var outputs []uint32
	for _, action := range split(actions) {
		name, args, _ := strings.Cut(action, "(")
		switch name {
		case "drop", "ct", "ct_clear", "recirc", "set", "pop_vlan", "push_vlan":
			continue
		case "clone":
			inner, err := parseDatapath(strings.TrimSuffix(args, ")"), ports)
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
		port, ok := ports[uint32(number)]
		if !ok {
			return nil, fmt.Errorf("datapath port %d is not known", number)
		}
		outputs = append(outputs, port)
	}
	return outputs, nil
}

// split cuts at the commas outside parentheses.
func split(text string) []string {
	var parts []string
	depth, start := 0, 0
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, text[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, text[start:])
}
