package config

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Where a text is no YAML, the place is that of the mistake, not of where the parser gave up.
func TestSyntaxRefused(t *testing.T) {
	runRefusals(t, []refusal{
		{"bracket that is not closed", "instances: []\ngroups:\n- §[a, b\n", []string{": not valid YAML: this [ is not closed"}},
		{"brace that is not closed", "groups: [§{name: a", []string{": not valid YAML: this { is not closed"}},
		{"bracket too many", "groups: []§]\n", []string{": not valid YAML: a text without quotes cannot begin with ]"}},
		{"wrong bracket", "groups: [{name: §a]}", []string{": this text holds a bracket"}},
		{"no comma", "groups: [{name: a}\n  §{name: b}]", []string{": not valid YAML: a comma, or a bracket that closes, is missing"}},
		{"no comma between texts", "groups: [{name: 'a' §'b'}]", []string{": not valid YAML: a comma"}},
		{"bracket that is not closed before the next key", "groups: §[{name: a},\ninstances: []", []string{": not valid YAML: this [ is not closed"}},
		{"mark for a value", "groups: [{name: §?}, {name: b}]", []string{": complex keys"}},
		{"two commas", "groups: [a,§,b]", []string{": not valid YAML: there is nothing before this comma"}},
		{"quote that is not closed", "groups:\n- name: §'a\n", []string{": not valid YAML: the text that begins with ' here does not end"}},
		{"apostrophe in quotes", "groups:\n- name: §'it's'\n", []string{": not valid YAML: more follows the text in quotes"}},
		{"quote of another line", "groups:\n- name: §\"web\n  rules: []\n- name: \"b\"\n", []string{": not valid YAML: more follows"}},
		{"unknown escape", "groups:\n- name: \"a§\\q\"\n", []string{": not valid YAML: \\q is no escape in double quotes"}},
		{"reserved character", "groups: §@x", []string{": not valid YAML: a text without quotes cannot begin with @"}},
		{"two colons", "groups:\n- name: §a: b\n", []string{": this text holds a colon and a space"}},
		{"two colons in a flow", "groups: [{name: §a: b}]", []string{": this text holds a colon and a space"}},
		{"colon at the end in a flow", "groups: [{name: §a:}]", []string{": this text ends with a colon"}},
		{"indented too little", "groups:\n    - name: 1\n  §- name: b\n", []string{": not valid YAML: "}},
		{"indented wrongly", "groups:\n  - name: a\n   §rules: []\n", []string{": not valid YAML: "}},
		{"list and mapping", "- a\n§b: c", []string{": not valid YAML: "}},
		{"line without colon", "groups: []\n§foo\ninstances: []\n", []string{": not valid YAML: could not find expected ':'"}},
		{"tab below a list", "groups:\n - name: a\n§\tdescription: x\n", []string{": not valid YAML: a tab cannot indent"}},
		{"all that is refused", "groups:\n- §&a x\n- §*b\n- {§<<: §*c, x: §!!str y}\n- [\n", []string{": anchors", ": aliases", ": merge keys", ": aliases", ": tags"}},
		{"alias of nothing", "groups: [§*a]", []string{": aliases"}},
		{"tag without a name", "groups: [§! a]", []string{": tags"}},
		{"anchor and tag", "groups: §&a §!!seq []", []string{": anchors", ": tags"}},
		{"anchor of a first key", "§&a groups: []", []string{": anchors"}},
		{"anchor before a document", "§&a\n---\ngroups: []", []string{": anchors"}},
		{"known directive", "# of old\n§%YAML 1.1\n---\ngroups: []", []string{": directives"}},
		{"complex key in a flow", "{§? groups : []}", []string{": complex keys"}},
		{"complex key of lines", "{? # x\n §groups : []}", []string{": complex keys"}},
		{"second complex key", "groups: []\n§? instances\n: []", []string{": complex keys"}},
		{"key that is a list", "§[a]: b", []string{": complex keys"}},
		{"text of lines in a flow", "groups: [{name: §a\n  b}]", []string{": this text goes on"}},
		{"text of lines with one empty", "groups:\n- name: §a\n\n   b\n", []string{": this text goes on"}},
	})
	_, _, err := parseOne("groups: [{name:a, description: x}]")
	require.ErrorContains(t, err, `p.yaml:1:11: groups[0]: unknown key "name:a"; write a space after the colon`)
}

// What no text may hold, wherever it stands: control characters, and what is the end of a line to some readers of YAML.
func TestCharactersRefused(t *testing.T) {
	for _, r := range "\x01\x1b\x7f\u0085\u2028\u2029\ufffe" {
		for _, text := range []string{"# é%c\ngroups: []", "# é%cgroups: []\n"} {
			_, _, err := parseOne(fmt.Sprintf(text, r))
			require.ErrorContains(t, err, fmt.Sprintf("p.yaml:1:4: the character %U is not accepted", r))
		}
	}
	_, _, err := parseOne("# é\t\u00a0\u2027\ue000😀\r\ngroups: []\r\n")
	require.NoError(t, err)
}

// Colons and question marks of texts are text, as in ::/0 and why?, whatever stands for it while the file is parsed.
func TestStandIns(t *testing.T) {
	for _, all := range []string{"", "\ue000", "\ue000\ue001"} {
		p, _, err := parseOne("# " + all + "\ngroups:\n- {name: :a, external_sources: [::/0,::1/128], description: \"x ::y :z\"}\n- name: ::b\n- {name: 'c :d'}\n- {name: e :f}\n")
		require.NoError(t, err)
		require.Equal(t, ":a", p.Groups[0].Name)
		require.Equal(t, "x ::y :z", p.Groups[0].Description)
		require.Equal(t, "::/0 ::1/128", fmt.Sprint(p.Groups[0].ExternalSources[0], " ", p.Groups[0].ExternalSources[1]))
		require.Equal(t, []string{"::b", "c :d", "e :f"}, []string{p.Groups[1].Name, p.Groups[2].Name, p.Groups[3].Name})
	}
	p, _, err := parseOne("groups: [{name: a?}, {name: ?b, description: why? é? 'x'}, {name: '? c'}, {name: d?d}, {name: ??}]")
	require.NoError(t, err)
	require.Equal(t, []string{"a?", "?b", "? c", "d?d", "??"}, []string{p.Groups[0].Name, p.Groups[1].Name, p.Groups[2].Name, p.Groups[3].Name, p.Groups[4].Name})
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

// What is a number or a truth value is the same for every release, and nobody has to know which words YAML 1.1 took for one.
func TestSenses(t *testing.T) {
	for sense, words := range map[sense]string{
		isText: "a yes no on off Yes y n 08 09 0o8 0b2 0x 0xg 1e3 1E3 -0x 1.2.3 10.0.0.1 02:00:00:00:00:01 12:30:45 2001-12-14 1-2 _1 - + . .. -. +-a ->" +
			" infinity inf nan .Inf0 .nAn tRUE nULL 1.5x 0x1.8 -9223372036854775809x 0xffffffffffffffffff == \u0661",
		isNull:     "~ null Null NULL",
		isTruth:    "true True TRUE false False FALSE",
		isWhole:    "0 1 -1 +1 1_000 1__0 0x1f 0o17 017 0b11 -0x1F 0_7 18446744073709551615 -9223372036854775808",
		isFraction: "1.5 .5 5. -.5 +.5 1.5e3 1_0.5 00.5 .inf -.inf .nan .NaN 99999999999999999999 -9223372036854775809",
	} {
		for _, word := range strings.Fields(words) {
			require.Equal(t, sense, senseOf(word), word)
		}
	}
	require.Equal(t, isNull, senseOf(""))
}

// Texts of a megabyte or more that make parsers slow: each is answered in time that grows with its length alone.
func TestSlowTexts(t *testing.T) {
	repeat := func(s string) string { return strings.Repeat(s, (1<<20)/len(s)) }
	for name, text := range map[string]string{
		"comments": repeat("# a\n"), "comments within": "groups:\n" + repeat(" # a\n") + "- x\n", "documents": repeat("---\n"), "directives": repeat("%A\n"),
		"commas": "[" + repeat("a,"), "no commas": "[" + repeat("a "), "keys": repeat("a: 1\n"), "keys in a flow": "{" + repeat("a: 1,") + "}", "marks": repeat("? "),
		"marks in a flow": "{" + repeat("? a, ") + "}", "colons": repeat(": "), "colons in a row": repeat(":"), "anchors": repeat("&a "), "aliases": "[" + repeat("*a,") + "]",
		"tags": repeat("!a "), "lines of a text": "a: " + repeat("b\n "), "lines in quotes": "\"" + repeat("a\n"), "quotes": repeat("'"), "escapes": "\"" + repeat("\\"),
		"lines of a block": "a: |\n" + repeat(" x\n") + "b", "tabs": repeat("\t"), "brackets": repeat("[]"), "closing": repeat("]"), "braces": repeat("{}\n"),
		"comments in a flow": "{" + repeat("#\n") + "a: 1}", "keys of lines in a flow": "{" + repeat("a: 1,\n"), "carriage returns": repeat("\r"), "long line": repeat("x") + ":\n - a\n b",
		"tabs of lines": repeat("\t\n"), "mappings in a line": "[" + repeat("{a: 1},") + "]", "colons without keys": "a: " + repeat("b\n  - c\n"), "quotes of lines": repeat("'\n"), "leading colons": "[" + repeat(" :a,") + "]", "error at the end": "groups:\n" + repeat("- {name: a}\n") + "  x: 1\n", "error of a list": "groups:\n" + repeat("- a\n") + " - b: c: d\n",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			Parse(File{"p.yaml", []byte(text)})
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			t.Logf("%v, %d MiB", took.Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>20)
			require.Less(t, took, hangs)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<30))
		})
	}
}

// Of a long text that the library refuses for what nobody gets wrong its own line is told: looking for the place would take long.
func TestLongFilesAreNotSearched(t *testing.T) {
	line := "  - {name: a, description: \"" + strings.Repeat("x", 100) + "\"}\n"
	text := "groups:\n" + strings.Repeat(line, 3*maxSearched/len(line)) + "  - {name: a, description: \"\\uzzzz\"}\n"
	began := time.Now()
	_, _, err := ParsePolicy([]File{{"long.yaml", []byte(text)}})
	require.ErrorContains(t, err, fmt.Sprintf("long.yaml:%d:", strings.Count(text, "\n")))
	require.ErrorContains(t, err, "not valid YAML")
	require.Less(t, time.Since(began), hangs)
}
