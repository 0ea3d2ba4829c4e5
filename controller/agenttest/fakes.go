package agenttest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows/openflow"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// journal is what happened to the database and the switch, in order.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) write(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, fmt.Sprintf(format, args...))
}

func (j *journal) Take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := j.entries
	j.entries = nil
	return out
}

// Policy is policy files in memory.
type Policy struct {
	Mu      sync.Mutex
	text    string
	digest  string // of what was loaded last
	changed chan struct{}
	Slow    chan struct{}        // nil = not; else it is read when this is closed
	Partial bool                 // a file that went away is still read
	Spoil   func(*policy.Policy) // nil = not; else makes of it what no file can say
}

func newFakePolicy(text string) *Policy {
	return &Policy{text: text, changed: make(chan struct{}, 1)}
}

func (f *Policy) Load() (*policy.Policy, strictyaml.Warnings, error) {
	f.Mu.Lock()
	slow := f.Slow
	f.Mu.Unlock()
	if slow != nil {
		<-slow
	}
	f.Mu.Lock()
	defer f.Mu.Unlock()
	p, warnings, err := policyfile.Parse([]strictyaml.File{{Name: "policy.yaml",
		Data: []byte(f.text)}})
	if err == nil && f.Spoil != nil {
		f.Spoil(p)
	}
	if err == nil {
		f.digest = fmt.Sprintf("%x", sha256.Sum256([]byte(f.text)))
	}
	return p, warnings, err
}

func (f *Policy) Whole() bool {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return !f.Partial
}

func (f *Policy) Digest() string {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return f.digest
}

func (f *Policy) Changed() <-chan struct{} { return f.changed }

// Write replaces the files without telling anybody; set tells.
func (f *Policy) Write(text string) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.text = text
}

func (f *Policy) Set(text string) {
	f.Write(text)
	poke(f.changed)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Database is the rows, with an ovs-vswitchd that numbers ports at once unless it is told
// otherwise.
type Database struct {
	journal *journal
	changed chan struct{}

	mu       sync.Mutex
	Offline  bool
	Failing  error
	Snap     bridge.Snapshot
	Refused  map[string]string // ports that cannot be made
	Absent   map[string]string // ports without a number: the error, "" = not looked at yet
	Number   uint32            // last one given
	Ensures  atomic.Int64
	lastWant bridge.Desired
	Rival    func(map[string]bridge.Port) // changes rows right after us
}

func NewDatabase(j *journal) *Database {
	return &Database{journal: j, changed: make(chan struct{}, 1), Refused: map[string]string{},
		Absent: map[string]string{},
		Snap:   bridge.Snapshot{OVSVersion: "3.1.0", Ports: map[string]bridge.Port{}}}
}

func (f *Database) Changed() <-chan struct{} { return f.changed }

func (f *Database) Snapshot() (bridge.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Offline {
		return bridge.Snapshot{}, bridge.ErrNotConnected
	}
	out := f.Snap
	out.Ports = maps.Clone(f.Snap.Ports)
	return out, nil
}

func (f *Database) Ensure(_ context.Context, d bridge.Desired) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Ensures.Add(1)
	if f.Offline {
		return bridge.ErrNotConnected
	}
	if f.Failing != nil {
		return f.Failing
	}
	if d.Revision < f.Snap.Revision && f.Snap.Revision != d.Unbelieved {
		return bridge.ErrStaleRevision
	}
	var errs []error
	next := maps.Clone(f.Snap.Ports)
	maps.DeleteFunc(next, func(name string, p bridge.Port) bool {
		return p.Owned && !slices.ContainsFunc(d.Ports,
			func(w bridge.DesiredPort) bool { return w.Name == name })
	})
	for _, want := range d.Ports {
		if reason, ok := f.Refused[want.Name]; ok {
			errs = append(errs, &bridge.PortError{Port: want.Name, Reason: reason})
			continue
		}
		row, exists := next[want.Name]
		if !exists && want.OnlyAdopt {
			continue
		}
		if !exists {
			row = f.Numbered(bridge.Port{Name: want.Name, Owned: true})
		}
		row.Zone, row.Epoch, row.MAC, row.Instance, row.Unflushed = want.Zone, want.Epoch, want.MAC,
			want.Instance, want.Unflushed
		row.ForMAC, row.ForInstance = want.MAC, want.Instance
		next[want.Name] = row
	}
	if f.Rival != nil {
		f.Rival(next)
	}
	if !f.Snap.Bridge || f.Snap.Revision != d.Revision || !maps.Equal(next, f.Snap.Ports) {
		f.Snap.Bridge, f.Snap.Revision, f.Snap.Ports, f.Snap.LastZone = true, d.Revision, next,
			d.LastZone
		f.journal.write("database revision %d", d.Revision)
		poke(f.changed)
	}
	f.lastWant = d
	return errors.Join(errs...)
}

// Numbered is what ovs-vswitchd makes of a row.
func (f *Database) Numbered(row bridge.Port) bridge.Port {
	reason, absent := f.Absent[row.Name]
	row.Absent = strings.Contains(reason, "No such device")
	if row.Error = reason; absent {
		row.OFPort = 0
		return row
	}
	f.Number++
	row.OFPort = f.Number
	return row
}

// Edit changes the rows behind the controller's back, and tells.
func (f *Database) Edit(change func(*Database)) {
	f.mu.Lock()
	change(f)
	f.mu.Unlock()
	poke(f.changed)
}

// SetAbsent takes a port's device away, or brings it back with a new number.
func (f *Database) SetAbsent(name, reason string) {
	f.Edit(func(f *Database) {
		f.Absent[name] = reason
		if row, ok := f.Snap.Ports[name]; ok {
			f.Snap.Ports[name] = f.Numbered(row)
		}
	})
}

func (f *Database) SetPresent(name string) {
	f.Edit(func(f *Database) {
		delete(f.Absent, name)
		if row, ok := f.Snap.Ports[name]; ok {
			f.Snap.Ports[name] = f.Numbered(row)
		}
	})
}

// Row returns a port as the database holds it.
func (f *Database) Row(name string) bridge.Port {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Snap.Ports[name]
}

func (f *Database) Revision() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Snap.Revision
}

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
	if f.Longest > 0 && d.Len() > f.Longest {
		return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Reason: "OFPBFC_OUT_OF_BUNDLES"})
	}
	if full, ok := f.full(d); ok {
		return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Flow: full,
			Reason: "OFPFMFC_TABLE_FULL"})
	}
	for _, add := range d.Add {
		if f.Refusing != nil && f.Refusing(add) {
			return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Flow: add,
				Reason: "OFPBAC_BAD_TYPE"})
		}
		if f.refuses != "" && strings.Contains(add.Match.String(), f.refuses) {
			return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Flow: add,
				Reason: "OFPBMC_BAD_FIELD"})
		}
		if f.Lacks != nil && f.Lacks(add) {
			return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Flow: add,
				Reason: "OFPMMFC_INVALID_METER"})
		}
	}
	how := FaultNone
	if len(f.faults) > 0 {
		if how = f.faults[0]; len(f.faults) > 1 {
			f.faults = f.faults[1:]
		}
	}
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

// Wanted is what Ensure was asked for last.
func (f *Database) Wanted() bridge.Desired {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lastWant
}
