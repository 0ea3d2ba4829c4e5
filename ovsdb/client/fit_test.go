package client

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const refused = `{"id":2,"error":{"error":"unknown column"}}`

// schemaOf is the server's answer to the request with a number.
func schemaOf(number int, version, tables string) string {
	return fmt.Sprintf(`{"id":%d,"result":{"version":%q,"tables":%s},"error":null}`, number, version,
		tables)
}

// A server that refuses columns is asked for those of its schema, if the others may be missing: a
// schema that becomes another one in between, or lacks more, ends the connection in words.
func TestStreamFitsTheSchema(t *testing.T) {
	const old = `{"T":{"columns":{"c":{}}}}`
	for name, c := range map[string]struct {
		says []string
		want string // why the connection ends; "" = it does not
	}{
		"it lacks what may be missing": {says: []string{contact, refused, schemaOf(3, "1", old), first,
			schemaOf(5, "1", old), contact, contact, contact}},
		"it lacks more": {[]string{contact, refused, schemaOf(3, "1", `{"U":{}}`)},
			"1: it has no T, U.e"},
		"it is converted while it is asked": {[]string{contact, refused, schemaOf(3, "1", old), first,
			schemaOf(5, "2", old)}, errConverted.Error()},
		"it was converted before it is asked": {[]string{contact, refused,
			schemaOf(3, "2", `{"T":{"columns":{"c":{},"d":{}}},"U":{"columns":{"e":{}}}}`)},
			"unknown column"},
		"its schema is none": {[]string{contact, refused, `{"id":3,"result":7,"error":null}`},
			"its schema cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			r := streamOf(t, StreamOptions{Endpoint: liar(t, c.says), Later: []string{"T.d", "U"},
				Columns: map[string][]string{"T": {"c", "d"}, "U": {"e"}},
				Misfit: func(version string, err error) error {
					return fmt.Errorf("%s: %w", version, err)
				}})
			if c.want != "" {
				r.awaitDown(t, c.want)
				return
			}
			require.Eventually(t, func() bool { return r.Last() != "" }, time.Minute, time.Millisecond)
			r.mu.Lock()
			defer r.mu.Unlock()
			require.Equal(t, []string{"T.d", "U"}, r.server.Lacks)
			require.Equal(t, "1", r.server.Schema)
			require.Empty(t, r.downs)
		})
	}
}
