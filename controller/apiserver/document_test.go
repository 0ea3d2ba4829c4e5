package apiserver

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/schema/openapi.json")

// documentFile is the document as it is shipped.
const documentFile = "../../docs/schema/openapi.json"

// TestDocumentIsCurrent holds the document that is shipped against the one that is served.
func TestDocumentIsCurrent(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, json.Indent(&b, marshal(Document()), "", "  "))
	if *update {
		require.NoError(t, os.WriteFile(documentFile, b.Bytes(), 0o644))
	}
	kept, err := os.ReadFile(documentFile)
	require.NoError(t, err)
	assert.True(t, b.String() == string(kept),
		"%s is not what is served: go generate ./controller/apiserver", documentFile)
}

// compiled are the schemas of the document, ready to judge.
var compiled = sync.OnceValues(func() (*jsonschema.Compiler, error) {
	c := jsonschema.NewCompiler()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(marshal(Document())))
	if err != nil {
		return nil, err
	}
	return c, c.AddResource("openapi.json", document)
})

// schemaOf compiles the schema of a shape.
func schemaOf(t testing.TB, s shape) *jsonschema.Schema {
	t.Helper()
	c, err := compiled()
	require.NoError(t, err)
	out, err := c.Compile("openapi.json#/components/schemas/" + string(s))
	require.NoError(t, err)
	return out
}

// judging is held while a schema is compiled.
var judging sync.Mutex

// conforms holds an answer against what the document says of it.
func conforms(t testing.TB, method, path string, a answer) {
	t.Helper()
	judging.Lock()
	defer judging.Unlock()
	plain, _, _ := strings.Cut(path, "?")
	for _, one := range routes() {
		if one.method != method || !fits(strings.Split(one.path, "/"), strings.Split(plain, "/")) {
			continue
		}
		want, status := one.answer, one.status
		if status == 0 {
			status = http.StatusOK
		}
		switch {
		case a.status >= http.StatusBadRequest:
			want = shapeProblem
		case !strings.Contains(path, "dry_run"):
			assert.Equal(t, status, a.status, "%s %s", method, path)
		}
		if want == shapeNone || want == shapePolicyFile || want == shapeEvents {
			return
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(a.text))
		require.NoError(t, err, "%s %s: %s", method, path, a.text)
		assert.NoError(t, schemaOf(t, want).Validate(value), "%s %s: %s", method, path, a.text)
		return
	}
}

// TestDocumentDescribesEveryRoute sees that names are unique, that what is named is there, and that
// paths can be asked.
func TestDocumentDescribesEveryRoute(t *testing.T) {
	text := string(marshal(Document()))
	seen := map[string]bool{}
	for _, one := range routes() {
		assert.False(t, seen[one.name()], one.name())
		seen[one.name()] = true
		for _, s := range []shape{one.body, one.answer, shapeProblem} {
			if s != shapeNone {
				schemaOf(t, s)
			}
		}
		assert.NotEmpty(t, one.what)
		_, err := url.Parse(filled(one.path))
		assert.NoError(t, err)
	}
	for _, part := range strings.Split(text, `"$ref":"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		assert.Contains(t, schemas(), name)
	}
	assert.NotContains(t, text, "http://", "nothing of it is elsewhere")
}
