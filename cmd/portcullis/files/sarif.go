package files

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What check finds in the form that code scanners read: SARIF 2.1.0 (OASIS), as far as it is used.

const sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/" +
	"sarif-schema-2.1.0.json"

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver sarifDriver `json:"driver"`
	} `json:"tool"`
	ColumnKind string        `json:"columnKind"`
	Results    []sarifResult `json:"results"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID    string     `json:"id"`
	Short sarifText  `json:"shortDescription"`
	Full  *sarifText `json:"fullDescription,omitempty"`
	Help  *sarifText `json:"help,omitempty"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID    string          `json:"ruleId"`
	RuleIndex int             `json:"ruleIndex"`
	Level     severity        `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations,omitempty"`
}

type sarifLocation struct {
	Physical sarifPhysical  `json:"physicalLocation"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	Artifact struct {
		URI string `json:"uri"`
	} `json:"artifactLocation"`
	Region *sarifRegion `json:"region,omitempty"`
}

type sarifRegion struct {
	StartLine   int `json:"startLine"`
	StartColumn int `json:"startColumn"`
}

// sarifLogical is the field within the file.
type sarifLogical struct {
	Name string `json:"fullyQualifiedName"`
}

// sarifOf returns a report as a log of one run.
func sarifOf(r *report, version string) *sarifLog {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{"Portcullis", version, sarifRules()}
	for _, f := range r.Findings {
		index := slices.IndexFunc(run.Tool.Driver.Rules,
			func(rule sarifRule) bool { return rule.ID == f.Rule })
		result := sarifResult{RuleID: f.Rule, RuleIndex: index, Level: f.Severity,
			Message: sarifText{f.Message}}
		if f.File != "" {
			result.Locations = []sarifLocation{f.location()}
		}
		run.Results = append(run.Results, result)
	}
	return &sarifLog{sarifSchema, "2.1.0", []sarifRun{run}}
}

// sarifRules describes what results refer to: kinds of mistakes, then the lints.
func sarifRules() []sarifRule {
	plain := func(id, text string) sarifRule { return sarifRule{ID: id, Short: sarifText{text}} }
	rules := []sarifRule{
		plain(ruleMistake, "The settings or the policy are not valid"),
		plain(ruleUnreadable, "A file cannot be read"),
		plain(ruleMisfit, "A port cannot be an instance's on this host"),
		plain(ruleLeftOut, "What cannot be compiled would be left out"),
		plain(ruleDoubt, "It is accepted, and hardly meant as it is written"),
		plain(ruleHost, "The policy seems to know this host by another name"),
	}
	for _, l := range Lints() {
		rules = append(rules, sarifRule{l.ID, sarifText{l.Title}, &sarifText{l.Why},
			&sarifText{l.WayOut}})
	}
	return rules
}

func (f finding) location() sarifLocation {
	var out sarifLocation
	out.Physical.Artifact.URI = uriOf(f.File)
	if f.Line > 0 && f.Column > 0 {
		out.Physical.Region = &sarifRegion{f.Line, f.Column}
	}
	if f.Field != "" {
		out.Logical = []sarifLogical{{f.Field}}
	}
	return out
}

// uriOf is the name of a file as a URI: relative to the current folder, which is the root of a
// repository where a code scanner runs; of a file elsewhere it is absolute.
func uriOf(file string) string {
	abs, err := filepath.Abs(file)
	if err != nil {
		return (&url.URL{Path: filepath.ToSlash(file)}).String()
	}
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, abs); err == nil && !strings.HasPrefix(rel, "..") {
			return (&url.URL{Path: filepath.ToSlash(rel)}).String()
		}
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String()
}
