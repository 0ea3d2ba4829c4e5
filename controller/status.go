package controller

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/bridge"
)

// StatusVersion is the version of [Status] as JSON, and of the API that serves it.
const StatusVersion = "v1"

// State says in one word how things stand.
type State string

// The states, from the first to the worst.
const (
	StateStarting State = "starting" // nothing was programmed in this run yet
	StateInSync   State = "in sync"  // the switch holds the program of the policy in force, for every port that can be programmed
	StatePending  State = "pending"  // a port waits for Open vSwitch
	StateDegraded State = "degraded" // something failed and is tried again, or the policy's files are not valid
)

// PortState says what became of one port.
type PortState string

// The states of a port.
const (
	PortApplied PortState = "applied" // the policy in force is programmed
	PortPending PortState = "pending" // it will be; Reason says what it waits for
	PortError   PortState = "error"   // it cannot be programmed until somebody repairs what Reason says; it passes nothing
)

// Status is one state of a controller. It is never changed after it was published.
type Status struct {
	Version     string         `json:"version"` // StatusVersion
	State       State          `json:"state"`
	Error       string         `json:"error,omitempty"` // why the last turn did not succeed, or that the files cannot be read
	Bridge      string         `json:"bridge"`
	Host        string         `json:"host"`
	OVS         string         `json:"ovs_version"`            // of Open vSwitch; "" = not known
	OVSWarnings []string       `json:"ovs_warnings,omitempty"` // what is known against this version
	Revision    uint32         `json:"revision"`
	Policy      PolicyStatus   `json:"policy"`
	Ports       []PortStatus   `json:"ports"`   // the local ones, by name
	Uplinks     []UplinkStatus `json:"uplinks"` // as in the settings
	Flows       int            `json:"flows"`   // of the program that the switch is known to hold
	Apply       ApplyStatus    `json:"last_apply"`
	Counters    Counters       `json:"counters"`
	Warnings    []string       `json:"warnings,omitempty"` // about the host's name and devices, and limits that are not in force

	DatabaseConnected bool `json:"database_connected"`
	SwitchConnected   bool `json:"switch_connected"`

	checked uint64         // the last request to read the policy that Policy answers
	shows   bool           // flows of some port show what they deny
	policy  *policy.Policy // in force, as Policy tells of it; nil = none yet
	took    took           // of the turn that this is the result of
	running flows.Input    // what the switch is known to run; the zero Input = nothing is known
	validAt time.Time      // when the files were read last and were valid
}

// PolicyStatus says which policy is in force, and what was found when the files were read last.
type PolicyStatus struct {
	Source    string    `json:"source"` // path
	Digest    string    `json:"digest"` // of the policy in force: the same digest, the same content
	LoadedAt  time.Time `json:"loaded_at"`
	ReadAt    time.Time `json:"read_at"` // when the files were read last: then Errors and Warnings were found
	Groups    int       `json:"groups"`
	Instances int       `json:"instances"` // of all hosts
	Errors    []string  `json:"errors,omitempty"`
	Warnings  []string  `json:"warnings,omitempty"`
	Refused   []string  `json:"refused,omitempty"` // rules, members and instances that are left out: the switch refuses flows of theirs, or they cannot be compiled
}

// PortStatus is one local port.
type PortStatus struct {
	Name     string    `json:"name"`
	Instance string    `json:"instance"`
	State    PortState `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	OFPort   uint32    `json:"ofport"` // 0 = none
	Zone     uint16    `json:"zone"`
	Epoch    uint32    `json:"epoch"`

	since uint32 // connections of earlier epochs are another's
}

// UplinkStatus is one port toward the physical network.
type UplinkStatus struct {
	Name   string `json:"name"`
	OFPort uint32 `json:"ofport"`           // 0 = it cannot be used
	Reason string `json:"reason,omitempty"` // why not, or that its device is gone
}

// ApplyStatus is the last bundle.
type ApplyStatus struct {
	At      time.Time `json:"at"`
	Adds    int       `json:"adds"`
	Deletes int       `json:"deletes"`
	Seconds float64   `json:"seconds"`
	Error   string    `json:"error,omitempty"`
}

// took is what a turn spent its time on; 0 = there was no such step in it.
type took struct{ turn, reload, compile, apply time.Duration }

// Counters count since the start.
type Counters struct {
	Reloads       int `json:"reloads"`        // the files were read and were valid
	ReloadsFailed int `json:"reloads_failed"` // and were not
	Applies       int `json:"applies"`        // bundles that were acknowledged
	AppliesFailed int `json:"applies_failed"`
	DriftRepaired int `json:"drift_repaired"` // flows that somebody else had changed
}

// Settled says whether the policy in force is all that the files say and is programmed at every port that can be programmed. A port
// that Open vSwitch could not open, because its device is missing, does not count; one that it has not looked at yet does.
func (s *Status) Settled() bool {
	return s.Error == "" && len(s.Policy.Errors) == 0 && s.State == StateInSync
}

// status puts together how things stand after a turn.
func (r *reconciler) status(failure error) *Status {
	s := &Status{Version: StatusVersion, Bridge: r.opts.Bridge, Host: r.opts.Site.Host, OVS: r.ovs, Policy: r.policyStat,
		Flows: r.held.flows, Apply: r.apply, Counters: r.counters, Warnings: slices.Concat(r.guards.warnings(), r.limits.warnings(), r.warnings(), r.zones.warnings()),
		OVSWarnings: versionWarnings(r.ovs),
		checked:     r.ticket, policy: r.policy, took: r.took,
		DatabaseConnected: !errors.Is(failure, bridge.ErrNotConnected), SwitchConnected: r.link.isUp()}
	s.Policy.Source = r.opts.Source
	if r.policy != nil {
		s.Policy.Refused = append(r.poison.told(r.policy), r.unfit.told()...)
	}
	if s.Error = r.loading.lateness(); failure != nil {
		s.Error = failure.Error()
	}
	if r.plan != nil {
		s.Revision, s.shows = r.plan.revision, r.plan.showsDenied()
		done := r.done
		if !r.held.known {
			done = flows.Input{}
		}
		s.Ports = r.plan.status(done, failure)
		s.running = done
	}
	for _, name := range r.opts.Uplinks {
		s.Uplinks = append(s.Uplinks, uplinkStatus(name, r))
	}
	s.State = s.state(r.isDone)
	return s
}

func (s *Status) state(isDone bool) State {
	switch {
	case !isDone:
		return StateStarting
	case s.Error != "" || len(s.Policy.Errors) > 0 || len(s.Policy.Refused) > 0:
		return StateDegraded
	}
	for _, p := range s.Ports {
		if p.State == PortPending {
			return StatePending
		}
	}
	return StateInSync
}

func uplinkStatus(name string, r *reconciler) UplinkStatus {
	row, ok := r.rows[name]
	u := UplinkStatus{Name: name, OFPort: row.OFPort}
	switch {
	case !ok:
		u.Reason = "it is not a port of the bridge"
	case row.Error != "":
		u.Reason = row.Error
	case row.OFPort == 0:
		u.Reason = "Open vSwitch has not given it a port number yet"
	}
	return u
}

// board shows the latest status.
type board struct {
	mu     sync.Mutex
	status *Status
	next   chan struct{} // closed when there is a newer one

	latencies latencies // of all that were published
}

func newBoard(first *Status) *board {
	return &board{status: first, next: make(chan struct{}), latencies: newLatencies()}
}

func (b *board) publish(s *Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latencies.observe(s.took)
	s.validAt = b.status.validAt
	if s.Counters.Reloads > b.status.Counters.Reloads {
		s.validAt = s.Policy.ReadAt
	}
	b.status = s
	close(b.next)
	b.next = make(chan struct{})
}

func (b *board) read() (*Status, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status, b.next
}

// await returns the first status for which ok holds, or the last one and ctx's error.
func (b *board) await(ctx context.Context, ok func(*Status) bool) (*Status, error) {
	for {
		status, next := b.read()
		if ok(status) {
			return status, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return status, ctx.Err()
		}
	}
}
