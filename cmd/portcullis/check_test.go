package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/cmd/portcullis/files"
	"github.com/portcullis/portcullis/flows/lint"
)

// checked is the JSON of check, as far as tests look at it.
type checked struct {
	Valid, Passed               bool
	Networks, Groups, Instances int
	Ports, Hosts, Flows         int
	Host                        string
	Findings                    []struct {
		File, Field, Message, Severity, Rule, Name string
		Line, Column                               int
	}
}

// checkJSON runs check with -o json, which must tell nothing beside.
func checkJSON(t *testing.T, code int, args ...string) checked {
	t.Helper()
	got := call(t, append([]string{"check", "-o", "json"}, args...)...)
	require.Equal(t, code, got.code, "%s%s", got.out, got.errOut)
	require.Empty(t, got.errOut)
	var out checked
	decoder := json.NewDecoder(strings.NewReader(got.out))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&out))
	return out
}

const faultyPolicy = `groups:
  - name: web
    rules:
      - {direction: sideways, protocol: tcp, ports: 80, cidr: 0.0.0.0/0}
nonsense: 1
`

// Files are checked by themselves, several as one policy, folders as such.
func TestCheckOfFiles(t *testing.T) {
	bare(t)
	got := call(t, "check", fileOf(t, "policy.yaml", goodPolicy))
	require.Equal(t, 0, got.code, got.errOut)
	require.Contains(t, got.out, "valid: 1 group, 3 instances, 3 ports on 2 hosts, ")
	require.Empty(t, got.errOut, "there is no host to warn of")
	nowhere := strings.NewReplacer("host: hv1, ", "", "host: hv2, ", "").Replace(goodPolicy)
	require.Contains(t, call(t, "check", fileOf(t, "policy.yaml", nowhere)).out,
		"3 ports on every host, ")
	got = call(t, "check", "--policy", fileOf(t, "policy.yaml", goodPolicy))
	require.Equal(t, 0, got.code, got.errOut)

	cut := strings.Index(goodPolicy, "instances:")
	groups := fileOf(t, "groups.yaml", goodPolicy[:cut])
	instances := fileOf(t, "instances.yaml", goodPolicy[cut:])
	require.Equal(t, 0, call(t, "check", instances, groups).code)
	require.Equal(t, 0, call(t, "check", instances, filepath.Dir(groups)).code)
	got = call(t, "check", instances)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, instances+`:2:39: instances[0].groups[0]: there is no group "web"`)

	got = call(t, "check", groups, "--policy", instances)
	require.Equal(t, 2, got.code)
	got = call(t, "check", "nope.yaml")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, "nope.yaml: no such file or directory")
}

// With settings, files are checked as that host would.
func TestCheckOfFilesWithSettings(t *testing.T) {
	settings := site(t, "groups: []")
	got := call(t, "check", "--config", settings, fileOf(t, "policy.yaml", goodPolicy))
	require.Contains(t, got.out, "valid: 1 group, 3 instances, 2 ports on host hv1")
	uplink := strings.Replace(goodPolicy, "tap1", "eth1", 1)
	got = call(t, "check", "--config", settings, fileOf(t, "policy.yaml", uplink))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.errOut, `the port "eth1" is an uplink`)
	require.NotContains(t, got.out, "valid")
}

func TestCheckAsJSON(t *testing.T) {
	good := checkJSON(t, 0, "--config", site(t, goodPolicy))
	require.True(t, good.Valid)
	require.Equal(t, []any{1, 3, 2, "hv1"}, []any{good.Groups, good.Instances, good.Ports, good.Host})
	require.Positive(t, good.Flows)

	settings := site(t, faultyPolicy)
	bad := checkJSON(t, 1, "--config", settings)
	require.False(t, bad.Valid)
	require.Len(t, bad.Findings, 2)
	first := bad.Findings[0]
	require.Equal(t, filepath.Join(filepath.Dir(settings), "policy.yaml"), first.File)
	require.Equal(t, []any{4, 21, "groups[0].rules[0].direction", "error", "mistake"},
		[]any{first.Line, first.Column, first.Field, first.Severity, first.Rule})
	require.Contains(t, first.Message, "must be ingress")
	require.Equal(t, 5, bad.Findings[1].Line)

	none := checkJSON(t, 1, "--config", nowhere)
	require.Len(t, none.Findings, 1)
	require.Equal(t, "unreadable", none.Findings[0].Rule)
	require.Contains(t, none.Findings[0].Message, "there is no settings file")
}

// sarifSchema is that of SARIF 2.1.0, as a library has it that reads such logs: the constant schema
// in its source.
func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}",
		"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif").Output()
	require.NoError(t, err)
	source, err := parser.ParseFile(token.NewFileSet(),
		filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	require.NoError(t, err)
	var text string
	ast.Inspect(source, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && v.Names[0].Name == "schema" {
			text, err = strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
		}
		return true
	})
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("sarif.json", document))
	schema, err := compiler.Compile("sarif.json")
	require.NoError(t, err)
	return schema
}

// readSARIF reads a log, which must be SARIF 2.1.0 by its schema, with nothing that it does not
// know.
func readSARIF(t *testing.T, schema *jsonschema.Schema, text string) *sarif.Run {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(document))
	var log sarif.Report
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&log))
	require.Equal(t, "2.1.0", log.Version)
	require.Len(t, log.Runs, 1)
	return log.Runs[0]
}

func TestCheckAsSARIF(t *testing.T) {
	schema := sarifSchema(t)
	settings := site(t, faultyPolicy)
	got := call(t, "check", "--config", settings, "-o", "sarif")
	require.Equal(t, 1, got.code)
	require.Empty(t, got.errOut)
	run := readSARIF(t, schema, got.out)
	require.Len(t, run.Results, 2)
	result := run.Results[0]
	require.Equal(t, "error", result.Level)
	require.Equal(t, "mistake", *result.RuleID)
	require.Equal(t, *result.RuleID, *run.Tool.Driver.Rules[result.RuleIndex].ID)
	place := result.Locations[0].PhysicalLocation
	require.Equal(t, "file://"+filepath.Dir(settings)+"/policy.yaml", *place.ArtifactLocation.URI)
	require.Equal(t, []int{4, 21}, []int{*place.Region.StartLine, *place.Region.StartColumn})
	require.Equal(t, "v1.2.3-test", *run.Tool.Driver.Version)

	got = call(t, "check", "--config", site(t, goodPolicy), "-o", "sarif", "--ignore", "one-family")
	require.Equal(t, 0, got.code)
	require.Empty(t, readSARIF(t, schema, got.out).Results)
	require.Contains(t, got.out, `"results": []`, "a run that found nothing says so")
}

// Files below the current folder, the root of a repository, are named from there.
func TestSARIFIsOfARepository(t *testing.T) {
	bare(t)
	schema := sarifSchema(t)
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll("a folder", 0o700))
	require.NoError(t, os.WriteFile("a folder/policy.yaml", []byte(faultyPolicy), 0o600))
	got := call(t, "check", "a folder", "-o", "sarif")
	run := readSARIF(t, schema, got.out)
	require.Len(t, run.Results, 2)
	require.Equal(t, "a%20folder/policy.yaml",
		*run.Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI)
}

// Each lint is found by check --strict in its example, accepted by --ignore, and not found in the
// example's twin. Without --strict it is a note.
func TestStrictFindsEachLint(t *testing.T) {
	bare(t)
	schema := sarifSchema(t)
	for _, l := range lint.All() {
		t.Run(l.ID, func(t *testing.T) {
			bad, clean := exampleOf(l.ID), exampleOf(l.ID+".clean")
			got := call(t, "check", "--strict", bad)
			require.Equal(t, 1, got.code)
			require.Contains(t, got.errOut, bad+":")
			require.Contains(t, got.errOut, " ["+l.ID+"]\n")
			require.Contains(t, got.out, "valid: ")
			require.Contains(t, got.out, "not strict: 1 finding")
			found := checkJSON(t, 1, "--strict", bad).Findings
			require.Len(t, found, 1)
			require.Equal(t, []string{l.ID, "warning"}, []string{found[0].Rule, found[0].Severity})
			require.NotEmpty(t, found[0].Name)

			got = call(t, "check", bad)
			require.Equal(t, 0, got.code)
			require.Contains(t, got.out, "1 note of what is hardly meant; see: portcullis check --strict")
			require.Empty(t, got.errOut)
			require.Equal(t, "note", checkJSON(t, 0, bad).Findings[0].Severity)
			run := readSARIF(t, schema, call(t, "check", "-o", "sarif", bad).out)
			require.Equal(t, l.ID, *run.Tool.Driver.Rules[run.Results[0].RuleIndex].ID)

			for _, accept := range []string{l.ID, l.ID + ":" + found[0].Name} {
				got = call(t, "check", "--strict", "--ignore", accept, bad)
				require.Equal(t, 0, got.code, got.errOut)
				require.NotContains(t, got.out, "note")
			}
			require.Equal(t, 1, call(t, "check", "--strict", "--ignore", l.ID+":nobody", bad).code)
			got = call(t, "check", "--strict", clean)
			require.Equal(t, 0, got.code, got.errOut)
			require.Empty(t, got.errOut)
		})
	}
}

func exampleOf(id string) string {
	return filepath.Join("..", "..", "flows", "lint", "testdata", id+".yaml")
}

// Warnings fail with --strict, and are told grouped.
func TestStrictFailsForWarnings(t *testing.T) {
	bare(t)
	rules := ""
	for n := range 9 {
		rules += fmt.Sprintf("      - {direction: ingress, protocol: tcp, ports: %d, cidr: 10.%d.0.7/16}\n",
			n+1, n)
	}
	path := fileOf(t, "policy.yaml", "groups:\n  - name: web\n    rules:\n"+rules)
	got := call(t, "check", path)
	require.Equal(t, 0, got.code)
	require.Equal(t, 5, strings.Count(got.errOut, "warning: "), got.errOut)
	require.Contains(t, got.errOut, "… and 4 more of the kind: … has host bits; taken as …")
	require.Equal(t, 1, call(t, "check", "--strict", path).code)
	require.Len(t, checkJSON(t, 0, path).Findings, 9)
	got = call(t, "flows", "--policy", path)
	require.Equal(t, 0, got.code)
	require.Equal(t, "warning: the policy has 9 warnings; see them: portcullis check\n", got.errOut)
}

// What lies where a policy could, and is not read.
func TestStrictFindsStrayFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	strays := func(setting string) []string {
		write("portcullis.yaml", "policy: "+setting+"\n")
		out := []string{}
		for _, f := range checkJSON(t, 0, "--config", filepath.Join(dir, "portcullis.yaml")).Findings {
			if f.Rule == "stray-file" {
				rel, err := filepath.Rel(dir, f.File)
				require.NoError(t, err)
				out = append(out, rel)
			}
		}
		return out
	}
	write("policy/10.yaml", "groups: []")
	write("other.yaml", "groups: []")
	require.Empty(t, strays("policy"))
	write("policy.yaml", "groups: []")
	write("policy/sub/20.yaml", "groups: []")
	write("policy.yml", "groups: []")
	require.Equal(t, []string{"policy.yml", "policy/sub/20.yaml"}, strays("policy"))
	require.Equal(t, []string{"policy.yml"}, strays("policy.yaml"))
	require.Empty(t, strays("other.yaml"))
	require.NoError(t, os.Remove(filepath.Join(dir, "policy.yml")))
	settings := filepath.Join(dir, "portcullis.yaml")
	write("portcullis.yaml", "policy: policy\n")
	require.Equal(t, 1, call(t, "check", "--strict", "--config", settings).code)
	// which file is the policy is a doubt that check tells of by itself
	require.Contains(t, call(t, "check", "--config", settings).errOut, "warning: "+
		filepath.Join(dir, "policy.yaml")+":1:1: the file is not read, as the policy is the "+
		"folder policy; move it into the folder, or away\n")
	require.NoError(t, os.Remove(filepath.Join(dir, "policy.yaml")))
	require.Equal(t, 0, call(t, "check", "--strict", "--config", settings, "--ignore",
		"stray-file:20.yaml").code)
	write("policy.yaml", "groups: []")
	got := call(t, "check", "--config", settings, filepath.Join(dir, "policy"),
		filepath.Join(dir, "policy.yaml"))
	require.NotContains(t, got.out, "notes", "one that is named is none")
}

func TestIgnoreTakesLintsOnly(t *testing.T) {
	got := call(t, "check", "--ignore", "world-shh:web")
	require.Equal(t, 2, got.code)
	require.Contains(t, got.errOut, `there is no lint "world-shh"; did you mean "world-ssh"?`)
	offers := call(t, "__complete", "check", "--ignore", "").out
	for _, l := range files.Lints() {
		require.Contains(t, offers, l.ID+"\t"+l.Title+"\n")
	}
	require.False(t, slices.Contains(strings.Split(offers, "\n"), "mistake"))
}
