package apiserver

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/hostask"
	"github.com/portcullis/portcullis/flows/policy"
)

const webAndDB = `{"put":{"groups":[{"name":"web"},{"name":"db","rules":[{"direction":"ingress",` +
	`"protocol":"tcp","ports":3306,"group":"web"}]}],"instances":[` +
	`{"name":"web-1","host":"hv1","groups":["web"],"ports":[{"name":"tap1","mac":"02:00:00:00:00:01",` +
	`"addresses":["10.0.0.1"]}]},` +
	`{"name":"db-1","host":"hv1","groups":["db"],"ports":[{"name":"tap2","mac":"02:00:00:00:00:02",` +
	`"addresses":["10.0.0.2"]}]}]}}`

// A plan says who loses and gains, names the hosts that did not say which connections would be cut,
// and writes nothing.
func TestPlan(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.must("POST", "/v1/changes", webAndDB)
	var plan struct {
		Plan
		Loses []struct {
			Instances []string
			Rules     []struct{ Rule string }
		} `json:"loses"`
	}
	s.must("POST", "/v1/plan", `{"put":{"groups":[{"name":"db"}]}}`).into(t, &plan)
	require.Len(t, plan.Loses, 1)
	assert.Equal(t, []string{"db-1"}, plan.Loses[0].Instances)
	assert.Equal(t, "ingress tcp 3306 from group web", plan.Loses[0].Rules[0].Rule)
	assert.True(t, plan.DryRun && plan.Changed)
	assert.Equal(t, 1, plan.Lost)
	assert.Empty(t, plan.Cut)
	assert.Equal(t, []hostask.Missing{{Host: "hv1", Why: "it has not said anything"}}, plan.Missing)
	s.must("POST", "/v1/plan", `{"put":{"groups":[{"name":"db","rules":[{"direction":"ingress","protocol":`+
		`"any","group":"web"}]}]}}`).into(t, &plan)
	assert.Empty(t, plan.Loses)
	assert.Equal(t, 1, plan.Gained)
	_, at, err := s.db.Policy()
	require.NoError(t, err)
	assert.Equal(t, 1, at, "nothing was written")
}

// What could not be written cannot be planned, and who may not write plans nothing.
func TestPlanIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.must("POST", "/v1/changes", webAndDB)
	for body, want := range map[string]int{`{"put":{"groups":[{"name":"db","rules":[{"direction":"ingress",` +
		`"protocol":"tcp","group":"web"}]}]}}`: 422, `{"remove":{"groups":["none"]}}`: 404,
		`{"generation":0}`: 412, `{"puts":{}}`: 400, `[]`: 400} {
		assert.Equal(t, want, s.ask("POST", "/v1/plan", body).status, body)
	}
	viewer := s.newToken(access.Viewer, "", time.Time{})
	assert.Equal(t, 403, s.as(viewer, "POST", "/v1/plan", `{}`).status)
	s.must("PUT", "/v1/projects/acme", `{}`)
	tenant := s.newToken(access.Editor, "acme", time.Time{})
	assert.Equal(t, 404, s.as(tenant, "POST", "/v1/plan", `{}`).status)
	assert.Equal(t, 404, s.as(tenant, "POST", "/v1/projects/acme/plan", `{"remove":{"groups":["db"]}}`).status)
	a := s.as(tenant, "POST", "/v1/projects/acme/plan", `{"put":{"instances":[{"name":"vm","host":"hv1",`+
		`"ports":[{"name":"tap9","mac":"02:00:00:00:00:09","addresses":["10.0.0.2"]}]}]}}`)
	assert.Equal(t, 422, a.status, a.text)
	assert.NotContains(t, a.text, "db-1")
}

// A denied packet is answered by the rules that would admit it; with one of each need it is
// admitted.
func TestSuggestions(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.must("POST", "/v1/changes", webAndDB)
	ask := func(service string) (out struct {
		Admitted bool
		Needs    []struct {
			Direction, Instance string
			Choices             []struct {
				Group string
				Rule  map[string]any
			}
		}
	}) {
		s.must("GET", "/v1/suggestions?src=10.0.0.1&dst=10.0.0.2&service="+url.QueryEscape(service), "").
			into(t, &out)
		return out
	}
	assert.True(t, ask("tcp/3306").Admitted)
	found := ask("tcp/5432")
	require.Len(t, found.Needs, 1)
	assert.Equal(t, "db-1", found.Needs[0].Instance)
	for _, c := range found.Needs[0].Choices {
		s.must(http.MethodPost, "/v1/groups/"+c.Group+"/rules", string(marshal(c.Rule)))
		assert.True(t, ask("tcp/5432").Admitted, c)
		var g struct{ Rules []struct{ ID string } }
		s.must(http.MethodGet, "/v1/groups/db", "").into(t, &g)
		s.must(http.MethodDelete, "/v1/groups/db/rules/"+g.Rules[len(g.Rules)-1].ID, "", "If-Match: *")
	}
	assert.False(t, ask("tcp/5432").Admitted)
	for query, want := range map[string]string{
		"src=10.0.0.1&dst=10.0.0.2&service=tcp":          "that of one packet",
		"src=10.0.0.1&dst=2001:db8::1&service=tcp/1":     "not of one family",
		"src=web-1&dst=10.0.0.2&service=tcp/1":           "must be an address",
		"src=10.0.0.1&dst=10.0.0.2&service=icmpv6/128/0": "one packet of IPv4",
		"src=192.0.2.1&dst=192.0.2.2&service=tcp/1":      "neither address is of an instance",
		"src=fe80::1%25eth0&dst=fe80::2&service=tcp/1":   "must be an address"} {
		a := s.ask("GET", "/v1/suggestions?"+query, "")
		assert.Equal(t, 400, a.status, query)
		assert.Contains(t, a.detail(t), want)
	}
}

// A project is suggested its own words, and learns of no other's instance.
func TestSuggestionsOfAProject(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.must("POST", "/v1/changes", webAndDB)
	s.must("PUT", "/v1/projects/acme", `{}`)
	tenant := s.newToken(access.Editor, "acme", time.Time{})
	at := "/v1/projects/acme"
	for _, body := range []string{`{"put":{"groups":[{"name":"vms"}],"instances":[{"name":"vm","host":"hv1",` +
		`"groups":["vms"],"ports":[{"name":"tap9","mac":"02:00:00:00:00:09","addresses":["10.0.0.9"]}]}]}}`} {
		require.Equal(t, 200, s.as(tenant, "POST", at+"/changes", body).status)
	}
	a := s.as(tenant, "GET", at+"/suggestions?src=10.0.0.1&dst=10.0.0.9&service=tcp/22", "")
	require.Equal(t, 200, a.status, a.text)
	assert.Contains(t, a.text, `"group":"vms"`)
	assert.Contains(t, a.text, `10.0.0.1/32`)
	assert.NotContains(t, a.text, "web")
}

// Rules of which no host has said anything are listed, with nothing claimed of them.
func TestUnusedWithoutHosts(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.must("POST", "/v1/changes", webAndDB)
	var out Unused
	s.must("GET", "/v1/unused", "").into(t, &out)
	require.Len(t, out.Items, 1)
	assert.Equal(t, "ingress tcp 3306 from group web", out.Items[0].Rule)
	assert.NotEmpty(t, out.Items[0].ID)
	assert.Zero(t, out.Items[0].Hosts)
	assert.Zero(t, out.Items[0].Since)
	assert.False(t, out.OnAllHosts)
	assert.Equal(t, []hostask.Missing{{Host: "hv1", Why: "it has not said anything"}}, out.Missing)
	s.must("GET", "/v1/unused?group=web", "").into(t, &out)
	assert.Empty(t, out.Items)
}

// What nobody waits for any more is not compared to its end.
func TestComparisonThatTakesTooLong(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &policy.Policy{Groups: []*policy.Group{{Name: "web"}}}
	_, err := comparing(ctx, p, &policy.Policy{}, "")
	problem, isKnown := problemOf(err)
	require.True(t, isKnown)
	require.Equal(t, http.StatusServiceUnavailable, problem.Status)
	_, err = comparing(t.Context(), p, &policy.Policy{}, "")
	require.NoError(t, err)
}
