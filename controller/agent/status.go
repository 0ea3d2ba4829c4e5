package agent

import (
	"errors"
	"slices"
	"time"

	"github.com/portcullis/portcullis/controller/advisory"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/ovsdb/bridge"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// This file is the snapshot: what the agent tells of itself after a turn. turn in sync.go makes
// it; telemetry and api read it. Invariant: a snapshot is never changed after it was published.

// State says in one word how things stand.
type State string

// The states, from the first to the worst.
const (
	StateStarting State = "starting" // nothing was programmed in this run yet
	// what the files say is in force, at every port that has a device
	StateInSync  State = "in sync"
	StatePending State = "pending" // a port waits for Open vSwitch
	// something failed and is tried again, a port that has a device cannot be programmed, something
	// is left out, or the policy's files are not valid
	StateDegraded State = "degraded"
)

// PortState says what became of one port.
type PortState string

// The states of a port.
const (
	PortApplied PortState = "applied" // the policy in force is programmed
	PortPending PortState = "pending" // it will be; Reason says what it waits for
	// there is no device: the machine is off. It is taken as soon as the device is there.
	PortAbsent PortState = "absent"
	// it cannot be programmed until somebody repairs what Reason says; it passes nothing
	PortError PortState = "error"
	// it is about to move here, and has no interface here yet
	PortStandby PortState = "standby"
	// it has left: the policy has it on another host, or is about to
	PortElsewhere PortState = "elsewhere"
)

// Snapshot is one state of an agent, for whoever reports on it. It is never changed after it was
// published.
type Snapshot struct {
	State       State
	Since       time.Time // when the state became this one
	Summary     string    // the state, and why it is that, in one line of words
	Error       string    // why the last turn did not succeed, or that the files cannot be read
	Bridge      string
	Host        string
	OVS         string   // of Open vSwitch; "" = not known
	OVSWarnings []string // what is known against this version
	Revision    uint32
	Policy      PolicyStatus
	Ports       []PortStatus   // the local ones, by name
	Uplinks     []UplinkStatus // as in the settings
	Flows       int            // of the program that the switch is known to hold
	Apply       ApplyStatus
	Counters    Counters
	Warnings    []string // about the host's name and devices, and limits that are not in force

	DatabaseConnected bool
	SwitchConnected   bool

	InForce *policy.Policy // as Policy tells of it; nil = none yet
	// what the switch is known to run; the zero Input = nothing is known
	Running     flows.Input
	OwnEpoch    map[string]uint32 // by port: connections of earlier epochs are another's
	ShowsDenied bool              // flows of some port show what they deny
	LogsDenied  map[string]bool   // ports of which that is to be logged
	ValidAt     time.Time         // when the files were read last and were valid

	ticket uint64 // the last request to read the policy that Policy answers
}

// PolicyStatus says which policy is in force, and what was found when the files were read last.
type PolicyStatus struct {
	Source    string // path
	Digest    string // of the policy in force: the same digest, the same content
	LoadedAt  time.Time
	ReadAt    time.Time // when the files were read last: then Errors and Warnings were found
	Groups    int
	Instances int // of all hosts
	Errors    []string
	Warnings  []string
	// rules, members and instances that are left out: the switch refuses flows of theirs, or they
	// cannot be compiled
	Refused []string
	Kept    KeptStatus
	// of the policy database, programmed at every port that can be; 0 = none yet, or files
	Generation int
	Database   policydb.Following // as of ReadAt
}

// KeptStatus says which kept policy is in force in the place of the files; the zero KeptStatus =
// the files' own, as they were last valid.
type KeptStatus struct {
	Generation int       `json:"generation"`
	Since      time.Time `json:"since"` // when it first came into force
}

// PortStatus is one local port.
type PortStatus struct {
	Name     string
	Identity string // by which the policy database knows it
	// the name of its interface, where that is not the port's
	Interface string
	Instance  string
	// its own, as policy files have them
	Addresses []string
	Groups    []string // of its instance
	State     PortState
	Since     time.Time // when the state became this one, as far as this run knows
	Reason    string    // why it is not applied, or that its device is set down and passes nothing
	OFPort    uint32    // 0 = none
	Zone      uint16
	Epoch     uint32
}

// UplinkStatus is one port toward the physical network.
type UplinkStatus struct {
	Name   string
	OFPort uint32 // 0 = it cannot be used
	Reason string // why not, or that its device is gone or set down
}

// ApplyStatus is the last bundle.
type ApplyStatus struct {
	At      time.Time
	Adds    int
	Deletes int
	Seconds float64
	Error   string
}

// Durations are what a turn spent its time on; 0 = there was no such step in it.
type Durations struct{ Turn, Reload, Compile, Apply time.Duration }

// Counters count since the start.
type Counters struct {
	Reloads       int // the files were read and were valid
	ReloadsFailed int // and were not
	Applies       int // bundles that were acknowledged
	AppliesFailed int
	DriftRepaired int // flows that somebody else had changed
}

// Settled says whether the policy in force is all that the files say and is programmed at every
// port that can be programmed. A port without a device does not count, nor does one that somebody
// has to repair, though the state is degraded then; one that Open vSwitch has not looked at yet
// does.
func (s *Snapshot) Settled() bool {
	return s.State != StateStarting && !s.isTroubled() && s.count(PortPending) == 0
}

// isTroubled says that something beside the ports is not as the files say.
func (s *Snapshot) isTroubled() bool {
	return s.Error != "" || len(s.Policy.Errors) > 0 || len(s.Policy.Refused) > 0
}

// count is how many ports are in a state.
func (s *Snapshot) count(state PortState) (n int) {
	for _, p := range s.Ports {
		if p.State == state {
			n++
		}
	}
	return n
}

// snapshot puts together how things stand after a turn.
func (r *reconciler) snapshot(failure error) *Snapshot {
	s := &Snapshot{Bridge: r.opts.Bridge, Host: r.opts.Site.Host, OVS: r.ovs, Policy: r.policyStat,
		Flows: r.installed.flows, Apply: r.lastApply, Counters: r.counters,
		Warnings: slices.Concat(r.guards.warnings(), r.installer.Warnings(), r.warnings(),
			r.zones.warnings()),
		OVSWarnings: advisory.Against(r.ovs),
		ticket:      r.ticket, InForce: r.policy, ValidAt: r.validAt,
		DatabaseConnected: !errors.Is(failure, bridge.ErrNotConnected),
		SwitchConnected:   r.watcher.isUp()}
	s.Policy.Source = r.opts.Source
	if failure == nil && r.isDone {
		r.policyStat.Generation = r.generation
		s.Policy.Generation = r.generation
	}
	if r.policy != nil {
		s.Policy.Refused = append(r.quarantine.describe(r.policy), r.uncompilable.describe()...)
	}
	if s.Error = r.loading.lateness(); failure != nil {
		s.Error = failure.Error()
	}
	if r.plan != nil {
		s.Revision, s.ShowsDenied = r.plan.revision, r.plan.showsDenied()
		s.LogsDenied = r.plan.logsDenied(r.opts.Site)
		done := r.done
		if !r.installed.known {
			done = flows.Input{}
		}
		s.Ports, s.OwnEpoch = r.plan.status(done, failure)
		s.Running = done
	}
	for _, name := range r.opts.Uplinks {
		s.Uplinks = append(s.Uplinks, uplinkStatus(name, r))
	}
	s.State = s.state(r.isDone)
	s.Summary = s.summary()
	s.date(r.ctl.Snapshot(), r.opts.Clock())
	return s
}

// date says since when things stand as they do, given how they stood before.
func (s *Snapshot) date(before *Snapshot, now time.Time) {
	if s.Since = now; before.State == s.State && !before.Since.IsZero() {
		s.Since = before.Since
	}
	known := make(map[string]PortStatus, len(before.Ports))
	for _, p := range before.Ports {
		known[p.Name] = p
	}
	for i, p := range s.Ports {
		s.Ports[i].Since = now
		if was, ok := known[p.Name]; ok && was.State == p.State {
			s.Ports[i].Since = was.Since
		}
	}
}

func (s *Snapshot) state(isDone bool) State {
	switch {
	case !isDone:
		return StateStarting
	case s.isTroubled() || s.count(PortError) > 0:
		return StateDegraded
	case s.count(PortPending) > 0:
		return StatePending
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
	default:
		u.Reason = downOf(name, row)
	}
	return u
}
