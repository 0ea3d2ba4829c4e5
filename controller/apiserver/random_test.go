package apiserver

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
)

// Random requests, made of the OpenAPI document: right ones, nearly right ones, and nonsense.

// words are texts that a document's patterns mean, and such as they do not.
var words = []string{"web", "db", "a", "acme/web", "/web", "tcp", "udp", "any", "80", "80-443",
	"65536", "0", "-1", "0.0.0.0/0", "::/0", "198.51.100.0/24", "203.0.113.11", "2001:db8::1",
	"02:00:00:00:00:11", "tap1", "hv1", "ingress", "egress", "", " ", "\x00", "ü", "<b>", "{}", "[]",
	"null", "..", "%2f", strings.Repeat("x", 300), "*", "1e9", "internal", "icmp", "echo-request"}

// maker makes values of schemas.
type maker struct{ *rand.Rand }

func (m maker) word() string { return words[m.IntN(len(words))] }

// value is a value of a schema, mostly; deep bounds how far it goes down.
func (m maker) value(schema any, deep int) any {
	s, _ := schema.(map[string]any)
	if o, isObject := schema.(object); isObject {
		s = o
	}
	if deep == 0 || m.IntN(12) == 0 {
		return m.nonsense()
	}
	if list, isThere := s["anyOf"].([]any); isThere && len(list) > 0 && m.IntN(3) > 0 {
		return m.value(list[m.IntN(len(list))], deep-1)
	}
	if list, isThere := s["enum"].([]any); isThere && len(list) > 0 {
		return list[m.IntN(len(list))]
	}
	switch s["type"] {
	case "object":
		out := map[string]any{}
		for key, of := range propertiesOf(s) {
			if m.IntN(3) > 0 {
				out[key] = m.value(of, deep-1)
			}
		}
		if m.IntN(10) == 0 {
			out[m.word()] = m.nonsense()
		}
		return out
	case "array":
		out := []any{}
		for range m.IntN(3) {
			out = append(out, m.value(s["items"], deep-1))
		}
		return out
	case "integer", "number":
		return m.IntN(70000) - 10
	case "boolean":
		return m.IntN(2) == 0
	}
	return m.word()
}

func (m maker) nonsense() any {
	return []any{nil, true, -1, 1.5, 1e300, "x", []any{}, []any{nil, []any{}}, map[string]any{},
		map[string]any{"": nil}, m.word()}[m.IntN(11)]
}

// resolved is a schema whose reference is followed.
func resolved(s shape) object {
	text := marshal(schemas()[string(s)])
	out := object{}
	_ = json.Unmarshal(text, &out) // it is an object
	return out
}

// request makes a request of a route.
func (m maker) request(one route) (path, body string, headers []string) {
	var way []string
	for _, part := range strings.Split(one.path, "/") {
		if strings.HasPrefix(part, "{") {
			part = url.PathEscape([]string{"web", "db", "acme", "7", "1", m.word()}[m.IntN(6)])
			if part == "" || part == ".." || part == "." {
				part = "web"
			}
		}
		way = append(way, part)
	}
	query := url.Values{}
	for _, p := range one.query {
		if m.IntN(3) == 0 {
			query.Set(p.name, []string{m.word(), "true", strconv.Itoa(m.IntN(2000))}[m.IntN(3)])
		}
	}
	if query.Has("wait") {
		query.Set("wait", "1ms")
	}
	path = strings.Join(way, "/") + "?" + query.Encode()
	if one.body != shapeNone {
		text, err := json.Marshal(m.value(resolved(one.body), 8))
		if body = string(text); err != nil || m.IntN(15) == 0 {
			body = m.broken(body)
		}
	}
	if m.IntN(2) == 0 {
		headers = append(headers, "If-Match: *")
	}
	return path, body, headers
}

// broken cuts, doubles or bends a text.
func (m maker) broken(text string) string {
	if text == "" {
		return "{"
	}
	n := m.IntN(len(text))
	return []string{text[:n], text + text, text[:n] + "\x00" + text[n:], "[" + text,
		strings.Repeat("[", 2000), `{"a":` + text}[m.IntN(6)]
}

// TestRandomRequests asks every route with random requests. No answer is a failure of the server,
// each is as the document says, and what was written is a valid policy. RANDOM_SEED has the same
// again.
func TestRandomRequests(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if text := os.Getenv("RANDOM_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("RANDOM_SEED=%d", seed)
	m := maker{rand.New(rand.NewPCG(seed, 0))}
	s := serve(t)
	s.must("PUT", "/v1/projects/acme", `{}`)
	s.must("PUT", "/v1/groups/web", `{"rules":[`+webRule+`]}`)
	s.must("PUT", "/v1/instances/db", instanceBody("02:00:00:00:00:11", "203.0.113.11", "web"))
	counts := map[int]int{}
	all := slices.DeleteFunc(routes(), func(r route) bool { return r.answer == shapeEvents })
	for n := range 2500 {
		one := all[n%len(all)]
		path, body, headers := m.request(one)
		if n%500 == 0 {
			s.token = s.newToken(access.Operator, "", time.Time{}) // each has so many requests a second
		}
		a := s.ask(one.method, path, body, headers...)
		counts[a.status/100]++
		if !assert.Less(t, a.status, 500, "%s %s %s: %s", one.method, path, body, a.text) {
			return
		}
	}
	t.Logf("answers: %s", fmt.Sprint(counts))
	assert.Greater(t, counts[2], 200)
	assert.Greater(t, counts[4], 200)
	_, _, err := s.db.Policy()
	require.NoError(t, err)
}
