package configtest

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// CompileSchema returns the schema of a text.
func CompileSchema(t testing.TB, text []byte) *jsonschema.Schema {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()

	require.NoError(t, c.AddResource("schema.json", parsed))
	s, err := c.Compile("schema.json")
	require.NoError(t, err)
	return s
}

// Value returns what an editor sees of a YAML file; false if it is no YAML.
func Value(text []byte) (any, bool) {
	var v any
	if yaml.Unmarshal(text, &v) != nil {
		return nil, false
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	return out, err == nil
}

// Undescribed counts the keys of a schema of which it says nothing.
func Undescribed(t *testing.T, text []byte) int {
	t.Helper()
	count := 0
	var look func(way string, s map[string]any)
	look = func(way string, s map[string]any) {
		if properties, ok := s["properties"].(map[string]any); ok &&
			s["additionalProperties"] == false {
			for key, p := range properties {
				if p := p.(map[string]any); p["description"] == nil {
					count++
					t.Logf("%s.%s", way, key)
				}
			}
		}
		for key, inner := range s {
			switch inner := inner.(type) {
			case map[string]any:
				look(way+"."+key, inner)
			case []any:
				for _, one := range inner {
					if one, ok := one.(map[string]any); ok {
						look(way+"."+key, one)
					}
				}
			}
		}
	}
	var s map[string]any
	require.NoError(t, json.Unmarshal(text, &s))
	look("", s)
	return count
}

// RequireAccepted checks that a schema accepts files.
func RequireAccepted(t *testing.T, schema []byte, files ...string) {
	t.Helper()
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		v, ok := Value(data)
		require.True(t, ok)
		require.NoError(t, CompileSchema(t, schema).Validate(v), file)
	}
}
