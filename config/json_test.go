package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/flows/policy"
)

// asPHP writes JSON as json_encode of PHP does: no blanks, every / and every character beyond ASCII escaped.
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
		require.NoError(t, yaml.Unmarshal(MarshalPolicy(p), &value))
		indented, err := json.MarshalIndent(value, "", "\t")
		require.NoError(t, err)
		for _, text := range []string{asPHP(t, value), string(indented), "\r\n\t " + beforeColon.ReplaceAllString(string(indented), "$1 \t:\n")} {
			got, _, err := parseOne(text)
			require.NoError(t, err, "%s", text)
			require.Equal(t, withoutPositions(p), withoutPositions(got), "%s", text)
		}
	})
}

// Positions and reasons are those of the text; what the other language would say of it is not told.
func TestJSONTellsWhere(t *testing.T) {
	for _, c := range []refusal{
		{"escaped slash and a mistake after it", `{"groups":[{"name":"a","rules":[{"direction":"ingress","protocol":"any","cidr":§"10.0.0.0\/99"}]}]}`, []string{`groups[0].rules[0].cidr: is "10.0.0.0/99"`}},
		{"halves of a character", `{"groups":[{"name":"\ud83d\ude00"},{"name":"\u00e4",§"nome":1}]}`, []string{`groups[1]: unknown key "nome"`}},
		{"a key that is not known", "{\"groups\":[\n\t{\"name\":\"a\\/b\",\t§\"rule\":[]}]}", []string{`groups[0]: unknown key "rule"; did you mean "rules"?`}},
		{"a key twice", `{"groups":[],§"groups":[]}`, []string{`groups: the key "groups" is here twice`}},
		{"a number where a text is wanted", `{"groups":[{"name":§12}]}`, []string{`groups[0].name: must be text, not the number 12`}},
		{"null", `{"groups":§null}`, []string{`groups: must be a list`}},
		{"no comma", `{"groups":[{"name":"a\/b"§"rules":[]}]}`, []string{": not valid JSON: a comma, or }, is missing before this"}},
		{"no colon", `{"groups"§[]}`, []string{": not valid JSON: a colon is missing here"}},
		{"no end", `{"groups":§[{"name":"a\/b"}`, []string{": not valid JSON: this [ is not closed"}},
		{"no end of a text", `{"groups":[{"name":§"a\/b}]}`, []string{`: not valid JSON: the text that begins with " here does not end`}},
		{"more behind the end", `{"groups":[{"name":"a\/b"}]}§}`, []string{": not valid JSON: more follows its end"}},
		{"a closing bracket of the other kind", `{"groups":[{"name":"a\/b"}§}]`, []string{": not valid JSON: a comma, or ], is missing before this"}},
		{"half of a character", `{"groups":[{"name":"a§\ud83d"}]}`, []string{`: not valid JSON: \ud83d is half of a character`}},
		{"an escape that is none", `{"groups":[{"name":"a§\q"}]}`, []string{`: not valid JSON: \q is no escape in double quotes`}},
		{"four digits that are three", `{"groups":[{"name":"a§\u12g4"}]}`, []string{`: not valid JSON: \u is no escape`}},
		{"half of a character in YAML", "groups:\n- name: \"a§\\ud83d\\ude00\"\n", []string{`: not valid YAML: \ud83d is half of a character; write the character itself`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, at := marked("p.yaml", c.yaml)
			_, _, err := parseOne(text)
			requireErrors(t, err, at, c.want)
		})
	}
}

func TestSettingsAsJSON(t *testing.T) {
	cleanEnvironment(t)
	s, err := parseSettings(File{"/x/s.yaml", []byte(`{"host":"hv\u00e4","uplinks":["eth0"],"policy":"\/etc\/p.yaml","log_denied":true,"limits":{"connections":7},"log":{"level":"debug"}}`)})
	require.NoError(t, err)
	require.Equal(t, "hvä", s.Host)
	require.Equal(t, "/etc/p.yaml", s.Policy)
	require.Equal(t, policy.Limit(7), s.Limits.Connections)
	require.True(t, s.LogDenied)
	_, err = parseSettings(File{"/x/s.yaml", []byte("{\"policy\":\"\\/etc\\/p.yaml\",\n\"hots\":\"a\"}")})
	require.ErrorContains(t, err, `/x/s.yaml:2:1: unknown key "hots"; did you mean "host"?`)
}

// An escaped slash is one in YAML, too (1.2, section 5.7), in double quotes only.
func TestEscapedSlash(t *testing.T) {
	p, _, err := parseOne("groups:\n- name: g\n  description: a\\/b\n  rules:\n  - {direction: ingress, protocol: any, cidr: \"10.0.0.0\\/8\", description: 'c\\/d'}\n  - {direction: egress, protocol: any, cidr: \"10.0.0.0/8\", description: \"e\\\\/f\\\\\\/g\"}\n")
	require.NoError(t, err)
	require.Equal(t, `a\/b`, p.Groups[0].Description)
	require.Equal(t, "10.0.0.0/8", p.Groups[0].Rules[0].Peer.CIDR.String())
	require.Equal(t, `c\/d`, p.Groups[0].Rules[0].Description)
	require.Equal(t, `e\/f\/g`, p.Groups[0].Rules[1].Description)
}

// What is JSON to the standard library is JSON here, and the other way round, but for halves of characters and for what is too much.
func TestJSONIsWhatItIs(t *testing.T) {
	piece := rapid.SampledFrom([]string{"{", "}", "[", "]", ":", ",", `"`, `"a"`, `"b\/"`, `\`, `\n`, `\u00e9`, `\ud83d\ude00`, "1", "-0", "0.5", "1e9", "01", "-", ".", "true", "false", "null", " ", "\n", "\t", "x", "é"})
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "{", "[", `{"a":`, `[1,`}).Draw(t, "begin") + strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
		root, r := readJSON([]byte(text))
		begin := strings.TrimLeft(text, " \t\r\n")
		if !strings.HasPrefix(begin, "{") && !strings.HasPrefix(begin, "[") {
			require.Nil(t, r)
			return
		}
		var value any
		err := json.Unmarshal([]byte(text), &value)
		if halves := strings.Contains(text, `\ud83d`) && r.failed != nil && strings.Contains(r.failed.what, "half"); !halves {
			require.Equal(t, err == nil, r.failed == nil, "%s: %v, %+v", text, err, r.failed)
		}
		if r.failed == nil {
			var same any
			require.NoError(t, root.Decode(&same), text)
			want, _ := json.Marshal(value)
			got, _ := json.Marshal(plainKeys(same))
			require.JSONEq(t, string(want), string(got))
		} else {
			m := r.mistake()
			require.Positive(t, m.line*m.column)
		}
	})
}

// plainKeys makes keys texts, as they are in JSON.
func plainKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plainKeys(v[k])
		}
	case map[any]any:
		out := map[string]any{}
		for k := range v {
			out[fmt.Sprint(k)] = plainKeys(v[k])
		}
		return out
	case []any:
		for i := range v {
			v[i] = plainKeys(v[i])
		}
	}
	return v
}
