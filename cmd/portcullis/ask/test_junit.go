package ask

import (
	"bytes"
	"encoding/xml"
	"io"

	"github.com/portcullis/portcullis/flows/assertion"
)

// The results of test as JUnit's XML, in the part of it that machines for continuous integration
// read alike: suites of cases, a file of assertions is a suite.

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

func printJUnit(w io.Writer, all []tested) error {
	out := junitSuites{Name: "portcullis test"}
	out.Tests, out.Failures = numbers(all)
	for _, f := range all {
		s := junitSuite{Name: f.file, Time: "0"}
		s.Tests, s.Failures = numbers([]tested{f})
		for _, r := range f.results {
			s.Cases = append(s.Cases, caseOf(f.file, r))
		}
		out.Suites = append(out.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func caseOf(file string, r assertion.Result) junitCase {
	out := junitCase{Name: r.Text, Class: file, File: file, Line: r.At.Line, Time: "0"}
	if r.Name != "" {
		out.Name = r.Name + ": " + r.Text
	}
	if !r.Holds {
		var text bytes.Buffer
		newPage(&text).result(r, false)
		out.Failure = &junitFailure{Message: r.Findings[0].What, Type: "assertion", Text: text.String()}
	}
	return out
}
