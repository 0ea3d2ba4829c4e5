package apiserver

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
)

// listening is a stream of events that is read.
type listening struct {
	t      testing.TB
	status int
	lines  chan string // closed when the stream ends
	stop   context.CancelFunc
}

// listen opens a stream.
func (s *served) listen(token, path string, headers ...string) *listening {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	require.NoError(s.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	out := &listening{t: s.t, status: res.StatusCode, lines: make(chan string, 1000), stop: cancel}
	go func() {
		defer close(out.lines)
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			out.lines <- lines.Text()
		}
	}()
	return out
}

// event returns the ID and data of the next event of a kind.
func (l *listening) event(kind string) (id, data string) {
	l.t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, ok := <-l.lines:
			require.True(l.t, ok, "the stream ended")
			switch {
			case strings.HasPrefix(line, "event: "):
				require.Equal(l.t, "event: "+kind, line)
			case strings.HasPrefix(line, "id: "):
				id = line[4:]
			case strings.HasPrefix(line, "data: "):
				return id, line[6:]
			}
		case <-late:
			l.t.Fatal("no event comes")
		}
	}
}

// ended waits for the end.
func (l *listening) ended() {
	l.t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, ok := <-l.lines:
			if !ok {
				return
			}
		case <-late:
			l.t.Fatal("the stream does not end")
		}
	}
}

// TestEvents follows changes, goes on after a break where it was, and ends with its token.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := serve(t)
	put := func(n int) {
		s.must("PUT", fmt.Sprintf("/v1/groups/g%d", n), `{}`)
	}
	put(1)
	token := s.newToken(access.Viewer, "", time.Time{})
	l := s.listen(token, "/v1/events")
	require.Equal(t, 200, l.status)
	put(2)
	id, data := l.event("change")
	assert.Equal(t, "2", id, "what was before is not told")
	assert.Contains(t, data, `"from":"PUT group g2"`)
	l.stop()
	l.ended()

	put(3)
	put(4)
	l = s.listen(token, "/v1/events", "Last-Event-ID: 2")
	for n := 3; n <= 4; n++ {
		id, _ := l.event("change")
		assert.Equal(t, fmt.Sprint(n), id)
	}
	other := serveOn(t, s.ovs)
	other.must("PUT", "/v1/groups/g5", `{}`)
	id, _ = l.event("change")
	assert.Equal(t, "5", id, "by another server")

	s.must("DELETE", "/v1/tokens/"+strings.Split(token, "_")[1], "")
	l.ended()
	assert.Equal(t, 401, s.listen(token, "/v1/events").status)
	assert.Equal(t, 400, s.ask("GET", "/v1/events?since=x", "").status)
	tenant := s.newToken(access.Operator, "acme", time.Time{})
	assert.Equal(t, 403, s.as(tenant, "GET", "/v1/events", "").status)
}

// TestStreamsAreBounded opens more than one token may have, and sees that others are not held up.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	s := serve(t)
	token := s.newToken(access.Viewer, "", time.Time{})
	for range maxOwnStreams {
		require.Equal(t, 200, s.listen(token, "/v1/events").status)
	}
	one := s.listen(token, "/v1/events")
	assert.Equal(t, 429, one.status)
	assert.Equal(t, 200, s.listen(s.token, "/v1/events").status)
}
