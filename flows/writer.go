package flows

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/digitalocean/go-openvswitch/ovs"
)

// writer writes the flows of one unit after another and holds each flow against the contract of its table. Within a unit the first error
// sticks, so that stages read as plain lists.
type writer struct {
	*index
	tables map[TableID]Table
	flows  []Flow
	at     map[Key]int // where in flows
	pages  []start     // that the flows begin
	err    error
}

// work is what came of writing a unit.
type work struct {
	flows []Flow
	pages []start
	err   error
}

func newWriter(x *index) *writer {
	w := &writer{index: x, tables: map[TableID]Table{}, at: map[Key]int{}}
	for _, t := range Pipeline() {
		w.tables[t.ID] = t
	}
	return w
}

const (
	// maxWriting is how many units are written before their flows are put into the program, so that few flows are held twice.
	maxWriting = 4096
	// fewUnits are not worth a goroutine.
	fewUnits = 128
)

// writeUnits writes some units. Units read the index and change only themselves, so as many are written
// at a time as there are processors.
func writeUnits(x *index, units []unit) []work {
	done := make([]work, len(units))
	writers := make([]*writer, min(runtime.GOMAXPROCS(0), 1+len(units)/fewUnits))
	var writing sync.WaitGroup
	for n := range writers {
		w, from, to := newWriter(x), n*len(units)/len(writers), (n+1)*len(units)/len(writers)
		writers[n] = w
		writing.Go(func() {
			for i := from; i < to; i++ {
				done[i] = w.unit(units[i])
			}
		})
	}
	writing.Wait()
	return done
}

// unit returns the flows of a unit: none if it cannot write one of them.
func (w *writer) unit(u unit) work {
	w.flows, w.pages, w.err = w.flows[:0], nil, nil
	clear(w.at)
	if !u.record().out {
		u.write(w)
	}
	if w.err != nil {
		return work{err: w.err}
	}
	return work{flows: slices.Clone(w.flows), pages: w.pages}
}

// add puts a flow into a table; no action is a drop. Two flows of one key are an error unless they are the same.
func (w *writer) add(t TableID, priority uint16, match []ovs.Match, actions ...ovs.Action) {
	if w.tables[t].Pages == pagesOfPorts && len(actions) > w.capacity.list {
		w.addList(t, priority, match, actions)
		return
	}
	w.addOne(t, priority, match, actions)
}

func (w *writer) addOne(t TableID, priority uint16, match []ovs.Match, actions []ovs.Action) {
	if w.err != nil {
		return
	}
	m, fields, err := matchText(match)
	w.fail(err)
	verbs, err := actionTexts(actions)
	w.fail(err)
	f := Flow{Table: uint8(t), Priority: priority, Match: m, Actions: strings.Join(verbs, ",")}
	if err := w.tables[t].permits(fields, verbs); err != nil {
		w.err = fmt.Errorf("table %d: flow %q: %w", t, f, err)
		return
	}
	if w.capacity.refuses != nil {
		w.fail(w.capacity.refuses(f))
	}
	if n, ok := w.at[f.Key()]; !ok {
		w.at[f.Key()] = len(w.flows)
		w.flows = append(w.flows, f)
	} else if w.flows[n].Actions != f.Actions {
		w.err = &ConflictError{A: w.flows[n], B: f}
	}
}

// fail keeps the first error.
func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// ConflictError says that two different flows have one key, so that one would silently replace the other.
type ConflictError struct{ A, B Flow }

// newConflict says the same whichever of the two was there first.
func newConflict(a, b Flow) *ConflictError {
	if a.Cookie = 0; a.Actions > b.Actions {
		a, b = b, a
	}
	return &ConflictError{A: a, B: b}
}

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
		paged := t.Pages != "" && name == regPage || t.Pages == pagesOfRules && name == regFlags
		if !slices.Contains(t.Matches, name) && !paged {
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
	case verb == "CONTROLLER":
		if t.Shows == "" {
			return fmt.Errorf("%s may not show packets", t.Name)
		}
		return nil
	case verb == "set_field", verb == "move", verb == "pop":
		_, target, found := strings.Cut(rest, "->")
		if !found {
			target = rest
		}
		target, _, _ = strings.Cut(target, "[")
		if !slices.Contains(t.Writes, target) && !(t.Pages != "" && target == regPage) {
			return fmt.Errorf("%s may not write %s", t.Name, target)
		}
		return nil
	case verb == "push", verb == "drop", verb == "ct_clear", verb == "pop_vlan" && t.ID == tableClassify, strings.HasPrefix(a, "ct(commit,"):
		return nil
	}
	if n, _ := fmt.Sscanf(a, "resubmit(,%d)", &number); n != 1 {
		if n, _ = fmt.Sscanf(a, "ct(table=%d,", &number); n != 1 {
			return fmt.Errorf("%s may not %s", t.Name, a)
		}
	}
	if !slices.Contains(t.Next, number) && !(t.Pages != "" && number == t.ID) {
		return fmt.Errorf("%s may not go to table %d", t.Name, number)
	}
	return nil
}
