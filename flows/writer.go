package flows

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/portcullis/portcullis/flows/openflow"
)

// writer writes the flows of one unit after another and holds each flow against the contract of its
// table. Within a unit the first error sticks, so that stages read as plain lists.
type writer struct {
	*index
	tables map[TableID]Table
	of     *origin // of what is added
	drops  *origin // of what is dropped there, if that is counted for nothing else; nil = no such yet
	flows  []ownedFlow
	at     map[openflow.Key]int // where in flows
	pages  []start              // that the flows begin
	err    error
}

// ownedFlow is a flow, and what it is of.
type ownedFlow struct {
	openflow.Flow
	of *origin
}

// work is what came of writing a unit.
type work struct {
	flows []ownedFlow
	pages []start
	err   error
}

func newWriter(x *index) *writer {
	w := &writer{index: x, tables: map[TableID]Table{}, of: &x.static.origin,
		at: map[openflow.Key]int{}}
	for _, t := range Pipeline() {
		w.tables[t.ID] = t
	}
	return w
}

const (
	// maxWriting is how many units are written before their flows are put into the program, so that
	// few flows are held twice.
	maxWriting = 4096
	// fewUnits are not worth a goroutine.
	fewUnits = 128
)

// writeUnits writes some units. Units read the index and change only themselves, so as many are
// written at a time as there are processors.
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
	r := u.record()
	r.origin.unit = u
	w.of, w.drops = &r.origin, nil
	w.flows, w.pages, w.err = w.flows[:0], nil, nil
	clear(w.at)
	if !r.out {
		u.write(w)
	}
	if w.err != nil {
		return work{err: w.err}
	}
	return work{flows: slices.Clone(w.flows), pages: w.pages}
}

// addAbout adds a flow that is about something in particular.
func (w *writer) addAbout(a about, t TableID, priority uint16, match []openflow.OXM,
	actions ...openflow.Action) {
	whole := w.of
	w.of = &origin{whole.unit, &a}
	w.add(t, priority, match, actions...)
	w.of = whole
}

// ofDropped is what a flow is of that drops packets. What the rules drop meets the verdict next,
// and is counted there.
func (w *writer) ofDropped(t TableID) *origin {
	if w.of.about != nil || t == tableEgressRules || t == tableIngressRules {
		return w.of
	}
	if w.drops == nil {
		w.drops = &origin{w.of.unit, &about{verdict: VerdictDropped}}
	}
	return w.drops
}

// add puts a flow into a table; no action is a drop. Two flows of one key are an error unless they
// are the same.
func (w *writer) add(t TableID, priority uint16, match []openflow.OXM, actions ...openflow.Action) {
	if w.tables[t].Pages == pagesOfPorts && len(actions) > w.capacity.list {
		w.addList(t, priority, match, actions)
		return
	}
	w.addOne(t, priority, match, actions)
}

func (w *writer) addOne(t TableID, priority uint16, match []openflow.OXM,
	actions []openflow.Action) {
	if w.err != nil {
		return
	}
	m, err := openflow.NewMatch(match...)
	w.fail(err)
	f := openflow.Flow{Table: uint8(t), Priority: priority, Match: m,
		Actions: openflow.NewActions(actions...)}
	if err := w.tables[t].permits(match, actions); err != nil {
		w.fail(fmt.Errorf("table %d: flow %q: %w", t, f, err))
		return
	}
	if w.capacity.refuses != nil {
		w.fail(w.capacity.refuses(w.of.unit, f))
	}
	of := w.of
	if len(actions) == 0 {
		of = w.ofDropped(t)
	}
	if n, ok := w.at[f.Key()]; !ok {
		w.at[f.Key()] = len(w.flows)
		w.flows = append(w.flows, ownedFlow{f, of})
	} else if w.flows[n].Actions != f.Actions {
		w.err = &ConflictError{A: w.flows[n].Flow, B: f}
	}
}

// fail keeps the first error.
func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// ConflictError says that two different flows have one key, so that one would silently replace the
// other.
type ConflictError struct{ A, B openflow.Flow }

// newConflict says the same whichever of the two was there first.
func newConflict(a, b openflow.Flow) *ConflictError {
	if a.Cookie = 0; a.Actions.Compact() > b.Actions.Compact() {
		a, b = b, a
	}
	return &ConflictError{A: a, B: b}
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("two flows of one key:\n%s\n%s", e.A, e.B)
}

var errNoTable = errors.New("no such table in the pipeline")

// permits holds the fields and actions of a flow against the table's contract.
func (t Table) permits(match []openflow.OXM, actions []openflow.Action) error {
	if t.Name == "" {
		return errNoTable
	}
	for _, m := range match {
		paged := t.Pages != "" && m.Field == RegPage || t.Pages == pagesOfRules && m.Field == RegFlags
		if !slices.Contains(t.Matches, m.Field) && !paged {
			return fmt.Errorf("%s may not match %s", t.Name, m.Field)
		}
	}
	for _, a := range actions {
		if err := t.permitsAction(a); err != nil {
			return err
		}
	}
	return nil
}

func (t Table) permitsAction(a openflow.Action) error {
	permitted, what := true, ""
	switch a := a.(type) {
	case openflow.Conjunction, openflow.Push, openflow.ClearTrack:
	case openflow.Output:
		permitted, what = t.Outputs != OutputsNone, "output"
		if a.Port == 0 || a.Port > lastOFPort {
			permitted, what = false, fmt.Sprintf("output to %d", a.Port)
		}
	case openflow.Meter:
		permitted, what = t.Meters != "", "meter"
	case openflow.Show:
		permitted, what = t.Shows != "", "show packets"
	case openflow.PopVLAN:
		permitted, what = t.ID == tableClassify, "take tags off"
	case openflow.SetField:
		permitted, what = t.writes(a.Field), "write "+a.Field.String()
	case openflow.Move:
		permitted, what = t.writes(a.To.Field), "write "+a.To.Field.String()
	case openflow.Pop:
		permitted, what = t.writes(a.Field), "write "+a.Field.String()
	case openflow.Resubmit:
		permitted, what = t.leadsTo(a.Table), fmt.Sprintf("go to table %d", a.Table)
	case openflow.Track:
		permitted = a.Table == openflow.NoTable || t.leadsTo(a.Table)
		what = fmt.Sprintf("go to table %d", a.Table)
	default:
		permitted, what = false, fmt.Sprintf("do %#v", a)
	}
	if !permitted {
		return fmt.Errorf("%s may not %s", t.Name, what)
	}
	return nil
}

func (t Table) writes(f openflow.Field) bool {
	return slices.Contains(t.Writes, f) || t.Pages != "" && f == RegPage
}

func (t Table) leadsTo(table uint8) bool {
	return slices.Contains(t.Next, TableID(table)) || t.Pages != "" && TableID(table) == t.ID
}
