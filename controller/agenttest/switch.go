package agenttest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/openflow"
)

// The fake of the switch: the loop sends it bundles, tests have them fail in each of the ways that
// a real one does. A bundle is committed whole, or not at all.

// fault is how a bundle fails.
type fault uint8

const (
	FaultNone   fault = iota
	FaultRefuse       // rolled back, and the switch says so
	FaultBefore       // not committed, and nobody says so
	FaultAfter        // committed, but the answer is lost
	FaultStall        // no answer until the context ends; not committed
	FaultVanish       // committed, and ovs-vswitchd ends before it says so
)

// Switch holds flows as a switch does: by key; deletes are by table and cookie.
type Switch struct {
	journal *journal

	Mu       sync.Mutex
	Held     map[openflow.Key]openflow.Flow
	Prepared atomic.Bool
	Down     chan struct{} // closed = not there
	touched  chan struct{} // somebody else has changed flows
	faults   []fault       // of the next bundles; the last one stays while it is not faultNone
	Applies  atomic.Int64
	mods     int
	Dumps    atomic.Int64
	OnCommit func([]openflow.Flow)
	refuses  string                   // refuses flows that match so
	Refusing func(openflow.Flow) bool // or that are so; nil = none
	Limits   map[uint8]int            // how many flows a table takes
	Longest  int                      // how many mods a bundle may have; 0 = any number
	OnApply  func()                   // before a bundle is looked at
	Lacks    func(openflow.Flow) bool // names a meter that is not there
}

func newFakeSwitch(j *journal) *Switch {
	return &Switch{journal: j, Held: map[openflow.Key]openflow.Flow{}, Down: make(chan struct{}),
		touched: make(chan struct{}, 1)}
}

var errGone = errors.New("connection refused")

func (f *Switch) IsDown() bool {
	select {
	case <-f.Down:
		return true
	default:
		return false
	}
}

func (f *Switch) Prepare(context.Context) error {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	if f.IsDown() {
		return errGone
	}
	f.Prepared.Store(true)
	return nil
}

func (f *Switch) Flows(context.Context) iter.Seq2[openflow.Flow, error] {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Dumps.Add(1)
	held, down := slices.Collect(maps.Values(f.Held)), f.IsDown()
	return func(yield func(openflow.Flow, error) bool) {
		if down {
			yield(openflow.Flow{}, errGone)
			return
		}
		for _, h := range held {
			if !yield(h, nil) {
				return
			}
		}
	}
}

func (f *Switch) Apply(ctx context.Context, d openflow.Delta) error {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Applies.Add(1)
	f.journal.write("bundle +%d -%d", len(d.Add), len(d.Delete))
	if f.IsDown() {
		return errGone
	}
	if f.OnApply != nil {
		f.OnApply()
	}
	if rejected := f.rejects(d); rejected != nil {
		return fmt.Errorf("bundle: %w", rejected)
	}
	how := f.nextFault()
	switch how {
	case FaultRefuse:
		return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Flow: openflow.Flow{Priority: 1},
			Reason: "OFPFMFC_UNKNOWN"})
	case FaultBefore:
		return errors.New("talking to the switch: broken pipe")
	case FaultStall:
		f.Mu.Unlock()
		<-ctx.Done()
		f.Mu.Lock()
		return ctx.Err()
	}
	f.commit(d)
	switch how {
	case FaultVanish:
		f.end()
		fallthrough
	case FaultAfter:
		return errors.New("talking to the switch: end of file")
	}
	return nil
}

// rejects returns why the switch takes none of a bundle; nil = it takes all of it.
func (f *Switch) rejects(d openflow.Delta) *ofswitch.RejectedError {
	if f.Longest > 0 && d.Len() > f.Longest {
		return &ofswitch.RejectedError{Reason: "OFPBFC_OUT_OF_BUNDLES"}
	}
	if full, ok := f.full(d); ok {
		return &ofswitch.RejectedError{Flow: full, Reason: "OFPFMFC_TABLE_FULL"}
	}
	for _, add := range d.Add {
		switch {
		case f.Refusing != nil && f.Refusing(add):
			return &ofswitch.RejectedError{Flow: add, Reason: "OFPBAC_BAD_TYPE"}
		case f.refuses != "" && strings.Contains(add.Match.String(), f.refuses):
			return &ofswitch.RejectedError{Flow: add, Reason: "OFPBMC_BAD_FIELD"}
		case f.Lacks != nil && f.Lacks(add):
			return &ofswitch.RejectedError{Flow: add, Reason: "OFPMMFC_INVALID_METER"}
		}
	}
	return nil
}

// nextFault returns how the next bundle fails; the last of the faults stays.
func (f *Switch) nextFault() fault {
	if len(f.faults) == 0 {
		return FaultNone
	}
	next := f.faults[0]
	if len(f.faults) > 1 {
		f.faults = f.faults[1:]
	}
	return next
}

// full returns the first flow that finds no room: deletes make some, and what replaces a flow needs
// none.
func (f *Switch) full(d openflow.Delta) (openflow.Flow, bool) {
	used, held := map[uint8]int{}, maps.Clone(f.Held)
	for _, del := range d.Delete {
		delete(held, del.Key())
	}
	for k := range held {
		used[k.Table]++
	}
	for _, add := range d.Add {
		if _, replaces := held[add.Key()]; replaces {
			continue
		}
		if limit, ok := f.Limits[add.Table]; ok && used[add.Table] >= limit {
			return add, true
		}
		held[add.Key()], used[add.Table] = add, used[add.Table]+1
	}
	return openflow.Flow{}, false
}

// Limit has a table take as many flows as it holds and some more.
func (f *Switch) Limit(table uint8, more int) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	n := 0
	for k := range f.Held {
		if k.Table == table {
			n++
		}
	}
	f.Limits = map[uint8]int{table: n + more}
}

// Accept ends all refusals.
func (f *Switch) Accept() {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Limits, f.Longest, f.refuses, f.Refusing, f.OnApply = nil, 0, "", nil, nil
}

func (f *Switch) commit(d openflow.Delta) {
	for _, del := range d.Delete {
		delete(f.Held, del.Key())
	}
	for _, add := range d.Add {
		f.Held[add.Key()] = add
	}
	f.mods += d.Len()
	if f.OnCommit != nil {
		f.OnCommit(slices.Collect(maps.Values(f.Held)))
	}
}

func (f *Switch) Watch(ctx context.Context, changed func()) error {
	f.Mu.Lock()
	down := f.Down
	if f.IsDown() {
		f.Mu.Unlock()
		return errGone
	}
	select {
	case <-f.touched: // before anybody listened
	default:
	}
	f.Mu.Unlock()
	changed()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-down:
			return errors.New("end of file")
		case <-f.touched:
			changed()
		}
	}
}

// Stop ends ovs-vswitchd: the flows and the settings are lost.
func (f *Switch) Stop() {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.end()
}

func (f *Switch) end() {
	f.Held = map[openflow.Key]openflow.Flow{}
	f.Prepared.Store(false)
	close(f.Down)
}

func (f *Switch) Start() {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Down = make(chan struct{})
}

// Operate is what an operator does by hand.
func (f *Switch) Operate(change func(held map[openflow.Key]openflow.Flow)) {
	f.Mu.Lock()
	change(f.Held)
	f.Mu.Unlock()
	poke(f.touched)
}

func (f *Switch) Fail(faults ...fault) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.faults = faults
}

// Holds returns the flows, and how many mods it took so far.
func (f *Switch) Holds() ([]openflow.Flow, int) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return slices.Collect(maps.Values(f.Held)), f.mods
}

// Refuse makes the switch refuse flows whose match has a part; "" = none.
func (f *Switch) Refuse(part string) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.refuses = part
}
