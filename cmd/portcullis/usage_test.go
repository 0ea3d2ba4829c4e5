package main

import (
	"encoding/json"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/policyfile"
	"github.com/portcullis/portcullis/config/strictyaml"
)

// What is misspelt, or a word of another program, is told with what was meant, and with the help
// of the command that it is about.
func TestWrongUsageSaysWhatWasMeant(t *testing.T) {
	for line, want := range map[string][2]string{
		"statsu":             {`there is no command "statsu"; did you mean "status"?`, ""},
		"chekc":              {`there is no command "chekc"; did you mean "check"?`, ""},
		"validate":           {`there is no command "validate"; did you mean "check"?`, ""},
		"frobnicate":         {`there is no command "frobnicate"`, ""},
		"explain --form x":   {"unknown flag: --form; did you mean --from?", "explain"},
		"plan --polcy x":     {"unknown flag: --polcy; did you mean --policy?", "plan"},
		"plan -policy x":     {"in -policy; did you mean --policy?", "plan"},
		"check --frobnicate": {"unknown flag: --frobnicate", "check"},
		"-v":                 {"in -v; did you mean -V?", ""},
		"help foo":           {`there is no command "foo"`, "help"},
		"help chekc":         {`there is no command "chekc"; did you mean "check"?`, "help"},
		"help check foo":     {`there is no command "foo"`, "help"},
		"completion tcsh":    {`there is no command "tcsh"; choose bash, fish, powershell, zsh`, "completion"},
		"completion fihs":    {`there is no command "fihs"; did you mean "fish"?`, "completion"},
		"schema":             {"choose one: portcullis schema policy, or portcullis schema settings", "schema"},
		"schema polic":       {`there is no schema "polic"; choose one`, "schema"},
		"flows new.yaml":     {"flows takes no arguments; name a policy by --policy new.yaml", "flows"},
		"version x":          {`version takes no argument "x"`, "version"},
		"check -o jsn":       {`want text, json, sarif; did you mean "json"?`, "check"},
	} {
		got := call(t, strings.Fields(line)...)
		require.Equal(t, 2, got.code, line)
		require.Empty(t, got.out, line)
		require.Contains(t, got.errOut, want[0], line)
		see := strings.TrimSpace("portcullis " + want[1])
		require.True(t, strings.HasSuffix(got.errOut, "\nSee '"+see+" --help'.\n"), got.errOut)
	}
}

// A script can tell a flag of plan that is misspelt from a change.
func TestPlanTellsWrongUsageFromChanges(t *testing.T) {
	require.Equal(t, 2, call(t, "plan", "--polcy", "x").code)
	require.Contains(t, call(t, "plan", "--help").out, "3 something would")
}

func TestVersionFlags(t *testing.T) {
	for _, flag := range []string{"--version", "-V"} {
		require.Equal(t, answer{0, "portcullis v1.2.3-test\n", ""}, call(t, flag))
	}
	var build map[string]string
	require.NoError(t, json.Unmarshal([]byte(call(t, "version", "-o", "json").out), &build))
	require.Equal(t, "v1.2.3-test", build["version"])
	require.Equal(t, runtime.GOOS+"/"+runtime.GOARCH, build["platform"])
}

// Help begins with examples; that of all commands has them in groups, each once.
func TestHelpLeadsWithExamples(t *testing.T) {
	root := call(t)
	require.Equal(t, root.out, call(t, "--help").out)
	require.Equal(t, root.out, call(t, "help").out)
	require.True(t, strings.HasPrefix(root.out, "Examples:\n"), root.out)
	require.NotContains(t, root.out, "[flags]")
	require.NotContains(t, root.out, "Others:")
	require.NotContains(t, root.out, "\n\n\n")
	for _, cmd := range newRoot().Commands() {
		if !cmd.IsAvailableCommand() && cmd.Name() != "help" {
			continue
		}
		require.NotEmpty(t, cmd.GroupID, "%s is in no group", cmd.Name())
		require.Equal(t, 1, strings.Count(root.out, "\n  "+cmd.Name()+" "), cmd.Name())
		got := call(t, cmd.Name(), "--help")
		require.Equal(t, 0, got.code)
		require.True(t, strings.HasPrefix(got.out, cmd.Short+".\n\nExamples:\n"), got.out)
		require.NotContains(t, got.out, "\n\n\n")
		require.Equal(t, got.out, call(t, "help", cmd.Name()).out)
	}
}

// Every example is a command line that is accepted, as far as that is known without running it.
func TestExamplesAreAccepted(t *testing.T) {
	examples := 0
	for _, of := range append(newRoot().Commands(), newRoot()) {
		if !of.IsAvailableCommand() && of.HasParent() && of.Name() != "help" {
			continue
		}
		require.NotEmpty(t, of.Example, "%s has no example", of.CommandPath())
		for line := range strings.Lines(of.Example) {
			require.True(t, strings.HasPrefix(line, "  "), line)
			for _, words := range commandLines(line) {
				examples++
				accepted(t, line, words)
			}
		}
	}
	require.Greater(t, examples, 30)
}

// commandLines are the calls of portcullis in a line of a shell, in words.
func commandLines(line string) (out [][]string) {
	line, _, _ = strings.Cut(line, " #")
	for _, part := range strings.FieldsFunc(line, func(r rune) bool { return r == '|' || r == '&' }) {
		part, _, _ = strings.Cut(part, ">")
		part, _, _ = strings.Cut(part, "<")
		words := strings.Fields(strings.ReplaceAll(part, "'", ""))
		if len(words) > 0 && words[0] == "sudo" {
			words = words[1:]
		}
		if len(words) > 0 && words[0] == "portcullis" {
			out = append(out, words[1:])
		}
	}
	return out
}

// accepted holds a command line against the flags and the arguments that its command takes.
func accepted(t *testing.T, line string, words []string) {
	t.Helper()
	root := newRoot()
	root.SetOut(io.Discard)
	cmd, rest, err := root.Find(words)
	require.NoError(t, err, line)
	require.NotEqual(t, root, cmd, "%s: there is no such command", line)
	require.NoError(t, cmd.ParseFlags(rest), line)
	require.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()), line)
	require.NoError(t, cmd.ValidateRequiredFlags(), line)
	require.NoError(t, cmd.ValidateFlagGroups(), line)
}

// Flags of words are completed by them, whatever the command.
func TestFormatsAreCompleted(t *testing.T) {
	count := 0
	for _, cmd := range newRoot().Commands() {
		flag := cmd.Flags().Lookup("output")
		if flag == nil {
			continue
		}
		count++
		want := strings.ReplaceAll(flag.Value.Type(), "|", "\n") + "\n:4\n"
		require.Equal(t, want, call(t, "__complete", cmd.Name(), "-o", "").out, cmd.Name())
	}
	require.Greater(t, count, 6)
	require.Contains(t, call(t, "__complete", "help", "").out, "explain\t")
}

// A flow of -o json is that of the text.
func TestFlowsAsJSON(t *testing.T) {
	settings := site(t, goodPolicy)
	var list struct {
		Flows []struct {
			Table, Priority        int
			Match, Actions, Cookie string
		}
		Limits  []string
		LeftOut []any `json:"left_out"`
	}
	require.NoError(t, json.Unmarshal(
		[]byte(call(t, "flows", "--config", settings, "-o", "json").out), &list))
	text := call(t, "flows", "--config", settings).out
	require.Equal(t, strings.Count(text, "\n"), len(list.Flows)+len(list.Limits))
	require.NotEmpty(t, list.Limits)
	require.Empty(t, list.LeftOut)
	for _, f := range list.Flows {
		require.Contains(t, text, "cookie="+f.Cookie+", table=")
		require.Contains(t, text, f.Match+" actions="+f.Actions+"\n")
	}
}

// What convert prints as JSON is a policy file, the same as its YAML.
func TestConvertAsJSON(t *testing.T) {
	const input = "../../config/convert/testdata/exo.json"
	text := call(t, "convert", input)
	require.Equal(t, 0, text.code, text.errOut)
	data := call(t, "convert", "-o", "json", input)
	require.Equal(t, 0, data.code, data.errOut)
	require.True(t, strings.HasPrefix(data.out, "{"))
	p, _, err := policyfile.Join([]*policyfile.Fragment{policyfile.ParseFragment(
		strictyaml.File{Name: "policy.json", Data: []byte(data.out)})})
	require.NoError(t, err)
	require.Equal(t, text.out, string(policyfile.Marshal(p)))
}

// Asked for JSON, a command answers with JSON also where it fails, as status --watch does.
func TestFailuresAsJSON(t *testing.T) {
	settings := site(t, goodPolicy)
	for _, command := range []string{"status", "connections", "top", "plan", "status --wait --timeout 50ms",
		"explain web-1 nobody tcp/80"} {
		args := append(strings.Fields(command), "-o", "json", "--config", settings)
		got := call(t, args...)
		require.Equal(t, 1, got.code, command)
		var failure map[string]string
		require.NoError(t, json.Unmarshal([]byte(got.out), &failure), "%s: %s", command, got.out)
		require.Equal(t, strings.TrimSuffix(got.errOut, "\n"), failure["error"], command)
		require.NotEmpty(t, failure["error"], command)
		require.Empty(t, call(t, append(strings.Fields(command), "--config", settings)...).out, command)
	}
}
