package strictyaml

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/configtest"
)

// extent is how deep, wide and long a tree is.
type extent struct {
	depth, keys, entries int
	// mappings that no bracket begins, within brackets: [a: 1]. The bounds leave them to the
	// checker
	pairs int
}

func (e *extent) measure(data []byte, n *yaml.Node, depth int) {
	switch n.Kind {
	case yaml.MappingNode:
		depth++
		e.keys = max(e.keys, len(n.Content)/2)
		if c := newCursor(data); n.Style&yaml.FlowStyle != 0 &&
			c.byteAt(c.offset(n.Line, n.Column)) != '{' {
			e.pairs++
		}
	case yaml.SequenceNode:
		depth++
		e.entries = max(e.entries, len(n.Content))
	}
	e.depth = max(e.depth, depth)
	for _, inner := range n.Content {
		e.measure(data, inner, depth)
	}
}

// requireBounds holds what is found out without a tree against the tree, for a text that is
// accepted.
func requireBounds(t require.TestingT, text string) {
	if _, problem := badBytes([]byte(text)); problem != "" {
		return
	}
	data, in := withPlaceholders([]byte(text))
	check := checker{cursor: newCursor(data), placeholders: in}
	root, err := check.parse(data)
	if err != nil || root == nil || len(check.found) > 0 {
		return
	}
	var e extent
	depth := 0
	if root.Kind == yaml.SequenceNode {
		depth = 1
	}
	e.measure(data, root, depth)
	isOver := func(e extent) bool {
		b := newBounds(data)
		b.depth, b.keys, b.entries = e.depth, e.keys, e.entries
		b.scan()
		return b.over != nil
	}
	require.False(t, isOver(e), "%+v: %q", e, text)
	if e.pairs > 0 {
		return
	}
	for _, less := range []extent{{e.depth - 1, e.keys, e.entries, 0},
		{e.depth, e.keys - 1, e.entries, 0}, {e.depth, e.keys, e.entries - 1, 0}} {
		if less.depth > depth && less.keys > 0 && less.entries > 0 {
			require.True(t, isOver(less), "%+v: %q", less, text)
		}
	}
}

// The ways to write lists, mappings and texts that end where it is hard to see.
var layouts = []string{
	"a: 1\nb: 2\nc: 3\n", "{a: 1, b: 2, c: 3,}", "{\n  \"a\": 1, 'b' : 2,\n  c: [1,2,3,]\n}\n",
	"a:\n- 1\n- 2\nb:\n  - 3\n", "- - - 1\n    - 2\n- 3\n", "- a: 1\n  b: 2\n- a: 1\n",
	"a: |\n  x: 1\n  y: 2\n  - z\n\n  [\nb: >-\n   {\n   c: 1\nc: 2\n",
	"a: \"x: 1\n  y: 2\n  - z\"\nb: 'it''s\n  {'\nc: 1\n", "a: x # {\n# [\nb: ']'\n",
	"---\na: 1\nb: {c: 1}\n...\n",
	"a: 1\r\nb:\r\n  - 1\r\n  - 2\r\nc: |\r\n  x: 1\r\nd: 1\r\n",
	"- |\n  a: 1\n  b: 2\n- >\n  c: 3\n", "a:\n  b:\n    c: 1\n  d: 1\ne: 1\n",
	"a: ::/0\nb: {c: ::/0, d: why?}\n",
	"a: x{y}[z]\nb: a,b\nc: -1\nd: [-1, ?x, :y]\n", "a: \"\\\\\"\nb: 1\n", "a: '\\'\nb: 1\n",
	"\"a b\": 1\n'c': 2\n", "a: [[], {}, [{}]]\nb: [\n{c: 1},\n{d: 1, e: 2}\n]\n",
	"- [a, b]\n- {c: d}\n",
	"a: |2\n    x\n   y: 1\nb: 1\n", "a:\n\n  # c\n  b: 1\n\n\nc: 1\n",
	"[{\"a\":1,\"b\":[1,2]},{\"c\":\"d:\"}]", "a: it's\nb: 5\" pipe\n",
	"{a: \"10.0.0.0\\/8\", b: c\\/d}",
}

func TestBoundsAreThoseOfTheTree(t *testing.T) {
	for _, text := range layouts {
		requireBounds(t, text)
	}
	for _, name := range []string{referencePolicy, referenceSettings,
		"../../docs/examples/policy.yaml", "../../docs/examples/portcullis.yaml"} {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		requireBounds(t, string(data))
	}
	pieces := rapid.SampledFrom([]string{"a", "b", " ", "  ", "\n", "\n  ", "\n    ", "- ", "a: ",
		"b: ", ":", ",", "[", "]", "{", "}", "\"", "'", "#", " # x\n", "|\n", ">\n", "\\/", "?",
		"1", "---\n", "\r\n", "x: y\n"})
	rapid.Check(t, func(t *rapid.T) {
		requireBounds(t, strings.Join(rapid.SliceOfN(pieces, 1, 25).Draw(t, "pieces"), ""))
		requireBounds(t, configtest.DrawFile(t))
	})
}

// tooMuch are files of which nothing is to be read behind the limit, however long they are; size is
// how often the part that repeats does.
var tooMuch = map[string]func(size int) string{
	"keys": func(n int) string { return repeated(n, "k%d: 1\n") },
	"keys in braces": func(n int) string {
		return "groups: {" + repeated(n, "k%d: 1, ") + "}"
	},
	"keys of JSON": func(n int) string {
		return `{"groups":{` + repeated(n, `"k%d":1,`) +
			`"k":1}}`
	},
	"keys of an entry": func(n int) string {
		return "instances:\n- name: a\n  ports:\n" + repeated(n, "    k%d: 1\n")
	},
	"keys that are quoted":  func(n int) string { return repeated(n, "\"k%d\": 1\n") },
	"keys that are nothing": func(n int) string { return repeated(n, ": %d\n") },
	"keys with anchors":     func(n int) string { return repeated(n, "&a%06[1]d k%06[1]d: *a\n") },
	"depth":                 func(n int) string { return "groups: " + strings.Repeat("[", n) },
	"depth of JSON":         func(n int) string { return strings.Repeat(`{"a":[`, n) },
	"depth by dashes":       func(n int) string { return "groups:\n" + strings.Repeat("- ", n) },
}

func repeated(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// stepsOf is how many marks and texts are looked at until the limit is found, which must be.
func stepsOf(t *testing.T, text string) int {
	t.Helper()
	if _, json := readJSON([]byte(text)); json != nil && json.isOver {
		return json.at
	}
	b := newBounds([]byte(text))
	b.scan()
	require.NotNil(t, b.over)
	return b.steps
}

// What is behind the limit is not looked at: a file a hundred times as long takes as many steps.
func TestLimitsEndTheScanning(t *testing.T) {
	for name, text := range tooMuch {
		t.Log(name)
		require.Equal(t, stepsOf(t, text(2_000)), stepsOf(t, text(200_000)), name)
		var out Report
		_, ok := Document(File{"p.yaml", []byte(text(200_000))}, &out)
		require.False(t, ok, name)
		require.Len(t, out.Errors, 1, name)
		require.Regexp(t, "more than (1000 keys|32 lists)", out.Errors.Error(), name)
	}
	entries := "groups: [" + strings.Repeat("a,", maxEntries+1) + "]"
	var out Report
	Document(File{"p.yaml", []byte(entries)}, &out)
	require.ErrorContains(t, out.Errors, "more than 2000000 entries in one list")
	text, err := json.Marshal(strings.Split(entries, ","))
	require.NoError(t, err)
	out = Report{}
	Document(File{"p.yaml", text}, &out)
	require.ErrorContains(t, out.Errors, "more than 2000000 entries in one list")
}

func BenchmarkTooManyKeys(b *testing.B) {
	text := []byte(tooMuch["keys"](1_000_000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Document(File{"p.yaml", text}, &Report{})
	}
}

// What is found without a tree is right of any text that is accepted, damaged ones too.
func TestBoundsOfMutations(t *testing.T) {
	data, err := os.ReadFile(referencePolicy)
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) { requireBounds(t, configtest.Mutated(t, string(data))) })
}

// FuzzBounds has the corpus of policy files.
func FuzzBounds(f *testing.F) {
	for _, seed := range layouts {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { requireBounds(t, text) })
}

const (
	referencePolicy   = "../policyfile/reference/policy.yaml"
	referenceSettings = "../reference/portcullis.yaml"
)
