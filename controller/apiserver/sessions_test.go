package apiserver

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// signIn opens a session with a token, and returns it as the header of a browser.
func (s *served) signIn(token string) (cookie string) {
	s.t.Helper()
	a := s.as(token, "POST", "/v1/session", "")
	require.Equal(s.t, http.StatusNoContent, a.status, a.text)
	set := a.header.Get("Set-Cookie")
	for _, word := range []string{"__Host-portcullis=pc_", "; Path=/", "; HttpOnly", "; Secure",
		"; SameSite=Strict"} {
		require.Contains(s.t, set, word)
	}
	require.NotContains(s.t, set, strings.Split(token, "_")[2], "the token itself stays where it is")
	pair, _, _ := strings.Cut(set, ";")
	return "Cookie: " + pair
}

// withCookie is the status of what a browser asks for.
func (s *served) withCookie(cookie, method, path, body string, headers ...string) int {
	s.t.Helper()
	return s.as("", method, path, body, append(headers, cookie)...).status
}

const sameOrigin = "Sec-Fetch-Site: same-origin"

// TestSessionOfAToken may what its token may, is named as it, and is asked where it comes from.
func TestSessionOfAToken(t *testing.T) {
	s := serve(t)
	s.must("PUT", "/v1/projects/acme", `{}`)
	token := s.newToken(access.Viewer, "acme", time.Time{})
	cookie := s.signIn(token)
	var who Who
	s.as("", "GET", "/v1/whoami", "", cookie).into(t, &who)
	assert.Equal(t, Who{Name: "token " + strings.Split(token, "_")[1], How: "session", Role: "viewer",
		Project: "acme"}, who)
	assert.Equal(t, http.StatusOK, s.withCookie(cookie, "GET", "/v1/projects/acme/groups", ""))
	assert.Equal(t, http.StatusForbidden, s.withCookie(cookie, "PUT",
		"/v1/projects/acme/groups/web", `{}`, sameOrigin), "a viewer")
	assert.Equal(t, http.StatusNotFound, s.withCookie(cookie, "GET", "/v1/groups", ""), "of all")

	editor := s.signIn(s.newToken(access.Editor, "acme", time.Time{}))
	put := func(headers ...string) int {
		return s.withCookie(editor, "PUT", "/v1/projects/acme/groups/web", `{}`, headers...)
	}
	assert.Equal(t, http.StatusForbidden, put(), "it does not say where it comes from")
	assert.Equal(t, http.StatusForbidden, put("Origin: https://evil.example.org"))
	assert.Equal(t, http.StatusForbidden, put("Origin: null"))
	assert.Equal(t, http.StatusForbidden, put("Sec-Fetch-Site: cross-site"))
	assert.Equal(t, http.StatusForbidden, put("Sec-Fetch-Site: same-site", "Origin: "+s.url))
	assert.Equal(t, http.StatusOK, put(sameOrigin, "Origin: "+s.url))

	assert.Equal(t, http.StatusForbidden, s.withCookie(cookie, "POST", "/v1/session", "", sameOrigin),
		"a session opens no other one, which would be over later")
	assert.Equal(t, http.StatusForbidden, s.as(token, "POST", "/v1/session", "",
		"Origin: https://evil.example.org").status, "nobody is signed in by another site")
	assert.Equal(t, http.StatusUnauthorized, s.as("", "POST", "/v1/session", "").status)
	assert.Equal(t, http.StatusForbidden, s.withCookie(cookie, "DELETE", "/v1/session", "",
		"Origin: https://evil.example.org"), "nor out")
}

// TestSessionEnds when its person signs out, when its token is revoked, and when either is over.
func TestSessionEnds(t *testing.T) {
	s := serve(t)
	status := func(cookie string) int { return s.withCookie(cookie, "GET", "/v1/whoami", "") }
	token := s.newToken(access.Operator, "", time.Time{})
	out, revoked := s.signIn(token), s.signIn(token)
	a := s.as("", "DELETE", "/v1/session", "", out, sameOrigin)
	require.Equal(t, http.StatusNoContent, a.status, a.text)
	assert.Contains(t, a.header.Get("Set-Cookie"), "__Host-portcullis=;")
	assert.Contains(t, a.header.Get("Set-Cookie"), "Max-Age=0")
	assert.Equal(t, http.StatusUnauthorized, status(out), "also where the cookie was copied")
	assert.Equal(t, http.StatusOK, status(revoked), "another browser stays")
	assert.Equal(t, http.StatusOK, s.as(token, "GET", "/v1/whoami", "").status)

	stream := s.listen("", "/v1/events", revoked)
	require.Equal(t, http.StatusOK, stream.status)
	s.must("DELETE", "/v1/tokens/"+strings.Split(token, "_")[1], "")
	stream.ended()
	eventually(t, func() bool { return status(revoked) == http.StatusUnauthorized })

	short := s.signIn(s.newToken(access.Viewer, "", time.Now().Add(2*time.Second)))
	list, err := s.db.Tokens()
	require.NoError(t, err)
	last := list[len(list)-1]
	require.Equal(t, policydb.Session, last.Kind)
	assert.WithinDuration(t, time.Now(), last.Expires, 2*time.Second, "not later than its token")
	eventually(t, func() bool { return status(short) == http.StatusUnauthorized })
}

// TestSessionsAreBounded opens more sessions than one token has at a time: the oldest end.
func TestSessionsAreBounded(t *testing.T) {
	s := serve(t)
	token := s.newToken(access.Viewer, "", time.Time{})
	other := s.signIn(s.newToken(access.Viewer, "", time.Time{}))
	first, second := s.signIn(token), s.signIn(token)
	for range maxSessions - 1 {
		s.signIn(token)
	}
	assert.Equal(t, http.StatusUnauthorized, s.withCookie(first, "GET", "/v1/whoami", ""))
	assert.Equal(t, http.StatusOK, s.withCookie(second, "GET", "/v1/whoami", ""))
	assert.Equal(t, http.StatusOK, s.withCookie(other, "GET", "/v1/whoami", ""))
}
