package agenttest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// The fake of the bridge's rows in OVSDB: the loop writes zones and epochs to it, tests take
// devices away. A transaction is made whole, or not at all.

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
	next, err := f.rows(d)
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
	return err
}

// rows returns the rows as they are after a transaction, and which ports could not be made.
func (f *Database) rows(d bridge.Desired) (map[string]bridge.Port, error) {
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
	return next, errors.Join(errs...)
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

// Wanted is what Ensure was asked for last.
func (f *Database) Wanted() bridge.Desired {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lastWant
}
