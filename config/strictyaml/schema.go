// JSON Schemas of mappings, with the comments of a commented reference file. Called by the schemas
// of settings and policy files.

package strictyaml

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Schema is a JSON Schema, draft 2020-12. It uses only what draft 07 has too, as many editors know
// no more.
type Schema map[string]any

// WriteSchema returns the text of a schema.
func WriteSchema(title string, s Schema) []byte {
	s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", title
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // it is made of strings, numbers, lists and maps
	}
	return append(out, '\n')
}

// Describer makes objects whose keys say what the reference says of them.
type Describer struct {
	File     string
	Comments map[string]string
}

// Object is a mapping with these keys and no others. The values are not changed, as several keys
// may share one.
func (d Describer) Object(place string, keys []string, values map[string]Schema,
	required ...string) Schema {
	properties := make(Schema, len(keys))
	for _, key := range keys {
		value, ok := values[key]
		if !ok {
			// a test makes all schemas
			panic(fmt.Sprintf("config: the schema of the %s lacks %s in %q", d.File, key, place))
		}
		described := Schema{}
		for k, v := range value {
			described[k] = v
		}
		if words := d.Comments[strings.TrimPrefix(place+"."+key, ".")]; words != "" {
			described["description"] = words
		}
		properties[key] = described
	}
	out := Schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// Matching is a text that fits a pattern.
func Matching(pattern string) Schema { return Schema{"type": "string", "pattern": pattern} }

// ListOf is a list whose entries fit a schema.
func ListOf(of Schema) Schema { return Schema{"type": "array", "items": of} }

// Comments returns what a reference file says of each key, by its path without indexes: the comment
// lines above the first line that has the key and a comment.
func Comments(reference string) map[string]string {
	out := make(map[string]string)
	var way []step
	var words []string
	for line := range strings.Lines(reference) {
		rest := strings.TrimLeft(line, " -")
		indent := len(line) - len(rest)
		rest = strings.TrimSpace(rest)
		if comment, isComment := strings.CutPrefix(rest, "#"); isComment {
			words = append(words, strings.Trim(comment, " …"))
			continue
		}
		key, _, isKey := strings.Cut(rest, ":")
		if isKey && !strings.HasPrefix(rest, "{") {
			for len(way) > 0 && way[len(way)-1].indent >= indent {
				way = way[:len(way)-1]
			}
			way = append(way, step{indent, key})
			if path := wayOf(way); len(words) > 0 && out[path] == "" {
				out[path] = strings.Join(words, " ")
			}
		}
		words = nil
	}
	return out
}

// step is a key that the current line is below, and where it stands.
type step struct {
	indent int
	key    string
}

func wayOf(way []step) string {
	keys := make([]string, len(way))
	for i, s := range way {
		keys[i] = s.key
	}
	return strings.Join(keys, ".")
}
