package apiserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
)

// dial opens a connection and sends what is no whole request, or no right one.
func (s *served) dial(text string) net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, text)
	require.NoError(s.t, err)
	return conn
}

// TestSlowClientsHoldUpNobody leaves requests half sent. Others are answered meanwhile, and the
// slow ones are let go.
func TestSlowClientsHoldUpNobody(t *testing.T) {
	t.Parallel()
	s := serve(t)
	conns, slow := make([]net.Conn, 0, 600), s.newToken(access.Editor, "", time.Time{})
	opened := time.Now()
	for n := range 600 {
		conns = append(conns, s.dial([]string{"", "GET /v1/whoami HTTP/1.1\r\nHost: x\r\nX-A: ",
			"PUT /v1/groups/web HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + slow +
				"\r\nContent-Length: 100\r\n\r\n{"}[n%3]))
	}
	began := time.Now()
	for range 20 {
		s.must("GET", "/v1/whoami", "")
	}
	s.must("PUT", "/v1/groups/db", `{}`)
	assert.Less(t, time.Since(began), 5*time.Second)
	// a request whose header is not whole in its time ends its connection
	require.NoError(t, conns[1].SetReadDeadline(time.Now().Add(headerTime+patience)))
	_, err := io.Copy(io.Discard, conns[1])
	require.NoError(t, err, "it is closed, not left")
	assert.GreaterOrEqual(t, time.Since(opened), headerTime)
}

// TestTenThousandIdleStreams leaves ten thousand connections open that ask for events and say no
// more, or as many as this process may have files: those above the bounds are refused in words, and
// who writes or has listened before is served.
func TestTenThousandIdleStreams(t *testing.T) {
	t.Parallel()
	var files syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	files.Cur = files.Max
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files))
	all := min(10_000, int(min(files.Max, 1<<20)-1000)/2) // both ends are in this process
	require.Greater(t, all, 9000, "`ulimit -n` is to be 20,000")
	s := serve(t)
	before := s.listen(s.token, "/v1/events")
	tokens := make([]string, 60)
	for n := range tokens {
		tokens[n] = s.newToken(access.Viewer, "", time.Time{})
	}
	answers := map[int]int{}
	for n := range all {
		conn := s.dial("GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " +
			tokens[n/167] + "\r\n\r\n")
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		head, err := bufio.NewReaderSize(conn, 512).ReadString('\n')
		require.NoError(t, err, "connection %d is answered", n)
		var status int
		_, err = fmt.Sscanf(head, "HTTP/1.1 %d", &status)
		require.NoError(t, err, head)
		answers[status]++
	}
	// 49 tokens have all of theirs, with the one from before, and the next one the rest
	require.Equal(t, map[int]int{200: maxStreams - 1, 429: 49 * (167 - maxOwnStreams),
		503: all - (maxStreams - 1) - 49*(167-maxOwnStreams)}, answers)
	began := time.Now()
	s.must("PUT", "/v1/groups/web", `{}`)
	before.event("change")
	assert.Less(t, time.Since(began), 5*time.Second)
}

// TestRequestsThatAreTricks are refused, and none is answered without a token.
func TestRequestsThatAreTricks(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.must("PUT", "/v1/groups/web", `{}`)
	with := "Authorization: Bearer " + s.token + "\r\n"
	for name, c := range map[string]struct {
		text string
		want string // statuses
	}{
		"two lengths": {"PUT /v1/groups/x HTTP/1.1\r\nHost: x\r\n" + with +
			"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "400"},
		"length and chunks": {"PUT /v1/groups/x HTTP/1.1\r\nHost: x\r\n" + with +
			"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		"no host":       {"GET /v1/whoami HTTP/1.1\r\n" + with + "\r\n", "400"},
		"two hosts":     {"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nHost: y\r\n" + with + "\r\n", "400"},
		"a long header": {"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "431"},
		"method override": {"GET /v1/groups/web HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: DELETE\r\n" +
			with + "\r\n", "200"},
		"user by header": {"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nX-Forwarded-User: root\r\n" +
			"X-Remote-User: root\r\n\r\n", "401"},
		"token in the query": {"GET /v1/whoami?token=" + s.token + " HTTP/1.1\r\nHost: x\r\n\r\n", "401"},
		"token in a cookie":  {"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nCookie: token=" + s.token + "\r\n\r\n", "401"},
		"dots":               {"GET /v1/projects/../policy HTTP/1.1\r\nHost: x\r\n\r\n", "307 301 401 404"},
		"coded dots":         {"GET /v1/%2e%2e/v1/policy HTTP/1.1\r\nHost: x\r\n\r\n", "307 301 401 404"},
		"two slashes":        {"GET //v1/policy HTTP/1.1\r\nHost: x\r\n\r\n", "307 301 401 404"},
		"a whole address":    {"GET http://x/v1/policy HTTP/1.1\r\nHost: x\r\n\r\n", "401"},
		"a star":             {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "200 404"},
		"a tunnel":           {"CONNECT /v1/policy HTTP/1.1\r\nHost: x\r\n\r\n", "400 404 405"},
		"a NUL":              {"GET /v1/policy\x00 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
		"no HTTP":            {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
		"HTTP/2 at once":     {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 404 505"},
	} {
		conn := s.dial(c.text)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if !assert.NoError(t, err, name) {
			continue
		}
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16))
		_ = res.Body.Close()
		assert.Contains(t, c.want, fmt.Sprint(res.StatusCode), "%s: %s", name, text)
		assert.NotContains(t, string(text), "groups:", name)
	}
	_, generation, err := s.db.Policy()
	require.NoError(t, err)
	assert.Equal(t, 1, generation, "nothing was written")
}

// TestTenThousandRulesInOneBody are one change.
func TestTenThousandRulesInOneBody(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var rules []string
	for n := range 10_000 {
		rules = append(rules, fmt.Sprintf(`{"direction":"ingress","protocol":"tcp","ports":"%d",`+
			`"cidr":"198.51.%d.%d/32"}`, 1+n%60000, n/256%256, n%256))
	}
	began := time.Now()
	s.must("PUT", "/v1/groups/web", `{"rules":[`+strings.Join(rules, ",")+`]}`)
	t.Logf("10,000 rules in %s", time.Since(began).Round(time.Millisecond))
	var g struct{ Rules []struct{ ID string } }
	s.must("GET", "/v1/groups/web", "").into(t, &g)
	assert.Len(t, g.Rules, 10_000)
}
