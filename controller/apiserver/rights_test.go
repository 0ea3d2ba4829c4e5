package apiserver

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
)

// TestEveryRouteAsksWhoMay asks every route as nobody, as every role of all projects, of its own
// project and of another one, and holds the answer against the role that the route names.
func TestEveryRouteAsksWhoMay(t *testing.T) {
	s := serve(t)
	for _, project := range []string{"acme", "other"} {
		s.must("PUT", "/v1/projects/"+project, `{}`)
	}
	tokens := map[access.Role]map[string]string{}
	for _, role := range access.Roles() {
		tokens[role] = map[string]string{}
		for _, project := range []string{"", "acme", "other"} {
			tokens[role][project] = s.newToken(role, project, time.Time{})
		}
	}
	asked := 0
	for _, one := range routes() {
		path, project := filled(one.path), ""
		if strings.HasPrefix(path, "/v1/projects/acme") {
			project = "acme"
		}
		body := ""
		if one.body != shapeNone {
			body = `{"rules":[],"bad":1}` // is refused by whoever reads it
		}
		assert.Contains(t, []int{http.StatusUnauthorized, http.StatusTooManyRequests},
			s.as("", one.method, path, body).status, path)
		for role, of := range tokens {
			for own, token := range of {
				who := access.Principal{Role: role, Project: own}
				may := who.May(one.needs, one.scope, project)
				if may && one.answer == shapeEvents {
					continue // it does not end
				}
				status := s.as(token, one.method, path, body).status
				isRefused := status == http.StatusForbidden || status == http.StatusUnauthorized ||
					status == http.StatusNotFound && own != "" && own != project
				assert.NotEqual(t, may, isRefused, "%s of %q: %s %s: %d", role, own, one.method, path,
					status)
				assert.Less(t, status, 500)
				asked++
			}
		}
	}
	t.Logf("%d routes, %d requests", len(routes()), asked)
}

// A viewer is told what a change would do, of each route that can be asked so, and changes nothing
// by it; in other words than these it is a change.
func TestViewersPlan(t *testing.T) {
	s := serve(t)
	for _, project := range []string{"acme", "other"} {
		s.must("PUT", "/v1/projects/"+project, `{}`)
	}
	s.must("PUT", "/v1/projects/acme/groups/x", `{}`)
	viewer := s.newToken(access.Viewer, "", time.Time{})
	tenant := s.newToken(access.Viewer, "acme", time.Time{})
	_, before, err := s.db.Policy()
	require.NoError(t, err)
	planned := 0
	for _, one := range routes() {
		path, body := filled(one.path), ""
		if one.body != shapeNone {
			body = "{}"
		}
		isWrite := one.needs > access.Viewer
		isPlan := slices.Contains(one.query, dryRun)
		if isWrite {
			for _, query := range []string{"", "?dry_run=false", "?dry_run=1", "?dry_run=false&dry_run=true"} {
				assert.Equal(t, http.StatusForbidden, s.as(viewer, one.method, path+query, body).status,
					"%s %s", one.method, path+query)
			}
		}
		if got := s.as(viewer, one.method, path+"?dry_run=true", body).status; isPlan {
			assert.NotEqual(t, http.StatusForbidden, got, "%s %s", one.method, path)
			planned++
		} else if isWrite {
			assert.Equal(t, http.StatusForbidden, got, "%s %s", one.method, path)
		}
		if foreign := strings.Replace(path, "acme", "other", 1); isPlan && foreign != path {
			assert.Contains(t, []int{http.StatusNotFound, http.StatusForbidden},
				s.as(tenant, one.method, foreign+"?dry_run=true", body).status, foreign)
		}
	}
	assert.Greater(t, planned, 20)
	_, after, err := s.db.Policy()
	require.NoError(t, err)
	assert.Equal(t, before, after, "nothing was written")
}

// filled is a path with something at each of its names.
func filled(path string) string {
	return strings.NewReplacer("{project}", "acme", "{name}", "x", "{id}", "y",
		"{generation}", "7").Replace(path)
}

// TestTokensThatAreNone are refused in the same words, whatever is wrong with them.
func TestTokensThatAreNone(t *testing.T) {
	s := serve(t)
	over := s.newToken(access.Operator, "", time.Now().Add(time.Millisecond))
	eventually(t, func() bool {
		return s.as(over, "GET", "/v1/whoami", "").status == http.StatusUnauthorized
	})
	gone := s.newToken(access.Operator, "", time.Time{})
	require.Equal(t, http.StatusOK, s.as(gone, "GET", "/v1/whoami", "").status)
	id := strings.Split(gone, "_")[1]
	s.must("DELETE", "/v1/tokens/"+id, "")
	drawn := access.Draw()
	mixed := "pc_" + strings.Split(s.token, "_")[1] + "_" + strings.Split(drawn.Text, "_")[2]
	words := map[string]bool{}
	for name, token := range map[string]string{"expired": over, "revoked": gone, "unknown": drawn.Text,
		"another secret": mixed, "no token": "pc_x", "long": strings.Repeat("a", 5000),
		"half": s.token[:20]} {
		a := s.as(token, "GET", "/v1/whoami", "")
		assert.Equal(t, http.StatusUnauthorized, a.status, name)
		assert.NotEmpty(t, a.header.Get("WWW-Authenticate"))
		words[a.detail(t)] = true
	}
	for _, header := range []string{"Basic cm9vdDpyb290", "Bearer", "bearer  ", "Digest x",
		"EXO2-HMAC-SHA256 credential=x,expires=1,signature=y"} {
		a := s.as("", "GET", "/v1/whoami", "", "Authorization: "+header)
		assert.Equal(t, http.StatusUnauthorized, a.status, header)
		words[a.detail(t)] = true
	}
	assert.Len(t, words, 1)
}

// TestTokenIsShownOnce makes a token by the API and sees that it works, that its secret is nowhere,
// and that its use is noted.
func TestTokenIsShownOnce(t *testing.T) {
	s := serve(t)
	var made MadeToken
	assert.Equal(t, http.StatusUnprocessableEntity,
		s.ask("POST", "/v1/tokens", `{"role":"viewer","project":"acme"}`).status)
	s.must("PUT", "/v1/projects/acme", `{}`)
	a := s.must("POST", "/v1/tokens", `{"role":"viewer","project":"acme","description":"CI"}`)
	assert.Equal(t, http.StatusCreated, a.status)
	a.into(t, &made)
	var who Who
	s.as(made.Text, "GET", "/v1/whoami", "").into(t, &who)
	want := Who{Name: "token " + made.ID, How: "token", Role: "viewer", Project: "acme",
		Description: "CI"}
	assert.Equal(t, want, who)
	want.How, who = "session", Who{}
	s.as("", "GET", "/v1/whoami", "", s.signIn(made.Text)).into(t, &who)
	assert.Equal(t, want, who, "a session has the description of its token")
	secret := strings.Split(made.Text, "_")[2]
	assert.NotContains(t, s.must("GET", "/v1/tokens", "").text, secret)
	kept, err := s.db.Token(made.ID)
	require.NoError(t, err)
	assert.NotContains(t, kept.Secret, secret)
	eventually(t, func() bool {
		kept, err := s.db.Token(made.ID)
		return err == nil && !kept.Used.IsZero()
	})
}

// TestProjectSeesItsOwn writes as one project and looks as another: nothing of the one is there, in
// no answer and no error.
func TestProjectSeesItsOwn(t *testing.T) {
	s := serve(t)
	for _, project := range []string{"acme", "other"} {
		s.must("PUT", "/v1/projects/"+project, `{}`)
	}
	acme := s.newToken(access.Editor, "acme", time.Time{})
	other := s.newToken(access.Editor, "other", time.Time{})
	ok := func(token, method, path, body string) {
		t.Helper()
		a := s.as(token, method, path, body)
		require.Less(t, a.status, 300, a.text)
	}
	ok(acme, "PUT", "/v1/projects/acme/groups/secret-web", `{"rules":[`+webRule+`]}`)
	ok(acme, "PUT", "/v1/projects/acme/instances/secret-vm",
		instanceBody("02:00:00:00:00:77", "203.0.113.77", "secret-web"))
	assert.Contains(t, s.must("GET", "/v1/groups", "").text, `"acme/secret-web"`)
	mine := s.as(acme, "GET", "/v1/projects/acme/groups", "")
	assert.Contains(t, mine.text, `"name":"secret-web"`)

	ok(other, "PUT", "/v1/projects/other/groups/web", `{"rules":[]}`)
	answers := []answer{
		s.as(other, "GET", "/v1/projects/other/groups", ""),
		s.as(other, "GET", "/v1/projects/other/instances", ""),
		s.as(other, "GET", "/v1/projects/other/groups/secret-web", ""),
		s.as(other, "GET", "/v1/projects/other/groups/acme%2Fsecret-web", ""),
		s.as(other, "GET", "/v1/projects/acme/groups", ""),
		s.as(other, "GET", "/v1/projects/acme/groups/secret-web", ""),
		s.as(other, "DELETE", "/v1/projects/acme/groups/secret-web", "", "If-Match: *"),
		s.as(other, "DELETE", "/v1/projects/other/groups/acme%2Fsecret-web", "", "If-Match: *"),
		s.as(other, "PUT", "/v1/projects/other/groups/acme%2Fsecret-web", `{}`, "If-Match: *"),
		s.as(other, "POST", "/v1/projects/other/changes",
			`{"put":{"groups":[{"name":"acme/secret-web"}]}}`),
		s.as(other, "POST", "/v1/projects/other/changes",
			`{"remove":{"groups":["acme/secret-web"]}}`),
		s.as(other, "PUT", "/v1/projects/other/instances/thief",
			instanceBody("02:00:00:00:00:78", "203.0.113.77")),
		s.as(other, "PUT", "/v1/projects/other/instances/thief",
			instanceBody("02:00:00:00:00:77", "203.0.113.78")),
		s.as(other, "PUT", "/v1/projects/other/groups/nosy",
			`{"rules":[{"direction":"ingress","protocol":"any","group":"acme/secret-web"}]}`),
		s.as(other, "GET", "/v1/projects/other/matrix", ""),
		s.as(other, "GET", "/v1/projects/other/matrix?rows=outside&columns=acme%2Fsecret-web", ""),
		s.as(other, "GET", "/v1/groups", ""),
		s.as(other, "GET", "/v1/changes", ""),
		s.as(other, "GET", "/v1/policy", ""),
	}
	for n, a := range answers {
		assert.NotContains(t, a.text, "secret-vm", "answer %d", n)
		isOurs := strings.Contains(a.text, "is taken") // by whom is not said
		for _, word := range []string{"203.0.113.77", "02:00:00:00:00:77"} {
			assert.True(t, isOurs || !strings.Contains(a.text, word), "answer %d: %s", n, a.text)
		}
	}
	p, _, err := s.db.Policy()
	require.NoError(t, err)
	require.Len(t, p.Groups, 2)
	assert.Len(t, p.Groups[0].Rules, 1, "acme's group is as it was")
}

// TestIdempotencyKey repeats requests: the same key is the same change.
func TestIdempotencyKey(t *testing.T) {
	s := serve(t)
	s.must("PUT", "/v1/groups/web", `{}`)
	body := `{"put":{"groups":[{"name":"db"}]}}`
	var first, second, third Done
	s.must("POST", "/v1/changes", body, "Idempotency-Key: 1").into(t, &first)
	s.must("PUT", "/v1/groups/late", `{}`)
	s.must("POST", "/v1/changes", body, "Idempotency-Key: 1").into(t, &second)
	assert.Equal(t, first.Generation, second.Generation)
	assert.Equal(t, [2]any{first.Changed, first.Access}, [2]any{second.Changed, second.Access})
	s.must("POST", "/v1/changes", body, "Idempotency-Key: 2").into(t, &third)
	assert.Equal(t, 3, third.Generation, "nothing to change, so no generation")
	_, generation, err := s.db.Policy()
	require.NoError(t, err)
	assert.Equal(t, 3, generation)
}

// TestRepeatedWriteSaysWhatItMeant repeats a write that opens something: the answer is the first
// one's, though the policy has gone on.
func TestRepeatedWriteSaysWhatItMeant(t *testing.T) {
	s := serve(t)
	s.must("PUT", "/v1/groups/web", `{}`)
	s.must("PUT", "/v1/instances/vm", `{"host":"hv1","groups":["web"],"ports":[
		{"name":"tap1","mac":"02:00:00:00:00:11","addresses":["203.0.113.11/32"]}]}`)
	var first, second Done
	body := `{"put":{"groups":[{"name":"web","rules":[` + webRule + `]}]}}`
	s.must("POST", "/v1/changes", body, "Idempotency-Key: 1").into(t, &first)
	require.Equal(t, 1, first.Gained, "%+v", first)
	s.must("PUT", "/v1/groups/late", `{}`)
	s.must("POST", "/v1/changes", body, "Idempotency-Key: 1").into(t, &second)
	assert.Equal(t, first, second)
}

// TestCrossSite refuses what another site has a browser send, and tells browsers to run nothing.
func TestCrossSite(t *testing.T) {
	s := serve(t)
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200,
		"none": 200} {
		assert.Equal(t, want, s.ask("GET", "/v1/whoami", "", "Sec-Fetch-Site: "+site).status, site)
	}
	h := s.ask("GET", "/v1/whoami", "").header
	assert.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'")
	assert.Equal(t, "no-store", h.Get("Cache-Control"))
}

// TestTooMuch sends more than is taken.
func TestTooMuch(t *testing.T) {
	s := serve(t)
	big := `{"description":"` + strings.Repeat("a", maxBody) + `"}`
	assert.Equal(t, http.StatusRequestEntityTooLarge, s.ask("PATCH", "/v1/groups/x", big).status)
	token := s.newToken(access.Viewer, "", time.Time{})
	limited := answer{}
	for range 4 * burst {
		if limited = s.as(token, "GET", "/v1/whoami", ""); limited.status != http.StatusOK {
			break
		}
	}
	assert.Equal(t, http.StatusTooManyRequests, limited.status)
	assert.NotEmpty(t, limited.header.Get("Retry-After"))
	assert.Equal(t, http.StatusOK, s.ask("GET", "/v1/whoami", "").status, "others are not limited")
}

// TestAMistakeOfOneHoldsUpNoOther has a row of one project made invalid behind everybody's back.
// Another project writes all the same, and asks what a write would do.
func TestAMistakeOfOneHoldsUpNoOther(t *testing.T) {
	s := serve(t)
	for _, project := range []string{"acme", "other"} {
		s.must("PUT", "/v1/projects/"+project, `{}`)
	}
	s.must("PUT", "/v1/projects/acme/instances/vm", instanceBody("02:00:00:00:00:77", "203.0.113.77"))
	out, err := s.ovs.Exec(t.Context(), "ovsdb-client", "--timeout=10", "transact", s.ovs.DB,
		`["Portcullis",{"op":"update","table":"Port","where":[],"row":{"addresses":"203.0.113.0/33"}}]`)
	require.NoError(t, err, out)
	eventually(t, func() bool { _, _, err := s.db.Policy(); return err != nil })
	tenant := s.newToken(access.Editor, "other", time.Time{})
	for _, query := range []string{"?dry_run=true", ""} {
		a := s.as(tenant, "PUT", "/v1/projects/other/groups/web"+query, `{}`)
		assert.Equal(t, http.StatusOK, a.status, a.text)
	}
	for _, path := range []string{"groups", "groups/web", "instances", "policy", "matrix", "status"} {
		a := s.as(tenant, "GET", "/v1/projects/other/"+path, "")
		assert.Equal(t, http.StatusOK, a.status, "%s: %s", path, a.text)
		assert.NotContains(t, a.text, "acme")
	}
	former := s.as(tenant, "GET", "/v1/projects/other/policy?generation=3", "")
	assert.Equal(t, http.StatusServiceUnavailable, former.status)
	assert.NotContains(t, former.text, "acme")
	for _, path := range []string{"/healthz", "/v1/projects/acme/groups"} {
		assert.NotContains(t, s.as("", "GET", path, "").text, "acme/vm", "nobody is told")
	}
	assert.Contains(t, s.ask("GET", "/v1/policy", "").detail(t), "acme/vm",
		"an operator is told, and has no file that lacks something")
}

// TestPartsOfAProject asks for parts as a project: whatever is named, nothing of others is in them.
func TestPartsOfAProject(t *testing.T) {
	s := serve(t)
	s.must("PUT", "/v1/projects/acme", `{}`)
	s.must("PUT", "/v1/projects/other", `{}`)
	s.must("PUT", "/v1/groups/common", `{"shared":true}`)
	s.must("PUT", "/v1/projects/other/groups/balancers", `{"shared":true,"description":"secret"}`)
	s.must("PUT", "/v1/projects/other/instances/vm", `{"host":"hv1","groups":["balancers"],"ports":[
		{"name":"tap5","mac":"02:00:00:00:00:15"}]}`)
	s.must("PUT", "/v1/projects/acme/groups/web", `{"rules":[
		{"direction":"ingress","protocol":"tcp","ports":"443","group":"other/balancers"},
		{"direction":"ingress","protocol":"tcp","ports":"80","group":"/common"}]}`)
	s.must("PUT", "/v1/projects/acme/instances/vm", `{"host":"hv1","groups":["web"],"ports":[
		{"name":"tap1","mac":"02:00:00:00:00:11"}]}`)
	tenant := s.newToken(access.Viewer, "acme", time.Time{})
	own := "/v1/projects/acme/part"
	for query, want := range map[string][]string{"?groups=web": {"web"}, "?hosts=hv1": {`"vm"`},
		"?kinds=instances": {`"vm"`}, "": {`"vm"`, "web"},
		"?groups=other/balancers%0Aother/x": nil, "?around=other/balancers": {"web"}, "?around=/common": {
			"web"}, "?instances=other/vm": nil, "?ports=tap5": nil, "?projects=other": nil,
		"?projects=acme": nil, "?kinds=groups": {`"members":{"web":1}`}} {
		got := s.as(tenant, "GET", own+query, "")
		require.Equal(t, http.StatusOK, got.status, got.text)
		for _, word := range want {
			assert.Contains(t, got.text, word, query)
		}
		if want == nil {
			assert.Contains(t, got.text, `"policy":{}`, query)
		}
		for _, foreign := range []string{"secret", "tap5", "02:00:00:00:00:15", "acme", `"projects"`,
			`"other/vm"`, `"name":"other/`, `"name":"/common`} {
			assert.NotContains(t, got.text, foreign, query)
		}
	}
	for path, want := range map[string]int{"/v1/part?groups=acme/web": http.StatusNotFound,
		"/v1/projects/other/part?groups=web": http.StatusNotFound} {
		assert.Equal(t, want, s.as(tenant, "GET", path, "").status, path)
	}
	all := s.must("GET", "/v1/part?groups=acme/web%0Aother/balancers", "").text
	assert.Contains(t, all, `"name":"acme/web"`)
	assert.Contains(t, all, "secret", "who has all is told of all")
	for query, want := range map[string]string{"?kinds=nonsense": "must be groups or instances",
		"?groups=": "has no name", "?group=web": "is not known here",
		"?groups=a&groups=b": "groups"} {
		got := s.ask("GET", "/v1/part"+query, "")
		assert.Equal(t, http.StatusBadRequest, got.status, query)
		assert.Contains(t, got.detail(t), want)
	}
}

// TestPutOfWhatWasGot puts back what was answered: nothing is lost by that, of either kind of
// object.
func TestPutOfWhatWasGot(t *testing.T) {
	s := serve(t)
	s.must("PUT", "/v1/groups/web", `{"shared":true,"description":"front",
		"external_sources":["198.51.100.0/24"],"rules":[`+webRule+`]}`)
	s.must("PUT", "/v1/instances/vm", `{"host":"hv1","migrating_to":"hv2","groups":["web"],"ports":[
		{"name":"tap1","mac":"02:00:00:00:00:11","log_denied":true}]}`)
	for _, path := range []string{"/v1/groups/web", "/v1/instances/vm"} {
		got := s.must("GET", path, "")
		put := s.must("PUT", path, got.text, "If-Match: "+got.header.Get("ETag"))
		assert.NotContains(t, put.text, "null")
		again := s.must("GET", path, "")
		assert.Equal(t, got.header.Get("ETag"), again.header.Get("ETag"), "%s\n%s", got.text, again.text)
	}
	assert.Contains(t, s.must("GET", "/v1/groups", "").text, `"shared":true`)
}
