package files

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// What check finds, for all of its formats.

// severity is how bad something is: mistakes fail always, warnings with --strict, notes never.
type severity string

const (
	asError   severity = "error"
	asWarning severity = "warning"
	asNote    severity = "note"
)

// The rules of what is no lint.
const (
	ruleMistake    = "mistake"    // the daemon refuses the files
	ruleUnreadable = "unreadable" // a file cannot be read
	ruleMisfit     = "misfit"     // the daemon takes no such port
	ruleLeftOut    = "left-out"   // it cannot be compiled
	ruleDoubt      = "doubt"      // it is accepted with a warning
	ruleHost       = "host"       // the policy seems to know this host by another name
)

// finding is one thing that is found.
type finding struct {
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Field    string   `json:"field,omitempty"` // such as groups[2].rules[0].ports
	Message  string   `json:"message"`
	Severity severity `json:"severity"`
	Rule     string   `json:"rule"`           // of the lint, or what kind of mistake it is
	Name     string   `json:"name,omitempty"` // of the group or instance
}

// report is the answer of check.
type report struct {
	Valid  bool `json:"valid"`  // the daemon accepts all of it
	Passed bool `json:"passed"` // and so does --strict, if it was asked for
	// What is in a valid policy.
	Networks  int    `json:"networks"` // with a name
	Groups    int    `json:"groups"`
	Instances int    `json:"instances"`
	Ports     int    `json:"ports"`          // of the host; without settings of all hosts
	Host      string `json:"host,omitempty"` // this one, if there are settings
	Hosts     int    `json:"hosts"`          // that the policy names
	Flows     int    `json:"flows"`          // of the host; without settings of the largest

	Findings []finding `json:"findings"`
	Running  *running  `json:"running,omitempty"` // with --against-running

	policy *policy.Policy // that was checked
}

// at places a finding.
func at(p policy.Position, field, message string, s severity, rule string) finding {
	return finding{File: p.File, Line: p.Line, Column: p.Column, Field: field, Message: message,
		Severity: s, Rule: rule}
}

func ofError(e strictyaml.Error, rule string) finding {
	return at(e.At, e.Field, e.Message, asError, rule)
}

// line is a finding for people. Mistakes have no rule there: they speak for themselves.
func (f finding) line() string {
	var parts []string
	if f.Severity == asWarning && (f.Rule == ruleDoubt || f.Rule == ruleHost) {
		parts = append(parts, "warning")
	}
	if f.File != "" {
		place := policy.Position{File: f.File, Line: f.Line, Column: f.Column}
		parts = append(parts, place.String())
	}
	if f.Field != "" {
		parts = append(parts, f.Field)
	}
	out := strings.Join(append(parts, f.Message), ": ")
	if f.isLint() {
		out += " [" + f.Rule + "]"
	}
	return out
}

func (f finding) isLint() bool {
	switch f.Rule {
	case ruleMistake, ruleUnreadable, ruleMisfit, ruleLeftOut, ruleDoubt, ruleHost:
		return false
	}
	return true
}

// values are what tells two warnings of one kind apart.
var values = regexp.MustCompile(`"(\\.|[^"\\])*"|[0-9][0-9a-fA-F.:/]*|\S*/\S*`)

// kind is what findings of one kind have in common: the lint, or the message without its values.
func (f finding) kind() string {
	if f.isLint() {
		return f.Rule
	}
	return values.ReplaceAllString(f.Message, "…")
}

// summary is the line about a valid policy.
func (r *report) summary() string {
	of := "on host " + r.Host
	switch {
	case r.Host == "" && r.Hosts == 0:
		of = "on every host"
	case r.Host == "":
		of = "on " + wording.Count(r.Hosts, "host")
	}
	return fmt.Sprintf("valid: %s, %s, %s %s, %s", wording.Count(r.Groups, "group"),
		wording.Count(r.Instances, "instance"), wording.Count(r.Ports, "port"), of,
		wording.Count(r.Flows, "flow"))
}
