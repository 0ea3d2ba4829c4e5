package apiserver

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/signin"
)

// TestStreamEndsWithItsToken opens a stream with a token that will be over, and one with a token
// that is not.
func TestStreamEndsWithItsToken(t *testing.T) {
	s := serve(t)
	brief := s.listen(s.newToken(access.Viewer, "", time.Now().Add(time.Second)), "/v1/events")
	long := s.listen(s.newToken(access.Viewer, "", time.Now().Add(time.Hour)), "/v1/events")
	require.Equal(t, []int{200, 200}, []int{brief.status, long.status})
	brief.ended()
	s.must("PUT", "/v1/groups/web", `{}`)
	long.event("change")
}

// TestFailedAttemptsAreLimited has an address try tokens until it is told to stop; who is
// recognised goes on from the same address.
func TestFailedAttemptsAreLimited(t *testing.T) {
	s := serve(t)
	var last answer
	for n := range 2 * failuresBurst {
		last = s.as(access.Draw().Text, "GET", "/v1/whoami", "")
		if last.status != http.StatusUnauthorized {
			assert.GreaterOrEqual(t, n, failuresBurst)
			break
		}
	}
	assert.Equal(t, http.StatusTooManyRequests, last.status)
	assert.NotEmpty(t, last.header.Get("Retry-After"))
	assert.Contains(t, last.detail(t), "127.0.0.1")
	assert.Equal(t, http.StatusOK, s.ask("GET", "/v1/whoami", "").status)
}

// TestAddress believes proxies of ours, and nobody else, about where a request comes from.
func TestAddress(t *testing.T) {
	s := &Server{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"),
		netip.MustParsePrefix("10.0.0.0/8")}}
	for _, c := range []struct{ remote, through, want string }{
		{"198.51.100.7:1", "", "198.51.100.7"},
		{"198.51.100.7:1", "203.0.113.1", "198.51.100.7"},
		{"127.0.0.1:1", "203.0.113.1", "203.0.113.1"},
		{"[::ffff:127.0.0.1]:1", "203.0.113.1", "203.0.113.1"},
		{"127.0.0.1:1", "192.0.2.66, 203.0.113.1, 10.1.2.3", "203.0.113.1"},
		{"127.0.0.1:1", "192.0.2.66, nonsense", "127.0.0.1"},
		{"127.0.0.1:1", "", "127.0.0.1"},
		{"@", "203.0.113.1", "the socket"},
	} {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.RemoteAddr = c.remote
		if c.through != "" {
			for _, one := range strings.Split(c.through, ", ") {
				req.Header.Add("X-Forwarded-For", one)
			}
		}
		assert.Equal(t, c.want, s.address(req), c)
	}
}

// TestLimitsRememberLittle has more names ask than are remembered.
func TestLimitsRememberLittle(t *testing.T) {
	var l limits
	now := time.Now()
	for n := range 3 * mostRemembered {
		l.allow(strings.Repeat("x", n%7)+time.Duration(n).String(), 1, 2, now)
	}
	assert.LessOrEqual(t, len(l.of), mostRemembered)
}

// TestSessionsEnd opens sessions, of which one is over: it is nobody's, and forgotten with the
// next.
func TestSessionsEnd(t *testing.T) {
	s := serve(t)
	at := time.Now()
	server := &Server{DB: s.db, Log: logrus.NewEntry(logrus.New()), Clock: func() time.Time { return at }}
	who := func(cookie *http.Cookie) int {
		req := httptest.NewRequest(http.MethodGet, "/v1/whoami", nil)
		req.AddCookie(cookie)
		w := httptest.NewRecorder()
		server.Handler().ServeHTTP(w, req)
		return w.Code
	}
	alice := signin.Person{Name: "alice", Role: access.Editor}
	first, err := server.Sessions().Open(t.Context(), alice)
	require.NoError(t, err)
	assert.True(t, first.HttpOnly && first.Secure && first.SameSite == http.SameSiteStrictMode)
	assert.Equal(t, http.StatusOK, who(first))
	at = at.Add(sessionTime)
	assert.Equal(t, http.StatusUnauthorized, who(first))
	second, err := server.Sessions().Open(t.Context(), alice)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, who(second))
	list, err := s.db.Tokens()
	require.NoError(t, err)
	assert.Len(t, list, 2, "the test's token, and the second session")
}
