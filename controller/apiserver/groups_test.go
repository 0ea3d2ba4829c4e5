package apiserver

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const webRule = `{"direction":"ingress","protocol":"tcp","ports":"80","cidr":"198.51.100.0/24"}`

// TestGroupLives makes, changes and removes a group with its rules, each write under its condition.
func TestGroupLives(t *testing.T) {
	s := serve(t)
	assert.Equal(t, http.StatusNotFound, s.ask("GET", "/v1/groups/web", "").status)

	dry := s.must("PUT", "/v1/groups/web?dry_run=true", `{"rules":[`+webRule+`]}`)
	var done Done
	dry.into(t, &done)
	assert.True(t, done.Changed && done.DryRun)
	assert.Equal(t, http.StatusNotFound, s.ask("GET", "/v1/groups/web", "").status)

	s.must("PUT", "/v1/groups/web", `{"description":"a <b>","rules":[`+webRule+`]}`).into(t, &done)
	assert.Equal(t, 1, done.Generation)
	got := s.must("GET", "/v1/groups/web", "")
	var g struct {
		ID, Name, Description string
		Members               int
		Rules                 []struct {
			ID, Direction, Protocol, Ports, CIDR string
		}
	}
	got.into(t, &g)
	assert.Equal(t, "a <b>", g.Description)
	assert.Contains(t, got.text, "a <b>", "as it was written")
	require.Len(t, g.Rules, 1)
	assert.Equal(t, "198.51.100.0/24", g.Rules[0].CIDR)
	assert.Len(t, g.Rules[0].ID, 36)
	etag := got.header.Get("ETag")

	body := `{"rules":[]}`
	assert.Equal(t, http.StatusPreconditionRequired, s.ask("PUT", "/v1/groups/web", body).status)
	stale := s.ask("PUT", "/v1/groups/web", body, `If-Match: "old"`)
	assert.Equal(t, http.StatusPreconditionFailed, stale.status)
	assert.Contains(t, stale.detail(t), "somebody has changed it meanwhile")
	assert.Equal(t, http.StatusPreconditionFailed,
		s.ask("PUT", "/v1/groups/web", body, "If-None-Match: *", "If-Match: *").status)

	s.must("PATCH", "/v1/groups/web", `{"description":null}`, "If-Match: "+etag)
	after := s.must("GET", "/v1/groups/web", "")
	assert.NotContains(t, after.text, "description")
	assert.Contains(t, after.text, g.Rules[0].ID, "the rule is the same one")
	assert.NotEqual(t, etag, after.header.Get("ETag"))

	added := s.must("POST", "/v1/groups/web/rules",
		`{"direction":"ingress","protocol":"tcp","ports":"443","group":"web"}`)
	assert.Equal(t, http.StatusCreated, added.status)
	var made struct{ Rule struct{ ID string } }
	added.into(t, &made)
	assert.Equal(t, http.StatusConflict, s.ask("POST", "/v1/groups/web/rules", webRule).status)
	s.must("DELETE", "/v1/groups/web/rules/"+made.Rule.ID, "")
	assert.Equal(t, http.StatusNotFound,
		s.ask("DELETE", "/v1/groups/web/rules/"+made.Rule.ID, "").status)

	s.must("PUT", "/v1/instances/web-1", instanceBody("02:00:00:00:00:11", "203.0.113.11", "web"))
	used := s.ask("DELETE", "/v1/groups/web", "", "If-Match: *")
	assert.Equal(t, http.StatusConflict, used.status)
	assert.Contains(t, used.detail(t), `instance "web-1"`)
	assert.Equal(t, http.StatusPreconditionRequired, s.ask("DELETE", "/v1/instances/web-1", "").status)
	s.must("DELETE", "/v1/instances/web-1", "", "If-Match: *")
	s.must("DELETE", "/v1/groups/web", "", "If-Match: *")
	assert.Equal(t, http.StatusNotFound, s.ask("GET", "/v1/groups/web", "").status)

	var changes struct{ Items []Change }
	s.must("GET", "/v1/changes", "").into(t, &changes)
	require.Len(t, changes.Items, 7)
	assert.Equal(t, "DELETE group web", changes.Items[0].From)
	s.must("POST", "/v1/changes/1/rollback", "")
	assert.Contains(t, s.must("GET", "/v1/policy", "").text, "198.51.100.0/24")
}

// instanceBody is an instance with one port.
func instanceBody(mac, address string, groups ...string) string {
	name := "tap" + strings.ReplaceAll(mac[9:], ":", "")
	list := ""
	if len(groups) > 0 {
		list = `"` + strings.Join(groups, `","`) + `"`
	}
	return `{"groups":[` + list + `],"ports":[{"name":"` + name + `","mac":"` + mac +
		`","addresses":["` + address + `"]}]}`
}

// TestMistakesInBodies holds what is wrong with a body against the words that say so, and where.
func TestMistakesInBodies(t *testing.T) {
	s := serve(t)
	s.must("PUT", "/v1/instances/a", instanceBody("02:00:00:00:00:0a", "203.0.113.10"))
	for _, c := range []struct {
		method, path, body string
		status             int
		say                []string
	}{
		{"PUT", "/v1/groups/web", `{"rulez":[]}`, 422, []string{"rulez", "body"}},
		{"PUT", "/v1/groups/web", `{"rules":[{"direction":"ingress","protocol":"tcp"}]}`, 422,
			[]string{"body.rules[0]", "a rule needs a peer"}},
		{"PUT", "/v1/groups/web", `{"rules":[` + webRule + `,{"direction":"in","protocol":"tpc"}]}`, 422,
			[]string{"body.rules[1].direction", "body.rules[1].protocol", "tcp"}},
		{"PUT", "/v1/groups/web", `{"name":"db"}`, 422, []string{"keeps its name"}},
		{"PUT", "/v1/groups/web", `[]`, 400, []string{"JSON object"}},
		{"PUT", "/v1/groups/web", `{"a":`, 400, []string{"JSON object"}},
		{"PUT", "/v1/groups/web", ``, 400, []string{"a body is wanted"}},
		{"PUT", "/v1/groups/web", `{"rules":[{"direction":"ingress","protocol":"any","group":"gone"}]}`,
			422, []string{"gone"}},
		{"PATCH", "/v1/groups/none", `{}`, 404, []string{`"none"`}},
		{"POST", "/v1/groups/none/rules", webRule, 404, []string{`"none"`}},
		{"PUT", "/v1/instances/b", instanceBody("02:00:00:00:00:0b", "203.0.113.10"), 422,
			[]string{"203.0.113.10"}},
		{"PUT", "/v1/instances/b", instanceBody("02:00:00:00:00:0a", "203.0.113.11"), 422,
			[]string{"02:00:00:00:00:0a"}},
		{"PUT", "/v1/instances/b", `{"ports":[{"name":"x","mac":"zz"}]}`, 422,
			[]string{"body.ports[0].mac"}},
		{"POST", "/v1/groups/none/rules", webRule + "," + webRule, 400, []string{"JSON object"}},
		{"POST", "/v1/groups/none/rules", webRule + `]},{"name":"x","rules":[`, 400,
			[]string{"JSON object"}},
		{"POST", "/v1/changes", `{"putt":{}}`, 400, []string{"putt"}},
		{"POST", "/v1/changes", `{"remove":{"groups":["nope"]}}`, 404, []string{"nope"}},
		{"GET", "/v1/groups?limti=3", "", 400, []string{"limti", "limit, after, q"}},
		{"GET", "/v1/groups?limit=0", "", 400, []string{"1 to 1000"}},
		{"GET", "/v1/groups?limit=1&limit=2", "", 400, []string{"2 times"}},
		{"PUT", "/v1/groups/web?dry_run=yes", `{}`, 400, []string{"true or false"}},
		{"GET", "/v1/groups", `{}`, 400, []string{"not wanted"}},
		{"GET", "/v1/changes/x", "", 400, []string{"no number"}},
		{"GET", "/v1/changes/99", "", 404, []string{"99"}},
		{"POST", "/v1/changes/99/rollback", "", 409, []string{"99"}},
		{"POST", "/v1/groups", "", 405, []string{"GET"}},
		{"GET", "/v1/grups", "", 404, []string{"/openapi.json"}},
		{"POST", "/v1/tokens", `{"role":"root"}`, 400, []string{"viewer, editor or operator"}},
		{"POST", "/v1/tokens", `{}`, 422, []string{"role"}},
		{"POST", "/v1/tokens", `{"role":"viewer","expires":"2001-01-01T00:00:00Z"}`, 422,
			[]string{"is over"}},
		{"DELETE", "/v1/tokens/none", "", 404, []string{"none"}},
		{"GET", "/v1/matrix?service=nosuch", "", 400, []string{"nosuch"}},
	} {
		a := s.ask(c.method, c.path, c.body)
		assert.Equal(t, c.status, a.status, "%s %s %s: %s", c.method, c.path, c.body, a.text)
		for _, word := range c.say {
			assert.Contains(t, a.detail(t), word, "%s %s %s", c.method, c.path, c.body)
		}
	}
	_, generation, err := s.db.Policy()
	require.NoError(t, err)
	assert.Equal(t, 1, generation, "nothing was written")
}

// TestSharedIsAnswered lets whoever replaces a group with what was answered keep it shared.
func TestSharedIsAnswered(t *testing.T) {
	s := serve(t)
	s.must("PUT", "/v1/groups/web", `{"shared":true,"rules":[]}`)
	s.must("PUT", "/v1/groups/db", `{"rules":[]}`)
	assert.Contains(t, s.must("GET", "/v1/groups/web", "").text, `"shared":true`)
	assert.Contains(t, s.must("GET", "/v1/groups?q=web", "").text, `"shared":true`)
	assert.NotContains(t, s.must("GET", "/v1/groups/db", "").text, "shared")
}
