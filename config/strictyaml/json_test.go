package strictyaml

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is JSON to the standard library is JSON here, and the other way round, but for halves of
// characters and for what is too much.
func TestJSONIsWhatItIs(t *testing.T) {
	piece := rapid.SampledFrom([]string{"{", "}", "[", "]", ":", ",", `"`, `"a"`, `"b\/"`, `\`,
		`\n`, `\u00e9`, `\ud83d\ude00`, "1", "-0", "0.5", "1e9", "01", "-", ".", "true", "false",
		"null", " ", "\n", "\t", "x", "é"})
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "{", "[", `{"a":`, `[1,`}).Draw(t, "begin") +
			strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
		root, r := readJSON([]byte(text))
		begin := strings.TrimLeft(text, " \t\r\n")
		if !strings.HasPrefix(begin, "{") && !strings.HasPrefix(begin, "[") {
			require.Nil(t, r)
			return
		}
		var value any
		err := json.Unmarshal([]byte(text), &value)
		if halves := strings.Contains(text, `\ud83d`) && r.failed != nil &&
			strings.Contains(r.failed.what, "half"); !halves {
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
