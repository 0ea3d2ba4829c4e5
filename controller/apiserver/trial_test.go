package apiserver

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
)

// TestChangesOfAGeneration makes a change of the generation that it was made of, and of no other;
// with a message, and on trial: confirmed, taken back, and refused to a tenant.
func TestChangesOfAGeneration(t *testing.T) {
	s := serve(t)
	s.must("PUT", "/v1/projects/acme", `{}`)
	web := `{"put":{"groups":[{"name":"web"}]},"generation":1,"message":"for the shop"}`
	var done Done
	s.must("POST", "/v1/changes", web).into(t, &done)
	assert.Equal(t, 2, done.Generation)
	assert.Contains(t, s.must("GET", "/v1/changes/2", "").text, `"from":"for the shop"`)
	stale := s.ask("POST", "/v1/changes", `{"put":{"groups":[{"name":"db"}]},"generation":1}`)
	assert.Equal(t, http.StatusPreconditionFailed, stale.status)
	assert.Contains(t, stale.detail(t), "it is generation 2 now")

	trial := `{"put":{"groups":[{"name":"db"}]},"confirm":"1h"}`
	tenant := s.newToken(access.Editor, "acme", time.Time{})
	assert.Equal(t, http.StatusForbidden,
		s.as(tenant, "POST", "/v1/projects/acme/changes", trial).status)
	s.must("POST", "/v1/changes", trial)
	assert.Contains(t, s.must("GET", "/v1/trial", "").text, `"generation":3`)
	for _, other := range []answer{
		s.ask("PUT", "/v1/groups/db", `{"description":"of the shop"}`, "If-Match: *"),
		s.ask("POST", "/v1/changes", `{"put":{"groups":[{"name":"late"}]},"confirm":"1h"}`),
	} {
		assert.Equal(t, http.StatusConflict, other.status)
		assert.Contains(t, other.detail(t), "is on trial until")
	}
	for _, how := range []string{"confirm", "abandon"} {
		refused := s.ask("POST", "/v1/changes/2/"+how, "")
		assert.Equal(t, http.StatusConflict, refused.status, how)
		assert.Contains(t, refused.detail(t), "generation 3 is on trial, not 2", how)
	}
	s.must("POST", "/v1/changes/0/confirm", "")
	assert.Equal(t, http.StatusConflict, s.ask("POST", "/v1/changes/0/confirm", "").status)
	s.must("POST", "/v1/changes", `{"remove":{"groups":["db"]},"confirm":"1h"}`)
	assert.Equal(t, http.StatusOK, s.as(tenant, "PUT", "/v1/projects/acme/groups/late", `{}`).status,
		"what the trial does not concern goes on")
	assert.Contains(t, s.must("GET", "/v1/changes/5", "").text, `"beside":4`)
	s.must("POST", "/v1/changes/4/abandon", "")
	groups := s.must("GET", "/v1/groups", "").text
	assert.Contains(t, groups, `"db"`)
	assert.Contains(t, groups, `"acme/late"`)
	for _, bad := range []string{`{"confirm":"x"}`, `{"confirm":"0s"}`, `{"message":"a\nb"}`} {
		assert.Equal(t, http.StatusUnprocessableEntity, s.ask("POST", "/v1/changes", bad).status, bad)
	}

	editor := s.newToken(access.Editor, "", time.Time{})
	project := `{"put":{"projects":[{"name":"mine"}]}}`
	assert.Equal(t, http.StatusForbidden, s.as(editor, "POST", "/v1/changes", project).status)
	s.must("POST", "/v1/changes", project)
	s.must("POST", "/v1/changes", `{"remove":{"projects":["mine"]}}`)
	before := s.must("GET", "/v1/policy?generation=1", "")
	assert.NotContains(t, before.text, "web")
	assert.Equal(t, "1", before.header.Get(GenerationHeader))
	require.Equal(t, http.StatusConflict, s.ask("GET", "/v1/policy?generation=99", "").status)
	assert.NotContains(t, s.as(tenant, "GET", "/v1/projects/acme/policy", "").text, "web")
}

// TestTheEndOfATrialIsTold tells who listens, and who asks, that a trial began and how it stands,
// also where it ends without a generation.
func TestTheEndOfATrialIsTold(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.must("PUT", "/v1/projects/acme", `{}`)
	l := s.listen(s.token, "/v1/events")
	onTrial := func() int {
		var got Status
		s.must("GET", "/v1/status", "").into(t, &got)
		return got.OnTrial
	}
	tell := func(l *listening, want string) {
		t.Helper()
		id, data := l.event("trial")
		assert.Empty(t, id, "a stream goes on by changes")
		assert.Contains(t, data, want)
	}
	assert.Zero(t, onTrial())
	for n, end := range []string{"confirm", "abandon"} {
		made := 2 + n
		s.must("POST", "/v1/changes",
			fmt.Sprintf(`{"put":{"groups":[{"name":"g%d"}]},"confirm":"1h"}`, n))
		l.event("change")
		tell(l, fmt.Sprintf(`{"trial":{"generation":%d,`, made))
		assert.Equal(t, made, onTrial())
		tell(s.listen(s.token, "/v1/events"), fmt.Sprintf(`"generation":%d`, made)) // who comes later
		tenant := s.newToken(access.Viewer, "acme", time.Time{})
		assert.NotContains(t, s.as(tenant, "GET", "/v1/projects/acme/status", "").text, "on_trial")
		s.must("POST", fmt.Sprintf("/v1/changes/%d/%s", made, end), "")
		if end == "abandon" {
			l.event("change")
		}
		tell(l, "{}")
		assert.Zero(t, onTrial())
	}
}
