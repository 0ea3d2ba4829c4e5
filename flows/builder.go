package flows

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/digitalocean/go-openvswitch/ovs"
)

// Owner is the upper 16 bits of the cookie of every flow of ours.
const Owner uint16 = 0x5043

// Program is everything that a switch must hold for one policy: sorted, no two flows of one key.
type Program struct {
	Flows      []Flow
	Meters     []Meter     // that the flows name, by id
	ZoneLimits []ZoneLimit // by zone
	Unmetered  []string    // ports whose limits of packets are left out, because the switch has no meters for them
}

// String returns one line for each flow, and before them a comment for each limit: the same bytes for the same program.
func (p *Program) String() string {
	var b strings.Builder
	b.WriteString(limitText(p))
	for _, f := range p.Flows {
		b.WriteString(f.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// builder collects flows and holds each against the contract of its table. The first error sticks, so that stages read as plain lists.
type builder struct {
	tables map[TableID]Table
	flows  map[Key]Flow
	err    error
}

func newBuilder() *builder {
	b := &builder{tables: map[TableID]Table{}, flows: map[Key]Flow{}}
	for _, t := range Pipeline() {
		b.tables[t.ID] = t
		b.add(t.ID, 0, nil) // a miss is a drop
	}
	return b
}

// add puts a flow into a table; no action is a drop. Two flows of one key are an error unless they are the same.
func (b *builder) add(t TableID, priority uint16, match []ovs.Match, actions ...ovs.Action) {
	if b.err != nil {
		return
	}
	m, fields, err := matchText(match)
	b.fail(err)
	verbs, err := actionTexts(actions)
	b.fail(err)
	f := Flow{Table: uint8(t), Priority: priority, Match: m, Actions: strings.Join(verbs, ",")}
	if err := b.tables[t].permits(fields, verbs); err != nil {
		b.err = fmt.Errorf("table %d: flow %q: %w", t, f, err)
		return
	}
	if old, ok := b.flows[f.Key()]; ok && old.Actions != f.Actions {
		b.err = &ConflictError{A: old, B: f}
		return
	}
	b.flows[f.Key()] = f
}

// fail keeps the first error.
func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// ConflictError says that two different flows have one key, so that one would silently replace the other.
type ConflictError struct{ A, B Flow }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("two flows of one key:\n%s\n%s", e.A, e.B)
}

var errNoTable = errors.New("no such table in the pipeline")

// permits holds the fields and actions of a flow against the table's contract.
func (t Table) permits(fields, actions []string) error {
	if t.Name == "" {
		return errNoTable
	}
	for _, name := range fields {
		if !slices.Contains(t.Matches, name) {
			return fmt.Errorf("%s may not match %s", t.Name, name)
		}
	}
	for _, a := range actions {
		if err := t.permitsAction(a); err != nil {
			return err
		}
	}
	return nil
}

func (t Table) permitsAction(a string) error {
	if strings.HasPrefix(a, "conjunction(") {
		return nil
	}
	verb, rest, _ := strings.Cut(a, ":")
	var number TableID
	switch {
	case verb == "output":
		if t.Outputs == OutputsNone {
			return fmt.Errorf("%s may not output", t.Name)
		}
		return nil
	case verb == "meter":
		if t.Meters == "" {
			return fmt.Errorf("%s may not meter", t.Name)
		}
		return nil
	case verb == "set_field", verb == "move", verb == "pop":
		_, target, found := strings.Cut(rest, "->")
		if !found {
			target = rest
		}
		target, _, _ = strings.Cut(target, "[")
		if !slices.Contains(t.Writes, target) {
			return fmt.Errorf("%s may not write %s", t.Name, target)
		}
		return nil
	case verb == "push", verb == "drop", verb == "ct_clear", strings.HasPrefix(a, "ct(commit,"):
		return nil
	}
	if n, _ := fmt.Sscanf(a, "resubmit(,%d)", &number); n != 1 {
		if n, _ = fmt.Sscanf(a, "ct(table=%d,", &number); n != 1 {
			return fmt.Errorf("%s may not %s", t.Name, a)
		}
	}
	if !slices.Contains(t.Next, number) {
		return fmt.Errorf("%s may not go to table %d", t.Name, number)
	}
	return nil
}

// program sorts the flows and gives each its cookie.
func (b *builder) program() (*Program, error) {
	if b.err != nil {
		return nil, b.err
	}
	p := &Program{Flows: make([]Flow, 0, len(b.flows))}
	for _, f := range b.flows {
		p.Flows = append(p.Flows, f)
	}
	slices.SortFunc(p.Flows, compareFlow)
	taken := make(map[uint64]bool, len(p.Flows))
	for i := range p.Flows {
		p.Flows[i].Cookie = cookie(p.Flows[i].Key(), taken)
	}
	return p, nil
}

func compareFlow(a, b Flow) int {
	return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(b.Priority, a.Priority), strings.Compare(a.Match, b.Match))
}

// cookie returns the owner and 48 bits of a hash of the key. Of two keys with one hash the later in order gets the next free one.
func cookie(k Key, taken map[uint64]bool) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%d/%s", k.Table, k.Priority, k.Match)
	const low = 1<<48 - 1
	sum := h.Sum64()
	c := (sum ^ sum>>48) & low
	for taken[c] {
		c = (c + 1) & low
	}
	taken[c] = true
	return uint64(Owner)<<48 | c
}
