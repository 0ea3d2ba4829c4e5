package api

import (
	"time"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/telemetry"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// This file is the JSON of v1, but for the policy (inforce.go). Servers and the client share it.
// Invariant: fields are added, never renamed.

// Version is the version of everything here: of the paths, and of the JSON behind them.
const Version = "v1"

// Status is one state of a daemon, as `portcullis status -o json` prints it.
type Status struct {
	Version string      `json:"version"` // [Version]
	State   agent.State `json:"state"`
	Since   time.Time   `json:"since"`   // when the state became this one
	Summary string      `json:"summary"` // the state, and why it is that, in one line of words
	// why the last turn did not succeed, or that the files cannot be read
	Error       string         `json:"error,omitempty"`
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
	// about the host's name and devices, and limits that are not in force
	Warnings []string `json:"warnings,omitempty"`

	// the policy on trial, or the one that was taken back and whose files are still in place
	Trial *history.Trial `json:"trial,omitempty"`

	DatabaseConnected bool `json:"database_connected"`
	SwitchConnected   bool `json:"switch_connected"`
}

// PolicyStatus says which policy is in force, and what was found when the files were read last.
type PolicyStatus struct {
	Source   string    `json:"source"` // path
	Digest   string    `json:"digest"` // of the policy in force: the same digest, the same content
	LoadedAt time.Time `json:"loaded_at"`
	// when the files were read last: then Errors and Warnings were found
	ReadAt    time.Time `json:"read_at"`
	Groups    int       `json:"groups"`
	Instances int       `json:"instances"` // of all hosts
	Errors    []string  `json:"errors,omitempty"`
	Warnings  []string  `json:"warnings,omitempty"`
	// rules, members and instances that are left out: the switch refuses flows of theirs, or they
	// cannot be compiled
	Refused []string `json:"refused,omitempty"`
	// the kept policy that is in force in the place of the files
	Kept agent.KeptStatus `json:"kept,omitzero"`
	// of the policy database, programmed at every port that can be; 0 = none yet, or files
	Generation int                `json:"generation,omitempty"`
	Database   policydb.Following `json:"database,omitzero"` // as of ReadAt
}

// PortStatus is one local port.
type PortStatus struct {
	Name     string `json:"name"`
	Identity string `json:"identity,omitempty"` // by which the policy database knows it
	// the name of its interface, where that is not the port's
	Interface string `json:"interface,omitempty"`
	Instance  string `json:"instance"`
	// its own, as policy files have them
	Addresses []string        `json:"addresses,omitempty"`
	Groups    []string        `json:"groups,omitempty"` // of its instance
	State     agent.PortState `json:"state"`
	Since     time.Time       `json:"since"` // when the state became this one, in this run
	Reason    string          `json:"reason,omitempty"`
	OFPort    uint32          `json:"ofport"` // 0 = none
	Zone      uint16          `json:"zone"`
	Epoch     uint32          `json:"epoch"`
}

// UplinkStatus is one port toward the physical network.
type UplinkStatus struct {
	Name   string `json:"name"`
	OFPort uint32 `json:"ofport"`           // 0 = it cannot be used
	Reason string `json:"reason,omitempty"` // why not, or that its device is gone or set down
}

// ApplyStatus is the last bundle.
type ApplyStatus struct {
	At      time.Time `json:"at"`
	Adds    int       `json:"adds"`
	Deletes int       `json:"deletes"`
	Seconds float64   `json:"seconds"`
	Error   string    `json:"error,omitempty"`
}

// Counters count since the start.
type Counters struct {
	Reloads       int `json:"reloads"`        // the files were read and were valid
	ReloadsFailed int `json:"reloads_failed"` // and were not
	Applies       int `json:"applies"`        // bundles that were acknowledged
	AppliesFailed int `json:"applies_failed"`
	DriftRepaired int `json:"drift_repaired"` // flows that somebody else had changed
}

// statusOf is a snapshot as the API has it. Each part is converted, so that one that has not the
// same fields as the agent's is no valid program.
func statusOf(s *agent.Snapshot) *Status {
	out := &Status{Version: Version, State: s.State, Since: s.Since,
		Summary: s.Summary, Error: s.Error, Bridge: s.Bridge, Host: s.Host,
		OVS: s.OVS, OVSWarnings: s.OVSWarnings,
		Revision: s.Revision, Policy: PolicyStatus(s.Policy), Flows: s.Flows,
		Apply: ApplyStatus(s.Apply), Counters: Counters(s.Counters),
		Warnings: s.Warnings, DatabaseConnected: s.DatabaseConnected,
		SwitchConnected: s.SwitchConnected}
	out.Ports = each(s.Ports, func(p agent.PortStatus) PortStatus { return PortStatus(p) })
	out.Uplinks = each(s.Uplinks,
		func(u agent.UplinkStatus) UplinkStatus { return UplinkStatus(u) })
	return out
}

// each converts a list; none stays none.
func each[From, To any](list []From, convert func(From) To) []To {
	if list == nil {
		return nil
	}
	out := make([]To, len(list))
	for i, v := range list {
		out[i] = convert(v)
	}
	return out
}

// Counts are what the switch has counted since the daemon began.
type Counts struct {
	Version string `json:"version"` // [Version]
	telemetry.Counts
}

// Connections are live connections of local ports.
type Connections struct {
	Version string `json:"version"` // [Version]
	// why there is no list; only where it is asked for again and again
	Error string `json:"error,omitempty"`
	telemetry.ConnectionList
}
