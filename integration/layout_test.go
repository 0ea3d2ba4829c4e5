package integration

// What holds of the tree as a whole: which package may import which, and how long lines are. It is
// read by whoever looks for the order of the packages.

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
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
	"ovsdb", "ovsdb/vswitch", "ovsdb/credentials", "ovsdb/authority", "ovsdb/client",
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

// mostFiles is how many files a package may have that are neither tests nor generated: a screen full.
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

// tracked lists the files of the repository that match a pattern.
func tracked(t *testing.T, pattern string) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", "..", "ls-files", pattern).Output()
	if err != nil {
		t.Skip("not a git repository: ", err)
	}
	return strings.Fields(string(out))
}
