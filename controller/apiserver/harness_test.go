package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/integration/sandbox"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// patience bounds every wait for a state in these tests.
const patience = time.Minute

// served is a server on a real policy database, reached by HTTP.
type served struct {
	t   testing.TB
	url string
	db  *policydb.Client
	ovs *sandbox.OVS
	// token of an operator of all projects
	token string
}

// serve starts one.
func serve(t testing.TB) *served {
	t.Helper()
	o := sandbox.Start(t, sandbox.Options{Daemons: sandbox.DatabaseOnly})
	o.AddDatabase(policydb.Name, policydb.Schema)
	return serveOn(t, o)
}

// serveOn starts one more on a database.
func serveOn(t testing.TB, o *sandbox.OVS) *served {
	t.Helper()
	db, err := policydb.New(policydb.Options{Endpoint: o.DB})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- db.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	eventually(t, func() bool { _, _, err := db.Policy(); return err == nil })
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := &Server{DB: db, Log: logrus.NewEntry(log), Explain: func(explain.Reader, api.Question) (
		[]byte, bool, error) {
		return []byte(`{}`), true, nil // the command's tests have the real one
	}}
	following := make(chan error, 1)
	go func() { following <- s.Follow(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-following)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serving := make(chan error, 1)
	go func() { serving <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-serving)
	})
	out := &served{t: t, url: "http://" + l.Addr().String(), db: db, ovs: o}
	out.token = out.newToken(access.Operator, "", time.Time{})
	return out
}

// eventually waits for a state.
func eventually(t testing.TB, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatal("the state awaited does not come")
		}
		time.Sleep(time.Millisecond)
	}
}

// newToken makes a token behind the server's back, as the command does.
func (s *served) newToken(role access.Role, project string, expires time.Time) string {
	s.t.Helper()
	drawn := access.Draw()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(s.t, s.db.AddToken(ctx, policydb.Token{ID: drawn.ID, Kind: policydb.BearerToken,
		Secret: drawn.Digest, Role: role.String(), Project: project, At: time.Now(), By: "a test",
		Expires: expires}))
	return drawn.Text
}

// answer is what came of a request.
type answer struct {
	status int
	header http.Header
	text   string
}

// into reads the body.
func (a answer) into(t testing.TB, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.text), v), "%d %s", a.status, a.text)
}

// detail is what a problem says.
func (a answer) detail(t testing.TB) string {
	t.Helper()
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), a.text)
	var p Problem
	a.into(t, &p)
	require.Equal(t, a.status, p.Status)
	require.Equal(t, p.Detail, p.Message)
	out := p.Detail
	for _, one := range p.Errors {
		out += fmt.Sprintf("\n%s: %s", one.Location, one.Message)
	}
	return out
}

// ask sends a request as the operator; headers are "Name: value".
func (s *served) ask(method, path, body string, headers ...string) answer {
	s.t.Helper()
	return s.as(s.token, method, path, body, headers...)
}

// as sends a request with a token; "" = without one.
func (s *served) as(token, method, path, body string, headers ...string) answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
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
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	out := answer{res.StatusCode, res.Header, string(text)}
	conforms(s.t, method, path, out)
	return out
}

// must is ask for what is to succeed.
func (s *served) must(method, path, body string, headers ...string) answer {
	s.t.Helper()
	a := s.ask(method, path, body, headers...)
	require.Less(s.t, a.status, 300, "%s %s: %s", method, path, a.text)
	return a
}
