package testnet

import (
	"encoding/json"
	"fmt"
	"time"
)

// Status is what the tests look at of `portcullis status -o json`.
type Status struct {
	State    string   `json:"state"`
	Error    string   `json:"error"`
	Revision uint32   `json:"revision"`
	Warnings []string `json:"warnings"`
	Known    []string `json:"ovs_warnings"` // of the release of Open vSwitch
	Policy   struct {
		Digest string   `json:"digest"`
		Errors []string `json:"errors"`

		Refused []string `json:"refused"`
		Kept    struct {
			Generation int `json:"generation"`
		} `json:"kept"`
	} `json:"policy"`
	Ports   []PortStatus `json:"ports"`
	Uplinks []PortStatus `json:"uplinks"`
	Apply   struct {
		Adds    int `json:"adds"`
		Deletes int `json:"deletes"`
	} `json:"last_apply"`
	Counters struct {
		Reloads       int `json:"reloads"`
		ReloadsFailed int `json:"reloads_failed"`
		Applies       int `json:"applies"`
		DriftRepaired int `json:"drift_repaired"`
	} `json:"counters"`
}

// PortStatus is one port of a status.
type PortStatus struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Reason string `json:"reason"`
	OFPort uint32 `json:"ofport"`
	Zone   uint16 `json:"zone"`
	Epoch  uint32 `json:"epoch"`
}

// Port returns the status of a port or an uplink by its name; the zero PortStatus if there is none.
func (s Status) Port(name string) PortStatus {
	for _, p := range append(s.Ports, s.Uplinks...) {
		if p.Name == name {
			return p
		}
	}
	return PortStatus{}
}

// Status asks the daemon how things stand.
func (w *World) Status() (Status, error) {
	var s Status
	out, asked := w.Portcullis("status", "-o", "json") // 1 = not in sync, and told
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return s, fmt.Errorf("read the status: %w: %s: %w", err, out, asked)
	}
	return s, nil
}

// AwaitStatus asks again and again until the status is as it should be, and returns it.
func (w *World) AwaitStatus(ok func(Status) bool) (Status, error) {
	for deadline := time.Now().Add(Slowed(patience)); ; time.Sleep(poll) {
		s, err := w.Status()
		if err == nil && ok(s) {
			return s, nil
		}
		if time.Now().After(deadline) {
			return s, fmt.Errorf("the status is not as expected after %s: %+v, %w",
				Slowed(patience), s, err)
		}
	}
}
