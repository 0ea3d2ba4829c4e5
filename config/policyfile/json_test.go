package policyfile

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/config/configtest"
)

// asPHP writes JSON as json_encode of PHP does: no blanks, every / and every character beyond ASCII
// escaped.
func asPHP(t require.TestingT, value any) string {
	text, err := json.Marshal(value)
	require.NoError(t, err)
	var b strings.Builder
	for _, r := range strings.ReplaceAll(string(text), "/", `\/`) {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\u%04X\u%04X`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		}
	}
	return b.String()
}

var beforeColon = regexp.MustCompile(`(?m)^(\t*"[a-z_]+"): `)

// A policy is the same as JSON, whoever writes it: dense, indented, with escapes.
func TestPolicyAsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		var value any
		require.NoError(t, yaml.Unmarshal(Marshal(p), &value))
		indented, err := json.MarshalIndent(value, "", "\t")
		require.NoError(t, err)
		for _, text := range []string{asPHP(t, value), string(indented),
			"\r\n\t " + beforeColon.ReplaceAllString(string(indented), "$1 \t:\n")} {
			got, _, err := parseOne(text)
			require.NoError(t, err, "%s", text)
			require.Equal(t, withoutPositions(p), withoutPositions(got), "%s", text)
		}
	})
}

// Positions and reasons are those of the text; what the other language would say of it is not told.
func TestJSONTellsWhere(t *testing.T) {
	for _, c := range []configtest.Refusal{
		{Name: "escaped slash and a mistake after it",
			Yaml: `{"groups":[{"name":"a","rules":[{"direction":"ingress","protocol":"any","cidr":§"10.0.0.0\/99"}]}]}`, Want: []string{`groups[0].rules[0].cidr: is "10.0.0.0/99"`}},
		{Name: "halves of a character",
			Yaml: `{"groups":[{"name":"\ud83d\ude00"},{"name":"\u00e4",§"nome":1}]}`,
			Want: []string{`groups[1]: unknown key "nome"`}},
		{Name: "a key that is not known",
			Yaml: "{\"groups\":[\n\t{\"name\":\"a\\/b\",\t§\"rule\":[]}]}",
			Want: []string{`groups[0]: unknown key "rule"; did you mean "rules"?`}},
		{Name: "a key twice", Yaml: `{"groups":[],§"groups":[]}`,
			Want: []string{`groups: the key "groups" is here twice`}},
		{Name: "a number where a text is wanted", Yaml: `{"groups":[{"name":§12}]}`,
			Want: []string{`groups[0].name: must be text, not the number 12`}},
		{Name: "null", Yaml: `{"groups":§null}`, Want: []string{`groups: must be a list`}},
		{Name: "no comma", Yaml: `{"groups":[{"name":"a\/b"§"rules":[]}]}`,
			Want: []string{": not valid JSON: a comma, or }, is missing before this"}},
		{Name: "no colon", Yaml: `{"groups"§[]}`,
			Want: []string{": not valid JSON: a colon is missing here"}},
		{Name: "no end", Yaml: `{"groups":§[{"name":"a\/b"}`,
			Want: []string{": not valid JSON: this [ is not closed"}},
		{Name: "no end of a text", Yaml: `{"groups":[{"name":§"a\/b}]}`,
			Want: []string{`: not valid JSON: the text that begins with " here does not end`}},
		{Name: "more behind the end", Yaml: `{"groups":[{"name":"a\/b"}]}§}`,
			Want: []string{": not valid JSON: more follows its end"}},
		{Name: "a closing bracket of the other kind", Yaml: `{"groups":[{"name":"a\/b"}§}]`,
			Want: []string{": not valid JSON: a comma, or ], is missing before this"}},
		{Name: "half of a character", Yaml: `{"groups":[{"name":"a§\ud83d"}]}`,
			Want: []string{`: not valid JSON: \ud83d is half of a character`}},
		{Name: "an escape that is none", Yaml: `{"groups":[{"name":"a§\q"}]}`,
			Want: []string{`: not valid JSON: \q is no escape in double quotes`}},
		{Name: "four digits that are three", Yaml: `{"groups":[{"name":"a§\u12g4"}]}`,
			Want: []string{`: not valid JSON: \u is no escape`}},
		{Name: "half of a character in YAML", Yaml: "groups:\n- name: \"a§\\ud83d\\ude00\"\n",
			Want: []string{
				`: not valid YAML: \ud83d is half of a character; write the character itself`}},
	} {
		t.Run(c.Name, func(t *testing.T) {
			text, at := configtest.Marked("p.yaml", c.Yaml)
			_, _, err := parseOne(text)
			configtest.RequireErrors(t, err, at, c.Want)
		})
	}
}

// An escaped slash is one in YAML, too (1.2, section 5.7), in double quotes only.
func TestEscapedSlash(t *testing.T) {
	p, _, err := parseOne(
		"groups:\n- name: g\n  description: a\\/b\n  rules:\n  - {direction: ingress, protocol: " +
			"any, cidr: \"10.0.0.0\\/8\", description: 'c\\/d'}\n  - {direction: egress, protocol: " +
			"any, cidr: \"10.0.0.0/8\", description: \"e\\\\/f\\\\\\/g\"}\n")
	require.NoError(t, err)
	require.Equal(t, `a\/b`, p.Groups[0].Description)
	require.Equal(t, "10.0.0.0/8", p.Groups[0].Rules[0].Peers[0].CIDR.String())
	require.Equal(t, `c\/d`, p.Groups[0].Rules[0].Description)
	require.Equal(t, `e\/f\/g`, p.Groups[0].Rules[1].Description)
}
