package policyfile

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/config/configtest"
	"github.com/portcullis/portcullis/config/strictyaml"
)

// Where a text is no YAML, the valueID is that of the mistake, not of where the parser gave up.
func TestSyntaxRefused(t *testing.T) {
	runRefusals(t, []configtest.Refusal{
		{Name: "bracket that is not closed", Yaml: "instances: []\ngroups:\n- §[a, b\n",
			Want: []string{": not valid YAML: this [ is not closed"}},
		{Name: "brace that is not closed", Yaml: "groups: [§{name: a",
			Want: []string{": not valid YAML: this { is not closed"}},
		{Name: "bracket too many", Yaml: "groups: []§]\n",
			Want: []string{": not valid YAML: a text without quotes cannot begin with ]"}},
		{Name: "wrong bracket", Yaml: "groups: [{name: §a]}",
			Want: []string{": this text holds a bracket"}},
		{Name: "no comma", Yaml: "groups: [{name: a}\n  §{name: b}]",
			Want: []string{": not valid YAML: a comma, or a bracket that closes, is missing"}},
		{Name: "no comma between texts", Yaml: "groups: [{name: 'a' §'b'}]",
			Want: []string{": not valid YAML: a comma"}},
		{Name: "bracket that is not closed before the next key",
			Yaml: "groups: §[{name: a},\ninstances: []",
			Want: []string{": not valid YAML: this [ is not closed"}},
		{Name: "mark for a value", Yaml: "groups: [{name: §?}, {name: b}]",
			Want: []string{": complex keys"}},
		{Name: "two commas", Yaml: "groups: [a,§,b]",
			Want: []string{": not valid YAML: there is nothing before this comma"}},
		{Name: "quote that is not closed", Yaml: "groups:\n- name: §'a\n",
			Want: []string{": not valid YAML: the text that begins with ' here does not end"}},
		{Name: "apostrophe in quotes", Yaml: "groups:\n- name: §'it's'\n",
			Want: []string{": not valid YAML: more follows the text in quotes"}},
		{Name: "quote of another line",
			Yaml: "groups:\n- name: §\"web\n  rules: []\n- name: \"b\"\n",
			Want: []string{": not valid YAML: more follows"}},
		{Name: "unknown escape", Yaml: "groups:\n- name: \"a§\\q\"\n",
			Want: []string{": not valid YAML: \\q is no escape in double quotes"}},
		{Name: "reserved character", Yaml: "groups: §@x",
			Want: []string{": not valid YAML: a text without quotes cannot begin with @"}},
		{Name: "two colons", Yaml: "groups:\n- name: §a: b\n",
			Want: []string{": this text holds a colon and a space"}},
		{Name: "two colons in a flow", Yaml: "groups: [{name: §a: b}]",
			Want: []string{": this text holds a colon and a space"}},
		{Name: "colon at the end in a flow", Yaml: "groups: [{name: §a:}]",
			Want: []string{": this text ends with a colon"}},
		{Name: "indented too little", Yaml: "groups:\n    - name: 1\n  §- name: b\n",
			Want: []string{": not valid YAML: "}},
		{Name: "indented wrongly", Yaml: "groups:\n  - name: a\n   §rules: []\n",
			Want: []string{": not valid YAML: "}},
		{Name: "list and mapping", Yaml: "- a\n§b: c", Want: []string{": not valid YAML: "}},
		{Name: "line without colon", Yaml: "groups: []\n§foo\ninstances: []\n",
			Want: []string{": not valid YAML: could not find expected ':'"}},
		{Name: "tab below a list", Yaml: "groups:\n - name: a\n§\tdescription: x\n",
			Want: []string{": not valid YAML: a tab cannot indent"}},
		{Name: "all that is refused",
			Yaml: "groups:\n- §&a x\n- §*b\n- {§<<: §*c, x: §!!str y}\n- [\n",
			Want: []string{": anchors", ": aliases", ": merge keys", ": aliases", ": tags"}},
		{Name: "alias of nothing", Yaml: "groups: [§*a]", Want: []string{": aliases"}},
		{Name: "tag without a name", Yaml: "groups: [§! a]", Want: []string{": tags"}},
		{Name: "anchor and tag", Yaml: "groups: §&a §!!seq []",
			Want: []string{": anchors", ": tags"}},
		{Name: "anchor of a first key", Yaml: "§&a groups: []", Want: []string{": anchors"}},
		{Name: "anchor before a document", Yaml: "§&a\n---\ngroups: []",
			Want: []string{": anchors"}},
		{Name: "known directive", Yaml: "# of old\n§%YAML 1.1\n---\ngroups: []",
			Want: []string{": directives"}},
		{Name: "complex key in a flow", Yaml: "{§? groups : []}", Want: []string{": complex keys"}},
		{Name: "complex key of lines", Yaml: "{? # x\n §groups : []}",
			Want: []string{": complex keys"}},
		{Name: "second complex key", Yaml: "groups: []\n§? instances\n: []",
			Want: []string{": complex keys"}},
		{Name: "key that is a list", Yaml: "§[a]: b", Want: []string{": complex keys"}},
		{Name: "text of lines in a flow", Yaml: "groups: [{name: §a\n  b}]",
			Want: []string{": this text goes on"}},
		{Name: "text of lines with one empty", Yaml: "groups:\n- name: §a\n\n   b\n",
			Want: []string{": this text goes on"}},
	})
	_, _, err := parseOne("groups: [{name:a, description: x}]")
	require.ErrorContains(t, err,
		`p.yaml:1:11: groups[0]: unknown key "name:a"; write a space after the colon`)
}

// What no text may hold, wherever it stands: control characters, and what is the end of a line to
// some readers of YAML.
func TestCharactersRefused(t *testing.T) {
	for _, r := range "\x01\x1b\x7f\u0085\u2028\u2029\ufffe" {
		for _, text := range []string{"# é%c\ngroups: []", "# é%cgroups: []\n"} {
			_, _, err := parseOne(fmt.Sprintf(text, r))
			require.ErrorContains(t, err, fmt.Sprintf(
				"p.yaml:1:4: the character %U is not accepted", r))
		}
	}
	_, _, err := parseOne("# é\t\u00a0\u2027\ue000😀\r\ngroups: []\r\n")
	require.NoError(t, err)
}

// Colons and question marks of texts are text, as in ::/0 and why?, whatever stands for it while
// the file is parsed.
func TestPlaceholders(t *testing.T) {
	for _, all := range []string{"", "\ue000", "\ue000\ue001"} {
		p, _, err := parseOne("# " + all +
			"\ngroups:\n- {name: :a, external_sources: [::/0,::1/128], description: \"x ::y " +
			":z\"}\n- name: ::b\n- {name: 'c :d'}\n- {name: e :f}\n")
		require.NoError(t, err)
		require.Equal(t, ":a", p.Groups[0].Name)
		require.Equal(t, "x ::y :z", p.Groups[0].Description)
		require.Equal(t, "::/0 ::1/128", fmt.Sprint(p.Groups[0].ExternalSources[0], " ",
			p.Groups[0].ExternalSources[1]))
		require.Equal(t, []string{"::b", "c :d", "e :f"},
			[]string{p.Groups[1].Name, p.Groups[2].Name, p.Groups[3].Name})
	}
	p, _, err := parseOne(
		"groups: [{name: a?}, {name: ?b, description: why? é? 'x'}, {name: '? c'}, {name: d?d}, " +
			"{name: ??}]")
	require.NoError(t, err)
	require.Equal(t, []string{"a?", "?b", "? c", "d?d", "??"},
		[]string{p.Groups[0].Name, p.Groups[1].Name, p.Groups[2].Name, p.Groups[3].Name,
			p.Groups[4].Name})
	require.Equal(t, "why? é? 'x'", p.Groups[1].Description)
	_, _, err = parseOne("groups: [{name: :é, x: 1}]")
	require.ErrorContains(t, err, "p.yaml:1:21: groups[0]: unknown key")
	var all strings.Builder
	for r := '\ue000'; r <= '\uf8ff'; r++ {
		all.WriteRune(r)
	}
	_, _, err = parseOne("# " + all.String() + "\ngroups: [{name: ::}, {name: \"\uf8ff\"}]")
	require.Error(t, err, "nothing is left to stand for a colon")
}

// Texts of a megabyte or more that make parsers slow: each is answered in time that grows with its
// length alone.
func TestSlowTexts(t *testing.T) {
	repeat := func(s string) string { return strings.Repeat(s, (1<<20)/len(s)) }
	for name, text := range map[string]string{
		"comments": repeat("# a\n"), "comments within": "groups:\n" + repeat(" # a\n") + "- x\n",
		"documents": repeat("---\n"), "directives": repeat("%A\n"),
		"commas": "[" + repeat("a,"), "no commas": "[" + repeat("a "), "keys": repeat("a: 1\n"),
		"keys in a flow": "{" + repeat("a: 1,") + "}", "marks": repeat("? "),
		"marks in a flow": "{" + repeat("? a, ") + "}", "colons": repeat(": "),
		"colons in a row": repeat(":"), "anchors": repeat("&a "),
		"aliases": "[" + repeat("*a,") + "]",
		"tags":    repeat("!a "), "lines of a text": "a: " + repeat("b\n "),
		"lines in quotes": "\"" + repeat("a\n"), "quotes": repeat("'"),
		"escapes":          "\"" + repeat("\\"),
		"lines of a block": "a: |\n" + repeat(" x\n") + "b", "tabs": repeat("\t"),
		"brackets": repeat("[]"), "closing": repeat("]"), "braces": repeat("{}\n"),
		"comments in a flow":      "{" + repeat("#\n") + "a: 1}",
		"keys of lines in a flow": "{" + repeat("a: 1,\n"), "carriage returns": repeat("\r"),
		"long line":     repeat("x") + ":\n - a\n b",
		"tabs of lines": repeat("\t\n"), "mappings in a line": "[" + repeat("{a: 1},") + "]",
		"colons without keys": "a: " + repeat("b\n  - c\n"), "quotes of lines": repeat("'\n"),
		"leading colons":      "[" + repeat(" :a,") + "]",
		"a word that goes on": "a: b\n  " + repeat("x") + "\n: c", "deeper keys": "a: b\n" +
			repeat("   c: d\n"), "no colon": "a: 1\n" + repeat("b c\n"),
		"words in a flow":   "{a: b\n" + repeat("c\n"),
		"entries in a flow": "[a\n" + repeat("- b\n"), "keys in a list": "[a\n" + repeat("b: c\n,"),
		"ports": "groups: [{name: a, rules: [{direction: ingress, protocol: tcp, ports: [" +
			repeat("80,") + "], group: a}]}]",
		"peers": "groups: [{name: a, rules: [{direction: ingress, protocol: any, cidr: [" +
			repeat("\"::/0\",") + "]}]}]",
		"networks":         "networks: {a: [" + repeat("\"::/0\",") + "]}",
		"error at the end": "groups:\n" + repeat("- {name: a}\n") + "  x: 1\n",
		"error of a list":  "groups:\n" + repeat("- a\n") + " - b: c: d\n",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			ParseFragment(strictyaml.File{Name: "p.yaml", Data: []byte(text)})
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			t.Logf("%v, %d MiB", took.Round(time.Millisecond),
				(after.TotalAlloc-before.TotalAlloc)>>20)
			require.Less(t, took, configtest.Hangs)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<30))
		})
	}
}

// Of a long text that the library refuses for what nobody gets wrong its own line is told: looking
// for the place would take long.
func TestLongFilesAreNotSearched(t *testing.T) {
	line := "  - {name: a, description: \"" + strings.Repeat("x", 100) + "\"}\n"
	text := "groups:\n" + strings.Repeat(line, 3*strictyaml.MaxSearched/len(line)) +
		"  - {name: a, description: \"\\uzzzz\"}\n"
	began := time.Now()
	_, _, err := Parse([]strictyaml.File{{Name: "long.yaml", Data: []byte(text)}})
	require.ErrorContains(t, err, fmt.Sprintf("long.yaml:%d:", strings.Count(text, "\n")))
	require.ErrorContains(t, err, "not valid YAML")
	require.Less(t, time.Since(began), configtest.Hangs)
}
