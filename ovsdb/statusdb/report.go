package statusdb

import (
	"time"
	"unicode/utf8"
)

// What a host says of itself. Writers take it, readers return it. Invariant: what does not fit a
// column is cut, never refused.

// State says what became of one port at one host.
type State string

// The states of a port.
const (
	Applied   State = "applied"   // the policy in force is programmed
	Pending   State = "pending"   // it will be
	Absent    State = "absent"    // its interface is not there: the machine is off
	Standby   State = "standby"   // it is about to move here and has no interface here yet
	Elsewhere State = "elsewhere" // it has left, or is about to: another host has it
	Error     State = "error"     // somebody has to repair what Reason says
)

// Port is one port at one host.
type Port struct {
	Name   string    `json:"name"` // of its row in the policy database
	State  State     `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"` // by the host's clock, as all times here
}

// Report is what a host says of itself.
type Report struct {
	Version      string // of Portcullis
	API          string // address and port where the API server asks it; "" = nowhere
	Generation   int    // in force; 0 = none
	GenerationAt time.Time
	Asked        int // the generation for which somebody waits, as far as the host knows
	PortsBound   int // those that are programmed
	Problems     map[string]string
	Ports        []Port
}

// Host is what one host said last.
type Host struct {
	Name         string            `json:"name"`
	Version      string            `json:"version,omitempty"`
	API          string            `json:"api,omitempty"`
	Generation   int               `json:"generation"`
	GenerationAt time.Time         `json:"generation_at,omitzero"`
	SeenAt       time.Time         `json:"seen_at,omitzero"` // when it last said anything
	PortsBound   int               `json:"ports_bound"`
	Problems     map[string]string `json:"problems,omitempty"`
	Ports        []Port            `json:"ports,omitempty"` // where they were asked for, by name

	endpoint string // at which it said so
}

// What the columns hold.
const (
	maxVersion  = 64
	maxAPI      = 64
	maxReason   = 255
	maxProblems = 100
)

// clipped cuts a text to so many characters.
func clipped(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// millis writes a time; the zero Time is 0.
func millis(t time.Time) int {
	if t.IsZero() {
		return 0
	}
	return int(t.UnixMilli())
}

// fromMillis reads it.
func fromMillis(n int) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n))
}
