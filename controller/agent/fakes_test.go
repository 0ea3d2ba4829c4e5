package agent_test

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
	"github.com/portcullis/portcullis/flows"
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

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := j.entries
	j.entries = nil
	return out
}

// fakePolicy is policy files in memory.
type fakePolicy struct {
	mu      sync.Mutex
	text    string
	digest  string // of what was loaded last
	changed chan struct{}
	slow    chan struct{}        // nil = not; else it is read when this is closed
	spoil   func(*policy.Policy) // nil = not; else makes of it what no file can say
}

func newFakePolicy(text string) *fakePolicy {
	return &fakePolicy{text: text, changed: make(chan struct{}, 1)}
}

func (f *fakePolicy) Load() (*policy.Policy, strictyaml.Warnings, error) {
	f.mu.Lock()
	slow := f.slow
	f.mu.Unlock()
	if slow != nil {
		<-slow
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, warnings, err := policyfile.Parse([]strictyaml.File{{Name: "policy.yaml", Data: []byte(f.text)}})
	if err == nil && f.spoil != nil {
		f.spoil(p)
	}
	if err == nil {
		f.digest = fmt.Sprintf("%x", sha256.Sum256([]byte(f.text)))
	}
	return p, warnings, err
}

func (f *fakePolicy) Digest() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.digest
}

func (f *fakePolicy) Changed() <-chan struct{} { return f.changed }

// write replaces the files without telling anybody; set tells.
func (f *fakePolicy) write(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text = text
}

func (f *fakePolicy) set(text string) {
	f.write(text)
	poke(f.changed)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fakeDatabase is the rows, with an ovs-vswitchd that numbers ports at once unless it is told otherwise.
type fakeDatabase struct {
	journal *journal
	changed chan struct{}

	mu       sync.Mutex
	offline  bool
	failing  error
	snap     bridge.Snapshot
	refused  map[string]string // ports that cannot be made
	absent   map[string]string // ports without a number: the error, "" = not looked at yet
	number   uint32            // last one given
	ensures  atomic.Int64
	lastWant bridge.Desired
	rival    func(map[string]bridge.Port) // changes rows right after us
}

func newFakeDatabase(j *journal) *fakeDatabase {
	return &fakeDatabase{journal: j, changed: make(chan struct{}, 1), refused: map[string]string{}, absent: map[string]string{},
		snap: bridge.Snapshot{OVSVersion: "3.1.0", Ports: map[string]bridge.Port{}}}
}

func (f *fakeDatabase) Changed() <-chan struct{} { return f.changed }

func (f *fakeDatabase) Snapshot() (bridge.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.offline {
		return bridge.Snapshot{}, bridge.ErrNotConnected
	}
	out := f.snap
	out.Ports = maps.Clone(f.snap.Ports)
	return out, nil
}

func (f *fakeDatabase) Ensure(_ context.Context, d bridge.Desired) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ensures.Add(1)
	if f.offline {
		return bridge.ErrNotConnected
	}
	if f.failing != nil {
		return f.failing
	}
	if d.Revision < f.snap.Revision && f.snap.Revision != d.Unbelieved {
		return bridge.ErrStaleRevision
	}
	var errs []error
	next := maps.Clone(f.snap.Ports)
	maps.DeleteFunc(next, func(name string, p bridge.Port) bool {
		return p.Owned && !slices.ContainsFunc(d.Ports, func(w bridge.DesiredPort) bool { return w.Name == name })
	})
	for _, want := range d.Ports {
		if reason, ok := f.refused[want.Name]; ok {
			errs = append(errs, &bridge.PortError{Port: want.Name, Reason: reason})
			continue
		}
		row, exists := next[want.Name]
		if !exists {
			row = f.numbered(bridge.Port{Name: want.Name, Owned: true})
		}
		row.Zone, row.Epoch, row.MAC, row.Instance, row.Unflushed = want.Zone, want.Epoch, want.MAC, want.Instance, want.Unflushed
		row.ForMAC, row.ForInstance = want.MAC, want.Instance
		next[want.Name] = row
	}
	if f.rival != nil {
		f.rival(next)
	}
	if !f.snap.Bridge || f.snap.Revision != d.Revision || !maps.Equal(next, f.snap.Ports) {
		f.snap.Bridge, f.snap.Revision, f.snap.Ports, f.snap.LastZone = true, d.Revision, next, d.LastZone
		f.journal.write("database revision %d", d.Revision)
		poke(f.changed)
	}
	f.lastWant = d
	return errors.Join(errs...)
}

// numbered is what ovs-vswitchd makes of a row.
func (f *fakeDatabase) numbered(row bridge.Port) bridge.Port {
	reason, absent := f.absent[row.Name]
	if row.Error = reason; absent {
		row.OFPort = 0
		return row
	}
	f.number++
	row.OFPort = f.number
	return row
}

// edit changes the rows behind the controller's back, and tells.
func (f *fakeDatabase) edit(change func(*fakeDatabase)) {
	f.mu.Lock()
	change(f)
	f.mu.Unlock()
	poke(f.changed)
}

// setAbsent takes a port's device away, or brings it back with a new number.
func (f *fakeDatabase) setAbsent(name, reason string) {
	f.edit(func(f *fakeDatabase) {
		f.absent[name] = reason
		if row, ok := f.snap.Ports[name]; ok {
			f.snap.Ports[name] = f.numbered(row)
		}
	})
}

func (f *fakeDatabase) setPresent(name string) {
	f.edit(func(f *fakeDatabase) {
		delete(f.absent, name)
		if row, ok := f.snap.Ports[name]; ok {
			f.snap.Ports[name] = f.numbered(row)
		}
	})
}

// row returns a port as the database holds it.
func (f *fakeDatabase) row(name string) bridge.Port {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snap.Ports[name]
}

func (f *fakeDatabase) revision() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snap.Revision
}

// fault is how a bundle fails.
type fault uint8

const (
	faultNone   fault = iota
	faultRefuse       // rolled back, and the switch says so
	faultBefore       // not committed, and nobody says so
	faultAfter        // committed, but the answer is lost
	faultStall        // no answer until the context ends; not committed
	faultVanish       // committed, and ovs-vswitchd ends before it says so
)

// fakeSwitch holds flows as a switch does: by key; deletes are by table and cookie.
type fakeSwitch struct {
	journal *journal

	mu       sync.Mutex
	held     map[flows.Key]flows.Flow
	prepared atomic.Bool
	down     chan struct{} // closed = not there
	touched  chan struct{} // somebody else has changed flows
	faults   []fault       // of the next bundles; the last one stays while it is not faultNone
	applies  atomic.Int64
	mods     int
	dumps    atomic.Int64
	onCommit func([]flows.Flow)
	refuses  string                // refuses flows that match so
	refusing func(flows.Flow) bool // or that are so; nil = none
	limits   map[uint8]int         // how many flows a table takes
	longest  int                   // how many mods a bundle may have; 0 = any number
	onApply  func()                // before a bundle is looked at
	lacks    func(flows.Flow) bool // names a meter that is not there
}

func newFakeSwitch(j *journal) *fakeSwitch {
	return &fakeSwitch{journal: j, held: map[flows.Key]flows.Flow{}, down: make(chan struct{}), touched: make(chan struct{}, 1)}
}

var errGone = errors.New("connection refused")

func (f *fakeSwitch) isDown() bool {
	select {
	case <-f.down:
		return true
	default:
		return false
	}
}

func (f *fakeSwitch) Prepare(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isDown() {
		return errGone
	}
	f.prepared.Store(true)
	return nil
}

func (f *fakeSwitch) Flows(context.Context) iter.Seq2[flows.Flow, error] {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dumps.Add(1)
	held, down := slices.Collect(maps.Values(f.held)), f.isDown()
	return func(yield func(flows.Flow, error) bool) {
		if down {
			yield(flows.Flow{}, errGone)
			return
		}
		for _, h := range held {
			if !yield(h, nil) {
				return
			}
		}
	}
}

func (f *fakeSwitch) Apply(ctx context.Context, d flows.Delta) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applies.Add(1)
	f.journal.write("bundle +%d -%d", len(d.Add), len(d.Delete))
	if f.isDown() {
		return errGone
	}
	if f.onApply != nil {
		f.onApply()
	}
	if f.longest > 0 && d.Len() > f.longest {
		return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Reason: "OFPBFC_OUT_OF_BUNDLES"})
	}
	if full, ok := f.full(d); ok {
		return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Flow: full, Reason: "OFPFMFC_TABLE_FULL"})
	}
	for _, add := range d.Add {
		if f.refusing != nil && f.refusing(add) {
			return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Flow: add, Reason: "OFPBAC_BAD_TYPE"})
		}
		if f.refuses != "" && strings.Contains(add.Match, f.refuses) {
			return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Flow: add, Reason: "OFPBMC_BAD_FIELD"})
		}
		if f.lacks != nil && f.lacks(add) {
			return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Flow: add, Reason: "OFPMMFC_INVALID_METER"})
		}
	}
	how := faultNone
	if len(f.faults) > 0 {
		if how = f.faults[0]; len(f.faults) > 1 {
			f.faults = f.faults[1:]
		}
	}
	switch how {
	case faultRefuse:
		return fmt.Errorf("bundle: %w", &ofswitch.RejectedError{Flow: flows.Flow{Actions: "drop"}, Reason: "OFPFMFC_UNKNOWN"})
	case faultBefore:
		return errors.New("talking to the switch: broken pipe")
	case faultStall:
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		return ctx.Err()
	}
	f.commit(d)
	switch how {
	case faultVanish:
		f.end()
		fallthrough
	case faultAfter:
		return errors.New("talking to the switch: end of file")
	}
	return nil
}

// full returns the first flow that finds no room: deletes make some, and what replaces a flow needs none.
func (f *fakeSwitch) full(d flows.Delta) (flows.Flow, bool) {
	used, held := map[uint8]int{}, maps.Clone(f.held)
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
		if limit, ok := f.limits[add.Table]; ok && used[add.Table] >= limit {
			return add, true
		}
		held[add.Key()], used[add.Table] = add, used[add.Table]+1
	}
	return flows.Flow{}, false
}

// limit has a table take as many flows as it holds and some more.
func (f *fakeSwitch) limit(table uint8, more int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for k := range f.held {
		if k.Table == table {
			n++
		}
	}
	f.limits = map[uint8]int{table: n + more}
}

// accept ends all refusals.
func (f *fakeSwitch) accept() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limits, f.longest, f.refuses, f.refusing, f.onApply = nil, 0, "", nil, nil
}

func (f *fakeSwitch) commit(d flows.Delta) {
	for _, del := range d.Delete {
		delete(f.held, del.Key())
	}
	for _, add := range d.Add {
		f.held[add.Key()] = add
	}
	f.mods += d.Len()
	if f.onCommit != nil {
		f.onCommit(slices.Collect(maps.Values(f.held)))
	}
}

func (f *fakeSwitch) Watch(ctx context.Context, changed func()) error {
	f.mu.Lock()
	down := f.down
	if f.isDown() {
		f.mu.Unlock()
		return errGone
	}
	select {
	case <-f.touched: // before anybody listened
	default:
	}
	f.mu.Unlock()
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

// stop ends ovs-vswitchd: the flows and the settings are lost.
func (f *fakeSwitch) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end()
}

func (f *fakeSwitch) end() {
	f.held = map[flows.Key]flows.Flow{}
	f.prepared.Store(false)
	close(f.down)
}

func (f *fakeSwitch) start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = make(chan struct{})
}

// operate is what an operator does by hand.
func (f *fakeSwitch) operate(change func(held map[flows.Key]flows.Flow)) {
	f.mu.Lock()
	change(f.held)
	f.mu.Unlock()
	poke(f.touched)
}

func (f *fakeSwitch) fail(faults ...fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = faults
}

// holds returns the flows, and how many mods it took so far.
func (f *fakeSwitch) holds() ([]flows.Flow, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.held)), f.mods
}

// refuse makes the switch refuse flows whose match has a part; "" = none.
func (f *fakeSwitch) refuse(part string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuses = part
}

// wanted is what Ensure was asked for last.
func (f *fakeDatabase) wanted() bridge.Desired {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lastWant
}
