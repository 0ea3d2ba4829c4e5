// Package assertionfile reads files with assertions about a policy, for the command test. It judges
// the form of a line, and does no I/O; whether a line holds says package assertion.
//
//	tests:
//	  - outside -> db-1 mysql denied
//	  - frontend -> backend mysql admitted
//	  - db-1: only frontend mysql, management ssh
//	  - {name: the office gets in, test: 198.51.100.0/24 -> mgmt-1 ssh admitted}
package assertionfile

import (
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/assertion"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// File is what a file says.
type File struct {
	Via   []string // the only kinds of way that are asked about; empty = all
	Tests []assertion.Test
}

// The keys of a file and of a test.
const (
	viaKey   = "via"
	testsKey = "tests"
	nameKey  = "name"
	testKey  = "test"
)

// Read reads one file. The error, if any, is of type [strictyaml.Errors] and holds every mistake.
func Read(f strictyaml.File) (File, error) {
	var out File
	var report strictyaml.Report
	read(f, &out, &report)
	if found, _ := report.Sorted(); len(found) > 0 {
		return File{}, found
	}
	return out, nil
}

func read(f strictyaml.File, out *File, report *strictyaml.Report) {
	root, ok := strictyaml.Document(f, report)
	if !ok {
		return
	}
	const example = "write tests: and below it lines such as '- outside -> db-1 mysql denied'"
	if root.IsEmpty() {
		report.Errorf(strictyaml.Location{Pos: policy.Position{File: f.Name, Line: 1, Column: 1}}, "the file has no content; %s",
			example)
		return
	}
	fields, ok := root.Fields(viaKey, testsKey)
	if !ok {
		return
	}
	if n, ok := fields[viaKey]; ok {
		out.Via = via(n)
	}
	list, ok := fields[testsKey]
	if !ok {
		root.Errorf("there are no tests; %s", example)
		return
	}
	entries, ok := list.EntriesLike("such as '- outside -> db-1 mysql denied'")
	if ok && len(entries) == 0 {
		list.Errorf("there are no tests; %s", example)
	}
	for _, e := range entries {
		out.Tests = append(out.Tests, test(e))
	}
}

func via(n strictyaml.Node) []string {
	switch word, _ := n.Text(); word {
	case "direct":
		return []string{explain.WayDirect}
	case "router":
		return []string{explain.WayRouted}
	default:
		n.Errorf("must be direct or router, the way between two instances")
	}
	return nil
}

// test reads one entry: a line, or a mapping of its name and it, or of an end and a list.
func test(n strictyaml.Node) assertion.Test {
	out := assertion.Test{At: n.Location().Pos}
	line := n
	if n.IsMapping() {
		if keys := n.Keys(); len(keys) == 1 && keys[0] != testKey && keys[0] != nameKey {
			return only(n, keys[0])
		}
		fields, ok := n.Fields(nameKey, testKey)
		if !ok {
			return out
		}
		if name, ok := fields[nameKey]; ok {
			out.Name, _ = name.Text()
		}
		if line, ok = fields[testKey]; !ok {
			n.Errorf("a test needs its line: test: outside -> db-1 mysql denied")
			return out
		}
	}
	text, ok := line.Text()
	if !ok {
		return out
	}
	return parse(out, line, text)
}

// only reads "db-1: only frontend mysql": who alone reaches an end.
func only(n strictyaml.Node, end string) assertion.Test {
	out := assertion.Test{At: n.Location().Pos}
	value := n.Field(end)
	text, ok := value.Text()
	if !ok {
		return out
	}
	if first, _, _ := strings.Cut(text, " "); first != "only" && first != "nobody" {
		value.Errorf("must be 'only' and a list, such as 'only frontend mysql, management ssh', or " +
			"'nobody'; an assertion about two ends has an arrow")
		return out
	}
	if strings.ContainsAny(end, " \t") {
		end = `"` + end + `"`
	}
	return parse(out, value, end+" <- "+text)
}

func parse(out assertion.Test, n strictyaml.Node, text string) assertion.Test {
	claim, err := assertion.Parse(text)
	if err != nil {
		n.Errorf("%s", err)
	}
	out.Claim, out.Text = claim, strings.Join(strings.Fields(text), " ")
	return out
}
