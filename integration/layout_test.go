package integration

// What holds of the tree as a whole: which package may import which, and how long lines, functions
// and files are. It is read by whoever looks for the order of the packages.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

const module = "github.com/portcullis/portcullis/"

// floors lists the packages of the product from the lowest: each imports only what stands before
// it.
var floors = []string{
	"flows/policy/wording", "flows/openflow", "flows/policy", "flows/policy/edit", "flows/spec", "flows/explain",
	"flows/lint",
	"flows/matrix", "flows/census", "flows/assertion",
	"flows/policytest", "flows/suggest",
	"flows", "flows/excerpt", "flows/provenance", "flows/attribution", "flows/plan", "flows/flowtest",
	"config/configtest", "config/strictyaml", "config/assertionfile", "config/policyfile", "config/policydir", "config/instancefile",
	"config/history",
	"config/convert", "config",
	"ovsdb", "ovsdb/unixctl", "ovsdb/vswitch", "ovsdb/credentials", "ovsdb/authority", "ovsdb/client",
	"ovsdb/bridge", "ovsdb/policydb/rows",
	"ovsdb/policydb", "ovsdb/newest", "ovsdb/statusdb", "ovsdb/policydb/upkeep", "ovsdb/policyserver",
	"controller", "controller/access", "controller/advisory", "controller/hostnet", "controller/ofswitch", "controller/agent",
	"controller/generation", "controller/telemetry",
	"controller/api", "controller/hostask", "controller/lookup", "controller/signin", "controller/apipage",
	"controller/apiserver",
	"controller/console", "controller/console/bundle",
	"controller/apiclient", "controller/exoscale", "controller/agenttest",
	"cmd/portcullis/draw",
	"cmd/portcullis/term", "cmd/portcullis/cli", "cmd/portcullis/ask", "cmd/portcullis/daemon",
	"cmd/portcullis/files", "cmd/portcullis/live", "cmd/portcullis/fleet", "cmd/portcullis/objects", "cmd/portcullis/hook",
	"cmd/portcullis/db",
	"cmd/portcullis/serve",
	"cmd/portcullis",
}

// TestImportsRunDown fails where a package imports one that stands above it, or that has no place
// in the order.
func TestImportsRunDown(t *testing.T) {
	arrows := 0
	for _, file := range tracked(t, "*.go") {
		if strings.HasPrefix(file, "integration/") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		at := slices.Index(floors, path.Dir(file))
		require.GreaterOrEqual(t, at, 0, "%s: its package has no place in the order", file)
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", file), nil,
			parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range parsed.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			below, ours := strings.CutPrefix(name, module)
			if !ours {
				continue
			}
			arrows++
			if n := slices.Index(floors, below); n < 0 || n >= at {
				t.Errorf("%s imports %s, which does not stand below it", file, below)
			}
		}
	}
	t.Logf("%d imports between %d packages", arrows, len(floors))
	require.Greater(t, arrows, len(floors))
}

// mostFiles is how many files a package may have that are neither tests nor generated: a screen
// full.
const mostFiles = 20

// TestPackagesFitAScreen fails where a package has more files than a reader sees at once.
func TestPackagesFitAScreen(t *testing.T) {
	files := map[string]int{}
	for _, file := range tracked(t, "*.go") {
		text, err := os.ReadFile(filepath.Join("..", file))
		require.NoError(t, err)
		if strings.HasPrefix(file, "integration/") || strings.HasSuffix(file, "_test.go") ||
			strings.HasPrefix(string(text), "// Code generated") {
			continue
		}
		files[path.Dir(file)]++
	}
	require.Greater(t, len(files), 30)
	for name, n := range files {
		require.LessOrEqual(t, n, mostFiles, name)
	}
}

// Functions and files have at most so many lines.
const (
	longestFunction = 40
	longestFile     = 400
)

// lists are the functions that may be longer: each is a table of data and has no other lines than
// its rows, so that there is nothing to split.
var lists = []string{
	"controller/apiserver/routes.go ofProject",         // the routes below a project
	"controller/apiserver/routes.go routes",            // the routes of all projects
	"controller/telemetry/metriclist.go policyMetrics", // metrics
	"flows/flowtest/field.go fields",                   // fields of OpenFlow
	"flows/flowtest/seed.go Seed",                      // the example's groups and instances
	"flows/lint/lints.go All",                          // lints
	"flows/policy/servicename.go NamedServices",        // services that have a name
}

// TestFunctionsAreShort fails where a function of anything but tests is longer than a reader keeps
// in mind, or where one that may be longer is not any more.
func TestFunctionsAreShort(t *testing.T) {
	functions, long := 0, []string{}
	for _, file := range tracked(t, "*.go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		at := token.NewFileSet()
		parsed, err := parser.ParseFile(at, filepath.Join("..", file), nil, parser.ParseComments)
		require.NoError(t, err)
		if ast.IsGenerated(parsed) {
			continue
		}
		require.LessOrEqual(t, at.File(parsed.Pos()).LineCount(), longestFile, file)
		for _, d := range parsed.Decls {
			f, isFunction := d.(*ast.FuncDecl)
			if !isFunction {
				continue
			}
			functions++
			if lines := at.Position(f.End()).Line - at.Position(f.Pos()).Line + 1; lines > longestFunction {
				long = append(long, file+" "+f.Name.Name)
			}
		}
	}
	t.Logf("%d functions, %d of them tables of more than %d lines", functions, len(long),
		longestFunction)
	require.Greater(t, functions, 1000)
	require.ElementsMatch(t, lists, long)
}

// columns is how wide a line of code may be, and share how many of a hundred may be wider: texts
// that are data.
const (
	columns = 100
	share   = 1
)

// TestLinesAreShort fails if more than one line of Go in a hundred is wider than 100 columns.
func TestLinesAreShort(t *testing.T) {
	var lines, wide int
	byFile := map[string]int{}
	for _, file := range tracked(t, "*.go") {
		text, err := os.ReadFile(filepath.Join("..", file))
		require.NoError(t, err)
		if strings.HasPrefix(string(text), "// Code generated") {
			continue
		}
		for line := range strings.Lines(string(text)) {
			lines++
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > columns {
				wide++
				byFile[file]++
			}
		}
	}
	t.Logf("%d of %d lines are wider than %d columns", wide, lines, columns)
	require.LessOrEqual(t, wide*100, lines*share, "%v", byFile)
}

// TestKernelSelectionNamesTests fails if what integration/kernel/run.sh selects for an emulated
// machine names a test that is none, or parts of one: these are renamed unnoticed, and then nothing
// of it runs.
func TestKernelSelectionNamesTests(t *testing.T) {
	files := tracked(t, "integration/*_test.go")
	script, err := os.ReadFile("kernel/run.sh")
	require.NoError(t, err)
	selected := regexp.MustCompile(`(?m)^emulated='([^'/(]+)'$`).FindSubmatch(script)
	require.NotNil(t, selected, "whole tests, no parts of them")
	var tests []string
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("..", file))
		require.NoError(t, err)
		for _, f := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			tests = append(tests, string(f[1]))
		}
	}
	require.NotEmpty(t, tests)
	for _, name := range strings.Split(string(selected[1]), "|") {
		require.True(t, slices.ContainsFunc(tests, regexp.MustCompile(name).MatchString), name)
	}
}

// tracked lists the files of the repository that match a pattern.
func tracked(t *testing.T, pattern string) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", "..", "ls-files", pattern).Output()
	if err != nil {
		t.Skip("not a git repository: ", err)
	}
	return strings.Fields(string(out))
}
